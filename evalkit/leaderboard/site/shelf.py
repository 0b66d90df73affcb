"""Files of one folder that a site may show, and what they were found to hold when they were decoded last."""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

import PIL

from evalkit.errors import RunError
from evalkit.files import atomic_write_text
from evalkit.media.decode import DECODER_VERSION
from evalkit.media.kinds import SUFFIXES
from evalkit.media.source import refuse
from evalkit.nouns import digest

_ENDINGS = (*SUFFIXES["image"], *SUFFIXES["video"])


class File(NamedTuple):
    """A file that is there."""

    path: str
    inside: bool
    """False where it lies outside the folder, or a link leads to it."""
    name: str
    """As the run has it."""
    stamp: tuple[int, int]
    """Bytes and time of change (ns)."""


class Known(NamedTuple):
    """What a file holds."""

    sha256: str
    """Of the pixels that were decoded, never what a run says of them."""
    suffix: str
    """As its format is called."""

    @property
    def name(self) -> str:
        """What copies are called."""
        return self.sha256[:24]


class Shelf:
    """The files below `root`. What they hold is kept in one small file below `cache`, by path, size and time of change.

    own: they are a run's or a benchmark's own and named by paths relative to `root`; else they are somebody's, whom a run
    names by whole paths.
    """

    def __init__(self, root: Path, cache: Path, *, own: bool) -> None:
        self.base = os.path.normpath(root.absolute())
        self._own = own
        self._file = cache / f"{digest([DECODER_VERSION, PIL.__version__, self.base, own])[:32]}.json"
        self._known = _read(self._file)
        self._linked: dict[str, bool] = {}
        self._changed = False

    def file(self, path: str) -> File:
        """The file called `path`: one look at the file, and one at each folder above it.

        Raises: MediaError for a path that leads elsewhere; OSError where nothing is there.
        """
        if "\0" in path:
            raise refuse(path, "unreadable", "its path holds a NUL character")
        whole = os.path.isabs(path) or bool(os.path.splitdrive(path)[0])  # noqa: PTH117 - a Path takes ten times as long
        if not self._own:
            full = os.path.normpath(path)
            if not whole or not full.startswith(self.base.rstrip(os.sep) + os.sep):
                raise refuse(path, "unreadable", f"it lies outside {self.base!r}")
            told = os.stat(full)  # noqa: PTH116
            return File(full, False, path, (told.st_size, told.st_mtime_ns))
        if whole or (".." in path and ".." in re.split(r"[/\\]", path)):
            raise refuse(path, "unreadable", f"its path may lead out of {self.base!r}")
        full = f"{self.base}{os.sep}{path}"
        told = os.lstat(full)
        linked = stat.S_ISLNK(told.st_mode)
        if linked:
            told = os.stat(full)  # noqa: PTH116
        inside = not linked and not self._is_linked(os.path.dirname(path))  # noqa: PTH120
        return File(full, inside, path, (told.st_size, told.st_mtime_ns))

    def known(self, file: File) -> Known | None:
        """What the file holds, None where that is not known or it changed since."""
        told = self._known.get(file.name)
        return Known(told[2], told[3]) if told is not None and (told[0], told[1]) == file.stamp else None

    def learn(self, file: File, known: Known) -> None:
        """Notes what the file holds."""
        self._known[file.name] = (*file.stamp, *known)
        self._changed = True

    def save(self) -> None:
        """Keeps what was learnt. A cache that cannot be written costs a later decode, nothing else."""
        if self._changed:
            with contextlib.suppress(RunError):
                atomic_write_text(self._file, json.dumps(self._known, separators=(",", ":")))

    def _is_linked(self, folder: str) -> bool:
        """Whether the folder, or one above it up to the shelf's own, is a link."""
        if folder not in self._linked:
            told = os.lstat(f"{self.base}{os.sep}{folder}" if folder else self.base)
            above = os.path.dirname(folder)  # noqa: PTH120
            self._linked[folder] = stat.S_ISLNK(told.st_mode) or (bool(folder) and self._is_linked(above))
        return self._linked[folder]


def _read(file: Path) -> dict[str, tuple[int, int, str, str]]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        told = {str(name): (int(row[0]), int(row[1]), str(row[2]), str(row[3])) for name, row in found.items()}
    except (OSError, ValueError, AttributeError, LookupError, TypeError):
        return {}
    return {name: row for name, row in told.items() if re.fullmatch(r"[0-9a-f]{64}", row[2]) and row[3] in _ENDINGS}
