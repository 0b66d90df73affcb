"""Picture preprocessings of vision-language models: a picture padded to a square, or at nearly its own size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from evalkit.features.resizing import check_oblong, normalised, resized_pil

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evalkit.features.model_input import ModelInput
    from evalkit.features.resizing import Pixels, Size, Tensor

QWEN_FACTOR = 28
"""Sides are multiples of it: Qwen2-VL's patch of 14 pixels, of which it merges 2 x 2."""
_TOKEN = QWEN_FACTOR**2
QWEN_PIXELS = (4 * _TOKEN, 16384 * _TOKEN)
"""Least and most pixels that qwen-vl-utils leaves a picture."""
GME_PIXELS = (256 * _TOKEN, 1280 * _TOKEN)
"""Those that GME's processor leaves it after that."""
_BAND_PIXELS = 2**24
"""Of a padded square that are in memory at once."""


def clip_pad(pixels: Pixels, numbers: ModelInput) -> Tensor:
    """Padded to a centred square of the mean's colour, shortest side to s (PIL bicubic), centre crop, normalise.

    Source: `expand2square` of linzhiqiu/t2v_metrics `models/vqascore_models/mm_utils.py` (10d549b) and of
    Q-Future/Q-Align `q_align/evaluate/scorer.py` (14dfdff); the colour is the mean times 255, rounded down.
    """
    shortest = numbers.shortest or numbers.size
    narrow = _padded(pixels, [int(value * 255) for value in numbers.mean], shortest)
    small = resized_pil(narrow, (shortest, shortest), Image.Resampling.BICUBIC)
    cut = (shortest - numbers.size) // 2
    return normalised(small[cut : cut + numbers.size, cut : cut + numbers.size], numbers)


def qwen_vl_28(pixels: Pixels, numbers: ModelInput) -> Tensor:
    """Sides to the nearest multiples of 28, with 4 to 16384 times 28 x 28 pixels (PIL bicubic), normalise: [3, h, w].

    Source: qwen-vl-utils 0.0.14 `fetch_image`, as linzhiqiu/t2v_metrics calls it; the processor's own limits are the same.
    """
    return normalised(_fitted(pixels, QWEN_PIXELS), numbers)


def gme_28(pixels: Pixels, numbers: ModelInput) -> Tensor:
    """As `qwen_vl_28`, then once more with 256 to 1280 times 28 x 28 pixels (PIL bicubic both times): [3, h, w].

    Source: franciszzj/OpenS2V-Nexus (ef17513) `eval/utils/gme/gme_model.py`.
    """
    return normalised(_fitted(_fitted(pixels, QWEN_PIXELS), GME_PIXELS), numbers)


def smart_size(height: int, width: int, *, least: int, most: int, factor: int = QWEN_FACTOR) -> Size:
    """The (height, width) that Qwen2-VL resizes a picture to: multiples of `factor`, in all `least` to `most` pixels.

    Raises: UsageError for a picture more than 200 times as long as it is wide, which the model does not take.

    Example:
        >>> smart_size(100, 301, least=4 * 28**2, most=1280 * 28**2)
        (112, 308)
    """
    check_oblong(height, width)
    tall, wide = (max(factor, round(side / factor) * factor) for side in (height, width))
    if tall * wide > most:
        shrink = math.sqrt(height * width / most)
        tall, wide = (max(factor, math.floor(side / shrink / factor) * factor) for side in (height, width))
    elif tall * wide < least:
        grow = math.sqrt(least / (height * width))
        tall, wide = (math.ceil(side * grow / factor) * factor for side in (height, width))
    return tall, wide


def _padded(pixels: Pixels, colour: Sequence[int], wide: int) -> Pixels:
    """The square of side S that a picture is padded to, its rows at the width `wide`: [S, wide, 3].

    PIL resizes rows first and columns then, so that rows may come in bands; a strip's square would fill the memory.
    """
    height, width = pixels.shape[:2]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    rows = max(1, _BAND_PIXELS // side)
    narrow = np.empty((side, wide, 3), np.uint8)
    narrow[:] = colour
    for start in range(0, height, rows):
        shown = pixels[start : start + rows]
        band = np.empty((len(shown), side, 3), np.uint8)
        band[:] = colour
        band[:, left : left + width] = shown
        place = top + start
        narrow[place : place + len(shown)] = resized_pil(band, (len(shown), wide), Image.Resampling.BICUBIC)
    return narrow


def _fitted(pixels: Pixels, limits: tuple[int, int]) -> Pixels:
    least, most = limits
    height, width = pixels.shape[:2]
    return resized_pil(pixels, smart_size(height, width, least=least, most=most), Image.Resampling.BICUBIC)
