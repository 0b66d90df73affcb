"""What joint resampling leaves: studentised replicates of every series, and the intervals and p-values read from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from evalkit.stats.sheet import Floats


@dataclass(frozen=True)
class Resamples:
    """K series resampled together B times.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 12 (bootstrap-t); Davison and Hinkley,
    Bootstrap Methods and their Application (1997), sections 2.4 and 4.4 (p-values with +1).
    """

    estimate: Floats
    """[K]"""
    error: Floats
    """[K], standard errors."""
    t: Floats
    """[K, B]: (replicate - estimate) / its own standard error. Infinite where a resample has no spread, NaN where it
    holds no value of the series."""
    freedom: Floats
    """[K], degrees of freedom of the standard errors, for Student's t where the replicates cannot serve."""

    @cached_property
    def _sorted(self) -> tuple[Floats, Floats]:
        """Replicates in order, NaN last, and how many are numbers."""
        return np.sort(self.t, axis=1), (~np.isnan(self.t)).sum(1).astype(np.float64)

    def quantile(self, share: float) -> Floats:
        """[K]: the quantile of the replicates at rank (B + 1) x share, between neighbours in proportion."""
        ordered, counts = self._sorted
        # Rounded, so that the quantiles at p and 1 - p mirror each other bit by bit.
        rank = np.clip(np.round((counts + 1) * share, 9) - 1, 0, np.maximum(counts - 1, 0))
        below = np.floor(rank).astype(np.intp)
        rows = np.arange(len(ordered))
        low, high = ordered[rows, below], ordered[rows, np.ceil(rank).astype(np.intp)]
        part = rank - below
        finite = np.isfinite(low) & np.isfinite(high)
        between = np.where(finite, low, 0.0) * (1 - part) + np.where(finite, high, 0.0) * part
        return np.where(finite, between, np.where(np.isfinite(low), high, low))

    def bounds(self, tail: float) -> tuple[Floats, Floats, list[bool]]:
        """Lower and upper bound [K], each missed with probability `tail`, and for each series whether it is studentised.

        Where so many resamples are without spread that a bound would be infinite (three units or fewer, or differences
        of which few are not 0), both bounds are those of Student's t.
        """
        from scipy.special import stdtrit

        low, high = self.quantile(1 - tail), self.quantile(tail)
        studentised = np.isfinite(low) & np.isfinite(high)
        critical = np.asarray(stdtrit(self.freedom, 1 - tail))
        low, high = np.where(studentised, low, critical), np.where(studentised, high, -critical)
        with np.errstate(invalid="ignore"):  # no spread times no bound: neither is known
            return self.estimate - low * self.error, self.estimate - high * self.error, studentised.tolist()

    @cached_property
    def observed(self) -> Floats:
        """[K]: estimate / standard error; infinite where there is no spread but a difference, 0 where there is neither."""
        flat = np.where(self.estimate == 0, 0.0, np.copysign(np.inf, self.estimate))
        return np.divide(self.estimate, self.error, out=flat, where=self.error > 0)

    def p_values(self) -> Floats:
        """[K]: two-sided, twice the smaller tail beyond the observed t, with +1; in step with `bounds`."""
        observed = self.observed[:, None]
        slack = 1e-12 * (1 + np.abs(np.where(np.isfinite(observed), observed, 0.0)))
        tails = np.minimum((self.t >= observed - slack).sum(1), (self.t <= observed + slack).sum(1))
        p: Floats = np.minimum(1.0, 2 * (1 + tails) / (self._sorted[1] + 1))
        return p
