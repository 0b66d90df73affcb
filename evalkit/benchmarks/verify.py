"""Is this folder a whole copy of a benchmark's data? Layout, counts, pictures, and the bytes of every file."""

from __future__ import annotations

import io
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.benchmarks.layout import is_picture, listed
from evalkit.benchmarks.manifest import absent, differences, files_below, hashed, holds_manifest, read_manifest
from evalkit.benchmarks.spec import read_spec
from evalkit.errors import DataError, EvalkitError, ProblemsError
from evalkit.registry import blamed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evalkit.benchmarks.base import Benchmark, Loaded
    from evalkit.benchmarks.manifest import HeldFile
    from evalkit.benchmarks.spec import BenchmarkSpec

_DECODERS = 2
_WORLD_FILE = "world.json"


@dataclass
class Verified:
    """What was looked at, and everything that is wrong."""

    benchmark: str
    folder: Path
    cases: dict[str, int] = field(default_factory=dict)
    """By protocol, of those that load."""
    references: int = 0
    """Pictures and masks that cases name and that could be decoded."""
    hashed: int = 0
    """Files held to the manifest that was written when the folder was whole."""
    pinned: int = 0
    """Files held to the published hashes that the spec knows."""
    drawn: int = 0
    """Files of an embedded world held to a drawing of now."""
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is as it may be, and worth knowing."""

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "benchmark": self.benchmark, "folder": str(self.folder), "whole": self.whole, "cases": self.cases,
            "references": self.references, "hashed": self.hashed, "pinned": self.pinned, "drawn": self.drawn,
            "problems": self.problems, "notes": self.notes,
        }  # fmt: skip


def verify(benchmark: Benchmark, folder: Path) -> Verified:
    """Everything that is wrong with a folder of a benchmark's data, in one report; nothing is raised for bad data.

    Loads every protocol, decodes every reference anew, and holds files to the manifest, to the published hashes in the
    spec, and those of an embedded world to a fresh drawing. Raises: PluginError where a loader fails by itself.
    """
    found = Verified(benchmark.spec.name, folder)
    loaded = _loaded(benchmark, folder, found)
    _check_references(loaded, found)
    _check_bytes(benchmark.spec, folder, found, drawn=any(one.world is not None for one in loaded))
    if any(one.world is not None for one in loaded):
        _check_drawing(benchmark, loaded[0].root, found)
    found.problems[:], found.notes[:] = dict.fromkeys(found.problems), dict.fromkeys(found.notes)
    return found


def _loaded(benchmark: Benchmark, folder: Path, found: Verified) -> list[Loaded]:
    spec, every = benchmark.spec, []
    for protocol in spec.protocols:
        said = io.StringIO()
        try:
            # Each protocol's loader warns of the same; here a warning is a note, said once.
            with redirect_stderr(said), blamed(f"the benchmark {spec.name!r}, reading {str(folder)!r},"):
                loaded = benchmark.load(folder, protocol.name)
        except ProblemsError as error:
            found.problems += error.problems
        except DataError as error:
            found.problems.append(str(error))
        else:
            every.append(loaded)
            found.cases[protocol.name] = len(loaded.cases)
            wanted = spec.expected.cases.get(protocol.name)
            if loaded.world is None and wanted is not None and wanted != len(loaded.cases):
                found.notes.append(
                    f"{protocol.name}: {len(loaded.cases)} cases, where the benchmark's own data have {wanted}"
                )
        found.notes += [line.removeprefix("evalkit: ") for line in said.getvalue().splitlines() if line]
    return every


def _check_references(loaded: Iterable[Loaded], found: Verified) -> None:
    every = {
        loaded.root / path: path
        for loaded in loaded
        for case in loaded.cases
        for reference in (*case.references, *case.targets)
        for path in (reference.path, reference.mask)
        if path is not None
    }
    missing = [name for path, name in every.items() if not path.is_file()]
    if missing:
        found.problems.append(f"references: {len(missing)} of {len(every)} are missing: {listed(missing)}")
    there = [(path, name) for path, name in every.items() if path.is_file() and is_picture(path)]
    with ThreadPoolExecutor(_DECODERS) as pool:
        undecodable = [line for line in pool.map(lambda pair: _undecodable(*pair), there) if line]
    found.references = len(there) - len(undecodable)
    found.problems += undecodable


def _undecodable(path: Path, name: str) -> str | None:
    from evalkit.media import decode_image

    try:
        decode_image(path, name=name)
    except DataError as error:
        return str(error)
    return None


def _check_bytes(spec: BenchmarkSpec, folder: Path, found: Verified, *, drawn: bool) -> None:
    try:
        names = files_below(folder)
        held = hashed(folder, names)
        if holds_manifest(folder):
            manifest = read_manifest(folder)
            wanted = {name: file.sha256 for name, file in manifest.files.items()}
            found.problems += absent(wanted, held, since="the manifest")
            found.problems += differences(wanted, held, since="the manifest")
            found.hashed = sum(name in held for name in wanted)
            if new := [name for name in names if name not in wanted]:
                found.notes.append(f"{len(new)} files are not in the manifest: {listed(new)}")
        elif not drawn:
            found.notes.append("no manifest: bytes are not held to an earlier state; --write makes one of a whole copy")
    except EvalkitError as error:
        found.problems.append(str(error))
        return
    if not drawn:
        _check_published(spec, held, found)


def _check_published(spec: BenchmarkSpec, held: dict[str, HeldFile], found: Verified) -> None:
    published = (read_spec(spec.data_of) if spec.data_of is not None else spec).sha256
    tops = {"", *(f"{name.partition('/')[0]}/" for name in held if "/" in name)}
    below = max(
        ({name.removeprefix(top): file for name, file in held.items() if name.startswith(top)} for top in sorted(tops)),
        key=lambda files: len(published.keys() & files.keys()),
    )
    found.pinned = len(published.keys() & below.keys())
    others = differences(published, below, since="the published data")
    if len(others) == found.pinned > 1:
        others = [
            f"none of the {len(others)} files with a published sha256 has it: this copy was encoded again, and scores on "
            f"it are not those on the published data; {spec.source.get}"
        ]
    found.problems += others


def _check_drawing(benchmark: Benchmark, root: Path, found: Verified) -> None:
    """An embedded world is drawn by its version alone, so what lies there is held to a drawing of now, by its pixels."""
    from evalkit.media import decode_image

    def content(path: Path) -> object:
        return decode_image(path).sha256 if is_picture(path) else path.read_bytes()

    with tempfile.TemporaryDirectory(prefix="evalkit-world-") as temporary:
        fresh = benchmark.embed(Path(temporary))
        if content(root / _WORLD_FILE) != content(fresh / _WORLD_FILE):
            found.notes.append(f"{_WORLD_FILE} is of another drawing than this version's own; files are not held to it")
            return
        names = files_below(fresh)
        for name in names:
            try:
                same = content(root / name) == content(fresh / name)
            except (DataError, OSError):
                same = False
            if not same:
                found.problems.append(
                    f"{name!r}: not as the embedded world draws it; delete the folder, it is drawn again"
                )
        found.drawn = len(names)
