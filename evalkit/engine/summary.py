"""From scores to one number a metric: value, coverage, states."""

from __future__ import annotations

from collections import Counter, defaultdict
from math import fsum
from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from evalkit.engine.derived import derivation
from evalkit.metrics.derived import DerivedMetric
from evalkit.nouns import Noun, State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evalkit.engine.columns import Column
    from evalkit.nouns import Case, Score

    Key = tuple[str, int, str]


class MetricSummary(Noun):
    """One cell of the score table."""

    value: float | None = Field(allow_inf_nan=False)
    """None where nothing was scored: there is no number for nothing."""
    n_scored: int
    n_cases: int
    """(case, seed) pairs that the metric applies to."""
    signature: str
    states: dict[str, int]
    """How many were not `scored`, by state."""


class SummaryRow(NamedTuple):
    """One scored sample, as averages read it."""

    case: Case
    seed: int
    value: float
    weight: float


def summarise(
    columns: Sequence[Column], expected: Sequence[tuple[Case, int]], scores: Mapping[Key, Score]
) -> dict[str, MetricSummary]:
    """A summary for each column over every expected (case, seed); one without a score counts as `sample_missing`."""
    return {
        column.label: _derived(column, columns, expected, scores)
        if isinstance(column.metric, DerivedMetric)
        else _summary(column, expected, scores)
        for column in columns
    }


def _derived(
    column: Column, columns: Sequence[Column], expected: Sequence[tuple[Case, int]], scores: Mapping[Key, Score]
) -> MetricSummary:
    found = derivation(column, columns, expected, scores)
    return MetricSummary(
        value=found.value,
        n_scored=found.n_scored,
        n_cases=found.n_cases,
        signature=str(column.full_signature),
        states={state.value: count for state, count in found.states.items() if count},
    )


def _summary(column: Column, expected: Sequence[tuple[Case, int]], scores: Mapping[Key, Score]) -> MetricSummary:
    states: Counter[str] = Counter()
    rows = []
    for case, seed in expected:
        score = scores.get((case.case_id, seed, str(column.signature)))
        state = score.state if score is not None else State.SAMPLE_MISSING
        if score is not None and score.value is not None:
            rows.append(SummaryRow(case, seed, score.value, score.weight))
        else:
            states[state.value] += 1
    aggregate = micro if column.choice.aggregation == "micro" else macro
    return MetricSummary(
        value=aggregate(rows),
        n_scored=len(rows),
        n_cases=len(expected) - states[State.NOT_APPLICABLE.value],
        signature=str(column.full_signature),
        states=dict(sorted(states.items())),
    )


def micro(rows: Sequence[SummaryRow]) -> float | None:
    """The mean in which every (sample, target) pair counts once; None for no rows."""
    return fsum(r.value * r.weight for r in rows) / fsum(r.weight for r in rows) if rows else None


def macro(rows: Sequence[SummaryRow]) -> float | None:
    """The mean over subjects of the mean over prompts of the mean over seeds; None for no rows."""
    tree: dict[tuple[str, ...], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        tree[row.case.subjects][row.case.case_id].append(row.value)
    prompts = ([_mean(values) for values in by_case.values()] for by_case in tree.values())
    return _mean([_mean(values) for values in prompts]) if rows else None


def _mean(values: Sequence[float]) -> float:
    return fsum(values) / len(values)
