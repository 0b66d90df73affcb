"""Verdicts on constructed curves: what responds, what ignores, what loses its value, and what nothing can be said of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from evalkit.errors import UsageError
from evalkit.metrics.validity import CHANGES, Change, Validity
from evalkit.sandbox.validity.changes import GRADES
from evalkit.sandbox.validity.report import Curve
from evalkit.sandbox.validity.verdict import Assessed, assess

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

SUBJECTS = 20
NAN = float("nan")


def curve(change: Change, shift: list[float], *, noise: float = 0.01, subjects: int = SUBJECTS) -> Values:
    """Values around 1 at the first grade, moved by `shift` at the others."""
    rng = np.random.default_rng(CHANGES.index(change))
    steps = np.array([0.0, *shift])
    moved = steps + rng.normal(0, noise, (subjects, len(steps))) * (steps != 0)
    return np.asarray(1 + rng.normal(0, noise, (subjects, 1)) + moved)


def flat() -> dict[Change, Values]:
    """A metric that falls from 1 to 0 for another subject, step by step, and sees nothing else."""
    values = {change: curve(change, [0.0] * (len(GRADES[change]) - 1)) for change in CHANGES}
    return values | {"wrong_subject": curve("wrong_subject", [-0.4, -0.8, -1.0])}


def assessed(values: dict[Change, Values], **options: Any) -> Assessed:
    changes = options.pop("changes", {}) | {"wrong_subject": "responds"}
    told = {"reference": "wrong_subject", "departs": "falls", "changes": changes} | options
    return assess(values, Validity.model_validate(told))


def found(values: dict[Change, Values], change: Change, expected: object, **options: Any) -> Curve:
    curves = assessed(values, changes={change: expected}, **options).curves
    return next(one for one in curves if one.change == change)


def test_every_change_has_a_curve_and_the_unnamed_are_open() -> None:
    result = assessed(flat())
    assert tuple(one.change for one in result.curves) == CHANGES
    assert {one.verdict for one in result.curves if one.change != "wrong_subject"} == {"open"}
    assert result.reference_effect is not None
    assert result.reference_effect.value == pytest.approx(1.0, abs=0.02)
    assert result.reference_effect.low < result.reference_effect.value < result.reference_effect.high


@pytest.mark.parametrize(
    ("shift", "verdict"),
    [
        ([-0.1, -0.2, -0.3, -0.4], "met"),
        ([-0.2, -0.1, -0.4, -0.3], "met"),
        ([-0.4, -0.3, -0.2, -0.15], "not met"),
        ([0.1, 0.2, 0.3, 0.4], "not met"),
        ([-0.01, -0.02, -0.03, -0.05], "not met"),
        ([0.0, 0.0, 0.0, 0.0], "not met"),
    ],
    ids=["falls", "two swaps", "strongest is not furthest", "wrong way", "hardly", "flat"],
)
def test_responds(shift: list[float], verdict: str) -> None:
    values = flat() | {"identity": curve("identity", shift, noise=0.002)}
    assert found(values, "identity", "responds").verdict == verdict


def test_responds_needs_more_than_noise() -> None:
    quiet, loud = (flat() | {"identity": curve("identity", [-0.1, -0.2, -0.3, -0.4], noise=n)} for n in (0.01, 6.0))
    assert found(quiet, "identity", "responds").verdict == "met"
    noisy = found(loud, "identity", "responds")
    assert noisy.effect is not None
    assert noisy.effect.low < 0 < noisy.effect.high
    assert noisy.verdict == "not met"


def test_a_metric_that_rises_is_told_in_the_same_sign() -> None:
    values = {change: -rows for change, rows in flat().items()}
    values["identity"] = -curve("identity", [-0.1, -0.2, -0.3, -0.4])
    result = found(values, "identity", "responds", departs="rises")
    assert result.verdict == "met"
    assert result.effect is not None
    assert result.effect.value == pytest.approx(0.4, abs=0.02)
    assert result.monotonic == 1
    assert found(values, "identity", "responds", departs="falls").verdict == "not met"


@pytest.mark.parametrize(
    ("shift", "verdict"),
    [
        ([0.0, 0.0, 0.0, 0.0], "met"),
        ([-0.05, -0.1, -0.15, -0.2], "met"),
        ([0.05, 0.1, 0.15, 0.2], "met"),
        ([-0.1, -0.2, -0.3, -0.4], "not met"),
        ([0.1, 0.2, 0.3, 0.4], "not met"),
        ([-0.4, -0.1, 0.0, 0.0], "not met"),
    ],
    ids=["flat", "a little", "a little up", "much", "much up", "much at a weak grade"],
)
def test_ignores(shift: list[float], verdict: str) -> None:
    values = flat() | {"pose": curve("pose", shift)}
    assert found(values, "pose", {"ignores": 0.25}).verdict == verdict


def test_ignores_holds_the_whole_interval() -> None:
    """A mean within the share is not enough where the subjects are too few or too unlike to say so."""
    values = flat() | {"pose": curve("pose", [-0.2] * 4, noise=0.5)}
    result = found(values, "pose", {"ignores": 0.25})
    assert result.effect is not None
    assert max(abs(result.effect.low), abs(result.effect.high)) > 0.25
    assert result.verdict == "not met"


def without(change: Change, scored: list[int]) -> Values:
    """A curve of which only so many subjects have a value at each grade."""
    rows = curve(change, [-0.1 * grade for grade in range(1, len(GRADES[change]))])
    for grade, count in enumerate(scored):
        rows[count:, grade] = NAN
    return rows


@pytest.mark.parametrize(
    ("scored", "verdict"), [([20, 20, 15, 9, 5], "met"), ([20, 20, 15, 9, 6], "not met"), ([9, 9, 9, 9, 0], "not met")]
)
def test_leaves_out(scored: list[int], verdict: str) -> None:
    values = flat() | {"missing_subject": without("missing_subject", scored)}
    result = found(values, "missing_subject", "leaves_out")
    assert result.verdict == verdict
    assert result.scored == tuple(scored)


@pytest.mark.parametrize("expected", ["responds", {"ignores": 0.25}])
def test_too_few_scored_is_never_met_and_says_how_many(expected: object) -> None:
    values = flat() | {"missing_subject": without("missing_subject", [20, 20, 20, 20, 9])}
    result = found(values, "missing_subject", expected)
    assert (result.verdict, result.effect) == ("not met", None)
    assert result.why == "45% of the subjects scored at the strongest grade, wanted at least 50%"


def test_no_subject_scored_has_no_mean() -> None:
    values = flat() | {"missing_subject": without("missing_subject", [20, 20, 20, 20, 0])}
    result = found(values, "missing_subject", "open")
    assert (result.mean[-1], result.low[-1], result.high[-1], result.scored[-1]) == (None, None, None, 0)


def test_the_reference_is_its_strongest_grade_that_enough_are_scored_at() -> None:
    values = flat()
    values["wrong_subject"][5:, 3] = NAN
    result = assessed(values)
    assert result.reference_effect is not None
    assert result.reference_effect.value == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize("shift", [[0.0, 0.0, 0.0], [0.4, 0.8, 1.0]], ids=["none", "the wrong way"])
def test_without_a_reference_effect_nothing_is_met(shift: list[float]) -> None:
    values = flat() | {"wrong_subject": curve("wrong_subject", shift)}
    for expected in ("responds", {"ignores": 0.25}):
        result = found(values, "pose", expected)
        assert (result.verdict, result.effect) == ("not met", None)
        assert "its reference effect is not there" in result.why


def test_the_same_values_give_the_same_report() -> None:
    assert assessed(flat()) == assessed(flat())


def test_values_that_do_not_fit_are_refused() -> None:
    values = flat()
    del values["pose"]
    with pytest.raises(UsageError, match=r"^wanted values of 'pose' \[subjects, 5\], found \[20\]$"):
        assessed(values)
    with pytest.raises(UsageError, match=r"^wanted values of 'pose' \[subjects, 5\], found \[20, 4\]$"):
        assessed(flat() | {"pose": np.ones((SUBJECTS, 4))})
    with pytest.raises(UsageError, match=r"^wanted values of as many subjects for every change, found \[19, 20\]$"):
        assessed(flat() | {"pose": np.ones((19, 5))})
