"""Motion amplitude: how much a video moves, by optical flow between consecutive frames, in pixels a frame.

Source: franciszzj/OpenS2V-Nexus (ef17513), `eval/get_motion_amplitude.py`, read and not copied: OpenCV's Farneback flow
at full resolution, on greys that weigh red as blue. Variants: `official` as the code does, which averages the flow with
its signs and both of its directions, so that a zoom, or motion left and right alike, comes out as none; `corrected` is
the mean length of the flow. Deviation: the source first shrinks each flow to a width of 16 by areas, which keeps its
mean (but for rounding, and videos narrower than that); here the mean is taken at once. The unit depends on resolution
and frame rate in both.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from evalkit.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PYRAMID_SCALE, LEVELS, WINDOW, ITERATIONS = 0.5, 3, 15, 3
POLYNOMIAL, SIGMA = 5, 1.2
"""The flow's parameters, in OpenCV's order."""


def motion_amplitude(frames: NDArray[np.uint8], *, variant: Literal["official", "corrected"]) -> float:
    """Motion amplitude of one video.

    frames: uint8 [T, H, W, 3], RGB, every frame in order. Returns pixels a frame, 0 or more; 0 for a still,
    but for the flow's own error of some 1e-4. NaN for fewer than two frames.

    Raises: UsageError for frames of another shape or type, or an unknown variant.
    """
    import cv2
    import numpy as np

    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape[1:]:
        raise UsageError(f"wanted frames as uint8 [T, H, W, 3], found {frames.dtype} {list(frames.shape)}")
    if variant not in ("official", "corrected"):
        raise UsageError(f"wanted variant 'official' or 'corrected', found {variant!r}")
    greys = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in frames]
    means = []
    for before, after in pairwise(greys):
        room = np.empty((*before.shape, 2), np.float32)
        flow = cv2.calcOpticalFlowFarneback(
            before, after, room, PYRAMID_SCALE, LEVELS, WINDOW, ITERATIONS, POLYNOMIAL, SIGMA, 0
        )
        means.append((flow if variant == "official" else np.hypot(flow[..., 0], flow[..., 1])).mean(dtype=np.float64))
    return abs(float(np.mean(means))) if means else float("nan")
