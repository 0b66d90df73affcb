"""Error rates of the tests and intervals that `compare` uses, measured on simulated differences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evalkit.nouns import Noun
from evalkit.stats.inference import infer

if TYPE_CHECKING:
    from evalkit.stats.design import Design
    from evalkit.stats.sheet import Codes, Floats

CHUNK = 50
"""Replications that share their draws: more share the luck of one set of draws, fewer take longer."""


class Rates(Noun):
    """How often a test rejects and an interval misses the truth, as shares."""

    rejected: float
    """Share with p <= alpha: the type-I error where the truth is 0, the power where it is not."""
    missed: float
    """Share of intervals at 1 - alpha without the truth."""
    passed: float
    """Share with a lower one-sided bound at 1 - alpha above 0."""
    failed: float
    """Share with an upper one-sided bound at 1 - alpha below 0."""
    replications: int


def rates(
    design: Design,
    sums: Floats,
    counts: Floats | None = None,
    *,
    strata: Codes | None = None,
    truth: float = 0.0,
    alpha: float = 0.05,
    n_resamples: int = 1999,
    seed: int = 0,
) -> Rates:
    """The rates over replications, each a series as `infer` takes it.

    sums, counts: [replications, U] or [replications, U, P]; counts 1 / P by default where crossed, so that subjects count
    alike, else 1. truth: the mean that the differences were drawn with.
    """
    told = np.ones_like(sums) / (sums.shape[2] if sums.ndim == 3 else 1) if counts is None else counts
    found = []
    for start in range(0, len(sums), CHUNK):
        some = slice(start, start + CHUNK)
        inference = infer(design, sums[some], told[some], strata=strata, n_resamples=n_resamples, seed=seed + start)
        low, high, _ = inference.bounds(alpha / 2)
        least, most, _ = inference.bounds(alpha)
        found.append(np.stack([inference.p_values <= alpha, (low > truth) | (high < truth), least > 0, most < 0]))
    rejected, missed, passed, failed = np.concatenate(found, axis=1).mean(1).tolist()
    return Rates(rejected=rejected, missed=missed, passed=passed, failed=failed, replications=len(sums))
