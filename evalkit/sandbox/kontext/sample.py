"""Sampling from the small Kontext: a fixed batch shape and one generator a picture, so that neighbours change nothing."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from evalkit.sandbox.kontext.assemble import TOKENS
from evalkit.sandbox.training.data import SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

BATCH = 16
"""Pictures a forward pass, always: the last batch is filled up, since kernels round by the shape they are given."""
STEPS = 12
GUIDANCE = 2.5
"""Kontext's published default, which the small one's embedding has learnt as well."""


class Request(NamedTuple):
    """A picture to make: reference pixels uint8 [H, W, 3] or None, and the seed of its noise."""

    prompt: str
    reference: NDArray[np.uint8] | None
    seed: int


def fitted(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture's central square at the world's size, uint8 [96, 96, 3]; one of that size is returned as it is."""
    height, width, _ = pixels.shape
    if (height, width) == (SIZE, SIZE):
        return pixels
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = Image.fromarray(pixels[top : top + side, left : left + side])
    return np.asarray(square.resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def sample(
    pipeline: Any, requests: Iterable[Request], *, steps: int = STEPS, guidance: float = GUIDANCE
) -> Iterator[NDArray[np.uint8]]:
    """A picture uint8 [96, 96, 3] a request, in their order; either all of them have a reference or none has."""
    waiting = iter(requests)
    while batch := list(islice(waiting, BATCH)):
        full = batch + [batch[-1]] * (BATCH - len(batch))
        yield from _forward(pipeline, full, steps, guidance)[: len(batch)]


def _forward(pipeline: Any, batch: list[Request], steps: int, guidance: float) -> NDArray[np.uint8]:
    import torch

    references = [fitted(request.reference) for request in batch if request.reference is not None]
    image = torch.from_numpy(np.stack(references)).permute(0, 3, 1, 2).float() / 255 if references else None
    made = pipeline(
        image=image, prompt=[request.prompt for request in batch], height=SIZE, width=SIZE, max_area=SIZE * SIZE,
        num_inference_steps=steps, guidance_scale=guidance, max_sequence_length=TOKENS, output_type="np",
        generator=[torch.Generator("cpu").manual_seed(request.seed) for request in batch], _auto_resize=False,
    ).images  # fmt: skip
    pixels: NDArray[np.uint8] = np.rint(made * 255).astype(np.uint8)
    return pixels
