"""Temporal consistency: how alike a video's consecutive frames are, by their embeddings.

Source: Consis-GCPO for `paper`, the mean cosine of adjacent frames, of which there is no public code and whose backbone
is not named; Vchitect/VBench's subject and background consistency for `vbench`, which also compares every frame with the
first and counts negative cosines as 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from evalkit.content import content
from evalkit.errors import UsageError
from evalkit.features.spec import FeatureRequest
from evalkit.metrics.base import Bound, Item, Metric, Outcome
from evalkit.metrics.cosine import cosine
from evalkit.metrics.frames import need_clip
from evalkit.nouns import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray


def temporal_consistency(embeddings: ArrayLike, *, variant: Literal["paper", "vbench"] = "paper") -> float:
    """Temporal consistency of one video.

    embeddings: [T, C] of its frames in order, normalised here. `paper`: mean over t of cos(t, t + 1), in [-1, 1];
    `vbench`: mean over frames after the first of half the cosine to the frame before and half that to the first, each
    at least 0, in [0, 1] (its authors pool the frames of all videos: weigh videos by T - 1). Higher is better, 1 for a
    still. NaN for fewer than two frames, or where an embedding is zero.

    Raises: UsageError for another shape or an unknown variant.

    Example:
        >>> temporal_consistency([[1.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
        0.5
    """
    import numpy as np

    frames = np.asarray(embeddings, np.float64)
    if frames.ndim != 2:
        raise UsageError(f"wanted the embeddings of a video's frames [T, C], found {list(frames.shape)}")
    if variant not in ("paper", "vbench"):
        raise UsageError(f"wanted variant 'paper' or 'vbench', found {variant!r}")
    if len(frames) < 2:
        return float("nan")
    adjacent = cosine(frames[:-1], frames[1:])
    if variant == "paper":
        return float(adjacent.mean())
    first = cosine(frames[:1], frames[1:])
    return float(((np.maximum(adjacent, 0) + np.maximum(first, 0)) / 2).mean())


class TemporalConsistency(Metric):
    """Temporal consistency as a plugin. Variant parameters `output`, the extractor's, and `formula`: `paper` or `vbench`."""

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        """The embedding of every frame."""
        output = bound.card.params["output"]
        return [FeatureRequest(bound.extractor, frame, output) for frame in need_clip(item).frames]

    def score(
        self, items: Sequence[Item], bound: Bound, features: Sequence[Sequence[NDArray[np.float32]]]
    ) -> list[Outcome]:
        """One value a video; with `vbench` weighted by its steps, so that every step of every video counts once."""
        return [self._one(bound, row) for row in features]

    @staticmethod
    def _one(bound: Bound, row: Sequence[NDArray[np.float32]]) -> Outcome:
        import numpy as np

        if len(row) < 2:
            return Outcome(State.UNDEFINED, reason="a single frame has no next one")
        formula = bound.card.params["formula"]
        value = temporal_consistency(np.stack(row), variant=formula)
        return Outcome.scored(bound.card.scale * value, weight=len(row) - 1 if formula == "vbench" else 1)


TEMPORAL_CONSISTENCY = TemporalConsistency(content("metrics", "temporal_consistency", "card.yaml"))
