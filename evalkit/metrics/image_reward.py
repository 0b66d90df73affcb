"""ImageReward: how much people would prefer a sample, made for its prompt, to a BLIP tuned on expert rankings.

The linear head's output for prompt and picture, less its mean over the authors' data and divided by its deviation.

Source: THUDM/ImageReward at c1392c6, `ImageReward/ImageReward.py`; Xu et al., NeurIPS 2023.
Deviations: a reward that is no number is the state `undefined`. `evalkit.features.image_reward` has the backbone's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.content import content
from evalkit.features.spec import FeatureRequest, PromptedContent
from evalkit.metrics.base import Bound, Item, Metric, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

MEAN, DEVIATION = 0.16717362830052426, 1.0333394966054072


def image_reward(reward: ArrayLike) -> NDArray[np.float64]:
    """The head's output [...], normalised: [...], not bounded; 0 for the mean of the authors' data, NaN for NaN.

    Example:
        >>> image_reward([MEAN, MEAN - DEVIATION]).tolist()
        [0.0, -1.0]
    """
    import numpy as np

    return np.asarray((np.asarray(reward, dtype=np.float64) - MEAN) / DEVIATION)


class ImageReward(Metric):
    """ImageReward as a plugin; the backbone reads picture and prompt at once, so the feature is the head's output."""

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        """The head's output for the sample with the case's prompt."""
        return [FeatureRequest(bound.extractor, PromptedContent(item.sample, item.scored_prompt), "reward")]

    def score(
        self, items: Sequence[Item], bound: Bound, features: Sequence[Sequence[NDArray[np.float32]]]
    ) -> list[Outcome]:
        """One normalised reward a sample."""
        return [Outcome.scored(bound.card.scale * image_reward(reward).item()) for (reward,) in features]


IMAGE_REWARD = ImageReward(content("metrics", "image_reward", "card.yaml"))
