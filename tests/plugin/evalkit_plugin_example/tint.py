"""The method `tint`: the first reference under a veil of noise in one random hue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evalkit.errors import MediaError
from evalkit.media import decode_image
from evalkit.methods.base import Context, Job, Made, Method, MethodInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

SHARE = 0.3
"""Of the sample that is noise."""


def tinted(pixels: Pixels, *, rng: np.random.Generator) -> Pixels:
    """Pixels uint8 [H, W, 3] blended with uniform noise between black and one random colour. Returns [H, W, 3]."""
    colour = rng.integers(0, 256, 3)
    noise = colour * rng.random((*pixels.shape[:2], 1))
    return np.rint((1 - SHARE) * pixels + SHARE * noise).astype(np.uint8)


class Tint(Method):
    """Returns the first reference, tinted."""

    info = MethodInfo(
        name="tint",
        version="1",
        title="Tinted reference",
        kind="control",
        meaning="Ignores the prompt and returns the first reference under a random tint: a copy that varies by seed.",
        media=("image",),
        max_references=1,
        licence="Apache-2.0",
        source="evalkit-plugin-example",
        stochastic=True,
    )

    def check(self, context: Context) -> list[str]:
        """Whether every case has a reference."""
        bare = [case.case_id for case in context.benchmark.cases if not case.references]
        return [f"tint needs a reference in every case, found none in {len(bare)}, first: {bare[0]}"] if bare else []

    def make(self, jobs: Sequence[Job], context: Context) -> Iterator[Made]:
        """A tinted reference for each job, from the job's own seed."""
        for job in jobs:
            try:
                pixels = decode_image(context.benchmark.root / job.case.references[0].path).pixels
            except MediaError as error:
                yield Made(job, None, f"the reference cannot be read: {error}")
                continue
            yield Made(job, tinted(pixels, rng=np.random.default_rng(job.rng_seed)))


TINT = Tint()
