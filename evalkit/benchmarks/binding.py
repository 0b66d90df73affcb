"""Somebody's folder of samples: which file is which case's sample, and what is missing or extra."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from evalkit.benchmarks.json_files import keys_twice
from evalkit.errors import DataError, ProblemsError
from evalkit.files import inside
from evalkit.media.kinds import CALLED, SUFFIXES
from evalkit.nouns import Noun

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from evalkit.benchmarks.base import Loaded
    from evalkit.nouns import Case, Medium

MANIFEST = "manifest.jsonl"
MOST_SEEDS = 1000
_SHOWN: Mapping[Medium, str] = {"image": ".png", "video": ".mp4", "text": ".txt"}

Pair = tuple[str, int]


def patterns(benchmark: Loaded) -> str:
    """How samples of a benchmark may be named, for messages."""
    one = _SHOWN[benchmark.spec.medium]
    return (
        f"CASE_ID/seed_N{one}, CASE_ID_N{one} or CASE_ID{one} (seed 0), the benchmark's own layout, or a manifest.jsonl"
    )


class ManifestLine(Noun):
    """One line of a `manifest.jsonl`."""

    case_id: str
    file: str
    """Relative to the manifest's folder."""
    seed: int = Field(default=0, ge=0)


@dataclass(frozen=True)
class Intake:
    """Which file is the sample of which (case, seed)."""

    files: dict[Pair, Path]
    media: dict[Pair, Medium]
    """What each file is to hold."""
    missing: tuple[Pair, ...]
    extra: tuple[str, ...]
    """Media files that name no case, relative to the folder."""
    aside: tuple[str, ...] = ()
    """Samples of cases and seeds that were not asked for."""

    def report(self) -> list[str]:
        """What is missing and extra, one line each kind; empty where every case has its sample and nothing else is there."""
        told = []
        if self.missing:
            first = ", ".join(f"{case_id} seed {seed}" for case_id, seed in self.missing[:3])
            told.append(f"{len(self.missing)} samples are missing, first: {first}")
        if self.extra:
            told.append(
                f"{len(self.extra)} files are no case's sample and were left out, first: {', '.join(self.extra[:3])}"
            )
        if self.aside:
            told.append(
                f"{len(self.aside)} files are samples of cases or seeds not asked for, first: {', '.join(self.aside[:3])}"
            )
        return told


class Binding(NamedTuple):
    """Every file of a folder that is a sample of the benchmark, whatever was asked for."""

    folder: Path
    files: dict[Pair, Path]
    media: tuple[Path, ...]
    """All files in the folder that could be samples of the benchmark's media."""


def bind_samples(folder: Path, benchmark: Loaded) -> Binding:
    """Binds the files of `folder` to cases and seeds, by its manifest or by their names (`patterns`).

    Raises DataError where the folder is missing, ProblemsError for two files of one case and seed and for manifest
    lines that do not fit, all at once.
    """
    if not folder.is_dir():
        raise DataError(
            f"wanted a folder of samples, found {'a file' if folder.exists() else 'nothing'} at {folder}; check the path"
        )
    folder = folder.resolve()
    suffixes = {suffix for medium in _media(benchmark) for suffix in SUFFIXES[medium]}
    media = sorted(p for p in folder.rglob("*") if p.suffix.lower() in suffixes and p.is_file())
    manifest = folder / MANIFEST
    if manifest.is_file():
        bound, problems = _by_manifest(manifest, benchmark)
    else:
        bound, problems = _by_name(folder, media, benchmark)
    for pair, paths in bound.items():
        if len(paths) > 1:
            names = ", ".join(p.relative_to(folder).as_posix() for p in paths)
            problems.append(f"{len(paths)} files for case {pair[0]!r} seed {pair[1]}: {names}; leave one")
    if problems:
        raise ProblemsError(f"the samples in {folder} do not fit {benchmark.spec.name}/{benchmark.protocol}", problems)
    return Binding(folder, {pair: paths[0] for pair, paths in bound.items()}, tuple(media))


def find_samples(folder: Path, benchmark: Loaded, expected: Sequence[tuple[Case, int]]) -> Intake:
    """What `folder` holds of the cases and seeds in `expected`, and what it lacks.

    Raises what `bind_samples` does, and DataError where the folder holds nothing of what is expected.
    """
    folder, bound, media = bind_samples(folder, benchmark)
    wanted = [(case.case_id, seed) for case, seed in expected]
    files = {pair: bound[pair] for pair in wanted if pair in bound}
    if not files:
        raise DataError(_nothing(folder, media, bound, benchmark))
    named = set(bound.values())
    extra = tuple(p.relative_to(folder).as_posix() for p in media if p not in named)
    aside = tuple(sorted(p.relative_to(folder).as_posix() for p in named.difference(files.values())))
    asked = {(case.case_id, seed): case.medium for case, seed in expected}
    return Intake(files, asked, tuple(pair for pair in wanted if pair not in bound), extra, aside)


def _nothing(folder: Path, media: Sequence[Path], bound: Mapping[Pair, object], benchmark: Loaded) -> str:
    if bound:
        return f"{folder} holds samples, but none of the cases and seeds asked for; raise --limit or --seeds"
    example = benchmark.cases[0].case_id
    called = " or ".join(CALLED[medium] for medium in _media(benchmark))
    found = f"{len(media)} {called} such as {media[0].relative_to(folder).as_posix()!r}" if media else f"no {called}"
    return (
        f"wanted samples of {benchmark.spec.name}/{benchmark.protocol} named {patterns(benchmark)} with case ids like {example!r}; "
        f"found {found} in {folder}; rename them, write a manifest, or check --bench"
    )


def _media(benchmark: Loaded) -> tuple[Medium, ...]:
    return tuple(dict.fromkeys(case.medium for case in benchmark.cases))


def _by_manifest(manifest: Path, benchmark: Loaded) -> tuple[dict[Pair, list[Path]], list[str]]:
    known = {case.case_id for case in benchmark.cases}
    bound: dict[Pair, list[Path]] = defaultdict(list)
    problems = []
    for number, text in enumerate(manifest.read_text(encoding="utf-8-sig", errors="replace").split("\n"), start=1):
        if not text.strip():
            continue
        where = f"{MANIFEST} line {number}"
        try:
            line = ManifestLine.read(text, where=where)
            if twice := keys_twice(text):
                raise DataError(f"{where}: wanted each key once, found {twice[0]!r} again; keep one")
            path = inside(manifest.parent, line.file)
        except DataError as error:
            problems.append(str(error) if where in str(error) else f"{where}: {error}")
            continue
        if line.case_id not in known:
            problems.append(f"{where}: {line.case_id!r} is no case of {benchmark.spec.name}/{benchmark.protocol}")
        elif not path.is_file():
            problems.append(f"{where}: there is no file {line.file!r}")
        else:
            bound[line.case_id, line.seed].append(path)
    return bound, problems


def _by_name(folder: Path, media: Sequence[Path], benchmark: Loaded) -> tuple[dict[Pair, list[Path]], list[str]]:
    by_stem: dict[str, list[Path]] = defaultdict(list)
    for path in media:
        by_stem[path.relative_to(folder).with_suffix("").as_posix()].append(path)
    bound: dict[Pair, list[Path]] = defaultdict(list)
    claims: dict[Path, list[Pair]] = defaultdict(list)
    top = _common_top(benchmark)
    for seed in _seeds_named(by_stem):
        for case in benchmark.cases:
            for stem in dict.fromkeys(_stems(case, seed, benchmark, top)):
                for path in (p for p in by_stem.get(stem, []) if p.suffix.lower() in SUFFIXES[case.medium]):
                    bound[case.case_id, seed].append(path)
                    claims[path].append((case.case_id, seed))
    return dict(bound), [_doubt(path.relative_to(folder), pairs) for path, pairs in claims.items() if len(pairs) > 1]


def _doubt(path: Path, pairs: Sequence[Pair]) -> str:
    could_be = " or ".join(f"{case_id} seed {seed}" for case_id, seed in pairs)
    return f"{path.as_posix()} could be {could_be}; say which in a {MANIFEST}"


def _seeds_named(stems: Iterable[str]) -> list[int]:
    """0 and every number below MOST_SEEDS that ends a name: no other seed can have a file."""
    digits = (stem[len(stem.rstrip("0123456789")) :] for stem in stems)
    return sorted({0} | {int(d) for d in digits if d and len(d) < 6 and int(d) < MOST_SEEDS})


def _common_top(benchmark: Loaded) -> str:
    """The folder that all of the benchmark's own sample names begin with, with its slash; such a folder may be given."""
    tops = {(benchmark.official_name(case, 0) or "").partition("/")[0] for case in benchmark.cases}
    return f"{tops.pop()}/" if len(tops) == 1 else ""


def _stems(case: Case, seed: int, benchmark: Loaded, top: str) -> Iterator[str]:
    yield f"{case.case_id}/seed_{seed}"
    yield f"{case.case_id}_{seed}"
    if seed == 0:
        yield case.case_id
    official = benchmark.official_name(case, seed)
    if official is not None:
        yield official
        yield official.removeprefix(top)
