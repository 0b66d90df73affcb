"""Colourfulness: how far a sample's colours lie from grey and from each other.

Source: Hasler and Süsstrunk, Measuring colourfulness in natural images, SPIE 2003, section 4, third measure.
Deviations: values in [0, 1] instead of [0, 255], on the picture squashed to 64 x 64.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evalkit.features.spec import FeatureRequest
from evalkit.metrics.base import Bound, Item, Metric, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

_MEAN_SHARE = 0.3


def colourfulness(moments: ArrayLike) -> NDArray[np.float64]:
    """Colourfulness of opponent moments [..., 4] (means, then deviations). Returns [...], 0 for grey.

    Example:
        >>> colourfulness([0.0, 0.0, 0.3, 0.4]).item()
        0.5
    """
    means, deviations = np.split(np.asarray(moments, dtype=np.float64), 2, axis=-1)
    return np.asarray(np.hypot(*np.moveaxis(deviations, -1, 0)) + _MEAN_SHARE * np.hypot(*np.moveaxis(means, -1, 0)))


class Colourfulness(Metric):
    """Colourfulness as a plugin."""

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        """The moments of the sample's colours."""
        return [FeatureRequest(bound.extractor, item.sample, "moments")]

    def score(
        self, items: Sequence[Item], bound: Bound, features: Sequence[Sequence[NDArray[np.float32]]]
    ) -> list[Outcome]:
        """One value a sample."""
        return [Outcome.scored(bound.card.scale * colourfulness(moments).item()) for (moments,) in features]


COLOURFULNESS = Colourfulness(Path(__file__).parent / "card.yaml")
