"""The papers' own convention, a paired t over the means of a few seeds, labelled with how often it is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evalkit.errors import DataError, UsageError
from evalkit.nouns import Noun
from evalkit.stats.design import Design
from evalkit.stats.joint import check_comparable
from evalkit.stats.pairing import pair
from evalkit.stats.sheet import sheet
from evalkit.stats.simulation import ErrorRates, measured

if TYPE_CHECKING:
    import pandas as pd

NESTED = Design()


class SeedsTTest(Noun):
    """What "mean over n runs, * p < .05" says, and what it is worth."""

    difference: float
    """Mean over seeds of a's mean over all samples less b's."""
    t: float
    degrees_of_freedom: int
    p_value: float
    """For these samples' subjects only: whether the same checkpoints would differ again on them."""
    n_seeds: int
    measured: tuple[ErrorRates, ...]
    """Simulated false positives where the claim is about new subjects."""
    label: str
    """One line to print with the result."""


def seeds_ttest(a: pd.DataFrame, b: pd.DataFrame) -> SeedsTTest:
    """Paired t over per-seed means of all complete pairs, as papers report it.

    Its unit is the seed, so it says whether the same checkpoints would score the same again on these subjects, not
    whether a would beat b on others; `compare` does. The label says how often it is wrong about that.

    a, b: tidy frames as `compare` takes them, with two seeds or more. Seeds that all differ by the same amount give no t:
    0 with p = 1 where the amount is 0, else an error.

    Raises: UsageError for one seed; DataError for seeds that all differ by the same amount; what `compare` raises.
    Source: Student's paired t; the error rates are `evalkit.stats.simulation`'s.
    """
    from scipy.special import stdtr

    pairs = pair(sheet(a, name="a"), sheet(b, name="b"))
    check_comparable(pairs, NESTED)
    seeds = np.array([str(key[2]) for key in pairs.keys])
    means = np.array([pairs.difference[(seeds == s) & pairs.complete].mean() for s in np.unique(seeds[pairs.complete])])
    n = len(means)
    if n < 2:
        raise UsageError("wanted two seeds or more, found one; generate more, or test over subjects with compare")
    difference, spread = float(means.mean()), float(means.std(ddof=1))
    if spread <= pairs.rounding:
        if abs(difference) > pairs.rounding:
            raise DataError(
                f"wanted seeds that vary, found the difference {difference:.6g} in all {n}; are they copies?"
            )
        t, p = 0.0, 1.0
    else:
        t = difference / (spread / np.sqrt(n))
        p = float(2 * stdtr(n - 1, -abs(t)))
    return SeedsTTest(
        difference=difference,
        t=float(t),
        degrees_of_freedom=n - 1,
        p_value=p,
        n_seeds=n,
        measured=measured(),
        label=_label(n),
    )


def _label(n_seeds: int) -> str:
    rates = ", ".join(
        f"{found.paired_t_runs:.0%} on {found.world.subjects} subjects x {found.world.prompts} prompts"
        for found in measured()
    )
    return (
        f"paired t over {n_seeds} seeds, blind to which subjects there are: between equal methods it found p < "
        f"{measured()[0].nominal:g} over {measured()[0].world.runs} runs in {rates} (simulated)"
    )
