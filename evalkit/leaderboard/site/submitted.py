"""A submission as its checks see it: the run folder, what this installation would compute, and what a check found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

from evalkit.engine.backbones import Backbones
from evalkit.engine.columns import Column, columns
from evalkit.engine.derived import with_components
from evalkit.engine.setting import Request, Setting, prepare
from evalkit.errors import EvalkitError
from evalkit.metrics.derived import DerivedMetric
from evalkit.nouns import Noun, Signature

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.engine.scored import ScoredRun
    from evalkit.engine.summary import MetricSummary
    from evalkit.nouns import Case, Sample, Score

Outcome = Literal["pass", "warn", "fail", "skip"]
ROUNDING = 1e-9
"""Share of a metric's scale that summing in another order may change."""


class Check(Noun):
    """One thing that was looked at."""

    name: str
    outcome: Outcome
    told: str


class Found(NamedTuple):
    """What a look came to."""

    outcome: Outcome
    told: str


@dataclass(frozen=True)
class Submitted:
    """A submission that could be read."""

    path: Path
    scored: ScoredRun
    data: Path | None
    """The benchmark's data, None for the embedded world or what was fetched."""

    @cached_property
    def _prepared(self) -> tuple[Setting | None, str]:
        identity, asked = self.scored.run.record.identity, self.scored.run.record.request
        request = Request(
            bench=f"{identity.benchmark}/{asked.protocol}", data=self.data, profile=identity.profile,
            seeds=len(asked.seeds), limit=asked.limit,
        )  # fmt: skip
        try:
            return prepare(request), ""
        except EvalkitError as error:
            return None, str(error).splitlines()[0]

    @property
    def setting(self) -> Setting | None:
        """The benchmark as this installation reads it, None where it cannot: `why_no_setting` says why."""
        return self._prepared[0]

    @property
    def why_no_setting(self) -> str:
        """Empty where there is a setting."""
        return self._prepared[1]

    @cached_property
    def columns(self) -> list[Column]:
        """The columns that were asked for, as this installation computes them. Raises UsageError for unknown metrics."""
        profile, asked = self.scored.run.record.identity.profile, self.scored.run.record.request.metrics
        return columns(asked, profile, Backbones(device="cpu" if profile == "sandbox" else None))

    @cached_property
    def stored(self) -> list[Column]:
        """The same columns under the signatures that the submission names, by which its scores are stored."""
        return with_components([replace(c, signature=formula(c, self.signature(c.label))) for c in self.columns])

    def signature(self, label: str) -> Signature:
        """What the submission says of how a column was computed. Raises DataError for what is no signature."""
        return Signature.parse(self.scored.result.scores[label].signature)

    @property
    def expected(self) -> list[tuple[Case, int]]:
        """Every (case, seed) that was asked for, in the submission's order."""
        return [(case.case, seed) for case in self.scored.run.requested for seed in self.scored.seeds]

    @cached_property
    def samples(self) -> dict[tuple[str, int], Sample]:
        """The newest sample of each (case, seed)."""
        return self.scored.run.samples.latest()

    @cached_property
    def scores(self) -> dict[tuple[str, int, str], Score]:
        """The newest score of each (case, seed, signature)."""
        return self.scored.run.scores.latest()


def formula(column: Column, signature: Signature) -> Signature:
    """A column's signature without its aggregation and, where it is a total, without the digest of its components."""
    parts = [part for part in signature.parts if part[0] != "agg"]
    if isinstance(column.metric, DerivedMetric) and parts and parts[-1][0] == "of":
        parts.pop()
    return Signature(parts=tuple(parts))


def difference(told: MetricSummary, found: MetricSummary, room: float) -> str | None:
    """`says A, OTHER` for the first part of a number that is not as found, values being allowed `room`; None for none."""
    for key in ("signature", "n_cases", "n_scored", "states"):
        mine, other = getattr(told, key), getattr(found, key)
        if mine != other:
            return f"{key} {mine!a:.120}, found {other!a:.120}"
    if told.value is None or found.value is None:
        return None if told.value == found.value else f"{told.value}, found {found.value}"
    return None if abs(told.value - found.value) <= room else f"{told.value:.6g}, found {found.value:.6g}"
