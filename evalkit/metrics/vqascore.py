"""VQAScore: how probable a vision-language model finds "Yes" when asked whether a picture shows its prompt.

Source: linzhiqiu/t2v_metrics at 10d549b and 6ecb74f; Lin et al., ECCV 2024. Deviations: a probability that is no number is
the state `undefined`; a prompt that is longer than the model reads is the state `text_too_long`; of a video the mean over
frames, each asked about as a picture, where the source shows models of pictures eight frames in a row as one picture, in the
order in which the file system lists them. `evalkit.features.clip_t5` and `evalkit.features.qwen_vqa` have the backbones'.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from evalkit.content import content
from evalkit.features.spec import FeatureRequest, PromptedContent
from evalkit.metrics.base import Bound, Item, Metric, Outcome
from evalkit.metrics.frames import seen

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

OUTPUTS = {"processed": "probability", "raw": "raw_probability"}


class VqaScore(Metric):
    """VQAScore as a plugin; the question is the extractor's text preprocessing.

    Variant parameters `logits`: `processed`, as `generate` makes its scores of them, or `raw`; of clips `frames`, as of `seen`.
    """

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        """The answer's probability for the sample, or for each frame that the variant looks at, and the prompt to score
        against."""
        output = OUTPUTS[bound.card.params["logits"]]
        shown = (PromptedContent(picture, item.scored_prompt) for picture in seen(item, bound))
        return [FeatureRequest(bound.extractor, content, output) for content in shown]

    def score(
        self, items: Sequence[Item], bound: Bound, features: Sequence[Sequence[NDArray[np.float32]]]
    ) -> list[Outcome]:
        """One probability a sample, of a clip the mean over its frames."""
        return [Outcome.scored(bound.card.scale * math.fsum(map(float, row)) / len(row)) for row in features]


VQASCORE = VqaScore(content("metrics", "vqascore", "card.yaml"))
