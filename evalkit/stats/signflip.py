"""The sign-flip permutation test over units, exact or Monte Carlo, every series with the same flips.

Under the null that each unit's difference is as likely to be of either sign, every pattern of signs is equally likely.
The null is symmetry about 0: differences of two runs are near it where neither run is favoured, but where they are
strongly skewed and units are few the test rejects a null mean too often, which the simulation in perf/ shows.

Source: Fisher, The Design of Experiments (1935), section 21; Good, Permutation, Parametric and Bootstrap Tests of
Hypotheses (2005), chapter 3; Phipson and Smyth, Permutation p-values should never be zero (Statistical Applications in
Genetics and Molecular Biology, 2010).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evalkit.stats.resampling import BLOCK, check_draws, series, unit_scale

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from evalkit.stats.sheet import Floats

EXACT = 20
"""Units up to which all sign patterns are counted."""
SLACK = 1e-12
"""Share of the sum of absolute differences below which two sums are equal but for rounding."""


@dataclass(frozen=True)
class Flips:
    """K series under the same sign patterns."""

    p_values: Floats
    """[K], two-sided. Never 0."""
    smallest: Floats
    """[K]: the least p-value that so many units, or so many flips, can give."""
    exact: list[bool]
    """[K]: every pattern was counted."""
    observed: Floats
    """[K]: sum over root of the sum of squares, which flips leave alone."""
    null: Floats
    """[K, B]: the same for random patterns."""


def sign_flip(sums: ArrayLike, *, n_resamples: int = 9999, seed: int = 0) -> Flips:
    """Tests each series' sum against 0 by flipping the units' signs.

    sums: [K, U], finite; 0 for a unit of which a series has no value. Up to 20 units that are not 0 the p-value counts
    all patterns; else it is (1 + as far from 0 or farther) / (1 + flips). Units that are 0 change no sum, and a series
    of zeros alone has p = 1.

    Raises: UsageError for sums of the wrong shape or not finite, and fewer than 99 flips.

    Example:
        >>> sign_flip([[1.0, 2.0, 3.0, 4.0, 5.0]]).p_values.tolist()
        [0.0625]
    """
    check_draws(n_resamples, seed)
    x = series(sums, None, dims=2)[0]
    x = x / unit_scale(x)[:, None]
    # Another stream than the bootstrap's, whose draws of units these flips should not follow.
    signs = np.random.default_rng((seed, 2)).integers(0, 2, (n_resamples, x.shape[1]), dtype=np.int8)
    flips = (2.0 * signs - 1.0).T
    blocks = []
    for i in range(0, len(x), BLOCK):
        block = x[i : i + BLOCK]
        blocks.append((np.concatenate([block, np.zeros((BLOCK - len(block), x.shape[1]))]) @ flips)[: len(block)])
    totals = np.concatenate(blocks)
    slack = SLACK * np.abs(x).sum(1)
    observed = np.abs(x.sum(1))
    p = (1 + (np.abs(totals) >= (observed - slack)[:, None]).sum(1)) / (n_resamples + 1)
    flipped = (x != 0).sum(1)
    exact = flipped <= EXACT
    for k in np.flatnonzero(exact):
        p[k] = _exact(x[k][x[k] != 0], slack[k])
    size = np.sqrt((x * x).sum(1))
    size = np.where(size > 0, size, 1.0)
    smallest = np.where(exact, np.minimum(1.0, 2.0 ** (1 - np.minimum(flipped, EXACT))), 1 / (n_resamples + 1))
    return Flips(p, smallest, exact.tolist(), x.sum(1) / size, totals / size[:, None])


def _exact(x: Floats, slack: float) -> float:
    """The share of all sign patterns whose sum is as far from 0. The first sign stays: the other half mirrors it."""
    if not len(x):
        return 1.0
    totals = x[:1]
    for one in x[1:]:
        totals = np.concatenate([totals + one, totals - one])
    return float(np.mean(np.abs(totals) >= abs(totals[0]) - slack))
