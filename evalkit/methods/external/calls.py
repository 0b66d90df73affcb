"""Scratch folders and logs of a method's processes, numbered, so that no log is written over."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, NamedTuple

from evalkit.files import write_error
from evalkit.progress import warn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Call(NamedTuple):
    """One process: its scratch folder, the folder for samples in it, and its log beside it. Paths are absolute."""

    folder: Path
    output: Path
    log: Path

    def remove(self) -> None:
        """Removes the scratch folder; the log stays."""
        shutil.rmtree(self.folder, ignore_errors=True)


class Calls:
    """Hands out calls below `work`, going on from the highest number that is there."""

    def __init__(self, work: Path) -> None:
        self._work = work.absolute()
        names = (re.fullmatch(r"[a-z]+_(\d+)(\.log)?", path.name) for path in self._work.glob("*_*"))
        self._told = False
        self._last = max((int(found[1]) for found in names if found is not None), default=0)

    def log(self, word: str) -> Path:
        """A new log, such as `train_0001.log`."""
        self._last += 1
        return self._work / f"{word}_{self._last:04}.log"

    def new(self, word: str) -> Call:
        """A new call with an empty folder. Raises RunError where that cannot be made."""
        log = self.log(word)
        folder = log.with_suffix("")
        try:
            (folder / "output").mkdir(parents=True)
        except OSError as error:
            raise write_error(folder, error) from error
        return Call(folder, folder / "output", log)

    def tell_extra(self, method: str, files: Sequence[Path], call: Call) -> bool:
        """Says once, on stderr, which pictures a call left that nobody asked for; whether it was said now."""
        if not files or self._told:
            return False
        self._told = True
        first = ", ".join(path.relative_to(call.output).as_posix() for path in files[:3])
        warn(f"{method} left {len(files)} files in {call.output} that are no sample asked for, first: {first}")
        return True
