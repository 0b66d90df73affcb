"""FLUX.1 Kontext [dev]: edits the reference picture as the prompt says; the base of several personalised generators.

Source: Black Forest Labs, FLUX.1 Kontext (arXiv:2506.15742); diffusers' `FluxKontextPipeline` and its published defaults.
Deviations: the reference is scaled to the sample's area with its own shape kept, not to the nearest of the pipeline's 17 shapes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.methods.base import Context, Job, Made, Method, MethodInfo
from evalkit.methods.published import Published, from_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

HUB = "black-forest-labs/FLUX.1-Kontext-dev"
LICENCE = "FLUX.1 [dev] Non-Commercial License"
DOWNLOAD_GB = 34
"""bfloat16: about 24 GB of transformer and 10 GB of text encoders."""
TERMS = f"about {DOWNLOAD_GB} GB, licence {LICENCE}, non-commercial use only, gated: accept its terms on the hub and log in first"
PUBLISHED = Published(HUB, TERMS, resident_gib=40.0, offloaded_gib=28.0)
SIDE = 1024
STEPS = 28
GUIDANCE = 2.5
MULTIPLE = 16
"""Of pixels: a latent has 8, a transformer token 2 x 2 latents."""


class FluxKontext(Method):
    """In the paper profile the published model, in the sandbox the small one of the same classes."""

    info = MethodInfo(
        name="flux_kontext",
        version="1",
        title="FLUX.1 Kontext [dev]",
        kind="baseline",
        meaning="Edits the reference as the prompt says. Of several references it looks at the first alone.",
        media=("image",),
        max_references=1,
        gated=True,
        licence=f"{LICENCE} (published weights); Apache-2.0 (the embedded small model)",
        source=f"arXiv:2506.15742; https://huggingface.co/{HUB}",
        stochastic=True,
    )

    def check(self, context: Context) -> list[str]:
        """What is missing: weights, a CUDA device or memory on it."""
        if context.profile == "sandbox":
            from evalkit.sandbox.kontext.assemble import lacking

            return lacking()
        return PUBLISHED.problems()

    def make(self, jobs: Sequence[Job], context: Context) -> Iterator[Made]:
        """A picture for each job; models are loaded only when there are jobs."""
        if jobs:
            yield from pictures(jobs, context)


def pictures(jobs: Sequence[Job], context: Context, *, adapter: Path | None = None) -> Iterator[Made]:
    """Pictures by the profile's pipeline, with the adapter in a folder merged where one is given.

    Raises WeightsError where the adapter is another model's.
    """
    small = context.profile == "sandbox"
    pipeline = _small_pipeline() if small else published_pipeline()
    if adapter is not None:
        from evalkit.methods.divrl.policy import with_adapter

        pipeline = with_adapter(pipeline, adapter)
    yield from (_small if small else _published)(jobs, context.benchmark.root, pipeline)


def _small_pipeline() -> Any:
    from evalkit.sandbox.kontext.assemble import load

    return load()


def _reference(job: Job, root: Path) -> NDArray[np.uint8]:
    from evalkit.media import decode_image

    return decode_image(root / job.case.references[0].path).pixels


def _small(jobs: Sequence[Job], root: Path, pipeline: Any) -> Iterator[Made]:
    from evalkit.sandbox.kontext.sample import Request, sample

    requests = (Request(job.case.prompt, _reference(job, root), job.rng_seed) for job in jobs)
    yield from (Made(job, pixels) for job, pixels in zip(jobs, sample(pipeline, requests), strict=True))


def _published(jobs: Sequence[Job], root: Path, pipeline: Any) -> Iterator[Made]:
    """One call a job: a batch of another size would round otherwise."""
    import torch
    from PIL import Image

    for job in jobs:
        reference = Image.fromarray(_reference(job, root))
        made = pipeline(
            image=reference.resize(reference_size(*reference.size), Image.Resampling.LANCZOS), prompt=job.case.prompt,
            height=SIDE, width=SIDE, num_inference_steps=STEPS, guidance_scale=GUIDANCE, output_type="np",
            generator=torch.Generator("cpu").manual_seed(job.rng_seed), _auto_resize=False,
        ).images[0]  # fmt: skip
        yield Made(job, np.rint(made * 255).astype(np.uint8))


def reference_size(width: int, height: int) -> tuple[int, int]:
    """Width and height of about `SIDE` x `SIDE` pixels in the reference's own shape, multiples of 16.

    Example:
        >>> reference_size(96, 96), reference_size(1600, 900)
        ((1024, 1024), (1360, 768))
    """
    scale = SIDE / (width * height) ** 0.5
    wide, high = (max(round(side * scale) // MULTIPLE, 1) * MULTIPLE for side in (width, height))
    return wide, high


def squared(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The picture's central square at `side` pixels, uint8 [side, side, 3]."""
    from PIL import Image

    edge = min(pixels.shape[:2])
    top, left = (pixels.shape[0] - edge) // 2, (pixels.shape[1] - edge) // 2
    square = Image.fromarray(pixels[top : top + edge, left : left + edge])
    return np.asarray(square.resize((side, side), Image.Resampling.LANCZOS))


def published_pipeline() -> Any:
    """The published pipeline in bfloat16 on CUDA, whole or model by model, as memory allows. Raises WeightsError."""
    folder = PUBLISHED.need()
    import torch
    from diffusers import FluxKontextPipeline

    return PUBLISHED.placed(from_folder(FluxKontextPipeline, folder, dtype=torch.bfloat16))


FLUX_KONTEXT = FluxKontext()
