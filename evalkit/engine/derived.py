"""Columns that are made of other columns: their values, how much of the table they cover, and their signatures."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from evalkit.metrics.derived import DerivedMetric
from evalkit.nouns import State, digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evalkit.engine.columns import Column
    from evalkit.nouns import Case, Score

    Key = tuple[str, int, str]


class Derivation(NamedTuple):
    """What became of a derived column."""

    value: float | None
    n_scored: int
    """Samples that have every component that applies to them."""
    n_cases: int
    states: dict[State, int]
    """How many of the others have which state: a component's own where that is whole, else `component_missing`; of a
    column without a value all have one."""
    lacking: tuple[str, ...]
    """Components that are not in the table or have no value at all."""


def with_components(columns: Sequence[Column]) -> list[Column]:
    """The columns, derived ones with the digest of their components' signatures in their own."""
    in_table = _by_name(columns)

    def signed(column: Column) -> Column:
        if not isinstance(column.metric, DerivedMetric):
            return column
        names = column.metric.components(column.bound).values()
        parts = [str(in_table[name].signature) if name in in_table else "none" for name in names]
        return replace(column, signature=column.signature.with_part("of", digest(parts)[:12]))

    return [signed(column) for column in columns]


def derivation(
    column: Column, columns: Sequence[Column], expected: Sequence[tuple[Case, int]], scores: Mapping[Key, Score]
) -> Derivation:
    """The value of a derived column, None where a component is lacking or the value is no number."""
    import math

    metric = column.metric
    assert isinstance(metric, DerivedMetric)
    in_table = _by_name(columns)
    values: dict[str, list[float]] = {}
    without: dict[tuple[str, int], State] = {}
    for name, wanted in metric.components(column.bound).items():
        values[name] = []
        part = in_table.get(wanted)
        for case, seed in expected if part is not None else ():
            assert part is not None
            score = scores.get((case.case_id, seed, str(part.signature)))
            if score is not None and score.value is not None:
                values[name].append(score.value / part.bound.card.scale)
            elif score is None or not score.state.whole:
                without[case.case_id, seed] = State.COMPONENT_MISSING
            elif score.state is not State.NOT_APPLICABLE:
                without.setdefault((case.case_id, seed), score.state)
    count, lacking = len(expected), tuple(name for name, found in values.items() if not found)
    if lacking:
        return Derivation(None, 0, count, {State.COMPONENT_MISSING: count}, lacking)
    value = column.bound.card.scale * metric.derive(values, column.bound)
    if not math.isfinite(value):
        return Derivation(None, 0, count, {State.UNDEFINED: count}, ())
    return Derivation(value, count - len(without), count, dict(sorted(Counter(without.values()).items())), ())


def _by_name(columns: Sequence[Column]) -> dict[str, Column]:
    """Each column by `metric@variant`; of several the first, which is the protocol's own."""
    return {column.choice.column: column for column in reversed(columns)}
