"""Wan2.1-VACE 1.3B: makes a video of the things in the reference pictures, as the prompt says.

Source: Alibaba, VACE (arXiv:2503.07598) and Wan (arXiv:2503.20314); diffusers' `WanVACEPipeline` with the defaults of its call,
and its documentation's scheduler and flow shift for 480 lines, with the autoencoder in float32. Deviation: no negative
prompt, as the pipeline has none of its own; the authors' script sends a list of unwanted things.
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

HUB = "Wan-AI/Wan2.1-VACE-1.3B-diffusers"
LICENCE = "Apache-2.0"
DOWNLOAD_GB = 19
"""About 11.4 GB of text encoder, 7.2 of transformer in float32 and 0.5 of autoencoder."""
PUBLISHED = Published(HUB, f"about {DOWNLOAD_GB} GB, licence {LICENCE}", resident_gib=24.0, offloaded_gib=16.0)
"""Memory is reckoned from the sizes of the parts, with room for 81 frames, and was not measured."""
HEIGHT, WIDTH = 480, 832
FRAMES, FPS = 81, 16.0
STEPS = 50
GUIDANCE = 5.0
FLOW_SHIFT = 3.0


class WanVace(Method):
    """In the paper profile the published model, in the sandbox the small one of the same classes."""

    info = MethodInfo(
        name="wan_vace",
        version="1",
        title="Wan2.1-VACE 1.3B",
        kind="baseline",
        meaning="Makes a video of what the references show, as the prompt says. The small model looks at three references at most.",
        media=("video",),
        max_references=None,
        licence=LICENCE,
        source=f"arXiv:2503.07598; https://huggingface.co/{HUB}",
        stochastic=True,
    )

    def check(self, context: Context) -> list[str]:
        """What is missing: weights, a CUDA device or memory on it."""
        if context.profile == "sandbox":
            from evalkit.sandbox.vace.assemble import lacking

            return lacking()
        return PUBLISHED.problems()

    def make(self, jobs: Sequence[Job], context: Context) -> Iterator[Made]:
        """A clip for each job; models are loaded only when there are jobs."""
        if jobs:
            small = context.profile == "sandbox"
            pipeline = _small_pipeline() if small else published_pipeline()
            yield from (_small if small else _published)(jobs, context.benchmark.root, pipeline)


def _small_pipeline() -> Any:
    from evalkit.sandbox.vace.assemble import load

    return load()


def _references(job: Job, root: Path) -> tuple[NDArray[np.uint8], ...]:
    from evalkit.media import decode_image

    return tuple(decode_image(root / reference.path).pixels for reference in job.case.references)


def _small(jobs: Sequence[Job], root: Path, pipeline: Any) -> Iterator[Made]:
    from evalkit.sandbox.clips import FPS as SMALL_FPS
    from evalkit.sandbox.vace.clips import MOST_REFERENCES
    from evalkit.sandbox.vace.sample import Request, sample

    for job in jobs:
        if (count := len(job.case.references)) > MOST_REFERENCES:
            yield Made(job, reason=f"the small VACE looks at {MOST_REFERENCES} references at most, found {count}")
            continue
        (clip,) = sample(pipeline, [Request(job.case.prompt, _references(job, root), job.rng_seed)])
        yield Made(job, clip=clip, fps=SMALL_FPS)


def _published(jobs: Sequence[Job], root: Path, pipeline: Any) -> Iterator[Made]:
    """One call a job, as the pipeline has it."""
    import torch
    from PIL import Image

    for job in jobs:
        made = pipeline(
            prompt=job.case.prompt, reference_images=[Image.fromarray(pixels) for pixels in _references(job, root)],
            height=HEIGHT, width=WIDTH, num_frames=FRAMES, num_inference_steps=STEPS, guidance_scale=GUIDANCE,
            generator=torch.Generator("cpu").manual_seed(job.rng_seed), output_type="np",
        ).frames[0]  # fmt: skip
        yield Made(job, clip=np.rint(made * 255).astype(np.uint8), fps=FPS)


def published_pipeline() -> Any:
    """The published pipeline on CUDA, whole or model by model, as memory allows. Raises WeightsError."""
    return PUBLISHED.placed(loaded(PUBLISHED.need()))


def loaded(folder: Path) -> Any:
    """The pipeline in a folder of the published layout, on the CPU: bfloat16, the autoencoder float32, UniPC with its shift."""
    import torch
    from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanVACEPipeline

    vae = from_folder(AutoencoderKLWan, folder, dtype=torch.float32, subfolder="vae")
    pipeline = from_folder(WanVACEPipeline, folder, dtype=torch.bfloat16, vae=vae)
    pipeline.scheduler = UniPCMultistepScheduler.from_config(pipeline.scheduler.config, flow_shift=FLOW_SHIFT)
    return pipeline


WAN_VACE = WanVace()
