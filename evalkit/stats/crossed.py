"""The two-way bootstrap, for prompts crossed with subjects: both are drawn anew, and the error counts both.

A sign-flip over subjects takes the prompts as given and, where prompts have effects of their own, calls a difference far
too often. The pigeonhole bootstrap alone counts the residual three times over; studentised it does not, because each
replicate is divided by its own two-way error. That error is the sum of the subjects' and the prompts' part less the
cells' part, which both hold, and never less than the larger of the two: without that floor a small sample without
subject and prompt effects comes out with an error near 0. Where neither effect is there the test is conservative.

Source: Owen, The pigeonhole bootstrap (Annals of Applied Statistics, 2007); Cameron, Gelbach and Miller, Robust
inference with multiway clustering (Journal of Business and Economic Statistics, 2011); Searle, Casella and McCulloch,
Variance Components (1992), chapter 4 (mean squares of the two-way layout).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from evalkit.stats.resamples import Resamples
from evalkit.stats.resampling import check_draws, draws, series, studentised, unit_scale

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from evalkit.stats.sheet import Floats


class _Cells(NamedTuple):
    """One series: sums less ratio x counts, counts, and their products, each [U, P]."""

    e: Floats
    c: Floats
    ee: Floats
    ec: Floats
    cc: Floats


def resample_crossed(
    sums: ArrayLike, counts: ArrayLike | None = None, *, n_resamples: int = 9999, seed: int = 0
) -> Resamples:
    """The studentised two-way bootstrap of sum(sums) / sum(counts), every series with the same draws.

    sums, counts: [K, U, P], U units (subjects) by P prompts; counts 0 where a series has no value of a cell. Units and
    prompts are drawn apart and a cell counts as often as both were.

    Raises: UsageError as `resample` does.
    """
    check_draws(n_resamples, seed)
    x, c = series(sums, counts, dims=3)
    _, units, prompts = x.shape
    # Two streams: with one, as many units as prompts would be drawn alike.
    by_unit = draws(np.zeros(units, dtype=np.intp), n_resamples, seed).T
    by_prompt = draws(np.zeros(prompts, dtype=np.intp), n_resamples, (seed, 1)).T
    parts = [_one(sums_k, counts_k, by_unit, by_prompt) for sums_k, counts_k in zip(x, c, strict=True)]
    estimate, error, freedom = (np.array([part[i] for part in parts]) for i in (0, 1, 3))
    return Resamples(estimate, error, np.array([part[2] for part in parts]), freedom)


def _one(x: Floats, c: Floats, by_unit: Floats, by_prompt: Floats) -> tuple[float, float, Floats, float]:
    """Estimate, error, t [B] and degrees of freedom of one series."""
    once = np.ones((1, x.shape[0])), np.ones((1, x.shape[1]))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = x.sum() / c.sum()
        e = x - ratio * c
        scale = float(unit_scale(e[None])[0])
        e = e / scale
        cells = _Cells(e, c, e * e, e * c, c * c)
        held = int(c.any(1).sum()), int(c.any(0).sum())
        _, variance = _moved(cells, *once, held)
        shift, spread = _moved(cells, by_unit, by_prompt, held)
        t = studentised(shift[None], spread[None], variance)[0]
    return float(ratio), float(np.sqrt(variance[0]) * scale), t, float(max(min(held) - 1, 1))


def _moved(cells: _Cells, w: Floats, v: Floats, held: tuple[int, int]) -> tuple[Floats, Floats]:
    """How far the ratio moves with the weights w [B, U] and v [B, P], and its squared two-way error there, both [B]."""
    e, c, ee, ec, cc = cells
    n, m = held
    e_by_unit, c_by_unit, e_by_prompt, c_by_prompt = v @ e.T, v @ c.T, w @ e, w @ c
    drawn = (w * c_by_unit).sum(1)
    shift = (w * e_by_unit).sum(1) / drawn
    d = shift[:, None]
    of_units = (w * (e_by_unit - d * c_by_unit) ** 2).sum(1) * (n / (n - 1))
    of_prompts = (v * (e_by_prompt - d * c_by_prompt) ** 2).sum(1) * (m / (m - 1))
    # What is left in each cell beside its unit's and its prompt's mean: e + shift c - c a - c g, squared and summed.
    a = np.divide(e_by_unit, c_by_unit, out=np.zeros_like(e_by_unit), where=c_by_unit > 0)
    g = np.divide(e_by_prompt, c_by_prompt, out=np.zeros_like(e_by_prompt), where=c_by_prompt > 0)
    wa, vg = w * a, v * g
    cc_by_unit, cc_by_prompt, ec_by_unit, ec_by_prompt = v @ cc.T, w @ cc, v @ ec.T, w @ ec
    left = ((w @ ee) * v).sum(1) + shift**2 * (w * cc_by_unit).sum(1) + 2 * shift * (w * ec_by_unit).sum(1)
    left += (wa * a * cc_by_unit).sum(1) + (vg * g * cc_by_prompt).sum(1) + 2 * ((wa @ cc) * vg).sum(1)
    left -= 2 * (wa * (ec_by_unit + d * cc_by_unit)).sum(1) + 2 * (vg * (ec_by_prompt + d * cc_by_prompt)).sum(1)
    of_cells = left * (n * m / ((n - 1) * (m - 1)))
    both = np.maximum(of_units + of_prompts - of_cells, np.maximum(of_units, of_prompts))
    return shift, both / drawn**2
