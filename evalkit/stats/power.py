"""Power: which difference a design can show, and how much of it a difference needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from evalkit.errors import UsageError
from evalkit.nouns import Noun

if TYPE_CHECKING:
    from evalkit.stats.components import Components

LARGEST = 1_000_000
"""Subjects beyond which no plan goes."""


class Size(Noun):
    """How much is generated and judged for each of the two methods."""

    subjects: int = Field(ge=2)
    prompts: int = Field(default=1, ge=1)
    """Prompts a subject."""
    seeds: int = Field(default=1, ge=1)
    """Samples a prompt."""
    judge_runs: int = Field(default=1, ge=1)
    """Times the judge is asked about a sample."""

    @property
    def samples(self) -> int:
        """Samples of one method."""
        return self.subjects * self.prompts * self.seeds


def standard_error(components: Components, size: Size) -> float:
    """The standard error of the mean difference at that size, from the components of the difference.

    Each variance is divided by the number of its draws: nested, subject / n + prompt / (n m) + residual / (n m r) +
    judge / (n m r j); crossed, the prompts' own by m, the interaction by n m. What all samples of one seed share is left
    out: a test over subjects cannot see it, and where each sample's noise is drawn apart, as here, there is none.
    """
    return float(sum(_parts(components, size)) ** 0.5)


def power_at(components: Components, size: Size, detect: float, *, alpha: float = 0.05) -> float:
    """Probability that a true difference `detect` comes out with p < alpha, by the noncentral t; 0 to 1.

    Degrees of freedom: subjects - 1, and Satterthwaite's where prompts are crossed. So few subjects that no sign-flip
    can reach alpha (five for .05) have no power.

    Raises: UsageError for a detect that is not positive or an alpha out of range.
    Source: Cohen, Statistical Power Analysis for the Behavioral Sciences (1988), section 2.5; Westfall, Kenny and Judd,
    Statistical power and optimal design in experiments in which samples of participants respond to samples of stimuli
    (Journal of Experimental Psychology: General, 2014) for crossed designs.
    """
    from scipy.special import stdtrit
    from scipy.stats import nct

    if not detect > 0:
        raise UsageError(f"wanted a difference above 0 to detect, found {detect!r}; give its size in the metric's unit")
    if not 0 < alpha < 1:
        raise UsageError(f"wanted alpha between 0 and 1, found {alpha!r}; 0.05 is the default")
    if components.design == "nested" and 2.0 ** (1 - size.subjects) > alpha:
        return 0.0
    error = standard_error(components, size)
    if error == 0:
        return 1.0
    freedom = _freedom(components, size)
    critical = float(stdtrit(freedom, 1 - alpha / 2))
    # The other tail, where the difference comes out with the wrong sign, is no detection.
    return float(nct.sf(critical, freedom, detect / error))


def detectable(components: Components, size: Size, *, power: float = 0.8, alpha: float = 0.05) -> float | None:
    """The smallest difference with that power at that size, in the metric's unit; None where no difference has it.

    Raises: UsageError for a power or alpha out of range.
    """
    from scipy.optimize import brentq

    _check_power(power, alpha)
    error = standard_error(components, size)
    if error == 0:
        return 0.0
    high = error
    while power_at(components, size, high, alpha=alpha) < power:
        high *= 2
        if high > LARGEST * error:
            return None
    return float(
        brentq(lambda d: power_at(components, size, d, alpha=alpha) - power, 1e-9 * error, high, xtol=1e-9 * error)
    )


def subjects_needed(
    components: Components,
    detect: float,
    *,
    prompts: int = 1,
    seeds: int = 1,
    judge_runs: int = 1,
    power: float = 0.8,
    alpha: float = 0.05,
) -> int | None:
    """The fewest subjects that detect the difference with that power; None where a million are too few.

    With crossed prompts the prompts' own part does not shrink with subjects, so that a number of prompts has a limit to
    what it can show.

    Raises: UsageError for a detect, power or alpha out of range.
    """
    _check_power(power, alpha)
    if min(prompts, seeds, judge_runs) < 1:
        raise UsageError(f"wanted one prompt, seed and judge run or more, found {prompts}, {seeds} and {judge_runs}")

    def enough(subjects: int) -> bool:
        size = Size(subjects=subjects, prompts=prompts, seeds=seeds, judge_runs=judge_runs)
        return power_at(components, size, detect, alpha=alpha) >= power

    if not enough(LARGEST):
        return None
    low, high = 1, 2
    while not enough(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _check_power(power: float, alpha: float) -> None:
    if not 0 < alpha < power < 1:
        raise UsageError(
            f"wanted 0 < alpha < power < 1, found alpha {alpha!r} and power {power!r}; .05 and .8 are usual"
        )


def _parts(components: Components, size: Size) -> tuple[float, float, float]:
    """What is left of the variance at that size: the subjects', the crossed prompts', and that of single cells."""
    cells = size.subjects * size.prompts
    within = components.of("residual") / size.seeds + components.of("judge") / (size.seeds * size.judge_runs)
    subject = components.subject / size.subjects
    if components.design == "crossed":
        cell = (components.of("interaction") + within) / cells
        return subject, components.of("prompt") / size.prompts, cell
    return subject, 0.0, (components.of("prompt") + within) / cells


def _freedom(components: Components, size: Size) -> float:
    n, m = size.subjects, size.prompts
    if components.design == "nested" or m < 2:
        return n - 1.0
    subject, prompt, cell = _parts(components, size)
    of_subjects, of_prompts = subject + cell, prompt + cell
    total = subject + prompt + cell
    spread = of_subjects**2 / (n - 1) + of_prompts**2 / (m - 1) + cell**2 / ((n - 1) * (m - 1))
    return total**2 / spread if spread > 0 else n - 1.0
