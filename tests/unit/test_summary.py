from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from evalkit.engine.summary import summarise
from evalkit.nouns import Case, Score, State
from tests.fakes import FakeMetric, column, write_card

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.engine.columns import Column
    from evalkit.engine.summary import MetricSummary

Rows = list[tuple[str, str, int, "float | None", float]]


def case(case_id: str, subject: str) -> Case:
    return Case(
        case_id=case_id, prompt="p", subjects=(subject,), references=(), targets=(), category="c", prompt_index=0
    )


def score(
    one: Case, seed: int, column: Column, value: float | None, weight: float = 1, state: str = "no_face"
) -> Score:
    return Score(
        case_id=one.case_id, seed=seed, metric="fake@plain", signature=str(column.signature), inputs="0", value=value,
        weight=weight, state=State.SCORED if value is not None else State.of(state),
    )  # fmt: skip


@pytest.fixture
def metric(tmp_path: Path) -> FakeMetric:
    return FakeMetric(write_card(tmp_path, "fake"))


def told(metric: FakeMetric, rows: Rows, *, aggregation: str = "micro") -> MetricSummary:
    """(case, subject, seed, value, weight) rows, summarised."""
    used = column(metric, aggregation=aggregation)
    expected = [(case(case_id, subject), seed) for case_id, subject, seed, _, _ in rows]
    scores = {s.key: s for (one, seed), row in zip(expected, rows, strict=True)
              for s in [score(one, seed, used, row[3], row[4])]}  # fmt: skip
    return summarise([used], expected, scores)["fake"]


UNEQUAL: Rows = [("a.p0", "a", 0, 0.2, 1), ("a.p1", "a", 0, 0.4, 1), ("b.p0", "b", 0, 0.9, 4)]


def test_micro_counts_every_sample_and_target_pair_once(metric: FakeMetric) -> None:
    found = told(metric, UNEQUAL)
    assert found.value == pytest.approx((0.2 + 0.4 + 4 * 0.9) / 6, abs=1e-15)
    assert (found.n_scored, found.n_cases, found.states) == (3, 3, {})
    assert found.signature.endswith("|agg:micro")


def test_macro_counts_every_subject_once(metric: FakeMetric) -> None:
    found = told(metric, UNEQUAL, aggregation="macro")
    assert found.value == pytest.approx(((0.2 + 0.4) / 2 + 0.9) / 2, abs=1e-15)
    assert found.signature.endswith("|agg:macro")


def test_macro_takes_seeds_before_prompts_and_prompts_before_subjects(metric: FakeMetric) -> None:
    rows: Rows = [
        ("a.p0", "a", 0, 0.0, 1),
        ("a.p0", "a", 1, 1.0, 1),
        ("a.p1", "a", 0, 0.8, 1),
        ("b.p0", "b", 0, 0.1, 1),
    ]
    macro, micro = (told(metric, rows, aggregation=a).value for a in ("macro", "micro"))
    assert macro == pytest.approx(((0.5 + 0.8) / 2 + 0.1) / 2, abs=1e-15)
    assert micro == pytest.approx((0.0 + 1.0 + 0.8 + 0.1) / 4, abs=1e-15)


@pytest.mark.parametrize("aggregation", ["micro", "macro"])
def test_nothing_scored_is_no_number(metric: FakeMetric, aggregation: str) -> None:
    found = told(metric, [("a.p0", "a", 0, None, 1), ("a.p1", "a", 0, None, 1)], aggregation=aggregation)
    assert found.value is None
    assert (found.n_scored, found.n_cases, found.states) == (0, 2, {"no_face": 2})


@pytest.mark.parametrize("aggregation", ["micro", "macro"])
def test_nothing_expected_is_no_number(metric: FakeMetric, aggregation: str) -> None:
    assert told(metric, [], aggregation=aggregation).value is None


@pytest.mark.parametrize("aggregation", ["micro", "macro"])
def test_a_missing_value_is_not_a_zero(metric: FakeMetric, aggregation: str) -> None:
    found = told(metric, [("a.p0", "a", 0, 0.5, 1), ("a.p1", "a", 0, None, 1)], aggregation=aggregation)
    assert found.value == 0.5
    assert (found.n_scored, found.n_cases) == (1, 2)


def test_a_value_of_zero_is_scored(metric: FakeMetric) -> None:
    found = told(metric, [("a.p0", "a", 0, 0.0, 1)])
    assert (found.value, found.n_scored, found.states) == (0.0, 1, {})


def test_cases_that_a_metric_does_not_apply_to_are_not_lacking(metric: FakeMetric) -> None:
    used = column(metric)
    cases = [case(f"a.p{i}", "a") for i in range(4)]
    rows = [score(cases[0], 0, used, 0.5), score(cases[1], 0, used, None, state="not_applicable"),
            score(cases[2], 0, used, None, state="decode_error")]  # fmt: skip
    found = summarise([used], [(c, 0) for c in cases], {s.key: s for s in rows})["fake"]
    assert (found.value, found.n_scored, found.n_cases) == (0.5, 1, 3)
    assert found.states == {"decode_error": 1, "not_applicable": 1, "sample_missing": 1}
    assert list(found.states) == sorted(found.states)


def test_scores_of_another_signature_are_not_ours(metric: FakeMetric, tmp_path: Path) -> None:
    used, other = column(metric), column(FakeMetric(write_card(tmp_path, "other")))
    one = case("a.p0", "a")
    stored = score(one, 0, other, 0.7)
    found = summarise([used, other], [(one, 0)], {stored.key: stored})
    assert {label: summary.value for label, summary in found.items()} == {"fake": None, "other": 0.7}
    assert found["fake"].states == {"sample_missing": 1}


def test_scores_of_cases_that_were_not_asked_for_are_left_out(metric: FakeMetric) -> None:
    used, asked, other = column(metric), case("a.p0", "a"), case("a.p1", "a")
    scores = {s.key: s for s in (score(asked, 0, used, 0.5), score(other, 0, used, 0.9), score(asked, 1, used, 0.9))}
    found = summarise([used], [(asked, 0)], scores)["fake"]
    assert (found.value, found.n_scored, found.n_cases) == (0.5, 1, 1)
