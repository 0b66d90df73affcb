"""Comparison: what is known of the difference between two runs on one metric."""

from __future__ import annotations

from typing import Literal

from evalkit.nouns import Noun

Bootstrap = Literal["studentised bootstrap", "two-way studentised bootstrap"]
Test = Literal["exact sign-flip", "Monte Carlo sign-flip", Bootstrap]
Interval = Literal[Bootstrap, "Student t", "no spread"]


class Comparison(Noun):
    """Run a against run b on one metric. Positive differences mean that a has the higher values."""

    metric: str | None
    """As named by the caller."""
    design: str
    difference: float
    """mean_a - mean_b."""
    ci_low: float
    ci_high: float
    level: float
    """Of the interval."""
    p_value: float
    """Two-sided, for no difference. The test and the interval are two methods and can disagree near the edge."""
    smallest_p: float
    """The least p-value that the test can give here: five units cannot show .05."""
    test: Test
    interval: Interval
    """`Student t` where too few units vary for the bootstrap; `no spread` where every subject differs by the same
    amount: the interval is then the difference itself, and says nothing of subjects that are not there."""
    n_subjects: int
    """Subjects with a pair of values, which count alike."""
    n_units: int
    """What is drawn anew: subjects, or clusters of them."""
    n_pairs: int
    """Keys with a value on both sides; the comparison rests on them alone."""
    n_missing: int
    """Keys without."""
    coverage_a: float
    """Share of keys with a value in a."""
    coverage_b: float
    mean_a: float
    """Mean over subjects of the subject's mean over complete pairs."""
    mean_b: float
    effect_size: float | None
    """Mean over standard deviation of the subjects' differences (Cohen's d_z); None without spread."""
    win_probability: float
    """Share of subjects with the higher mean in a, ties counting half."""
    worst_low: float | None
    """Difference if every missing value were at the end of its range that favours b; None where no range was given."""
    worst_high: float | None
    """The same in favour of a."""
    n_resamples: int
    seed: int
