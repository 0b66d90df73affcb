"""A scored run as claims see it: its table, its cases, and each metric's scores as a tidy frame."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from evalkit.engine.contract import RANGE_ROOM
from evalkit.engine.kept import Held, held_scores
from evalkit.engine.result import Result, read_result
from evalkit.errors import UsageError
from evalkit.nouns import Signature
from evalkit.registry import BENCHMARKS, METRICS, load
from evalkit.runs.folder import RunFolder
from evalkit.stats import Design
from evalkit.stats.sheet import keyed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from evalkit.benchmarks.base import Benchmark
    from evalkit.metrics.card import MetricCard
    from evalkit.nouns import Case, MetricChoice
    from evalkit.runs.cases import RunCase
    from evalkit.stats.sheet import Keyed, Sheet


@dataclass(frozen=True)
class ScoredRun:
    """One run with a score table."""

    name: str
    """What it is called beside others: the method, with the folder where several runs have one method."""
    result: Result
    run: RunFolder

    @cached_property
    def cases(self) -> dict[str, Case]:
        """The cases that the table is over, by id."""
        return {case.case_id: case.case for case in self.run.requested}

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that the table is over."""
        return self.run.record.request.seeds

    @cached_property
    def keys(self) -> list[tuple[str, int]]:
        """(case, seed) of each sample that the table is over."""
        return [(case_id, seed) for case_id in self.cases for seed in self.seeds]

    def held(self, label: str) -> Held:
        """The scores behind a column, those of cases that the protocol leaves out of it among them."""
        return self._held.get(str(self.signature(label))) or Held.nothing(len(self.keys))

    @cached_property
    def _held(self) -> dict[str, Held]:
        return held_scores(self.run, self.keys)

    @cached_property
    def design(self) -> Design:
        """How the benchmark says that its cases hang together."""
        told = self._benchmark.spec.design
        crossed = told.prompts == "crossed"
        return Design(prompts=told.prompts, strata=bool(told.strata) and not crossed)

    @property
    def unit(self) -> str:
        """What a claim is about new ones of: `subject`, `set` or `video`."""
        return self._benchmark.spec.design.unit

    @property
    def note(self) -> str:
        """What the benchmark says of its cases beside that."""
        return self._benchmark.spec.design.note

    @property
    def _benchmark(self) -> Benchmark:
        benchmark: Benchmark = load(BENCHMARKS, self.result.benchmark)
        return benchmark

    def signature(self, label: str) -> Signature:
        """A metric's signature without its aggregation: what its scores are stored under."""
        parts = Signature.parse(self.result.scores[label].signature).parts
        return Signature(parts=tuple(part for part in parts if part[0] != "agg"))

    def choice(self, label: str) -> MetricChoice:
        """The metric and variant of a column; columns stand in the order of the request."""
        return self.run.record.request.metrics[list(self.result.scores).index(label)]

    def card(self, label: str) -> MetricCard:
        """The card of a column's metric."""
        card: MetricCard = load(METRICS, self.choice(label).metric).card
        return card

    def family(self, label: str) -> str:
        """The reward family of a column."""
        return self.card(label).family(self.choice(label).variant)

    def value_range(self, label: str) -> tuple[float, float] | None:
        """The least and the largest value that the engine stores, None where the card has no bound on one side."""
        scale = self.result.scales[label]
        low, high = self.card(label).range
        room = RANGE_ROOM * scale
        return None if low is None or high is None else (low * scale - room, high * scale + room)

    def applies(self, label: str, case: Case) -> bool:
        """False where the protocol leaves this case out of this column."""
        return self.choice(label).applies(case)

    def prompt(self, case: Case) -> str:
        """What a prompt goes by: its number, with crossed prompts in its category, since each has a list of its own."""
        return f"{case.category}.{case.prompt_index}" if self.design.prompts == "crossed" else str(case.prompt_index)

    def frame(self, label: str, *, category: str | None = None, weights: bool = False) -> pd.DataFrame:
        """subject, prompt, seed, stratum, value of a column; NaN for whatever has no score, of one category or of all.

        weights: also the scores' weights, by which the samples of a micro average count.
        """
        held = self.held(label)
        frame = self._samples.assign(value=held.value, **({"weight": held.weight} if weights else {}))
        return frame[self.kept(label, category)].reset_index(drop=True)

    def sheet(self, label: str, *, category: str | None = None, weights: bool = False) -> Sheet:
        """`frame` in the form that claims are made from, sorted once for all columns.

        Raises: DataError where no case is left, and for what no score can be.
        """
        held = self.held(label)
        return self._sorted.sheet(
            held.value, held.weight if weights else None, rows=self.kept(label, category), name=self.name
        )

    def kept(self, label: str, category: str | None = None) -> NDArray[np.bool_]:
        """[samples]: the protocol asks this column of the sample's case, which is of the category where one is given."""
        kept = self._kept[label]
        return kept if category is None else kept & (self._samples["stratum"].to_numpy() == category)

    @cached_property
    def _kept(self) -> dict[str, NDArray[np.bool_]]:
        """By column."""
        cases, found = list(self.cases.values()), {}
        for label in self.result.scores:
            choice = self.choice(label)
            fits = [choice.applies(case) for case in cases] if choice.where else [True] * len(cases)
            found[label] = np.repeat(np.array(fits, dtype=bool), len(self.seeds))
        return found

    @cached_property
    def _samples(self) -> pd.DataFrame:
        """subject, prompt, seed, stratum of each sample."""
        import pandas as pd

        told = [
            ("+".join(c.subjects), self.prompt(c), seed, c.category) for c in self.cases.values() for seed in self.seeds
        ]
        return pd.DataFrame(told, columns=["subject", "prompt", "seed", "stratum"])

    @cached_property
    def _sorted(self) -> Keyed:
        return keyed(self._samples, name=self.name)


def read_scored(paths: Sequence[Path]) -> list[ScoredRun]:
    """The runs in these folders, each with a name of its own.

    Raises: RunError for what is no scored run; UsageError for a folder given twice.
    """
    resolved = [path.resolve() for path in paths]
    if twice := sorted({str(path) for path in resolved if resolved.count(path) > 1}):
        raise UsageError(f"wanted different runs, found {twice[0]} twice; give each once")
    results = [read_result(path) for path in paths]
    methods = [result.method for result in results]
    names = [m if methods.count(m) == 1 else f"{m} ({p.name})" for m, p in zip(methods, resolved, strict=True)]
    if len(set(names)) < len(names):
        names = [f"{method} ({path})" for method, path in zip(methods, resolved, strict=True)]
    return [
        ScoredRun(name, result, RunFolder.read(path)) for name, result, path in zip(names, results, paths, strict=True)
    ]


def why_not_comparable(a: ScoredRun, b: ScoredRun) -> str | None:
    """Why no number of the two may be compared; None where some may.

    Runs are compared within a benchmark and a profile, on cases with the same prompts and pictures.
    """
    mine, theirs = a.run.record.identity, b.run.record.identity
    for key, meaning in (("benchmark", "benchmark"), ("profile", "profile"), ("world", "version of the drawn world")):
        one, other = getattr(mine, key), getattr(theirs, key)
        if one != other:
            return f"wanted one {meaning}, found {one!r} in {a.name} and {other!r} in {b.name}; run both alike"
    others = b.run.cases
    changed = [name for name, case in a.run.cases.items() if name in others and _changed(case, others[name])]
    if changed:
        return (
            f"wanted the same cases, found {len(changed)} whose prompt or pictures differ, the first {changed[0]!r}; run both "
            "on one copy of the data"
        )
    return None


def _changed(a: RunCase, b: RunCase) -> bool:
    shared = set(a.pixels) & set(b.pixels)
    return a.sha256 != b.sha256 or any(a.pixels[path] != b.pixels[path] for path in shared)
