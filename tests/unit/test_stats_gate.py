"""Gates on scores made to pass, to fail and to tell nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from evalkit.errors import DataError, UsageError
from evalkit.stats import compare, gate, non_inferiority
from tests.unit.stats_samples import scores

A, B = scores(40, 6, 2, seed=1), scores(40, 6, 2, seed=1)
B = B.assign(value=B["value"] + 0.1 * np.random.default_rng(0).standard_normal(len(B)))


def worse(by: float) -> Any:
    return A.assign(value=A["value"] - by)


def test_no_worse_passes_and_clearly_worse_fails() -> None:
    assert gate(A, B, 0.1) == "pass"
    assert gate(worse(0.3), B, 0.1) == "fail"
    assert gate(worse(0.1), B, 0.1) == "inconclusive"


def test_where_lower_is_better_the_same_holds_upside_down() -> None:
    for by, wanted in ((0.3, "pass"), (-0.3, "fail"), (-0.1, "inconclusive")):
        assert gate(worse(by), B, 0.1, higher_is_better=False) == wanted


@pytest.mark.parametrize("design", ["nested", "crossed"])
def test_directions_mirror_each_other(design: str) -> None:
    flipped_a, flipped_b = (f.assign(value=-f["value"]) for f in (A, B))
    up, down = (non_inferiority(A, B, 0.1, design=design),
                non_inferiority(flipped_a, flipped_b, 0.1, design=design, higher_is_better=False))  # fmt: skip
    assert up.outcome == down.outcome
    assert [up.low, up.high] == pytest.approx([-down.high, -down.low])


def test_runs_with_the_same_scores_pass_any_margin_above_0() -> None:
    found = non_inferiority(A, A, 1e-6)
    assert (found.outcome, found.low, found.high, found.interval) == ("pass", 0.0, 0.0, "no spread")
    assert gate(A, A, 0) == "inconclusive"


def test_bounds_are_one_sided() -> None:
    a, b = scores(200, seed=1), scores(200, seed=2)
    found = non_inferiority(a, b, 0.1, alpha=0.05)
    d = a.groupby("subject")["value"].mean() - b.groupby("subject")["value"].mean()
    theirs = stats.ttest_1samp(d, 0.0)
    width = found.high - found.low
    assert found.low == pytest.approx(theirs.confidence_interval(0.90).low, abs=0.03 * width)
    assert found.high == pytest.approx(theirs.confidence_interval(0.90).high, abs=0.03 * width)
    both = compare(a, b, level=0.90)
    assert (found.low, found.high, found.difference) == (both.ci_low, both.ci_high, both.difference)
    stricter = non_inferiority(a, b, 0.1, alpha=0.01)
    assert stricter.low < found.low < found.high < stricter.high


def test_what_it_rests_on_is_told() -> None:
    holes = A.assign(value=A["value"].where(A.index >= 12))
    found = non_inferiority(holes, B, 0.1)
    assert (found.n_subjects, found.n_pairs) == (39, 468)
    assert (found.coverage_a, found.coverage_b) == (468 / 480, 1.0)
    assert (found.margin, found.alpha, found.higher_is_better) == (0.1, 0.05, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"margin": -0.1}, "wanted a margin of 0 or more, found -0.1; give the loss that still counts as no loss"),
        ({"margin": np.nan}, "wanted a margin of 0 or more, found nan"),
        ({"margin": np.inf}, "wanted a margin of 0 or more, found inf"),
        ({"margin": 0.1, "alpha": 0.95}, "wanted alpha between 0 and 0.5, found 0.95; 0.05 is the default"),
        ({"margin": 0.1, "design": "paired"}, "wanted a design, found 'paired'"),
        ({"margin": 0.1, "n_resamples": 9}, "wanted 99 resamples or more, found 9"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        gate(A, B, **arguments)
    assert message in str(error.value)


def test_bad_scores_have_no_outcome() -> None:
    with pytest.raises(DataError, match="wanted values on both sides"):
        gate(A.assign(value=np.nan), B, 0.1)
    with pytest.raises(UsageError, match="wanted the same"):
        gate(A.iloc[1:], B, 0.1)
