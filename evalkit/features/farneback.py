"""The extractor family `farneback`: dense optical flow between a clip's consecutive frames, as means over the picture.

Source: OpenCV's `calcOpticalFlowFarneback` at the settings of franciszzj/OpenS2V-Nexus (ef17513),
`eval/get_motion_amplitude.py`: full resolution, greys that weigh red as blue. It loads nothing, so its cards say
`model: none`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from evalkit.errors import UsageError
from evalkit.features.base import Fingerprint, read_no_text
from evalkit.features.weights import NO_WEIGHTS
from evalkit.nouns.base import digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from evalkit.features.spec import ExtractorSpec
    from evalkit.features.weights import WeightsSource

    Array = NDArray[np.float32]

CODE_VERSION = 1
PREPROCESS = "grey_rb_swapped"
PYRAMID_SCALE, LEVELS, WINDOW, ITERATIONS = 0.5, 3, 15, 3
POLYNOMIAL, SIGMA = 5, 1.2
"""The flow's parameters, in OpenCV's order."""
_PARAMETERS = (PYRAMID_SCALE, LEVELS, WINDOW, ITERATIONS, POLYNOMIAL, SIGMA)


def flow_means(frames: Sequence[NDArray[np.uint8]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means over the picture of the flow from each frame to the next, in pixels.

    frames: T of uint8 [H, W, 3], RGB. Returns two [T - 1]: of both components together with their signs (right and down
    count as positive), and of the flow's length. Empty for fewer than two frames.
    """
    import cv2
    import numpy as np

    signed, length = [], []
    for before, after in pairwise(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in frames):
        room = np.empty((*before.shape, 2), np.float32)
        flow = cv2.calcOpticalFlowFarneback(before, after, room, *_PARAMETERS, 0)
        signed.append(flow.mean(dtype=np.float64))
        length.append(np.hypot(flow[..., 0], flow[..., 1]).mean(dtype=np.float64))
    return np.array(signed, np.float64), np.array(length, np.float64)


def describe(spec: ExtractorSpec, weights: WeightsSource) -> Fingerprint:
    """What `load` gives features of. Raises UsageError for another model or preprocessing."""
    read_no_text(spec)
    if (weights.label, spec.preprocess) != (NO_WEIGHTS, PREPROCESS):
        raise UsageError(
            f"wanted the model {NO_WEIGHTS!r} and the preprocessing {PREPROCESS!r} for 'farneback', found {spec.model!r} "
            f"and {spec.preprocess!r}; mend the card"
        )
    parts = (("backbone", "farneback"), ("weights", NO_WEIGHTS), ("pre", PREPROCESS), ("dtype", spec.dtype))
    return Fingerprint(digest(["farneback", CODE_VERSION, _PARAMETERS, PREPROCESS]), parts)


def load(spec: ExtractorSpec, weights: WeightsSource, *, device: str) -> Farneback:  # noqa: ARG001 - the contract's
    """The extractor; it runs on the CPU whatever the device."""
    return Farneback(spec, describe(spec, weights))


class Farneback:
    """`signed` [T - 1] and `length` [T - 1] of a clip, as of `flow_means`."""

    def __init__(self, spec: ExtractorSpec, described: Fingerprint) -> None:
        self.spec, self.fingerprint, self.forward_batch = spec, described.digest, 1
        self.preprocess_key = PREPROCESS
        self._parts = dict(described.parts)

    def signature_parts(self) -> Mapping[str, str]:
        """What the signature says."""
        return self._parts

    def watch(self, frames: Sequence[NDArray[np.uint8]]) -> dict[str, Array]:
        """Every frame of a clip, each [H, W, 3], to `signed` and `length`, each [T - 1]."""
        import numpy as np

        signed, length = flow_means(frames)
        return {"signed": signed.astype(np.float32), "length": length.astype(np.float32)}

    def prepare(self, pixels: NDArray[np.uint8]) -> Array:
        """Refused, as are single pictures, texts and pairs: flow is between a clip's frames."""
        raise _refused("a single picture")

    def encode_images(self, batch: Array) -> dict[str, Array]:
        """Refused."""
        raise _refused("single pictures")

    def text_problem(self, text: str) -> str | None:
        """Refused."""
        return "the family 'farneback' reads no text"

    def encode_texts(self, texts: Sequence[str]) -> dict[str, Array]:
        """Refused."""
        raise _refused("a text")

    def encode_pairs(self, first: Array, second: Array) -> dict[str, Array]:
        """Refused."""
        raise _refused("pairs")

    def encode_prompted(self, batch: Array, texts: Sequence[str]) -> dict[str, Array]:
        """Refused."""
        raise _refused("pictures with texts")


def _refused(what: str) -> UsageError:
    return UsageError(f"wanted features of {what}, found the family 'farneback', which looks at clips")
