"""The runs of a site: read, named, and sorted into boards."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from evalkit.engine.result import read_result
from evalkit.engine.scored import ScoredRun
from evalkit.errors import Collector, EvalkitError, ProblemsError, RunError, UsageError
from evalkit.metrics.derived import DerivedMetric
from evalkit.nouns import Sample, digest
from evalkit.registry import BENCHMARKS, METHODS, METRICS, entries, load
from evalkit.runs.folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from evalkit.leaderboard.site.media import Media
    from evalkit.leaderboard.site.shelf import Shelf
    from evalkit.methods.base import MethodInfo

SLUG_LENGTH = 60
_NUMBERED = re.compile(r"-(?:[0-9a-f]{6}|[0-9]+)\Z")
"""How the slugs end that are made: by a digest of a name, or by a number where several runs have one."""
MOST_SAMPLES = 1_000_000
"""Of one run; 1,350 cases by four seeds are 5,400."""


class BoardKey(NamedTuple):
    """What runs must share to stand on one board."""

    benchmark: str
    protocol: str
    profile: str
    world: str | None

    @property
    def slug(self) -> str:
        """Its name in addresses."""
        return slug("-".join([self.benchmark, self.protocol, self.profile, *([f"w{self.world}"] * bool(self.world))]))


class Shot(NamedTuple):
    """What a site shows of a sample."""

    state: str
    path: str | None
    pixels_sha256: str | None
    reason: str | None


@dataclass(frozen=True)
class Entry:
    """One run of the site."""

    scored: ScoredRun
    slug: str
    info: MethodInfo | None
    """The method's declaration where it is installed here under the version that made the run."""

    @property
    def key(self) -> BoardKey:
        """The board it belongs to."""
        record = self.scored.run.record
        identity = record.identity
        return BoardKey(identity.benchmark, record.request.protocol, identity.profile, identity.world)

    @property
    def finished(self) -> str | None:
        """When the last invocation ended, ISO 8601 to the second."""
        ended = [run.finished for run in self.scored.run.record.invocations if run.finished is not None]
        return max(ended).isoformat(timespec="seconds") if ended else None

    def shelf(self, media: Media) -> Shelf:
        """Where its samples lie: in the run's folder, or, of somebody's own samples, where the run says that they are."""
        theirs = self.scored.run.record.identity.method_config.get("samples")
        if isinstance(theirs, str):
            return media.shelf(Path(theirs), own=False)
        return media.shelf(self.scored.run.media_folder)

    @cached_property
    def samples(self) -> dict[tuple[str, int], Shot]:
        """The newest sample of each (case, seed); read as they are stored, for sites have many."""
        fields = list(Sample.model_fields)
        wanted = [fields.index(name) for name in ("case_id", "seed", *Shot._fields)]
        parts = ([part[place] for place in wanted] for part in self.scored.run.samples.columns())
        return {(case_id, seed): Shot(*told) for part in parts for case_id, seed, *told in zip(*part, strict=True)}


def collect(paths: Sequence[Path]) -> list[Entry]:
    """The runs at these paths, in their order, each with a name and a slug of its own.

    Raises: UsageError for no run and for one given twice; ProblemsError naming every path that holds no scored run, or
    one that no board can show.
    """
    if not paths:
        raise UsageError("wanted scored runs, found none; give run folders, such as runs/BENCHMARK/PROTOCOL/*")
    resolved = [path.resolve() for path in paths]
    if twice := sorted({str(path) for path in resolved if resolved.count(path) > 1}):
        raise UsageError(f"wanted different runs, found {twice[0]} twice; give each once")
    found: list[tuple[Path, ScoredRun]] = []
    problems = Collector()
    for path in paths:
        with problems, named(path):
            run = ScoredRun("", read_result(path), RunFolder.read(path))
            _check(path, run)
            found.append((path, run))
    called: dict[str, str] = {}
    for path, run in found:
        method = run.result.method
        if called.setdefault(slug(method), method) != method:
            told = (
                f"{path}: its method {method!a:.80} has the page of another, {called[slug(method)]!a:.80}; rename one"
            )
            problems.errors.append(RunError(told))
    if problems.errors:
        raise ProblemsError("these runs cannot be shown", [str(error) for error in problems.errors])
    slugs: set[str] = set()
    made = []
    for (_, run), name in zip(found, _names([run for _, run in found]), strict=True):
        made.append(Entry(ScoredRun(name, run.result, run.run), _unused(slug(name), "-", slugs), _info(run)))
    return made


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Whatever a run's files lead to beside evalkit's own errors, as a RunError that names the run."""
    try:
        yield
    except EvalkitError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        told = " ".join(str(error).split())
        raise RunError(f"{path} cannot be shown: its files hold what no run does ({told:.200})") from error


def _check(path: Path, run: ScoredRun) -> None:
    """Raises RunError for a run of what is not installed, whose table is another run's, or of endless size."""
    record, result = run.run.record, run.result
    identity, protocol = record.identity, record.request.protocol
    wanted = (identity.method, identity.benchmark, protocol, str(identity.profile))
    if (found := (result.method, result.benchmark, result.protocol, result.profile)) != wanted:
        raise RunError(f"{path}: wanted a table of the run {wanted!a:.200}, found {found!a:.200} in summary.json")
    if identity.benchmark not in entries(BENCHMARKS):
        raise RunError(f"{path}: no benchmark {identity.benchmark!r} is installed; leave the run out or install it")
    try:
        load(BENCHMARKS, identity.benchmark).spec.protocol(protocol)
    except EvalkitError as error:
        raise RunError(f"{path}: {error}") from error
    for choice in record.request.metrics:
        if choice.metric not in entries(METRICS) or choice.variant not in load(METRICS, choice.metric).card.variants:
            raise RunError(f"{path}: no metric {choice} is installed; leave the run out or install it")
    size = len(run.run.requested) * len(record.request.seeds)
    if not 0 < size <= MOST_SAMPLES:
        raise RunError(f"{path}: wanted 1 to {MOST_SAMPLES} samples in a run, found {size} asked for")
    for label, summary in result.scores.items():
        if isinstance(load(METRICS, run.choice(label).metric), DerivedMetric):
            continue
        if (held := int((~np.isnan(run.held(label).value)).sum())) != summary.n_scored:
            raise RunError(
                f"{path}: its table says {summary.n_scored} samples are scored by {label!a:.80}, found {held} scores; "
                f"`evalkit score {path}` makes them whole"
            )


def _unused(name: str, joint: str, used: set[str]) -> str:
    """The name, or the name with the first number from 2 that makes it one that is not used; used from now on."""
    numbered = (f"{name}{joint}{number}" for number in range(2, len(used) + 3))
    own = name if name not in used else next(other for other in numbered if other not in used)
    used.add(own)
    return own


def boards(runs: Sequence[Entry]) -> dict[BoardKey, list[Entry]]:
    """Runs by board, boards in the order of their first run."""
    found: dict[BoardKey, list[Entry]] = {}
    for entry in runs:
        found.setdefault(entry.key, []).append(entry)
    return found


def slug(text: str) -> str:
    """A short name of lower-case letters, digits, `_` and `-`: safe as a file name and in an address.

    A text that is no such name, or ends as one that was made here, keeps what it can and gets a digest, so that
    different texts have different names.

    Example:
        >>> slug("flux_kontext"), slug("DivRL <b>/../")
        ('flux_kontext', 'divrl-b-ca3bcb')
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    kept = re.sub(r"[^a-z0-9_]+", "-", plain)[:SLUG_LENGTH].strip("-")
    return kept if kept and kept == text and not _NUMBERED.search(kept) else f"{kept}-{digest(text)[:6]}".lstrip("-")


def _names(runs: Sequence[ScoredRun]) -> list[str]:
    """The method's name; with what was set, the folder, and at last a number where several would be called the same."""
    keys = [(run.result.benchmark, run.result.protocol, run.result.profile) for run in runs]
    plain = [run.result.method for run in runs]
    full = [f"{name} ({run.run.path.resolve().name})" for name, run in zip(plain, runs, strict=True)]
    alone = Counter(zip(keys, plain, strict=True))
    chosen = [a if alone[key, a] == 1 else b for key, a, b in zip(keys, plain, full, strict=True)]
    used: dict[tuple[str, str, str], set[str]] = {key: set() for key in keys}
    return [_unused(name, " #", used[key]) for key, name in zip(keys, chosen, strict=True)]


def _info(run: ScoredRun) -> MethodInfo | None:
    identity = run.run.record.identity
    if "samples" in identity.method_config or identity.method not in entries(METHODS):
        return None
    info: MethodInfo = load(METHODS, identity.method).info
    return info if info.version == identity.method_version else None
