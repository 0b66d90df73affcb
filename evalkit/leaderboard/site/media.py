"""Pictures, clips and answers of a site: small copies known by what they show, originals by choice.

What a run says of its files is somebody else's word. A path is looked at before its file is; only what `evalkit.media`
decodes is shown or copied; a copy is called after the pixels that were decoded and ends as their format does; what lies
outside a run's folder is shown only where it holds what the run says that it does.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import quote

from evalkit.errors import MediaError
from evalkit.files import atomic_write_bytes
from evalkit.leaderboard.site.shelf import Known, Shelf
from evalkit.leaderboard.site.small import playable, small_copy
from evalkit.media.answer import read_answer, text_sha256
from evalkit.media.decode import decode_image
from evalkit.media.kinds import SUFFIXES
from evalkit.media.source import picture_format, refuse
from evalkit.media.video import decode_video

if TYPE_CHECKING:
    from collections.abc import Callable

    from evalkit.leaderboard.site.shelf import File

Originals = Literal["none", "copy", "link"]
Kind = Literal["small", "clip", "full"]
CLIP = ".mp4"
LONGEST = 2000
"""Characters of an answer that are shown."""


class Shown(NamedTuple):
    """What a page has of a file: addresses from the site's root, or an answer."""

    small: str | None = None
    """Of a small copy of the picture, or of the clip's first frame."""
    full: str | None = None
    """Of the original where originals are wanted; of a clip always, as a copy that browsers play."""
    answer: str | None = None
    """What a file of text answers, cut where it is very long."""


class Media:
    """Writes media below `site`; small copies are kept in `cache` by what they show, so that a rebuild makes none again."""

    def __init__(self, site: Path, cache: Path, originals: Originals, *, at: Path) -> None:
        self._site, self._cache, self._originals, self._at = site, cache, originals, at.resolve()
        """`at` is where the site will stand at last: links to originals are relative to it."""
        self.missing: list[Path] = []
        """Files that are gone or cannot be shown."""
        self._shelves: dict[tuple[Path, bool], Shelf] = {}
        self._shown: dict[tuple[str, str, str | None], Shown] = {}
        self._put: set[str] = set()

    def shelf(self, root: Path, *, own: bool = True) -> Shelf:
        """The files below `root`: a run's own samples, a benchmark's data, or else somebody's samples."""
        if (root, own) not in self._shelves:
            self._shelves[root, own] = Shelf(root, self._cache / "known", own=own)
        return self._shelves[root, own]

    def show(self, shelf: Shelf, path: str, content: str | None) -> Shown:
        """What the site has of the file that a shelf holds under `path`; nothing where it is gone or may not be shown.

        `content` is the hash of what it is said to hold, None where nothing is said.
        """
        key = shelf.base, path, content
        if key not in self._shown:
            try:
                self._shown[key] = self._look(shelf, shelf.file(path), content)
            except (MediaError, OSError):
                self.missing.append(Path(shelf.base, path))
                self._shown[key] = Shown()
        return self._shown[key]

    def keep(self) -> None:
        """Keeps what was learnt of the files for later builds."""
        for shelf in self._shelves.values():
            shelf.save()

    def _look(self, shelf: Shelf, file: File, content: str | None) -> Shown:
        suffix = os.path.splitext(file.path)[1].lower()  # noqa: PTH122 - a Path takes ten times as long
        if suffix in SUFFIXES["text"]:
            return Shown(answer=_answer(file, content))
        known = shelf.known(file)
        if known is not None:
            with suppress(FileNotFoundError):  # the cache was emptied since
                return self._copies(file, known, content)
        known = self._decoded(Path(file.path), clip=suffix in SUFFIXES["video"])
        shelf.learn(file, known)
        return self._copies(file, known, content)

    def _decoded(self, path: Path, *, clip: bool) -> Known:
        """Decodes a file and keeps its small copies. Raises MediaError."""
        if clip:
            held = decode_video(path)
            known, picture = Known(held.sha256, CLIP), held.frames[0]
            self._kept("clip", known.name + CLIP, lambda: playable(held, str(path)))
        else:
            decoded = decode_image(path)
            known, picture = Known(decoded.sha256, _ending(path)), decoded.pixels
        self._kept("small", f"{known.name}.webp", lambda: small_copy(picture))
        return known

    def _copies(self, file: File, known: Known, content: str | None) -> Shown:
        if not file.inside and known.sha256 != content:
            raise refuse(file.path, "unreadable", "it lies outside the run and is not what the run says that it is")
        small = self._from_cache("small", f"{known.name}.webp")
        if known.suffix == CLIP:
            return Shown(small, self._from_cache("clip", known.name + CLIP))
        return Shown(small, self._original(file, known))

    def _original(self, file: File, known: Known) -> str | None:
        if self._originals == "copy":
            return self._placed("full", known.name + known.suffix, lambda to: shutil.copyfile(file.path, to))
        if self._originals == "none" or not file.path.lower().endswith(SUFFIXES["image"]):
            return None
        return quote(os.path.relpath(os.path.realpath(file.path), self._at).replace(os.sep, "/"))

    def _kept(self, kind: Kind, name: str, make: Callable[[], bytes]) -> None:
        kept = self._cache / kind / name[:2] / name
        if not kept.is_file():
            atomic_write_bytes(kept, make())

    def _from_cache(self, kind: Kind, name: str) -> str:
        kept = f"{self._cache}/{kind}/{name[:2]}/{name}"
        return self._placed(kind, name, lambda to: _link_or_copy(kept, to))

    def _placed(self, kind: Kind, name: str, place: Callable[[str], object]) -> str:
        address = f"media/{kind}/{name[:2]}/{name}"
        if address not in self._put:
            folder = f"{self._site}/media/{kind}/{name[:2]}"
            if folder not in self._put:
                Path(folder).mkdir(parents=True, exist_ok=True)
                self._put.add(folder)
            place(f"{self._site}/{address}")
            self._put.add(address)
        return address


def _answer(file: File, content: str | None) -> str:
    """Raises MediaError, and so for a text that is not what was scored."""
    text = read_answer(Path(file.path))
    if text_sha256(text) != content:
        raise refuse(file.path, "not_an_answer", "it is not what the run says that it is")
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


def _ending(path: Path) -> str:
    """By its format, whatever the file is called: a server tells browsers what a file is by how its name ends."""
    with path.open("rb") as file:
        found = picture_format(file.read(16))
    return f".{found}".lower() if found else ".png"


def _link_or_copy(source: str, to: str) -> None:
    """Small copies never change, so that the cache and every site may share them where the file system allows it."""
    try:
        os.link(source, to)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, to)
