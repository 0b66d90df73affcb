"""What picture preprocessings share: PIL's resize, the tensor of a picture, its normalisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evalkit.features.model_input import ModelInput

    Pixels = NDArray[np.uint8]
    Tensor = NDArray[np.float32]
    Size = tuple[int, int]


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
