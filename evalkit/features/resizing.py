"""What picture preprocessings share: PIL's resize, the tensor of a picture, its normalisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from evalkit.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evalkit.features.model_input import ModelInput

    Pixels = NDArray[np.uint8]
    Tensor = NDArray[np.float32]
    Size = tuple[int, int]

MOST_OBLONG = 200
"""Greatest ratio of the sides that is prepared: Qwen2-VL's own. Of a longer strip, one whose shorter side is brought to a
model's takes memory without bound."""


def check_oblong(height: int, width: int) -> None:
    """Raises: UsageError for a picture more than 200 times as long as it is wide."""
    if max(height, width) > MOST_OBLONG * min(height, width):
        raise UsageError(
            f"wanted a picture at most {MOST_OBLONG} times as long as wide, found {height} x {width} (height x width); "
            "no model sees anything in such a strip: crop it or make it again"
        )


def resized_pil(pixels: Pixels, size: Size, resample: Image.Resampling) -> Pixels:
    """[H, W, 3] at (height, width) by PIL's antialiased filter; as it is where it has that size."""
    if pixels.shape[:2] == size:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size[::-1], resample=resample))


def tensor_of(pixels: Pixels) -> Tensor:
    """[H, W, 3] to [3, H, W] in [0, 1]: x/255 in float32."""
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)).astype(np.float32) / np.float32(255)


def normalised(pixels: Pixels, numbers: ModelInput) -> Tensor:
    """[H, W, 3] to [3, H, W], less the model's mean and divided by its deviation."""
    return normalised_tensor(tensor_of(pixels), numbers)


def normalised_tensor(picture: Tensor, numbers: ModelInput) -> Tensor:
    """The same of [3, H, W] in [0, 1]."""
    mean, std = (np.array(values, dtype=np.float32)[:, None, None] for values in (numbers.mean, numbers.std))
    found: Tensor = (picture - mean) / std
    return found
