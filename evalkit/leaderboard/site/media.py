"""Pictures and clips of a site: small copies known by what they show, originals by choice."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from evalkit.errors import MediaError
from evalkit.files import atomic_write_bytes
from evalkit.media.answer import read_answer
from evalkit.nouns import digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

Originals = Literal["none", "copy", "link"]
SIDE, QUALITY = 256, 84
CLIPS = {".mp4", ".webm", ".mov", ".gif"}
ANSWERS = (".txt", ".json")
LONGEST = 2000
"""Characters of an answer that are shown."""


class Media:
    """Writes media below `site`; small copies are kept in `cache` by content, so that a rebuild makes none again."""

    def __init__(self, site: Path, cache: Path, originals: Originals, *, at: Path) -> None:
        self._site, self._cache, self._originals, self._at = site, cache, originals, at
        """`at` is where the site will stand at last: links to originals are relative to it."""
        self.missing: list[Path] = []
        """Files that are gone or cannot be shown."""
        self._known: dict[tuple[str, str], str | None] = {}

    def small(self, path: str | Path, content: str) -> str | None:
        """Address, from the site's root, of a small copy of a picture or of a clip's first frame; None where there is none.

        `content` names what it shows: the hash of its pixels.
        """
        name = f"{_safe(content)}.webp"
        return self._once("small", name, path, lambda: self._kept(Path(path), "small", name, _encoded))

    def answer(self, path: str | Path) -> str | None:
        """The answer in a file of text, cut where it is very long; None for other files, and for one that cannot be read."""
        if not str(path).lower().endswith(ANSWERS):
            return None
        try:
            text = read_answer(Path(path))
        except MediaError:
            self.missing.append(Path(path))
            return None
        return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."

    def original(self, path: str | Path, content: str) -> str | None:
        """Address of the original from the site's root; None where originals are left out.

        Of a clip it is always a copy that browsers play, for lossless ones they often do not.
        """
        suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122 - a Path takes ten times as long
        if suffix in CLIPS:
            name = f"{_safe(content)}.mp4"
            return self._once("clip", name, path, lambda: self._kept(Path(path), "clip", name, _playable))
        if self._originals == "none":
            return None
        if self._originals == "link":
            return quote(os.path.relpath(Path(path).resolve(), self._at.resolve()).replace(os.sep, "/"))
        name = f"{_safe(content)}{suffix}"
        return self._once("full", name, path, lambda: self._copied(Path(path), name))

    def _once(self, kind: str, name: str, path: str | Path, make: Callable[[], str]) -> str | None:
        key = kind, name
        if key not in self._known:
            try:
                self._known[key] = make()
            except (OSError, ValueError, SyntaxError):  # Pillow's ways of saying that a file is no picture
                self.missing.append(Path(path))
                self._known[key] = None
        return self._known[key]

    def _kept(self, path: Path, kind: str, name: str, encode: Callable[[Path], bytes]) -> str:
        kept = self._cache / name[:2] / name
        if not kept.is_file():
            kept.parent.mkdir(parents=True, exist_ok=True)
            atomic_write_bytes(kept, encode(path))
        return self._put(kept, kind, name)

    def _copied(self, path: Path, name: str) -> str:
        return self._put(path, "full", name)

    def _put(self, source: Path, kind: str, name: str) -> str:
        to = self._site / "media" / kind / name[:2] / name
        to.parent.mkdir(parents=True, exist_ok=True)
        if not to.exists():
            _link_or_copy(source, to)
        return f"media/{kind}/{name[:2]}/{name}"


def _safe(content: str) -> str:
    """A file name for a content's hash; what a submission gives for one may be anything."""
    return content[:24] if re.fullmatch(r"[0-9a-f]{64}", content) else digest(content)[:24]


def _link_or_copy(source: Path, to: Path) -> None:
    """Small copies never change, so that the cache and every site may share them where the file system allows it."""
    if to.parts[-3] in ("small", "clip"):
        try:
            os.link(source, to)
            return
        except OSError:
            pass
    shutil.copyfile(source, to)


def _encoded(path: Path) -> bytes:
    """A WebP of at most 256 pixels a side; small pictures keep every pixel."""
    from io import BytesIO

    from PIL import Image

    with _first_frame(path) as opened:
        opened.draft("RGB", (SIDE * 2, SIDE * 2))
        picture = opened.convert("RGB")
    small = max(picture.size) <= SIDE
    if not small:
        picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    out = BytesIO()
    picture.save(out, "WEBP", quality=QUALITY, method=4)
    return out.getvalue()


def _playable(path: Path) -> bytes:
    """The clip as H.264 in the colour format that every browser plays, its index first."""
    with TemporaryDirectory() as folder:
        to = Path(folder) / "clip.mp4"  # putting the index first reads the file again: it cannot be in memory
        _encode_playable(path, to)
        return to.read_bytes()


def _encode_playable(path: Path, to: Path) -> None:
    from fractions import Fraction

    import av

    try:
        with av.open(str(path)) as source, av.open(str(to), "w", options={"movflags": "faststart"}) as sink:
            stream = None
            for number, frame in enumerate(source.decode(video=0)):
                if stream is None:
                    rate = source.streams.video[0].average_rate or Fraction(8)
                    stream = sink.add_stream("libx264", rate=rate, options={"crf": "20", "threads": "1"})
                    # this colour format wants even sides
                    stream.width, stream.height = frame.width + frame.width % 2, frame.height + frame.height % 2
                    stream.pix_fmt = "yuv420p"
                fitted = frame.reformat(stream.width, stream.height, "yuv420p")
                fitted.pts, fitted.time_base = number, 1 / rate
                sink.mux(stream.encode(fitted))
            if stream is None:
                raise ValueError(f"{path} has no frame")
            sink.mux(stream.encode())
    except (av.FFmpegError, IndexError) as error:
        raise ValueError(str(error)) from error


def _first_frame(path: Path) -> Image.Image:
    from PIL import Image

    if path.suffix.lower() not in CLIPS - {".gif"}:
        return Image.open(path)
    import av

    try:
        with av.open(str(path)) as file:
            picture: Image.Image = next(file.decode(video=0)).to_image()
            return picture
    except (av.FFmpegError, StopIteration, IndexError) as error:
        raise ValueError(str(error)) from error
