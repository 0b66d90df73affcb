"""Pairs to train and judge the small Kontext on: a subject's reference picture, a prompt, and a true picture of the prompt.

References, prompts and pictures follow the embedded benchmark's own grammar and choices, so that a model is judged on what it
was taught: other subjects, not other tasks.
"""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import DataError
from evalkit.sandbox.benchmark import WorldCase, true_scene
from evalkit.sandbox.training.data import SIZE, Progress
from evalkit.sandbox.world import (
    Identity,
    Pose,
    Scene,
    prompt_for,
    reference_scene,
    render,
    sample_identity,
    style_prompt,
    subject_words,
)
from evalkit.sandbox.world.vocabulary import PLACES, STYLE_PLANS, TWISTS, actions_of

CATEGORY_CYCLE = (
    "animal", "object", "human", "object", "animal", "object", "style", "animal", "object", "human", "animal", "object",
    "style",
)  # fmt: skip
"""Subjects take turns in about the benchmark's shares (15 animals, 7 humans, 21 objects and 7 styles of 50); its length shares
no factor with the number of any category's plans, so that all of them come up equally often."""
STYLISED, IMAGINATIVE = 3 / 9, 2 / 9
"""Shares of the benchmark's kinds of prompts; the rest is photorealistic."""
_CONTENT_CATEGORIES = ("animal", "object", "human")


@dataclass(frozen=True)
class PairPlan:
    """What to render: `subjects` of a split, each with its reference and `targets` pictures of random prompts."""

    subjects: int
    targets: int
    split: str
    seed: int


@dataclass(frozen=True)
class PairSet:
    """S references and N = S x targets pairs.

    `references` uint8 [S, 96, 96, 3]; `pictures` uint8 [N, 96, 96, 3]; `subject` int64 [N], the reference of each pair;
    `prompts` N texts.
    """

    references: NDArray[np.uint8]
    pictures: NDArray[np.uint8]
    subject: NDArray[np.int64]
    prompts: tuple[str, ...]


def subject_of(plan: PairPlan, number: int) -> tuple[Identity, Scene]:
    """Subject `number` and the scene of its reference picture."""
    category = CATEGORY_CYCLE[number % len(CATEGORY_CYCLE)]
    identity = sample_identity(category, 100_000 * plan.seed + number, split=plan.split)
    content = _content(plan, number, 0) if category == "style" else None
    return identity, reference_scene(identity, content=content)


def _content(plan: PairPlan, number: int, index: int) -> Identity:
    """What a picture of a style shows: a training identity, as in the benchmark, since only the style must be preserved."""
    category = _CONTENT_CATEGORIES[(number + index) % len(_CONTENT_CATEGORIES)]
    return sample_identity(category, 100_000 * plan.seed + 97 * number + index, split="train")


def pair_scene(plan: PairPlan, number: int, index: int) -> tuple[str, Scene]:
    """Prompt `index` of subject `number`, and a scene that shows what it asks for."""
    identity, _ = subject_of(plan, number)
    rng = np.random.default_rng([plan.seed, 5, number, index])
    style = identity if identity.category == "style" else None
    shown = _content(plan, number, index + 1) if style is not None else identity
    kind = float(rng.uniform())
    twist = _one(TWISTS[1:], rng) if kind < IMAGINATIVE else "none"
    drawn = _one(STYLE_PLANS, rng) if style is None and IMAGINATIVE <= kind < IMAGINATIVE + STYLISED else "photo"
    action = _one(actions_of(shown.plan), rng) if twist == "none" or style is not None else "standing"
    place = _one(PLACES[1:], rng) if twist == "none" else "studio"
    scene = Scene((shown,), (Pose(action),), place=place, style=drawn, twist=twist, style_identity=style)
    if style is not None:
        prompt = style_prompt(shown.plan, style.plan, action=action, place=place, twist=twist)
    else:
        prompt = prompt_for(subject_words(identity), action=action, place=place, style=drawn, twist=twist)
    return prompt, true_scene(WorldCase(f"{plan.split}/{number}", index, prompt, scene), seed=plan.seed)


def _one(options: tuple[str, ...], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


def _render_subject(task: tuple[PairPlan, int]) -> tuple[NDArray[np.uint8], list[str]]:
    """The reference and the targets of one subject, [1 + targets, 96, 96, 3], and the prompts."""
    plan, number = task
    pairs = [pair_scene(plan, number, k) for k in range(plan.targets)]
    scenes = [subject_of(plan, number)[1], *(scene for _, scene in pairs)]
    return np.stack([render(scene, size=SIZE).image for scene in scenes]), [prompt for prompt, _ in pairs]


def render_pairs(folder: Path, plan: PairPlan, *, workers: int = 1, progress: Progress | None = None) -> PairSet:
    """Render `plan` into `folder`, or open it where it is complete already; the result does not depend on `workers`.

    Raises:
        DataError: `folder` holds pairs of another plan.
    """
    done = folder / "done.json"
    if not done.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        _render_all(folder, plan, workers, progress)
    found = json.loads(done.read_text(encoding="utf-8"))
    if found != asdict(plan):
        raise DataError(f"wanted pairs of {asdict(plan)!r} in {str(folder)!r}; found {found!r}; name another folder")
    pictures = np.load(folder / "pictures.npy", mmap_mode="r")
    prompts = json.loads((folder / "prompts.json").read_text(encoding="utf-8"))
    subject = np.repeat(np.arange(plan.subjects, dtype=np.int64), plan.targets)
    return PairSet(np.load(folder / "references.npy", mmap_mode="r"), pictures, subject, tuple(prompts))


def _render_all(folder: Path, plan: PairPlan, workers: int, progress: Progress | None) -> None:
    shape = (SIZE, SIZE, 3)
    save = np.lib.format.open_memmap
    references = save(folder / "references.npy", mode="w+", dtype=np.uint8, shape=(plan.subjects, *shape))
    pictures = save(folder / "pictures.npy", mode="w+", dtype=np.uint8, shape=(plan.subjects * plan.targets, *shape))
    prompts: list[str] = []
    tasks = [(plan, number) for number in range(plan.subjects)]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for number, (drawn, texts) in enumerate(pool.imap(_render_subject, tasks, chunksize=8)):
            references[number] = drawn[0]
            pictures[number * plan.targets : (number + 1) * plan.targets] = drawn[1:]
            prompts += texts
            if progress is not None:
                progress("render pairs", (number + 1) / plan.subjects)
    references.flush()
    pictures.flush()
    (folder / "prompts.json").write_text(json.dumps(prompts), encoding="utf-8")
    (folder / "done.json").write_text(json.dumps(asdict(plan)), encoding="utf-8")
