"""Gates: is a candidate no worse than a baseline by more than a margin? Pass, fail, or not enough to tell."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

from evalkit.errors import UsageError
from evalkit.nouns import Noun
from evalkit.stats.design import design_of
from evalkit.stats.inference import infer_joint
from evalkit.stats.joint import check_comparable, join
from evalkit.stats.pairing import pair
from evalkit.stats.resampling import check_draws
from evalkit.stats.result import Interval
from evalkit.stats.sheet import sheet

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.stats.design import Design

Outcome = Literal["pass", "fail", "inconclusive"]


class NonInferiority(Noun):
    """A gate's outcome with what it rests on, in the metric's own direction and unit."""

    outcome: Outcome
    difference: float
    """Candidate - baseline."""
    low: float
    """Lower one-sided confidence bound of the difference, at 1 - alpha."""
    high: float
    """Upper one-sided confidence bound, at 1 - alpha."""
    margin: float
    alpha: float
    higher_is_better: bool
    interval: Interval
    n_subjects: int
    n_pairs: int
    coverage_a: float
    coverage_b: float


def gate(
    a: pd.DataFrame,
    b: pd.DataFrame,
    margin: float,
    *,
    design: str | Design = "nested",
    alpha: float = 0.05,
    higher_is_better: bool = True,
    n_resamples: int = 9999,
    seed: int = 0,
) -> Outcome:
    """Whether candidate a is no worse than baseline b by more than `margin`.

    `pass` when the lower one-sided confidence bound of a - b is above -margin, `fail` when the upper one is below it,
    else `inconclusive`; where lower is better, the same of b - a. Each bound is missed with probability alpha, so a
    candidate that is worse by the margin exactly passes, and fails, with that probability. Runs with the same scores
    pass any margin above 0.

    Arguments and errors are those of `non_inferiority`, which also gives the bounds.
    """
    return non_inferiority(
        a,
        b,
        margin,
        design=design,
        alpha=alpha,
        higher_is_better=higher_is_better,
        n_resamples=n_resamples,
        seed=seed,
    ).outcome


def non_inferiority(
    a: pd.DataFrame,
    b: pd.DataFrame,
    margin: float,
    *,
    design: str | Design = "nested",
    alpha: float = 0.05,
    higher_is_better: bool = True,
    n_resamples: int = 9999,
    seed: int = 0,
) -> NonInferiority:
    """`gate` with its bounds, which are those of the design's studentised bootstrap.

    a, b: tidy frames as `compare` takes them, a the candidate. margin: 0 or more, in the metric's unit.

    Raises: UsageError for a margin or alpha out of range, and what `compare` raises.
    Source: ICH E9, Statistical Principles for Clinical Trials (1998), section 3.3.2; Wellek, Testing Statistical
    Hypotheses of Equivalence and Noninferiority (2010), chapter 2.
    """
    if not (math.isfinite(margin) and margin >= 0):
        raise UsageError(f"wanted a margin of 0 or more, found {margin!r}; give the loss that still counts as no loss")
    if not 0 < alpha < 0.5:
        raise UsageError(f"wanted alpha between 0 and 0.5, found {alpha!r}; 0.05 is the default")
    used = design_of(design)
    check_draws(n_resamples, seed)
    pairs = pair(sheet(a, name="a"), sheet(b, name="b"))
    check_comparable(pairs, used)
    joint = join([pairs], used)
    inference = infer_joint(joint, n_resamples=n_resamples, seed=seed)
    lows, highs, (interval,) = inference.bounds(alpha)
    low, high = float(lows[0]), float(highs[0])
    worst, best = (low, high) if higher_is_better else (-high, -low)
    means = joint.placed[0].subject_means(pairs.difference)
    return NonInferiority(
        outcome="pass" if worst > -margin else "fail" if best < -margin else "inconclusive",
        difference=float(inference.resamples.estimate[0]),
        low=low,
        high=high,
        margin=margin,
        alpha=alpha,
        higher_is_better=higher_is_better,
        interval=interval,
        n_subjects=int((~np.isnan(means)).sum()),
        n_pairs=int(pairs.complete.sum()),
        coverage_a=float(np.mean(~np.isnan(pairs.a))),
        coverage_b=float(np.mean(~np.isnan(pairs.b))),
    )
