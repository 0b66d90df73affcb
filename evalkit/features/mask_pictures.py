"""Preprocessings of what makes masks: pictures for a segmenter that takes them whole, and pictures of masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from evalkit.media.decode import MASK_THRESHOLD

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evalkit.features.model_input import ModelInput

    Pixels = NDArray[np.uint8]
    Tensor = NDArray[np.float32]

MASK_SIDE = 256
"""The largest side of a mask that is kept as a feature, which is the side of what Segment Anything makes."""


def grounded_sam_256(pixels: Pixels, numbers: ModelInput) -> Tensor:  # noqa: ARG001 - one signature for all
    """The whole picture at its own size, 0 to 255 [3, H, W]; detector and segmenter resize it later, each in its own way.

    256 is the side of the mask that comes out.
    """
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)).astype(np.float32)


def given_mask_256(pixels: Pixels, numbers: ModelInput) -> Tensor:  # noqa: ARG001 - one signature for all
    """A mask's picture [1, h, w]: 1 where its grey value (ITU-R 601 luma) is above 127, else 0, no side above 256.

    A longer side becomes 256 (bilinear on the tensor, antialiased), 1 where the mask covers more than half.
    """
    drawn = np.asarray(Image.fromarray(pixels).convert("L")) > MASK_THRESHOLD
    height, width = (min(side, MASK_SIDE) for side in drawn.shape)
    if (height, width) == drawn.shape:
        return drawn[None].astype(np.float32)
    import torch
    from torch.nn.functional import interpolate

    tensor = torch.from_numpy(drawn.astype(np.float32))[None, None]
    smaller: Tensor = (interpolate(tensor, (height, width), mode="bilinear", antialias=True)[0] > 0.5).float().numpy()
    return smaller
