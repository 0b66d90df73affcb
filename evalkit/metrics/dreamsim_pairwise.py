"""Pairwise DreamSim: how unlike the pictures of a set look, to features tuned to human judgements of similarity.

Of each picture, the mean DreamSim distance to the set's others, weighted by how many those are: the mean of a column is
the mean over all pairs of pictures of one set, whatever the sizes of the sets.

Source: ASemConsist, section 5.2, identity consistency; there is no public code of it. ssundaram21/dreamsim,
`dreamsim/model.py`, for the distance. Deviations: the text names no variant of DreamSim, here it is the ensemble; a
picture that is the only one of its set has no value and is counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evalkit.content import content
from evalkit.features.spec import FeatureRequest
from evalkit.metrics.base import Bound, Item, Metric, Outcome
from evalkit.metrics.dreamsim import dreamsim

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class DreamSimPairwise(Metric):
    """Pairwise DreamSim as a plugin."""

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        """The embeddings of the sample and of every mate."""
        item.need_mates()
        pictures = (item.sample, *(mate.sample for mate in item.mates))
        return [FeatureRequest(bound.extractor, picture, "embedding") for picture in pictures]

    def score(
        self, items: Sequence[Item], bound: Bound, features: Sequence[Sequence[NDArray[np.float32]]]
    ) -> list[Outcome]:
        """The mean distance to the mates, weighted by their number."""
        values = (dreamsim(sample, np.stack(mates)).item() for sample, *mates in features)
        return [
            Outcome.scored(bound.card.scale * value, weight=len(item.mates))
            for item, value in zip(items, values, strict=True)
        ]


DREAMSIM_PAIRWISE = DreamSimPairwise(content("metrics", "dreamsim_pairwise", "card.yaml"))
