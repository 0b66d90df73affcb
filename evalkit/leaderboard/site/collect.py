"""The runs of a site: read, named, and sorted into boards."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from evalkit.engine.result import read_result
from evalkit.engine.scored import ScoredRun
from evalkit.errors import Collector, ProblemsError, UsageError
from evalkit.nouns import Sample, digest
from evalkit.registry import METHODS, entries, load
from evalkit.runs.folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from evalkit.methods.base import MethodInfo

SLUG_LENGTH = 60


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

    @cached_property
    def samples(self) -> dict[tuple[str, int], Shot]:
        """The newest sample of each (case, seed); read as they are stored, for sites have many."""
        fields = list(Sample.model_fields)
        wanted = [fields.index(name) for name in ("case_id", "seed", *Shot._fields)]
        parts = ([part[place] for place in wanted] for part in self.scored.run.samples.columns())
        return {(case_id, seed): Shot(*told) for part in parts for case_id, seed, *told in zip(*part, strict=True)}


def collect(paths: Sequence[Path]) -> list[Entry]:
    """The runs at these paths, in their order, each with a name and a slug of its own.

    Raises: UsageError for no run and for one given twice; ProblemsError naming every path that holds no scored run.
    """
    if not paths:
        raise UsageError("wanted scored runs, found none; give run folders, such as runs/BENCHMARK/PROTOCOL/*")
    resolved = [path.resolve() for path in paths]
    if twice := sorted({str(path) for path in resolved if resolved.count(path) > 1}):
        raise UsageError(f"wanted different runs, found {twice[0]} twice; give each once")
    found: list[tuple[Path, ScoredRun]] = []
    problems = Collector()
    for path in paths:
        with problems:
            found.append((path, ScoredRun("", read_result(path), RunFolder.read(path))))
    if problems.errors:
        raise ProblemsError("these runs cannot be shown", [str(error) for error in problems.errors])
    names = _names([run for _, run in found])
    taken: Counter[str] = Counter()
    made = []
    for (_, run), name in zip(found, names, strict=True):
        base = slug(name)
        taken[base] += 1
        own = base if taken[base] == 1 else f"{base}-{taken[base]}"
        made.append(Entry(ScoredRun(name, run.result, run.run), own, _info(run)))
    return made


def boards(runs: Sequence[Entry]) -> dict[BoardKey, list[Entry]]:
    """Runs by board, boards in the order of their first run."""
    found: dict[BoardKey, list[Entry]] = {}
    for entry in runs:
        found.setdefault(entry.key, []).append(entry)
    return found


def slug(text: str) -> str:
    """A short name of lower-case letters, digits, `_` and `-`: safe as a file name and in an address.

    A text that is no such name keeps what it can and gets a digest, so that different texts have different names.

    Example:
        >>> slug("flux_kontext"), slug("DivRL <b>/../")
        ('flux_kontext', 'divrl-b-ca3bcb')
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    kept = re.sub(r"[^a-z0-9_]+", "-", plain)[:SLUG_LENGTH].strip("-")
    return kept if kept and kept == text else f"{kept}-{digest(text)[:6]}".lstrip("-")


def _names(runs: Sequence[ScoredRun]) -> list[str]:
    """The method's name; with what was set, the folder, and at last a number where several would be called the same."""
    keys = [(run.result.benchmark, run.result.protocol, run.result.profile) for run in runs]
    plain = [run.result.method for run in runs]
    full = [f"{name} ({run.run.path.resolve().name})" for name, run in zip(plain, runs, strict=True)]
    alone = Counter(zip(keys, plain, strict=True))
    named = [a if alone[key, a] == 1 else b for key, a, b in zip(keys, plain, full, strict=True)]
    seen: Counter[tuple[object, str]] = Counter()
    out = []
    for key, name in zip(keys, named, strict=True):
        seen[key, name] += 1
        out.append(name if seen[key, name] == 1 else f"{name} #{seen[key, name]}")
    return out


def _info(run: ScoredRun) -> MethodInfo | None:
    identity = run.run.record.identity
    if "samples" in identity.method_config or identity.method not in entries(METHODS):
        return None
    info: MethodInfo = load(METHODS, identity.method).info
    return info if info.version == identity.method_version else None
