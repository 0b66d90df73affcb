"""Controls: methods whose scores are known in kind, so that a board shows what its numbers mean.

`copy_reference` is the ceiling of identity and the floor of diversity and prompt following, `real_images` the ceiling
that a method should not exceed, `wrong_subject` the floor of identity, `noise` what scores look like with nothing in
the picture. For videos a copy is a still clip, and noise is new in every frame.
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
        name=name, version="1", title=title, kind="control", meaning=meaning, media=("image", "video"), max_references=None,
        licence="Apache-2.0", source="evalkit", stochastic=stochastic,
    )  # fmt: skip


STILL_FRAMES, STILL_FPS = 12, 8.0
"""Of a still clip, and of noise: as many as clips of the embedded world have."""


def _copied(job: Job, case: Case, root: Path) -> Made:
    """A reference of `case` for the job, as a still clip where the job's case asks for a video, or why it cannot be read."""
    from evalkit.errors import MediaError

    try:
        return _shown(job, _reference(case, job.seed, root))
    except (OSError, MediaError) as error:
        return Made(job, None, f"the reference cannot be read: {error}")


def _shown(job: Job, pixels: NDArray[np.uint8]) -> Made:
    if job.case.medium == "image":
        return Made(job, pixels)
    return Made(job, clip=np.repeat(pixels[None], STILL_FRAMES, axis=0), fps=STILL_FPS)


def _true(job: Job, case: Case, context: Context) -> Made | None:
    """A true picture or clip of `case` for the job, None where the data hold none."""
    if job.case.medium == "image":
        pixels = context.benchmark.real_image(case, job.seed)
        return None if pixels is None else Made(job, pixels)
    found = context.benchmark.real_clip(case, job.seed)
    return None if found is None else Made(job, clip=found[0], fps=found[1])


def _reference(case: Case, seed: int, root: Path) -> NDArray[np.uint8]:
    chosen = root / case.references[(case.prompt_index + seed) % len(case.references)].path
    return _decoded(chosen, chosen.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _decoded(path: Path, _mtime_ns: int) -> NDArray[np.uint8]:
    """One reference serves a subject's prompts in a row."""
    from evalkit.media import decode_image

    return decode_image(path).pixels


class CopyReference(Method):
    """Returns a reference, pixel for pixel, as a still for videos; with several, they take turns by prompt and seed."""

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
    """Returns a true picture, or clip, of the subject that is not the reference."""

    info = _info(
        "real_images", "Real images",
        "True pictures or clips of the subject: a photograph other than the reference, or in the embedded world the scene that "
        "the prompt describes. What a perfect method would score; a target that is the picture itself is left out.",
        stochastic=True,
    )  # fmt: skip

    def check(self, context: Context) -> list[str]:
        """Whether the data holds true pictures beside the references."""
        case = context.benchmark.cases[0]
        if _true(Job(case, 0, 0), case, context) is not None:
            return []
        spec, what = context.benchmark.spec, "picture" if case.medium == "image" else "clip"
        return [
            f"{spec.name} with protocol {context.benchmark.protocol} holds no {what} of a subject beside its reference; "
            "real_images needs the embedded world (--profile sandbox without --data) or a benchmark that has them"
        ]

    def make(self, jobs: Sequence[Job], context: Context) -> Iterator[Made]:
        """A true picture for each job."""
        for job in jobs:
            made = _true(job, job.case, context) or Made(job, reason="the data holds no other picture of this subject")
            yield made._replace(true_picture=True)


class WrongSubject(Method):
    """Returns a true picture of another subject of the same category, or the answer that a question has for it.

    Where the data holds true pictures beside the references, it is the other subject's for the prompt of the same
    number where it has one, so that `real_images` differs from it in the subject alone; elsewhere it is the other
    subject's reference. An answer is that of the other subject's question of the same task.
    """

    info = _info(
        "wrong_subject", "Wrong subject",
        "A true picture of another subject of the same category, or its answer: how much scores owe to the category alone.",
        stochastic=True,
    ).model_copy(update={"media": ("image", "video", "text")})  # fmt: skip

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
        peers: dict[tuple[str, str, str], list[Case]] = {}
        for case in context.benchmark.cases:
            peers.setdefault(_kind(case), []).append(case)
        for job in jobs:
            mine = set(job.case.subjects)
            strangers = [c for c in peers[_kind(job.case)] if mine.isdisjoint(c.subjects)]
            others = [c for c in strangers if c.prompt_index == job.case.prompt_index] or strangers
            if not others:
                yield Made(job, None, f"no subject of category {job.case.category!r} is wholly another")
                continue
            chosen = others[int(np.random.default_rng(job.rng_seed).integers(len(others)))]
            if job.case.medium == "text":
                yield answered(job, chosen)
            else:
                yield _true(job, chosen, context) or _copied(job, chosen, context.benchmark.root)


def _kind(case: Case) -> tuple[str, str, str]:
    """What another subject's case must have in common with this one: category, medium and task."""
    return case.category, case.medium, case.texts.get("task", "")


def answered(job: Job, case: Case) -> Made:
    """The expected answer of `case` for the job, or that the data have none."""
    text = case.texts.get("expected_answer")
    return Made(job, text=text, reason=None if text is not None else "the data hold no expected answer")


class Noise(Method):
    """Returns independent uniform noise of the reference's size, of a clip in every frame."""

    info = _info(
        "noise", "Noise",
        "Uniform noise: what scores look like when there is nothing in the picture.",
        stochastic=True,
    )  # fmt: skip

    def make(self, jobs: Sequence[Job], context: Context) -> Iterator[Made]:
        """Noise for each job, from the job's own seed."""
        for job in jobs:
            copied = _copied(job, job.case, context.benchmark.root)
            rng = np.random.default_rng(job.rng_seed)
            if copied.pixels is not None:
                yield copied._replace(pixels=rng.integers(0, 256, copied.pixels.shape, dtype=np.uint8))
            elif copied.clip is not None:
                yield copied._replace(clip=rng.integers(0, 256, copied.clip.shape, dtype=np.uint8))
            else:
                yield copied


COPY_REFERENCE = CopyReference()
REAL_IMAGES = RealImages()
WRONG_SUBJECT = WrongSubject()
NOISE = Noise()
