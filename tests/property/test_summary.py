"""Aggregates of any scores: bounded by them, blind to their order, equal where every group has one size."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.engine.summary import SummaryRow, macro, micro
from evalkit.nouns import Case

if TYPE_CHECKING:
    from collections.abc import Sequence

VALUES = st.floats(-1e6, 1e6)


def row(subject: int, prompt: int, seed: int, value: float, weight: float = 1.0) -> SummaryRow:
    case = Case(
        case_id=f"s{subject}.p{prompt}", prompt="p", subjects=(f"s{subject}",), references=(), targets=(), category="c",
        prompt_index=prompt,
    )  # fmt: skip
    return SummaryRow(case, seed, value, weight)


ROWS = st.lists(
    st.builds(row, st.integers(0, 3), st.integers(0, 3), st.integers(0, 2), VALUES, st.integers(1, 6)), min_size=1
)


def by_loops(rows: Sequence[SummaryRow]) -> float:
    """The macro mean once more, by nested numpy means."""
    subjects: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for r in rows:
        subjects[r.case.subjects[0]][r.case.case_id].append(r.value)
    return float(np.mean([np.mean([np.mean(v) for v in prompts.values()]) for prompts in subjects.values()]))


@given(ROWS)
def test_aggregates_agree_with_numpy(rows: list[SummaryRow]) -> None:
    weights, values = [r.weight for r in rows], [r.value for r in rows]
    assert micro(rows) == pytest.approx(float(np.average(values, weights=weights)), abs=1e-6)
    assert macro(rows) == pytest.approx(by_loops(rows), abs=1e-6)


@given(ROWS, st.randoms())
def test_the_order_of_rows_does_not_change_a_bit(rows: list[SummaryRow], random: object) -> None:
    mixed = list(rows)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert (micro(mixed), macro(mixed)) == (micro(rows), macro(rows))


@given(ROWS)
def test_aggregates_lie_between_the_scores(rows: list[SummaryRow]) -> None:
    low, high = min(r.value for r in rows), max(r.value for r in rows)
    for value in (micro(rows), macro(rows)):
        assert value is not None
        assert low - 1e-9 <= value <= high + 1e-9


@given(st.lists(VALUES, min_size=6, max_size=6))
def test_micro_and_macro_agree_on_a_balanced_design(values: list[float]) -> None:
    rows = [row(s, p, 0, values[3 * s + p]) for s in range(2) for p in range(3)]
    assert micro(rows) == pytest.approx(macro(rows), abs=1e-9)


@given(ROWS)
def test_a_weight_is_a_repetition(rows: list[SummaryRow]) -> None:
    repeated = [r._replace(weight=1.0) for r in rows for _ in range(int(r.weight))]
    assert micro(rows) == pytest.approx(micro(repeated), abs=1e-6)
