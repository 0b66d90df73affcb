"""Q-Align: how good a sample looks, or how beautiful it is, to a vision-language model that learnt people's ratings.

The model's probabilities of five words, excellent, good, fair, poor and bad, weigh 1 to 0 in steps of a quarter.

Source: Q-Future/Q-Align at 14dfdff, `q_align/evaluate/scorer.py`; Wu et al., ICML 2024. Deviation: probabilities that are no
numbers are the state `undefined`.
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
    from numpy.typing import ArrayLike, NDArray

WEIGHTS = (1.0, 0.75, 0.5, 0.25, 0.0)


def q_align(levels: ArrayLike) -> NDArray[np.float64]:
    """The rating from the shares of the five words, the best first.

    levels: [..., 5], each row adding up to 1. Returns [...] in [0, 1]; 1 where all is excellent, NaN for NaN.

    Example:
        >>> q_align([0.5, 0.0, 0.5, 0.0, 0.0]).item()
        0.75
    """
    import numpy as np

    return np.asarray(np.asarray(levels, np.float64) @ np.array(WEIGHTS))


class QAlign(Metric):
    """Q-Align as a plugin. Variant parameter `aspect`: `quality` or `aesthetics`, what the model is asked to rate."""

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        """The words' shares for the sample, or for the frames that the variant looks at."""
        return [FeatureRequest(bound.extractor, picture, bound.card.params["aspect"]) for picture in seen(item, bound)]

    def score(
        self, items: Sequence[Item], bound: Bound, features: Sequence[Sequence[NDArray[np.float32]]]
    ) -> list[Outcome]:
        """One rating a sample, of a clip the mean over its frames."""
        ratings = ([q_align(levels).item() for levels in row] for row in features)
        return [Outcome.scored(bound.card.scale * math.fsum(row) / len(row)) for row in ratings]


Q_ALIGN = QAlign(content("metrics", "q_align", "card.yaml"))
