"""Text alignment of the pictures of a story: to identity and own prompt joined, or to the own prompt alone.

By VQAScore, the probability that a vision-language model answers "Yes" when asked whether the picture shows the text, or
by CLIP's cosine.

Source: ASemConsist, equation 7 (its t and its a) and table 1; there is no public code of it. Deviations: the text does
not say which of the two its table's column is nor how prompts are joined; here they are joined by the benchmark, and
each is a variant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from evalkit.content import content
from evalkit.features.spec import Content, FeatureRequest, PromptedContent, TextContent
from evalkit.metrics.base import Bound, Item, Metric, Outcome, Unscorable
from evalkit.metrics.cosine import cosine
from evalkit.nouns import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from evalkit.features.spec import ExtractorSpec

    Features = Sequence[NDArray[np.float32]]

Part = Literal["joint", "own"]
OWN_PROMPT = "own_prompt"
"""The key of a case's texts under which a story's picture has its own prompt, without the identity."""
IDENTITY_PROMPT = "identity_prompt"
COSINES = ("clip", "open_clip")
"""Families that embed picture and text apart; any other reads both at once and gives a probability."""

PROBABILITY = "probability"
"""What those others call it."""


def text_of_part(item: Item, part: Part) -> str:
    """The prompt, with identity and own part, or the own part alone.

    Raises Unscorable (`not_applicable`) for a case that has no own prompt beside that of an identity.
    """
    if OWN_PROMPT not in item.case.texts:
        raise Unscorable(State.NOT_APPLICABLE, f"{item.case.case_id} has no {OWN_PROMPT!r} among its texts")
    return item.case.prompt if part == "joint" else item.case.texts[OWN_PROMPT]


def asked(item: Item, extractor: ExtractorSpec, *parts: Part) -> list[FeatureRequest]:
    """What tells how well the sample fits each part: embeddings of picture and texts, or one probability a part."""
    texts = [text_of_part(item, part) for part in parts]
    if extractor.family not in COSINES:
        return [FeatureRequest(extractor, PromptedContent(item.sample, text), PROBABILITY) for text in texts]
    contents: list[Content] = [item.sample, *map(TextContent, texts)]
    return [FeatureRequest(extractor, what, "embedding") for what in contents]


def fits(features: Features, extractor: ExtractorSpec) -> list[float]:
    """How well the sample fits each part that was asked for: a cosine in [-1, 1] or a probability in [0, 1]."""
    if extractor.family in COSINES:
        picture, *texts = features
        return [cosine(picture, text).item() for text in texts]
    return [float(feature) for feature in features]


class TextAlignment(Metric):
    """Text alignment as a plugin. Variant parameter `part`: `joint` or `own`."""

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        """What the sample is asked against the part of the prompt that the variant names."""
        return asked(item, bound.extractor, bound.card.params["part"])

    def score(self, items: Sequence[Item], bound: Bound, features: Sequence[Features]) -> list[Outcome]:
        """One value a sample."""
        return [Outcome.scored(bound.card.scale * fits(row, bound.extractor)[0]) for row in features]


TEXT_ALIGNMENT = TextAlignment(content("metrics", "text_alignment", "card.yaml"))
