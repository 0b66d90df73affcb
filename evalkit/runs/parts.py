"""An append-only store: immutable numbered parquet parts in one folder, each appearing whole or not at all."""

from __future__ import annotations

import os
import re
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from evalkit.errors import RunError, UsageError
from evalkit.files import atomic_write_bytes, write_error
from evalkit.runs.schema import N, arrow_schema, columns, count, decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

K = TypeVar("K", bound=Hashable)
_NUMBERED = re.compile(r"part-(\d{6,})\.parquet(\..*)?")
_TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.tmp")


class PartStore(Generic[N, K]):
    """Rows of one noun, in the order in which they were appended.

    One writer at a time (the run lock sees to it), any number of readers. A store opened for writing removes what a
    killed writer left unfinished.
    """

    def __init__(self, folder: Path, noun: type[N], key: Callable[[N], K], *, writable: bool = True) -> None:
        self.folder, self.noun, self.key, self.writable = folder, noun, key, writable
        arrow_schema(noun)  # a noun that cannot be stored is refused here and not after hours of work
        if writable:
            clear_unfinished(folder)

    def append(self, rows: Sequence[N]) -> None:
        """Stores `rows` as the next part. When it returns they survive kill -9 and a power cut.

        Raises: UsageError for no rows; RunError when the disk is full, the folder cannot be written, or another
        process writes here.
        """
        if not self.writable:
            raise RunError(f"{self.folder} is open for reading only; open the run folder for writing to add to it")
        if not rows:
            raise UsageError(f"wanted at least one {self.noun.__name__.lower()} to store in {self.folder}, found none")
        data = encode(self.noun, rows)
        path = self.folder / f"part-{self._last_number() + 1:06d}.parquet"
        atomic_write_bytes(path, data)
        _sync_folder(self.folder)

    def rows(self) -> list[N]:
        """All rows in the order of appending. Raises: RunError naming a part that is damaged or of another schema."""
        return [row for part in self._parts() for row in decode(self.noun, _bytes(part), where=str(part))]

    def latest(self) -> dict[K, N]:
        """The last row of each key, keys in the order of their first row. Raises: RunError as `rows`."""
        return {self.key(row): row for row in self.rows()}

    def columns(self) -> Iterator[list[list[Any]]]:
        """Part after part, the values of each column in the order of the noun's fields; enums are strings.

        Raises: RunError as `rows`.
        """
        for part in self._parts():
            yield columns(self.noun, _bytes(part), where=str(part))

    def stamp(self) -> list[tuple[str, int, int]]:
        """Name, bytes and time of change (ns) of each part: other rows have another stamp, for parts never change."""
        told = [(part.name, part.stat()) for part in self._parts()]
        return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in told]

    def __len__(self) -> int:
        """Rows stored, a key appended twice counting twice. Raises: RunError naming a damaged part."""
        return sum(count(self.noun, _bytes(part), where=str(part)) for part in self._parts())

    def _parts(self) -> list[Path]:
        numbered = [(number, path) for number, rest, path in self._numbered() if not rest]
        return [path for _, path in sorted(numbered)]

    def _last_number(self) -> int:
        """Parts set aside keep their number, so that a later one of that number cannot overwrite them."""
        return max((number for number, _, _ in self._numbered()), default=0)

    def _numbered(self) -> Iterator[tuple[int, str, Path]]:
        for path in _entries(self.folder):
            if found := _NUMBERED.fullmatch(path.name):
                yield int(found[1]), found[2] or "", path


def clear_unfinished(folder: Path) -> None:
    """Removes the temporary files that a killed writer left in `folder`; call it under the run lock alone."""
    for path in _entries(folder):
        if _TEMPORARY.fullmatch(path.name):
            _unlink(path)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"cannot read the folder {folder}: {error.strerror}; mend its rights") from error


def _bytes(part: Path) -> bytes:
    # Read before parsing: a file that cannot be read is not the same as one that is damaged.
    try:
        return part.read_bytes()
    except OSError as error:
        raise RunError(f"cannot read {part}: {error.strerror}; mend its rights or the disk") from error


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise write_error(path, error) from error


def _sync_folder(folder: Path) -> None:
    """Makes a rename in `folder` survive a power cut. Windows syncs folders by itself and cannot open one."""
    if os.name == "nt":
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise write_error(folder, error) from error
