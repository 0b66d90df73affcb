"""From a metric's values on the battery to curves and verdicts; pure.

Effects are paired: a subject's value under a change minus its value without. They are told as shares of the reference
effect, that of the strongest grade of the card's reference change for which at least half of the subjects are scored.
Intervals are percentiles of a bootstrap over subjects, the same resamples for an effect and for the reference.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from evalkit.errors import UsageError
from evalkit.metrics.validity import BATTERIES, Battery, Change, Ignores
from evalkit.sandbox.validity.batteries import GRADES
from evalkit.sandbox.validity.report import Curve, Interval, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from evalkit.metrics.validity import Expectation, Validity

    Values = NDArray[np.float64]

RESAMPLES, RESAMPLING_SEED = 2000, 0
LOW, HIGH = 2.5, 97.5
RESPONDS_SHARE = 0.1
"""Smallest share of the reference effect that the strongest grade must move for `responds`."""
MONOTONIC = 0.8
"""Smallest Spearman correlation for `responds`: of five grades, two swaps of neighbours."""
HALF = 0.5
"""Share of subjects that must be scored for a grade to count."""
LEFT = 0.25
"""Largest share of subjects that may still be scored at the strongest grade for `leaves_out`."""
DIGITS = 5
NOTHING = 1e-12
"""What is smaller is the rounding of a zero."""


class Assessed(NamedTuple):
    """The reference effect and every curve."""

    reference_effect: Interval | None
    curves: tuple[Curve, ...]


class _Effects(NamedTuple):
    """Paired effects of one change: at each grade the mean [G], its resamples [B, G], and whether enough are scored [G]."""

    mean: Values
    resampled: Values
    counts: NDArray[np.bool_]


def assess(values: Mapping[Change, Values], validity: Validity) -> Assessed:
    """Curves and verdicts.

    values: for each change [subjects, grades], the first column without change, NaN where there is no score.

    Raises: UsageError for a change that is missing or of another shape.
    """
    changes, grades = BATTERIES[validity.battery], GRADES[validity.battery]
    subjects = _checked(values, validity.battery)
    draws = np.random.default_rng(RESAMPLING_SEED).integers(subjects, size=(RESAMPLES, subjects))
    sign = 1.0 if validity.departs == "rises" else -1.0
    effects = {change: _effects(sign * values[change], draws) for change in changes}
    reference, resampled = _reference(effects[validity.reference])
    curves = []
    for change in changes:
        shares = _shares(effects[change], reference, resampled)
        monotonic = _spearman(sign * _means(values[change]), effects[change].counts)
        expected = validity.expected(change)
        scored = np.isfinite(values[change]).mean(axis=0)
        verdict, why = judge(expected, shares, monotonic, scored.tolist(), reference)
        mean, low, high = _interval_of_mean(values[change], draws)
        curves.append(
            Curve(
                change=change, grades=grades[change], mean=mean, low=low, high=high,
                scored=tuple(np.isfinite(values[change]).sum(axis=0).tolist()), monotonic=monotonic,
                effect=_deciding(shares, expected),
                expected=expected, verdict=verdict, why=why,
            )
        )  # fmt: skip
    return Assessed(reference, tuple(curves))


def judge(
    expected: Expectation,
    shares: tuple[Interval | None, ...],
    monotonic: float | None,
    scored: list[float],
    reference: Interval | None,
) -> tuple[Verdict, str]:
    """The verdict and why. `shares`: effects at each grade; `scored`: share of subjects that have a value at each."""
    last, strongest = shares[-1], f"{scored[-1]:.0%} of the subjects scored at the strongest grade"
    if expected == "open":
        return "open", "the metric's meaning does not say"
    if expected == "leaves_out":
        met = scored[0] >= HALF and scored[-1] <= LEFT
        return ("met" if met else "not met"), f"{strongest}, wanted at most {LEFT:.0%}"
    if reference is None or reference.low <= 0:
        return "not met", "its reference effect is not there, so nothing can be told as a share of it"
    if isinstance(expected, Ignores):
        return _ignored(expected, shares, strongest)
    if last is None:
        return "not met", f"{strongest}, wanted at least {HALF:.0%}"
    rank = -1.0 if monotonic is None else monotonic
    met = last.low > 0 and last.value >= RESPONDS_SHARE and rank >= MONOTONIC - 1e-9
    ranked = "none" if monotonic is None else f"{monotonic:.2f}"
    return ("met" if met else "not met"), (
        f"moves {_told(last)} of its reference effect, wanted {RESPONDS_SHARE:g} or more and above 0; "
        f"rank correlation {ranked}, wanted {MONOTONIC:g} or more"
    )


def _deciding(shares: tuple[Interval | None, ...], expected: Expectation) -> Interval | None:
    """The effect that a verdict hangs on."""
    known = [share for share in shares if share is not None]
    if not isinstance(expected, Ignores) or shares[-1] is None:
        return shares[-1]
    return max(known, key=lambda share: max(abs(share.low), abs(share.high)))


def _ignored(expected: Ignores, shares: tuple[Interval | None, ...], strongest: str) -> tuple[Verdict, str]:
    most, widest = expected.ignores, _deciding(shares, expected)
    if widest is None:
        return "not met", f"{strongest}, wanted at least {HALF:.0%}"
    met = -most <= widest.low and widest.high <= most
    return ("met" if met else "not met"), f"moves up to {_told(widest)} of its reference effect, wanted within {most:g}"


def _told(share: Interval) -> str:
    return f"{share.value:.2f} ({share.low:.2f} to {share.high:.2f})"


def _checked(values: Mapping[Change, Values], battery: Battery) -> int:
    subjects, grades = {len(rows) for rows in values.values()}, GRADES[battery]
    wrong = [c for c in BATTERIES[battery] if c not in values or values[c].shape[1:] != (len(grades[c]),)]
    if wrong or len(subjects) != 1 or subjects == {0}:
        found = list(values[wrong[0]].shape) if wrong and wrong[0] in values else sorted(subjects)
        what = f"{wrong[0]!r} [subjects, {len(grades[wrong[0]])}]" if wrong else "as many subjects for every change"
        raise UsageError(f"wanted values of {what}, found {found}")
    return subjects.pop()


def _nanmean(rows: Values, axis: int) -> Values:
    """The mean of what is there, NaN where nothing is."""
    there = np.isfinite(rows)
    total, count = np.where(there, rows, 0.0).sum(axis), there.sum(axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _means(rows: Values) -> Values:
    return _nanmean(rows, 0)


def _effects(rows: Values, draws: NDArray[np.int64]) -> _Effects:
    paired = rows - rows[:, :1]
    return _Effects(_means(paired), _nanmean(paired[draws], 1), np.isfinite(paired).mean(axis=0) >= HALF)


def _reference(effects: _Effects) -> tuple[Interval | None, Values]:
    """The reference effect, and its resamples [B]."""
    counted = np.flatnonzero(effects.counts)
    if not len(counted) or counted[-1] == 0:
        return None, np.full(len(effects.resampled), np.nan)
    resampled = effects.resampled[:, counted[-1]]
    return _interval(float(effects.mean[counted[-1]]), resampled), resampled


def _shares(effects: _Effects, reference: Interval | None, resampled: Values) -> tuple[Interval | None, ...]:
    if reference is None or reference.low <= 0:
        return (None,) * len(effects.mean)
    ratios = effects.resampled / resampled[:, None]
    return tuple(
        _interval(float(mean) / reference.value, ratios[:, grade]) if counts else None
        for grade, (mean, counts) in enumerate(zip(effects.mean, effects.counts, strict=True))
    )


def _interval(value: float, resampled: Values) -> Interval:
    low, high = np.nanpercentile(resampled, [LOW, HIGH]).tolist()
    return Interval(rounded(value), rounded(low), rounded(high))


def _interval_of_mean(rows: Values, draws: NDArray[np.int64]) -> tuple[tuple[float | None, ...], ...]:
    """Mean, low and high of each grade."""
    mean, resampled = _means(rows), _nanmean(rows[draws], 1)
    found: list[tuple[float | None, ...]] = [
        _interval(float(value), resampled[:, grade]) if np.isfinite(value) else (None, None, None)
        for grade, value in enumerate(mean)
    ]
    return tuple(zip(*found, strict=True))


def _spearman(mean: Values, counts: NDArray[np.bool_]) -> float | None:
    """Rank correlation of grade and mean over the grades that count, 0 for a flat curve; None for fewer than 3."""
    kept = mean[counts]
    if len(kept) < 3:
        return None
    if np.ptp(kept) == 0:
        return 0.0
    ranks = (kept[:, None] > kept).sum(1) + (kept[:, None] == kept).sum(1) / 2  # ties share their mean rank
    return round(float(np.corrcoef(np.arange(len(kept)), ranks)[0, 1]), DIGITS)


def rounded(value: float) -> float:
    """To five significant digits; a rounded zero is 0."""
    return 0.0 if abs(value) < NOTHING else round(value, DIGITS - 1 - math.floor(math.log10(abs(value))))
