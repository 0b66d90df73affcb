"""CQS_har: whether the pictures of a set follow their prompts and still show the same subject.

Of each picture, the harmonic mean of how well it follows the whole prompt and of how alike it is to the set's others,
the latter raised or lowered by whether the picture's own prompt without the identity fits better or worse.

Source: ASemConsist, its CQS_har; there is no public code of it, and its text leaves much open. The reading here:
similarity is 1 - DreamSim on its theoretical range, adjusted values are not clipped, the mean is over pictures whatever
the size of their sets, epsilon is 1e-8 and a picture whose denominator does not exceed it counts 0. Where lam < 1, the
mean gap of a sign is over the samples of that sign, 0 where there is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from evalkit.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

EPS = 1e-8


class Cqs(NamedTuple):
    """CQS_har of a dataset."""

    score: float
    """The mean over samples that have a value, NaN where there is none."""
    per_sample: NDArray[np.float64]
    """[N], NaN where an input is."""


def cqs_har(
    t: ArrayLike,
    a: ArrayLike,
    d: ArrayLike,
    *,
    mu: float = 0.5,
    tau: float = 0.5,
    lam: float = 1.0,
    clip: bool = False,
    scale: Literal["theoretical", "empirical-global"] = "theoretical",
) -> Cqs:
    """CQS_har of one method's samples.

    t, a: [N] in [0, 1], VQAScore of each picture with identity and own prompt joined, and with its own prompt alone; d:
    [N] similarity to the set's other pictures, as `mean_similarity` gives it. `mu` weighs the penalty where a < t, `tau`
    the bonus where a > t; of each gap |a - t| the share `lam` is the sample's own and the rest the mean gap of that sign.
    `clip` keeps the adjusted similarity in [0, 1]. With `scale` empirical-global the similarities are stretched from
    their own extremes to those of t and a, over all samples given; NaN where they are all equal.

    Higher is better; 1 where t, a and d all are; in [0, 1] but for adjusted similarities outside of it.

    Raises: UsageError for shapes that differ, t or a outside [0, 1], lam outside [0, 1], or an unknown scale.

    Example:
        >>> cqs_har([1.0, 0.5], [1.0, 0.5], [1.0, 0.5]).per_sample.round(6).tolist()
        [1.0, 0.5]
    """
    import numpy as np

    text, alone, alike = (np.asarray(values, np.float64) for values in (t, a, d))
    _check(text, alone, alike, lam, scale)
    known = ~np.isnan(text + alone + alike)
    text, alone, alike = text[known], alone[known], alike[known]
    gap = alone - text
    penalty, bonus = _gap(gap < 0, gap, lam), _gap(gap > 0, gap, lam)
    adjusted = _scaled(alike, text, alone, scale) - mu * penalty + tau * bonus
    if clip:
        adjusted = np.clip(adjusted, 0.0, 1.0)
    total = text + adjusted
    value = np.where(total <= EPS, 0.0, 2 * text * adjusted / np.where(total <= EPS, 1.0, total + EPS))
    per_sample = np.full(known.shape, np.nan)
    per_sample[known] = value
    return Cqs(float(value.mean()) if value.size else float("nan"), per_sample)


def mean_similarity(distances: ArrayLike) -> NDArray[np.float64]:
    """Each picture's similarity to the others of its set: 1 - its mean distance.

    distances: [K, K] between the pictures of a set, DreamSim's for CQS_har; the diagonal does not count. Returns [K]; 1
    for equal pictures, NaN for a set of one.

    Raises: UsageError for a matrix that is not square.

    Example:
        >>> mean_similarity([[0.0, 0.25, 0.75], [0.25, 0.0, 0.5], [0.75, 0.5, 0.0]]).tolist()
        [0.5, 0.625, 0.375]
    """
    import numpy as np

    matrix = np.asarray(distances, np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise UsageError(f"wanted the distances of one set's pictures [K, K], found {list(matrix.shape)}")
    if len(matrix) < 2:
        return np.full(len(matrix), np.nan)
    others = np.where(np.eye(len(matrix), dtype=bool), 0.0, matrix)
    return np.asarray(1 - others.sum(1) / (len(matrix) - 1))


def _check(t: Array, a: Array, d: Array, lam: float, scale: str) -> None:
    import numpy as np

    if t.ndim != 1 or not t.shape == a.shape == d.shape:
        raise UsageError(f"wanted t, a and d [N], found {[list(values.shape) for values in (t, a, d)]}")
    if ((np.minimum(t, a) < 0) | (np.maximum(t, a) > 1)).any():
        found = f"{np.nanmin([t, a]):g} to {np.nanmax([t, a]):g}"
        raise UsageError(f"wanted t and a, the text scores, in [0, 1], found {found}; bring them to that range")
    if not 0 <= lam <= 1:
        raise UsageError(f"wanted lam, the share of a sample's own gap, in [0, 1], found {lam!r}")
    if scale not in ("theoretical", "empirical-global"):
        raise UsageError(f"wanted scale 'theoretical' or 'empirical-global', found {scale!r}")


def _gap(chosen: NDArray[np.bool_], gap: Array, lam: float) -> Array:
    """The gap's part of one sign: `lam` of each sample's own, the rest the mean; 0 for samples of another sign."""
    import numpy as np

    size = np.where(chosen, np.abs(gap), 0.0)
    mean = size.sum() / max(1, chosen.sum())
    return np.where(chosen, lam * size + (1 - lam) * mean, 0.0)


def _scaled(d: Array, t: Array, a: Array, scale: str) -> Array:
    import numpy as np

    if scale == "theoretical" or not d.size:
        return d
    low, high = d.min(), d.max()
    to_low, to_high = min(t.min(), a.min()), max(t.max(), a.max())
    if low == high:
        return np.full(d.shape, np.nan)
    return np.asarray(to_low + (d - low) / (high - low) * (to_high - to_low))
