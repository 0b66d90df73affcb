"""Aesthetic score: how people would rate the looks of a sample, to LAION's predictor.

Source: franciszzj/OpenS2V-Nexus at ef17513, `eval/get_aesscore.py`, which scores a video by the mean over its frames.
Deviations: a zero embedding is the state `undefined`, where the source gives NaN.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from evalkit.content import content
from evalkit.features.spec import FeatureRequest
from evalkit.metrics.base import Bound, Item, Metric, Outcome
from evalkit.metrics.frames import seen

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


class Aesthetic(Metric):
    """The aesthetic score as a plugin; the head is part of the backbone, so the feature is the rating itself."""

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        """The rating of the sample, or of the frames that the variant looks at."""
        return [FeatureRequest(bound.extractor, picture, "rating") for picture in seen(item, bound)]

    def score(
        self, items: Sequence[Item], bound: Bound, features: Sequence[Sequence[NDArray[np.float32]]]
    ) -> list[Outcome]:
        """One raw rating a sample, of a clip the mean over its frames."""
        return [Outcome.scored(bound.card.scale * math.fsum(map(float, row)) / len(row)) for row in features]


AESTHETIC = Aesthetic(content("metrics", "aesthetic", "card.yaml"))
