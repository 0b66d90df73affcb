"""What a folder of data held when it was found whole: sha256 and size of every file, so that a change shows.

`.evalkit-manifest.json` is written last, after a fetch or by `evalkit data verify --write`: a folder below the cache that
has none is an unfinished fetch, and no run takes it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import Field

from evalkit.benchmarks.hub_files import ORIGIN_FILE
from evalkit.benchmarks.layout import entries, listed
from evalkit.errors import DataError
from evalkit.files import atomic_write_text, sha256_file
from evalkit.nouns import Noun

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from evalkit.benchmarks.spec import BenchmarkSpec

MANIFEST_FILE = ".evalkit-manifest.json"
_FORMAT = 1
_READERS = 2


class HeldFile(Noun):
    """One file."""

    sha256: str = Field(pattern="[0-9a-f]{64}")
    size: int = Field(ge=0)
    """Bytes."""


class Manifest(Noun):
    """Every file of a folder, by its path in it."""

    format: int = Field(default=_FORMAT, ge=_FORMAT, le=_FORMAT)
    benchmark: str
    """Whose data they are; benchmarks that read another's say that one."""
    written: str
    """When, UTC."""
    origin: str | None = None
    """`DATASET@COMMIT` of the hub, where it came from there."""
    accepted: str | None = None
    """The licence that was accepted by its name for the fetch."""
    files: dict[str, HeldFile]


def holds_manifest(folder: Path) -> bool:
    """Whether the folder was found whole once."""
    return (folder / MANIFEST_FILE).is_file()


def read_manifest(folder: Path) -> Manifest:
    """The folder's manifest. Raises: DataError where it is missing or damaged."""
    path = folder / MANIFEST_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"cannot read {str(path)!r} ({error}); delete it and run `evalkit data verify --write`"
        ) from error
    return Manifest.read(text, where=f"{path} (delete it and run `evalkit data verify --write` to have another)")


def write_manifest(folder: Path, spec: BenchmarkSpec, *, accepted: str | None = None) -> Manifest:
    """Hashes every file of the folder and writes its manifest. Raises: DataError, RunError."""
    origin = folder / ORIGIN_FILE
    manifest = Manifest(
        benchmark=spec.data_of or spec.name,
        written=datetime.now(UTC).isoformat(timespec="seconds"),
        origin=origin.read_text(encoding="utf-8").strip() if origin.is_file() else None,
        accepted=accepted,
        files=hashed(folder, files_below(folder)),
    )
    atomic_write_text(folder / MANIFEST_FILE, manifest.to_json() + "\n")
    return manifest


def files_below(folder: Path) -> list[str]:
    """Paths of a folder's files relative to it, sorted; without hidden ones and those of operating systems."""
    return sorted(path.relative_to(folder).as_posix() for path in _files(folder))


def _files(folder: Path) -> Iterator[Path]:
    for path in entries(folder):
        if path.is_dir():
            yield from _files(path)
        else:
            yield path


def hashed(folder: Path, names: Iterable[str]) -> dict[str, HeldFile]:
    """sha256 and size of files by their paths. Raises: DataError for one that cannot be read."""

    def held(name: str) -> HeldFile:
        path = folder / name
        return HeldFile(sha256=sha256_file(path), size=path.stat().st_size)

    names = list(names)
    with ThreadPoolExecutor(_READERS) as pool:
        return dict(zip(names, pool.map(held, names), strict=True))


def differences(wanted: Mapping[str, str], found: Mapping[str, HeldFile], *, since: str) -> list[str]:
    """A line for each file in both whose sha256 is another than wanted; `since` says what the wanted ones are of.

    Example:
        >>> differences({"a": "0" * 64}, {"a": HeldFile(sha256="1" * 64, size=1)}, since="its fetch")
        ["'a': wanted the bytes of its fetch (sha256 000000000000...), found others (111111111111...); fetch it again"]
    """
    return [
        f"{name!r}: wanted the bytes of {since} (sha256 {sha256[:12]}...), found others "
        f"({found[name].sha256[:12]}...); fetch it again"
        for name, sha256 in wanted.items()
        if name in found and found[name].sha256 != sha256
    ]


def absent(wanted: Iterable[str], found: Mapping[str, HeldFile], *, since: str) -> list[str]:
    """One line for all files that are gone."""
    gone = [name for name in wanted if name not in found]
    return [f"{len(gone)} files of {since} are gone: {listed(gone)}; fetch the data again"] if gone else []
