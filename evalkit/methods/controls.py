"""Controls: methods whose scores are known in kind, so that a board shows what its numbers mean.

`copy_reference` is the ceiling of identity and the floor of diversity and prompt following, `real_images` the ceiling
that a method should not exceed, `wrong_subject` the floor of identity, `noise` what scores look like with nothing in
the picture.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from evalkit.methods.base import Context, Job, Made, Method, MethodInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from evalkit.nouns import Case


def _info(name: str, title: str, meaning: str, *, stochastic: bool) -> MethodInfo:
    return MethodInfo(
        name=name, version="1", title=title, kind="control", meaning=meaning, media=("image",), max_references=None,
        licence="Apache-2.0", source="evalkit", stochastic=stochastic,
    )  # fmt: skip


def _copied(job: Job, case: Case, root: Path) -> Made:
    """A reference of `case` for the job, or why it cannot be read."""
    from evalkit.errors import MediaError

    try:
        return Made(job, _reference(case, job.seed, root))
    except (OSError, MediaError) as error:
        return Made(job, None, f"the reference cannot be read: {error}")


def _reference(case: Case, seed: int, root: Path) -> NDArray[np.uint8]:
    chosen = root / case.references[(case.prompt_index + seed) % len(case.references)].path
    return _decoded(chosen, chosen.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _decoded(path: Path, _mtime_ns: int) -> NDArray[np.uint8]:
    """One reference serves a subject's prompts in a row."""
    from evalkit.media import decode_image

    return decode_image(path).pixels


class CopyReference(Method):
    """Returns a reference, pixel for pixel; with several, they take turns by prompt and seed."""

    info = _info(
        "copy_reference", "Copy of the reference",
        "Ignores the prompt and returns the reference: the most identity and the least variety a method can have.",
        stochastic=False,
    )  # fmt: skip

    def make(self, jobs: Sequence[Job], context: Context) -> Iterator[Made]:
        """The reference of each job."""
        for job in jobs:
            yield _copied(job, job.case, context.benchmark.root)


class RealImages(Method):
    """Returns a true picture of the subject that is not the reference."""

    info = _info(
        "real_images", "Real images",
        "True pictures of the subject: a photograph other than the reference, or in the embedded world the scene that "
        "the prompt describes. What a perfect method would score; a target that is the picture itself is left out.",
        stochastic=True,
    )  # fmt: skip

    def check(self, context: Context) -> list[str]:
        """Whether the data holds true pictures beside the references."""
        case = context.benchmark.cases[0]
        if context.benchmark.real_image(case, 0) is not None:
            return []
        spec = context.benchmark.spec
        return [
            f"{spec.name} with protocol {context.benchmark.protocol} holds no picture of a subject beside its reference; "
            "real_images needs the embedded world (--profile sandbox without --data) or a benchmark that has them"
        ]

    def make(self, jobs: Sequence[Job], context: Context) -> Iterator[Made]:
        """A true picture for each job."""
        for job in jobs:
            pixels = context.benchmark.real_image(job.case, job.seed)
            reason = None if pixels is not None else "the data holds no other picture of this subject"
            yield Made(job, pixels, reason, true_picture=True)


class WrongSubject(Method):
    """Returns a true picture of another subject of the same category.

    Where the data holds true pictures beside the references, it is the other subject's for the prompt of the same
    number, so that `real_images` differs from it in the subject alone; elsewhere it is the other subject's reference.
    """

    info = _info(
        "wrong_subject", "Wrong subject",
        "A true picture of another subject of the same category: how much identity scores owe to the category alone.",
        stochastic=True,
    )  # fmt: skip

    def check(self, context: Context) -> list[str]:
        """Whether every category has two subjects or more."""
        subjects: dict[str, set[tuple[str, ...]]] = {}
        for case in context.benchmark.cases:
            subjects.setdefault(case.category, set()).add(case.subjects)
        return [
            f"wrong_subject needs two subjects in category {category!r}, found {', '.join(*found)!r} alone"
            for category, found in subjects.items()
            if len(found) < 2
        ]

    def make(self, jobs: Sequence[Job], context: Context) -> Iterator[Made]:
        """Another subject's picture for each job, drawn by the job's own seed."""
        peers: dict[tuple[str, int], list[Case]] = {}
        for case in context.benchmark.cases:
            peers.setdefault((case.category, case.prompt_index), []).append(case)
        for job in jobs:
            mine = set(job.case.subjects)
            others = [c for c in peers[job.case.category, job.case.prompt_index] if mine.isdisjoint(c.subjects)]
            if not others:
                yield Made(job, None, f"no subject of category {job.case.category!r} is wholly another")
                continue
            chosen = others[int(np.random.default_rng(job.rng_seed).integers(len(others)))]
            real = context.benchmark.real_image(chosen, job.seed)
            yield Made(job, real) if real is not None else _copied(job, chosen, context.benchmark.root)


class Noise(Method):
    """Returns independent uniform noise of the reference's size."""

    info = _info(
        "noise", "Noise",
        "Uniform noise: what scores look like when there is nothing in the picture.",
        stochastic=True,
    )  # fmt: skip

    def make(self, jobs: Sequence[Job], context: Context) -> Iterator[Made]:
        """Noise for each job, from the job's own seed."""
        for job in jobs:
            copied = _copied(job, job.case, context.benchmark.root)
            if copied.pixels is None:
                yield copied
            else:
                noise = np.random.default_rng(job.rng_seed).integers(0, 256, copied.pixels.shape, dtype=np.uint8)
                yield Made(job, noise)


COPY_REFERENCE = CopyReference()
REAL_IMAGES = RealImages()
WRONG_SUBJECT = WrongSubject()
NOISE = Noise()
