"""Consistency ratio and diversity over consistency: how often identity is kept, and how diverse the samples are where it is.

Source: DivRL (arXiv 2606.23950), section 4: samples with VSM > 0.6 (in-domain) or sDINO > 0.75 (out of domain) are
consistent; the diversity is the mean of MTG-nSSM or DINO-nSSM over these. There is no public code of it. Deviations:
where the gate has no value (for VSM no match survived) a sample counts as inconsistent, on which the text is silent;
an empty consistent set has no diversity. Despite the name it is a mean over some samples, not a ratio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evalkit.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


class ConsistencyRatio(NamedTuple):
    """The share of consistent samples."""

    ratio: float
    """In [0, 1], NaN without samples."""
    n: int
    """How many samples it is the share of, those without a value among them."""


class DiversityOverConsistency(NamedTuple):
    """The diversity of consistent samples."""

    mean: float
    """NaN where `n_consistent` is 0."""
    n_consistent: int
    """How many samples it is the mean of: consistent, and of a defined diversity."""


def consistency_ratio(values: ArrayLike, threshold: float) -> ConsistencyRatio:
    """Share of samples whose gate is above the threshold.

    values: [N], VSM or sDINO of each sample, NaN where it has none, which is inconsistent. The threshold is strict.

    Raises: UsageError for another shape.

    Example:
        >>> consistency_ratio([0.7, 0.6, float("nan"), 0.9], 0.6)
        ConsistencyRatio(ratio=0.5, n=4)
    """
    consistent = _vector("values", values) > threshold
    n = len(consistent)
    return ConsistencyRatio(float(consistent.sum() / n) if n else float("nan"), n)


def diversity_over_consistency(diversity: ArrayLike, gate: ArrayLike, threshold: float) -> DiversityOverConsistency:
    """Mean diversity of the samples whose gate is above the threshold.

    diversity, gate: [N] of the same samples, NaN where there is no value; a sample without either is left out. The
    threshold is strict.

    Raises: UsageError for shapes that differ.

    Example:
        >>> diversity_over_consistency([0.25, 0.5, 0.75], [0.9, 0.5, 0.8], 0.75)
        DiversityOverConsistency(mean=0.5, n_consistent=2)
    """
    import numpy as np

    measured, gates = _vector("diversity", diversity), _vector("gate", gate)
    if measured.shape != gates.shape:
        raise UsageError(f"wanted a gate for each of {len(measured)} samples, found {len(gates)}")
    kept = measured[(gates > threshold) & ~np.isnan(measured)]
    return DiversityOverConsistency(float(kept.mean()) if kept.size else float("nan"), kept.size)


def _vector(name: str, values: ArrayLike) -> NDArray[np.float64]:
    import numpy as np

    array = np.asarray(values, np.float64)
    if array.ndim != 1:
        raise UsageError(f"wanted {name} [N], one a sample, found {list(array.shape)}")
    return array
