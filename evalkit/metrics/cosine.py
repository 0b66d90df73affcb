"""Cosine similarity of embeddings, and the metrics that are a mean of it over a case's targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.features.spec import FeatureRequest
from evalkit.metrics.base import Bound, Item, Metric, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import ArrayLike, NDArray


def cosine(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Cosine similarity along the last axis, in float64.

    a, b: [..., D], broadcast against each other. Returns [...] in [-1, 1]; 1 for parallel vectors, NaN where either
    vector is zero.

    Example:
        >>> cosine([[3.0, 4.0], [1.0, 0.0]], [4.0, 3.0]).tolist()
        [0.96, 0.8]
    """
    import numpy as np

    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    norms = np.sqrt((x * x).sum(-1)) * np.sqrt((y * y).sum(-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        value = (x * y).sum(-1) / norms
    return np.asarray(np.clip(value, -1.0, 1.0))


def mean_target_cosine(sample: ArrayLike, targets: ArrayLike) -> NDArray[np.float64]:
    """Mean cosine between a sample's embedding and each of its targets'.

    sample: [..., D]; targets: [..., R, D]. Returns [...] in [-1, 1]; 1 for a copy of every target, NaN where an
    embedding is zero or there is no target.

    Example:
        >>> mean_target_cosine([1.0, 0.0], [[1.0, 0.0], [0.0, 1.0]]).item()
        0.5
    """
    import numpy as np

    pairs = cosine(np.asarray(sample)[..., None, :], targets)
    return pairs.mean(-1) if pairs.shape[-1] else np.full(pairs.shape[:-1], np.nan)


class TargetMeasure(Metric):
    """A measure of the sample's embedding against all of its targets': CLIP-I, DINO-I, DreamSim.

    `output` names the extractor's output; `measure` takes [..., D] and [..., R, D] to [...].
    """

    def __init__(
        self,
        card: Path,
        *,
        output: str,
        measure: Callable[[ArrayLike, ArrayLike], NDArray[np.float64]] = mean_target_cosine,
    ) -> None:
        super().__init__(card)
        self.output, self.measure = output, measure

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        """The embeddings of the sample and of every target."""
        item.need_targets()
        return [FeatureRequest(bound.extractor, picture, self.output) for picture in (item.sample, *item.targets)]

    def score(
        self, items: Sequence[Item], bound: Bound, features: Sequence[Sequence[NDArray[np.float32]]]
    ) -> list[Outcome]:
        """The mean over targets, weighted by their number, so that every (sample, target) pair counts once."""
        import numpy as np

        values = (self.measure(sample, np.stack(targets)).item() for sample, *targets in features)
        return [
            Outcome.scored(bound.card.scale * value, weight=len(item.targets))
            for item, value in zip(items, values, strict=True)
        ]
