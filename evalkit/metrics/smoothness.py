"""Motion smoothness: the share of a video's frames at which its rated quality does not jump.

Q-Align rates short windows of frames as videos; where the rating changes by more than a threshold from one window to the next,
both frames count as not smooth.

Source: franciszzj/OpenS2V-Nexus (ef17513), `eval/get_motion_smoothness.py`. Deviation: the ratings are put together from the
words' shares in double precision, there in half, so that a change within rounding of the threshold may fall on either side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.content import content
from evalkit.errors import UsageError
from evalkit.features.spec import FeatureRequest
from evalkit.metrics.base import Bound, Item, Metric, Outcome
from evalkit.metrics.frames import need_clip
from evalkit.metrics.q_align import q_align

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

THRESHOLD = 0.025


def motion_smoothness(ratings: ArrayLike, *, threshold: float = THRESHOLD) -> float:
    """Motion smoothness of one video.

    ratings: [T] of the window around each frame, in [0, 1]. Returns the share of frames in [0, 1] that are not beside a
    change of more than `threshold`; 1 for a single frame, NaN for none or where a rating is no number.

    Raises: UsageError for another shape.

    Example:
        >>> motion_smoothness([0.5, 0.5, 0.6, 0.6]), motion_smoothness([0.5])
        (0.5, 1.0)
    """
    import numpy as np

    values = np.asarray(ratings, np.float64)
    if values.ndim != 1:
        raise UsageError(f"wanted one rating a frame [T], found {list(values.shape)}")
    if not len(values) or np.isnan(values).any():
        return float("nan")
    jumps = np.flatnonzero(np.abs(np.diff(values)) > threshold)
    rough = np.union1d(jumps, jumps + 1)
    return float(1 - len(rough) / len(values))


class MotionSmoothness(Metric):
    """Motion smoothness as a plugin. Variant parameter `threshold`, as of `motion_smoothness`."""

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        """The rating of every window of the clip."""
        return [FeatureRequest(bound.extractor, need_clip(item), "windows")]

    def score(
        self, items: Sequence[Item], bound: Bound, features: Sequence[Sequence[NDArray[np.float32]]]
    ) -> list[Outcome]:
        """One share a video."""
        threshold = float(bound.card.params["threshold"])
        return [
            Outcome.scored(bound.card.scale * motion_smoothness(q_align(levels), threshold=threshold))
            for (levels,) in features
        ]


MOTION_SMOOTHNESS = MotionSmoothness(content("metrics", "motion_smoothness", "card.yaml"))
