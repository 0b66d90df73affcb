"""Joint resampling: one pass of shared weights for all methods, metrics and strata.

A bootstrap of sums is a matrix product with the number of times each unit was drawn, and the same draws for every series
keep the correlation between them, which max-t needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evalkit.errors import UsageError
from evalkit.stats.resamples import Resamples

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from evalkit.stats.sheet import Floats

BLOCK = 8
"""Series a product, padded to it: a series has the same bits alone and in company."""
FEWEST = 99
FLAT = 1e-12
"""Share of a series' variance below which a resample's is rounding."""


def resample(
    sums: ArrayLike,
    counts: ArrayLike | None = None,
    *,
    strata: ArrayLike | None = None,
    n_resamples: int = 9999,
    seed: int = 0,
) -> Resamples:
    """The studentised bootstrap of sum(sums) / sum(counts), every series with the same draws of units.

    sums: [K, U], the sum over each unit for K series. counts: [K, U], how much each unit counts (1 without counts, 0
    where a series has no value of it, whatever its sum). With subject means as sums the result is the mean of subject
    means; with plain sums and numbers of values it is the plain mean. strata: [U] labels; units are then drawn within
    strata, and the strata's results weighted by their counts in the sample. Errors are linearised (sums of squares of
    sum - ratio x count), with units / (units - 1).

    A series with fewer than two units (in a stratum) has a NaN error; one without any, a NaN estimate.

    Raises: UsageError for shapes that do not fit, values that are not finite, fewer than 99 resamples.
    Source: Davison and Hinkley, Bootstrap Methods and their Application (1997), sections 2.4 and 3.2; Cochran, Sampling
    Techniques (1977), chapter 6 (ratio estimator).

    Example:
        >>> low, high, _ = resample([[0.1, 0.3, 0.2, 0.4, 0.25]]).bounds(0.025)
        >>> bool(low[0] < 0.25 < high[0])
        True
    """
    check_draws(n_resamples, seed)
    x, c = series(sums, counts, dims=2)
    labels = np.zeros(x.shape[1], dtype=np.intp) if strata is None else _codes(strata, x.shape[1])
    weights = draws(labels, n_resamples, seed)
    blocks = [
        _block(_padded(x[i : i + BLOCK], 0.0), _padded(c[i : i + BLOCK], 1.0), labels, weights)
        for i in range(0, len(x), BLOCK)
    ]
    estimate, error, t, freedom = (np.concatenate(parts)[: len(x)] for parts in zip(*blocks, strict=True))
    return Resamples(estimate, error, t, freedom)


def draws(labels: NDArray[np.intp], n_resamples: int, seed: int | tuple[int, int]) -> Floats:
    """[units, B]: how often each unit was drawn, as many draws within each stratum as it has units."""
    rng = np.random.default_rng(seed)
    weights = np.empty((len(labels), n_resamples))
    for stratum in range(int(labels.max()) + 1):
        members = np.flatnonzero(labels == stratum)
        drawn = rng.integers(0, len(members), (n_resamples, len(members)), dtype=np.int32)
        places = drawn + np.arange(n_resamples, dtype=np.int64)[:, None] * len(members)
        counted = np.bincount(places.ravel(), minlength=n_resamples * len(members))
        weights[members] = counted.reshape(n_resamples, -1).T
    return weights


def check_draws(n_resamples: int, seed: int) -> None:
    """Raises UsageError for too few resamples or a seed that is none."""
    if n_resamples < FEWEST:
        raise UsageError(f"wanted {FEWEST} resamples or more, found {n_resamples!r}; 9999 is the default")
    if seed < 0:
        raise UsageError(f"wanted a seed of 0 or more, found {seed!r}")


def unit_scale(values: Floats) -> Floats:
    """The power of two at each row's largest number: dividing by it is exact and keeps squares in range. [K]"""
    largest = np.abs(values).reshape(len(values), -1).max(1, initial=0.0)
    scale: Floats = np.ldexp(1.0, np.frexp(largest)[1])
    return scale


def series(sums: ArrayLike, counts: ArrayLike | None, *, dims: int) -> tuple[Floats, Floats]:
    """Both as float64 of one shape, with 0 where nothing counts. Raises UsageError where they do not fit."""
    x = np.array(sums, dtype=np.float64)
    c = np.ones_like(x) if counts is None else np.array(counts, dtype=np.float64)
    if x.ndim != dims or x.shape != c.shape or x.shape[1] < 1:
        raise UsageError(f"wanted sums and counts of one shape in {dims} dimensions, found {x.shape} and {c.shape}")
    x[c == 0] = 0.0
    if not (np.isfinite(x).all() and np.isfinite(c).all() and (c >= 0).all()):
        raise UsageError("wanted finite sums and counts of 0 or more, found others; give a missing value the count 0")
    return x, c


def _codes(strata: ArrayLike, units: int) -> NDArray[np.intp]:
    labels = np.unique(np.asarray(strata), return_inverse=True)[1].astype(np.intp)
    if labels.shape != (units,):
        raise UsageError(f"wanted a stratum for each of {units} units, found {labels.shape}")
    return labels


def _padded(block: Floats, fill: float) -> Floats:
    return np.concatenate([block, np.full((BLOCK - len(block), *block.shape[1:]), fill)])


def _block(x: Floats, c: Floats, labels: NDArray[np.intp], weights: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Estimate, error [BLOCK], t [BLOCK, B] and degrees of freedom [BLOCK] of some series."""
    total = c.sum(1)
    shift, spread = np.zeros((2, len(x), weights.shape[1]))
    estimate, variance, freedom = np.zeros((3, len(x)))
    residual = np.empty_like(x)
    members = [labels == stratum for stratum in range(int(labels.max()) + 1)]
    with np.errstate(divide="ignore", invalid="ignore"):
        for inside in members:
            ratio = x[:, inside].sum(1) / c[:, inside].sum(1)
            estimate += np.where(np.isnan(ratio), 0.0, x[:, inside].sum(1))
            residual[:, inside] = x[:, inside] - np.where(np.isnan(ratio), 0.0, ratio)[:, None] * c[:, inside]
        scale = unit_scale(residual)
        for inside in members:
            e, n, w = residual[:, inside] / scale[:, None], c[:, inside], weights[inside]
            units = (n > 0).sum(1)
            held = units > 0
            share = (n.sum(1) / total)[:, None]
            factor = (units / (units - 1.0))[:, None]
            summed = e @ w
            # Where every unit counts 1, as where nothing is missing, three of the products are known to the bit: as many
            # units are drawn as there are.
            whole = bool((n == 1).all())
            drawn = np.full((1, 1), float(n.shape[1])) if whole else n @ w
            moved = summed / drawn
            crossed, counted = (summed, drawn) if whole else ((e * n) @ w, (n * n) @ w)
            squares = (e * e) @ w - 2 * moved * crossed + moved**2 * counted
            shift += np.where(held[:, None], share * moved, 0.0)
            spread += np.where(held[:, None], factor * share**2 * np.maximum(squares, 0.0) / drawn**2, 0.0)
            variance += np.where(held, (factor * share**2)[:, 0] * (e * e).sum(1) / n.sum(1) ** 2, 0.0)
            freedom += np.where(held, units - 1, 0)
        variance = np.where(total > 0, variance, np.nan)
        t = studentised(shift, spread, variance)
        return estimate / total, np.sqrt(variance) * scale, t, np.maximum(freedom, 1.0)


def studentised(shift: Floats, spread: Floats, variance: Floats) -> Floats:
    """[K, B]: shift / its error; infinite where the resample has no spread, 0 where it has not moved either."""
    flat = spread <= FLAT * variance[:, None]
    shift = np.where(np.isnan(variance)[:, None], np.nan, shift)
    still = np.abs(shift) <= np.sqrt(FLAT * variance)[:, None]
    error = np.sqrt(np.where(flat, 1.0, spread))
    return np.where(flat & ~np.isnan(shift), np.where(still, 0.0, np.copysign(np.inf, shift)), shift / error)
