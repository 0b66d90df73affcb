"""CLIP-T: how well a sample shows what its prompt says, to CLIP.

The cosine between CLIP's projected embeddings of the sample and of the prompt.

Source: DreamBooth (Ruiz et al., CVPR 2023), section 4.1; yuangpeng/dreambench_plus at 66ca27e, `metrics/clip_score.py`.
Deviations: a zero embedding is the state `undefined`, where the reference code gives NaN; a prompt too long for the
text encoder is the state `text_too_long` in the variants that do not truncate, where the reference code stops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.content import content
from evalkit.features.spec import FeatureRequest, TextContent
from evalkit.metrics.base import Bound, Item, Metric, Outcome
from evalkit.metrics.cosine import cosine
from evalkit.metrics.frames import seen

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from evalkit.features.spec import Content


def clip_t(image: ArrayLike, text: ArrayLike, *, floor_at_zero: bool = False) -> NDArray[np.float64]:
    """Cosine between image and text embeddings.

    image, text: [..., D]. Returns [...] in [-1, 1], or in [0, 1] with `floor_at_zero`; NaN where a vector is zero.

    Example:
        >>> clip_t([1.0, 0.0], [-1.0, 0.0], floor_at_zero=True).item()
        0.0
    """
    import numpy as np

    value = cosine(image, text)
    return np.maximum(value, 0.0) if floor_at_zero else value


class ClipT(Metric):
    """CLIP-T as a plugin. Variant parameter `floor_at_zero`: negative cosines count as 0."""

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        """The embeddings of the sample, or of the frames that the variant looks at, and of the case's prompt."""
        shown: list[Content] = [*seen(item, bound), TextContent(item.scored_prompt)]
        return [FeatureRequest(bound.extractor, what, "embedding") for what in shown]

    def score(
        self, items: Sequence[Item], bound: Bound, features: Sequence[Sequence[NDArray[np.float32]]]
    ) -> list[Outcome]:
        """One cosine a sample, of a clip the mean over its frames."""
        import numpy as np

        floor = bool(bound.card.params.get("floor_at_zero", False))
        values = (clip_t(np.stack(shots), text, floor_at_zero=floor).mean().item() for *shots, text in features)
        return [Outcome.scored(bound.card.scale * value) for value in values]


CLIP_T = ClipT(content("metrics", "clip_t", "card.yaml"))
