"""Many tests at once: p-values adjusted so that a family's claims can be read together.

Holm for the headline claims of a table, Benjamini-Hochberg for exploratory grids, max-t where the measures are strongly
correlated and their joint resamples are at hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from evalkit.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from evalkit.stats.sheet import Floats

Method = Literal["holm", "bh"]


def adjust(p_values: ArrayLike, method: Method = "holm") -> Floats:
    """Adjusted p-values of the shape of `p_values`; NaN (no test) stays NaN and does not count.

    holm: the chance of one false claim or more among those below a level is at most the level, whatever the dependence.
    bh: the expected share of false claims among them is, for independent or positively dependent tests.

    Raises: UsageError for another method or p-values outside 0 to 1.
    Source: Holm, A simple sequentially rejective multiple test procedure (Scandinavian Journal of Statistics, 1979);
    Benjamini and Hochberg, Controlling the false discovery rate (Journal of the Royal Statistical Society B, 1995).

    Example:
        >>> adjust([0.01, 0.04, float("nan"), 0.03]).tolist()
        [0.03, 0.06, nan, 0.06]
        >>> adjust([0.01, 0.04, 0.03], method="bh").tolist()
        [0.03, 0.04, 0.04]
    """
    if method not in ("holm", "bh"):
        raise UsageError(f"wanted the method 'holm' or 'bh', found {method!r}; max_t adjusts from joint resamples")
    p = np.array(p_values, dtype=np.float64)
    counted = ~np.isnan(p)
    if not ((p[counted] >= 0) & (p[counted] <= 1)).all():
        raise UsageError(f"wanted p-values from 0 to 1, found {p[counted].min()} to {p[counted].max()}")
    order = np.argsort(p[counted], kind="stable")
    ranked, n = p[counted][order], len(order)
    if method == "holm":
        stepped = np.maximum.accumulate(ranked * np.arange(n, 0, -1))
    else:
        stepped = np.minimum.accumulate((ranked * (n / np.arange(1, n + 1)))[::-1])[::-1]
    adjusted = np.empty(n)
    adjusted[order] = np.minimum(stepped, 1.0)
    p[counted] = adjusted
    return p


def max_t(observed: ArrayLike, null: ArrayLike, *, step_down: bool = True) -> Floats:
    """p-values [K] adjusted by the maximum of |t|.

    observed: [K], statistics on one scale; null: [K, B], the same under the null from joint resamples
    (`Resamples.observed` and `.t`, or `Flips.observed` and `.null`). The hypothesis with the largest |t| is held against
    the maximum over all, the next against the maximum over those left, and so on; without `step_down` each is held
    against the maximum over all, which also keeps the error in claims of direction. p counts +1. A NaN statistic stays
    NaN and does not count; a NaN in `null` is left out.

    Raises: UsageError for shapes that do not fit.
    Source: Westfall and Young, Resampling-Based Multiple Testing (1993), algorithm 4.1; Romano and Wolf, Exact and
    approximate stepdown methods for multiple hypothesis testing (Journal of the American Statistical Association, 2005).
    """
    t, drawn = np.abs(np.asarray(observed, np.float64)), np.abs(np.asarray(null, np.float64))
    if t.ndim != 1 or drawn.ndim != 2 or len(t) != len(drawn) or not drawn.shape[1]:
        raise UsageError(f"wanted [K] statistics and [K, B] of the null, found {t.shape} and {drawn.shape}")
    found = np.full(len(t), np.nan)
    order = [k for k in np.argsort(-t, kind="stable").tolist() if not np.isnan(t[k])]
    threshold = np.where(np.isfinite(t), t * (1 - 1e-12), t)
    largest = np.zeros(drawn.shape[1])
    if not step_down:
        largest = np.sort(np.fmax.reduce(drawn[order], axis=0, initial=0.0))
        beyond = len(largest) - np.searchsorted(largest, threshold[order])
        found[order] = (1 + beyond) / (drawn.shape[1] + 1)
        return found
    for k in reversed(order):
        largest = np.fmax(largest, drawn[k])
        found[k] = (1 + (largest >= threshold[k]).sum()) / (drawn.shape[1] + 1)
    found[order] = np.maximum.accumulate(found[order])
    return found
