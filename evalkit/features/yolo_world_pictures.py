"""Pictures for YOLO-World: whole to the backbone, which fits each into the square that its detector reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evalkit.features.model_input import ModelInput

    Pixels = NDArray[np.uint8]
    Tensor = NDArray[np.float32]

SIDE = 640
GREY = 114
"""Of what the picture leaves of the square."""


class Placed(NamedTuple):
    """A picture in the square, and where: boxes found there less `offset`, divided by `scale`, are the picture's own."""

    square: Tensor
    """[3, s, s], 0 to 1."""
    scale: tuple[float, float]
    """Of width and height."""
    offset: tuple[int, int]
    """Left and top."""


def yolo_world_640(pixels: Pixels, numbers: ModelInput) -> Tensor:  # noqa: ARG001 - one signature for all
    """The whole picture at its own size, 0 to 255 [3, H, W]; what is looked for is found in it at 640 x 640."""
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)).astype(np.float32)


def yolo_world_640_bgr(pixels: Pixels, numbers: ModelInput) -> Tensor:
    """As `yolo_world_640`; the detector reads red for blue, as in franciszzj/OpenS2V-Nexus `eval/get_nexusscore.py` (ef17513).

    What it is shown to look for keeps its colours, as there.
    """
    return yolo_world_640(pixels, numbers)


def placed(pixels: Pixels, *, side: int = SIDE) -> Placed:
    """A picture [H, W, 3] at its proportions in the middle of a grey square; smaller by areas, larger bilinearly.

    Source: mmyolo's `YOLOv5KeepRatioResize` and `LetterResize`, as in franciszzj/OpenS2V-Nexus (ef17513), whose configuration
    of YOLO-World says 800 where nothing reads it: its test pipeline is YOLOv8's, at 640. Deviation: a side that rounds down to
    nothing is one pixel, where the source fails.

    Example:
        >>> import numpy as np
        >>> wide = placed(np.zeros((180, 320, 3), np.uint8))
        >>> wide.square.shape, wide.scale, wide.offset
        ((3, 640, 640), (2.0, 2.0), (0, 140))
    """
    import cv2

    height, width = pixels.shape[:2]
    ratio = side / max(height, width)
    tall, wide = (max(1, int(length * ratio)) for length in (height, width))
    how = cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR
    small: Any = pixels if ratio == 1 else cv2.resize(pixels, (wide, tall), interpolation=how)
    left, top = (side - wide) // 2, (side - tall) // 2
    square = np.full((side, side, 3), GREY, np.uint8)
    square[top : top + tall, left : left + wide] = small
    tensor = np.ascontiguousarray(square.transpose(2, 0, 1)).astype(np.float32) / np.float32(255)
    return Placed(tensor, (wide / width, tall / height), (left, top))
