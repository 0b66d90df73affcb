"""Whether raters agree, and whether a metric agrees with people.

Source: Krippendorff's alpha as in his Content Analysis, which DreamBench++ takes at interval level by the package of
that name; Kendall's tau-b; pairwise accuracy as in studies of text-to-image metrics, except that pairs which people
rate alike are left out, since no calibration of ties is made here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from evalkit.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]


class PairwiseAccuracy(NamedTuple):
    """How often a metric prefers what people prefer."""

    accuracy: float
    """In [0, 1], .5 for chance; NaN without pairs."""
    pairs: int
    """How many pairs of items people rated differently."""


def krippendorff_alpha(ratings: ArrayLike, *, level: Literal["nominal", "ordinal", "interval"] = "interval") -> float:
    """Krippendorff's alpha: 1 - observed over expected disagreement.

    ratings: [raters, items], NaN where a rater did not rate an item; items with fewer than two ratings do not count.
    `level` says what a difference is: any (nominal), that of ranks (ordinal), squared of values (interval). Returns 1 for
    agreement, 0 for chance, less for worse. NaN without two ratings of an item, or where all such ratings are equal.

    Raises: UsageError for another shape or level.

    Example:
        >>> round(krippendorff_alpha([[1, 2, 3, 3], [1, 2, 3, 4]], level="interval"), 6)
        0.888889
    """
    import numpy as np

    table = np.asarray(ratings, np.float64)
    if table.ndim != 2:
        raise UsageError(f"wanted ratings [raters, items], found {list(table.shape)}")
    if level not in ("nominal", "ordinal", "interval"):
        raise UsageError(f"wanted level 'nominal', 'ordinal' or 'interval', found {level!r}")
    table = table[:, (~np.isnan(table)).sum(0) >= 2]
    rated = ~np.isnan(table)
    values, item = table[rated], np.nonzero(rated)[1]
    if values.size == 0 or values.min() == values.max():
        return float("nan")
    points = _placed(values, level)
    counts = rated.sum(0)
    sums = np.zeros((len(counts), points.shape[1]))
    np.add.at(sums, item, points)
    squared = ((points - (sums / counts[:, None])[item]) ** 2).sum(1)
    observed = (squared * (counts / (counts - 1))[item]).sum()
    expected = ((points - points.mean(0)) ** 2).sum() * len(points) / (len(points) - 1)
    return float(1 - observed / expected)


def kendall_tau(metric: ArrayLike, human: ArrayLike) -> float:
    """Kendall's tau-b of a metric and of people's ratings of the same items, in [-1, 1].

    metric, human: [N], NaN where there is no value; an item without either does not count. 1 for the same order, -1 for
    the reverse. NaN for fewer than two items, or where either is constant.

    Raises: UsageError for shapes that differ.

    Example:
        >>> kendall_tau([0.1, 0.2, 0.9], [1, 2, 3])
        1.0
    """
    from scipy.stats import kendalltau

    x, y = _rated_by_both(metric, human)
    if len(x) < 2 or x.min() == x.max() or y.min() == y.max():
        return float("nan")
    return float(kendalltau(x, y).statistic)


def pairwise_accuracy(metric: ArrayLike, human: ArrayLike) -> PairwiseAccuracy:
    """Share of pairs of items, rated differently by people, which the metric puts in the same order.

    metric, human: [N], higher is better in both, NaN where there is no value; an item without either does not count. A
    pair that the metric gives equal values counts half.

    Raises: UsageError for shapes that differ.

    Example:
        >>> pairwise_accuracy([0.3, 0.2, 0.9], [1, 2, 2])
        PairwiseAccuracy(accuracy=0.5, pairs=2)
    """
    import numpy as np

    x, y = _rated_by_both(metric, human)
    pairs, points = 0, 0.0
    for i in range(1, len(x)):
        wanted = np.sign(y[i] - y[:i])
        agreed = wanted * np.sign(x[i] - x[:i])
        pairs += int(np.count_nonzero(wanted))
        points += float(((agreed + 1) / 2)[wanted != 0].sum())
    return PairwiseAccuracy(points / pairs if pairs else float("nan"), pairs)


def _placed(values: Array, level: str) -> Array:
    """Ratings [N] as points [N, K] whose squared distances are in proportion to the level's differences."""
    import numpy as np

    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    if level == "nominal":
        return np.eye(len(counts))[index]
    if level == "ordinal":
        return np.asarray((np.cumsum(counts) - counts / 2)[index, None])
    return values[:, None]


def _rated_by_both(metric: ArrayLike, human: ArrayLike) -> tuple[Array, Array]:
    import numpy as np

    x, y = np.asarray(metric, np.float64), np.asarray(human, np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise UsageError(f"wanted a metric's and people's values [N] of the same items, found {x.shape} and {y.shape}")
    both = ~np.isnan(x) & ~np.isnan(y)
    return x[both], y[both]
