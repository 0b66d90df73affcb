"""VQAScore: how probable a vision-language model finds "Yes" when asked whether a picture shows its prompt.

Source: linzhiqiu/t2v_metrics at 10d549b and 6ecb74f; Lin et al., ECCV 2024. Deviations: a probability that is no number is
the state `undefined`; a prompt that is longer than the model reads is the state `text_too_long`. `evalkit.features.clip_t5`
and `evalkit.features.qwen_vqa` have the backbones'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.content import content
from evalkit.features.spec import FeatureRequest, PromptedContent
from evalkit.metrics.base import Bound, Item, Metric, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

OUTPUTS = {"processed": "probability", "raw": "raw_probability"}


class VqaScore(Metric):
    """VQAScore as a plugin; the question is the extractor's text preprocessing.

    Variant parameter `logits`: `processed`, as `generate` makes its scores of them, or `raw`.
    """

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        """The answer's probability for the sample and the case's prompt."""
        output = OUTPUTS[bound.card.params["logits"]]
        return [FeatureRequest(bound.extractor, PromptedContent(item.sample, item.case.prompt), output)]

    def score(
        self, items: Sequence[Item], bound: Bound, features: Sequence[Sequence[NDArray[np.float32]]]
    ) -> list[Outcome]:
        """One probability a sample."""
        return [Outcome.scored(bound.card.scale * float(probability)) for (probability,) in features]


VQASCORE = VqaScore(content("metrics", "vqascore", "card.yaml"))
