"""Sampling from the small VACE: one clip a call, as the pipeline has it, so that neighbours change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from evalkit.sandbox.kontext.assemble import TOKENS
from evalkit.sandbox.pipelines import one_thread
from evalkit.sandbox.training.data import SIZE
from evalkit.sandbox.vace.clips import FRAMES
from evalkit.sandbox.vace.vae import PATCH

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

STEPS = 12
GUIDANCE = 2.0
"""Away from the clip without a prompt, by a second pass of the transformer each step, as the published pipeline does."""


class Request(NamedTuple):
    """A clip to make: pictures of what is in it, each uint8 [H, W, 3], and the seed of its noise."""

    prompt: str
    references: tuple[NDArray[np.uint8], ...]
    seed: int


def fitted(pixels: NDArray[np.uint8]) -> Image.Image:
    """The picture with its longer side as long as the clip's, its shape kept; one that is so already is left as it is."""
    height, width, _ = pixels.shape
    whole = Image.fromarray(pixels)
    if max(height, width) == SIZE:
        return whole
    wide, high = (max(round(side * SIZE / max(height, width)), PATCH) for side in (width, height))
    return whole.resize((wide, high), Image.Resampling.BICUBIC)


def sample(
    pipeline: Any, requests: Iterable[Request], *, steps: int = STEPS, guidance: float = GUIDANCE
) -> Iterator[NDArray[np.uint8]]:
    """A clip uint8 [9, 96, 96, 3] a request, in their order. References are fitted into the picture, on white.

    On one thread, whatever torch is set to: sums of several threads round otherwise.
    """
    import torch

    for request in requests:
        with one_thread():
            made = pipeline(
                prompt=request.prompt, reference_images=[fitted(pixels) for pixels in request.references],
                height=SIZE, width=SIZE, num_frames=FRAMES, num_inference_steps=steps, guidance_scale=guidance,
                max_sequence_length=TOKENS, generator=torch.Generator("cpu").manual_seed(request.seed), output_type="np",
            ).frames[0]  # fmt: skip
        yield np.rint(made * 255).astype(np.uint8)
