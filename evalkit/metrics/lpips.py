"""LPIPS: perceptual distance between two pictures from the activations of a convolutional network.

The squared difference of channel-normalised activations, weighted per channel by human judgements, averaged over
space and summed over layers; here between a sample and each target, averaged over targets. Low means similar; methods
that want diversity report it as higher is better.

Source: richzhang/PerceptualSimilarity, `lpips/lpips.py` (package lpips 0.1.4); Zhang et al., CVPR 2018.
Deviations: the reference code leaves resizing to the caller; here the variant fixes it (both pictures to one square).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.content import content
from evalkit.features.spec import FeatureRequest, PairContent
from evalkit.metrics.base import Bound, Item, Metric, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


class Lpips(Metric):
    """LPIPS as a plugin; the network measures pairs, so the feature is the distance itself."""

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        """The distance of the sample from every target."""
        item.need_targets()
        pairs = (PairContent(item.sample, target) for target in item.targets)
        return [FeatureRequest(bound.extractor, pair, "distance") for pair in pairs]

    def score(
        self, items: Sequence[Item], bound: Bound, features: Sequence[Sequence[NDArray[np.float32]]]
    ) -> list[Outcome]:
        """The mean distance over targets, weighted by their number."""
        import numpy as np

        scale = bound.card.scale
        return [Outcome.scored(scale * float(np.mean(row, dtype=np.float64)), weight=len(row)) for row in features]


LPIPS = Lpips(content("metrics", "lpips", "card.yaml"))
