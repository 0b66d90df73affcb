"""Motion amplitude: how much a video moves, by optical flow between consecutive frames, in pixels a frame.

Source: franciszzj/OpenS2V-Nexus (ef17513), `eval/get_motion_amplitude.py`, read and not copied: OpenCV's Farneback flow
at full resolution, on greys that weigh red as blue. Variants: `official` as the code does, which averages the flow with
its signs and both of its directions, so that a zoom, or motion left and right alike, comes out as none; `corrected` is
the mean length of the flow. Deviation: the source first shrinks each flow to a width of 16 by areas, which keeps its
mean (but for rounding, and videos narrower than that); here the mean is taken at once. The unit depends on resolution
and frame rate in both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from evalkit.content import content
from evalkit.errors import UsageError
from evalkit.features.farneback import flow_means
from evalkit.features.spec import FeatureRequest
from evalkit.metrics.base import Bound, Item, Metric, Outcome
from evalkit.metrics.frames import need_clip
from evalkit.nouns import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray


def motion_amplitude(frames: NDArray[np.uint8], *, variant: Literal["official", "corrected"]) -> float:
    """Motion amplitude of one video.

    frames: uint8 [T, H, W, 3], RGB, every frame in order. Returns pixels a frame, 0 or more; 0 for a still,
    but for the flow's own error of some 1e-4. NaN for fewer than two frames.

    Raises: UsageError for frames of another shape or type, or an unknown variant.
    """
    import numpy as np

    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape[1:]:
        raise UsageError(f"wanted frames as uint8 [T, H, W, 3], found {frames.dtype} {list(frames.shape)}")
    if variant not in ("official", "corrected"):
        raise UsageError(f"wanted variant 'official' or 'corrected', found {variant!r}")
    signed, length = flow_means([*frames])
    return amplitude(signed if variant == "official" else length)


def amplitude(means: ArrayLike) -> float:
    """The size of the mean over time of one number a step [T - 1]; NaN for none.

    Example:
        >>> amplitude([-1.0, -2.0]), amplitude([-1.0, 1.0])
        (1.5, 0.0)
    """
    import numpy as np

    values = np.asarray(means, np.float64)
    return abs(float(values.mean())) if len(values) else float("nan")


class MotionAmplitude(Metric):
    """Motion amplitude as a plugin. Variant parameter `flow`: `signed` or `length`, the extractor's output to average."""

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        """The flow of the whole clip."""
        return [FeatureRequest(bound.extractor, need_clip(item), bound.card.params["flow"])]

    def score(
        self, items: Sequence[Item], bound: Bound, features: Sequence[Sequence[NDArray[np.float32]]]
    ) -> list[Outcome]:
        """One amplitude a video."""
        return [
            Outcome.scored(bound.card.scale * amplitude(means))
            if len(means)
            else Outcome(State.UNDEFINED, reason="a single frame has no motion")
            for (means,) in features
        ]


MOTION_AMPLITUDE = MotionAmplitude(content("metrics", "motion_amplitude", "card.yaml"))
