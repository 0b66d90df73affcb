"""What the small VACE does with its conditions, on held-out subjects of the embedded world.

The same seeds are sampled with a case's own references, with those of another case of the same kinds, with empty ones, and
with another prompt about the same subjects. Identity is read by the embedded DINO and by the subjects' true colours, prompts
by the embedded CLIP, motion by optical flow; beside them the same figures of true clips.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.features.farneback import flow_means
from evalkit.sandbox.kontext.evaluate import TOLERANCE, WINDOW, unit_images, unit_texts
from evalkit.sandbox.training.data import SIZE
from evalkit.sandbox.vace.clips import KINDS, ClipPlan, clip_case
from evalkit.sandbox.vace.sample import Request, sample
from evalkit.sandbox.world import render

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pictures = NDArray[np.uint8]
    F32 = NDArray[np.float32]
    Figures = dict[str, float]

HELD_OUT = ClipPlan(cases=3 * len(KINDS), frames=9, split="bench", seed=43)
CONDITIONS = ("true", "other_references", "no_references", "other_prompt")
TELLINGS = 6
"""Prompts about a case's subjects that its clip is compared with, its own first."""
LOOKED_AT = (0, 4, 8)
"""Frames that are read by DINO and CLIP."""
GREY = 128


@dataclass(frozen=True)
class Bench:
    """N held-out cases: `references` N of [n, 96, 96, 3], `prompts` N of `TELLINGS`, true clips [N, 9, 96, 96, 3], and the
    main colours [n, 3] in [0, 1] of each case's subjects."""

    references: tuple[Pictures, ...]
    prompts: tuple[tuple[str, ...], ...]
    true: Pictures
    colours: tuple[F32, ...]

    def other(self, number: int) -> int:
        """The next case of the same kinds."""
        return (number + len(KINDS)) % len(self.references)


@cache
def bench(plan: ClipPlan = HELD_OUT) -> Bench:
    """The plan's cases, rendered in some ten seconds."""
    cases = [clip_case(plan, number) for number in range(plan.cases)]

    def drawn(scenes: Any) -> Pictures:
        return np.stack([render(scene, size=SIZE).image for scene in scenes])

    return Bench(
        references=tuple(drawn(case.references) for case in cases),
        prompts=tuple(
            tuple(clip_case(plan, number, telling=k).prompt for k in range(TELLINGS)) for number in range(plan.cases)
        ),
        true=np.stack([drawn(case.frames) for case in cases]),
        colours=tuple(np.array([identity.main for identity in case.identities], np.float32) for case in cases),
    )


def requests(data: Bench, condition: str) -> list[Request]:
    """One request a case; the same seeds under every condition."""
    out = []
    for number, own in enumerate(data.references):
        shown = data.references[data.other(number)] if condition == "other_references" else own
        if condition == "no_references":
            shown = np.full_like(own, GREY)
        out.append(Request(data.prompts[number][condition == "other_prompt"], tuple(shown), number))
    return out


def identity_figures(data: Bench, clips: Pictures) -> Figures:
    """Likeness to the own references and to the other case's, how often the former is the greater, and the share of pixels
    of a subject's colour."""
    frames = unit_images("dino", clips[:, LOOKED_AT].reshape(-1, SIZE, SIZE, 3)).reshape(len(clips), len(LOOKED_AT), -1)
    shown = [unit_images("dino", references) for references in data.references]
    own, other = (
        np.array([float((frames[n] @ shown[of(n)].T).mean()) for n in range(len(clips))])
        for of in (lambda n: n, data.other)
    )
    near = [
        float((np.linalg.norm(pixels - colour, axis=-1) < TOLERANCE).mean())
        for clip, colours in zip(clips, data.colours, strict=True)
        for pixels in [clip[LOOKED_AT, WINDOW, WINDOW].astype(np.float32) / 255]
        for colour in colours
    ]
    return {
        "dino": float(own.mean()),
        "dino_other": float(other.mean()),
        "dino_own_first": float((own > other).mean()),
        "own_colour": float(np.mean(near)),
    }


def prompt_figures(data: Bench, clips: Pictures) -> Figures:
    """Similarity to the prompt, and how often it is the most similar of several about the same subjects."""
    texts = unit_texts([text for told in data.prompts for text in told]).reshape(len(clips), TELLINGS, -1)
    frames = unit_images("clip", clips[:, LOOKED_AT].reshape(-1, SIZE, SIZE, 3)).reshape(len(clips), len(LOOKED_AT), -1)
    scores = np.einsum("nfd,nkd->nk", frames, texts) / len(LOOKED_AT)
    return {"clip": float(scores[:, 0].mean()), f"clip_top1_of_{TELLINGS}": float((scores.argmax(1) == 0).mean())}


def motion_figures(clips: Pictures) -> Figures:
    """Mean length of the optical flow, in pixels a frame."""
    return {"motion": float(np.mean([flow_means([*clip])[1].mean() for clip in clips]))}


def evaluate(pipeline: Any, plan: ClipPlan = HELD_OUT, **options: Any) -> dict[str, Figures]:
    """Figures by condition, and of the true clips (`real`); `options` go to `sample`."""
    data = bench(plan)
    made = {"real": data.true}
    for condition in CONDITIONS:
        made[condition] = np.stack(list(sample(pipeline, requests(data, condition), **options)))
    return {
        name: identity_figures(data, clips) | prompt_figures(data, clips) | motion_figures(clips)
        for name, clips in made.items()
    }
