"""Which file that a program left is which job's sample: by a pattern, only if it is new, and only if it decodes."""

from __future__ import annotations

import glob
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.errors import MediaError
from evalkit.media import SUFFIXES
from evalkit.methods.base import Job, Made
from evalkit.methods.external.placeholders import fill
from evalkit.methods.taken import taken

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Stamp = tuple[int, int, int]


class Outputs:
    """The files of one call. Made before the program starts, to know which files were there already."""

    def __init__(self, pattern: str, folder: Path, values: Sequence[Mapping[str, str]]) -> None:
        self.folder = folder
        self._patterns = [fill(pattern, one, quote=glob.escape) for one in values]
        self._told = [fill(pattern, one) for one in values]
        self._before = {path: _stamp(path) for pattern in self._patterns for path in self._matches(pattern)}

    def read(self, jobs: Sequence[Job], told: str) -> Iterator[Made]:
        """One Made a job, in the order of the patterns; `told` says how the program ended, for jobs without a sample."""
        fresh = [[path for path in self._matches(pattern) if self._is_new(path)] for pattern in self._patterns]
        claims = Counter(path for paths in fresh for path in paths)
        for number, job in enumerate(jobs):
            path = fresh[number][0] if len(fresh[number]) == 1 else None
            if path is None:
                yield Made(job, None, f"{self._why(number, fresh[number])}; {told}")
            elif claims[path] > 1:
                yield Made(job, None, f"{path} fits {claims[path]} jobs; tell them apart in generate.outputs")
            else:
                yield _decoded(job, path, told)

    def unclaimed(self) -> list[Path]:
        """Pictures and videos in the output folder that are no job's sample."""
        claimed = {path for pattern in self._patterns for path in self._matches(pattern)}
        suffixes = {*SUFFIXES["image"], *SUFFIXES["video"]}
        media = (path for path in sorted(self.folder.rglob("*")) if path.suffix.lower() in suffixes and path.is_file())
        return [path for path in media if path not in claimed]

    def _why(self, number: int, fresh: Sequence[Path]) -> str:
        wanted = f"wanted one file {self._told[number]!r} in {self.folder}"
        if len(fresh) > 1:
            names = ", ".join(
                str(path.relative_to(self.folder)) if path.is_relative_to(self.folder) else str(path)
                for path in fresh[:3]
            )
            return f"{wanted}, found {len(fresh)}: {names}{', ...' if len(fresh) > 3 else ''}"
        if stale := self._matches(self._patterns[number]):
            return f"{wanted}, found only {stale[0]}, which was there before the call"
        return f"{wanted}, found none"

    def _matches(self, pattern: str) -> list[Path]:
        path = Path(pattern)
        base = Path(path.anchor) if path.is_absolute() else self.folder
        return sorted(found for found in base.glob(str(path.relative_to(path.anchor))) if found.is_file())

    def _is_new(self, path: Path) -> bool:
        return _stamp(path) != self._before.get(path)


def _stamp(path: Path) -> Stamp | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _decoded(job: Job, path: Path, told: str) -> Made:
    try:
        return taken(job, path)
    except MediaError as error:
        return Made(job, None, f"{error}; {told}")
