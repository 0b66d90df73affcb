"""Rendered concepts to train and judge the small Qwen2.5-VL on: six pictures each, in families of three look-alikes.

Places, actions and views are drawn as the embedded UnifyBench draws them. In a family the second concept has the first one's
shape and another colour, the third its colours with another pattern, accessory and proportions.
"""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from evalkit.errors import DataError
from evalkit.sandbox.concept_words import SOME_PLACES
from evalkit.sandbox.scenes import realised
from evalkit.sandbox.training.data import SIZE, Progress
from evalkit.sandbox.world import (
    Identity,
    Pose,
    Scene,
    drift_target,
    reference_scene,
    render,
    sample_identity,
    split_of,
)
from evalkit.sandbox.world.vocabulary import actions_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FAMILY = 3
PICTURES = 6
"""Of a concept: the studio, two of it standing somewhere, three of it doing something somewhere."""
STANDING = 2
CATEGORIES = ("human", "animal", "object")


@dataclass(frozen=True)
class ConceptPlan:
    """What to render: families of three concepts of a split."""

    families: int
    split: str
    seed: int


@dataclass(frozen=True)
class ConceptSet:
    """N concepts: `pictures` uint8 [N, 6, 96, 96, 3] of the `scenes` [N][6]."""

    pictures: NDArray[np.uint8]
    scenes: tuple[tuple[Scene, ...], ...]

    def identity(self, number: int) -> Identity:
        """Who a concept is."""
        return self.scenes[number][0].identities[0]


def identity_of(plan: ConceptPlan, number: int) -> Identity:
    """Concept `number` of a plan, of its split."""
    family, member = divmod(number, FAMILY)
    category = CATEGORIES[family % len(CATEGORIES)]
    first = sample_identity(category, 100_000 * plan.seed + family // len(CATEGORIES), split=plan.split)
    if member == 0:
        return first
    rng = np.random.default_rng([plan.seed, 11, number])
    while True:
        other = drift_target(first, rng=rng)
        if member == 2:
            other = replace(other, palette=first.palette, main=first.main, second=first.second)
        if split_of(other) == plan.split and other.combination != first.combination:
            return other


def scenes_of(plan: ConceptPlan, number: int) -> tuple[Scene, ...]:
    """The six scenes of a concept."""
    identity, rng = identity_of(plan, number), np.random.default_rng([plan.seed, 12, number])
    actions = actions_of(identity.plan)
    drawn = [reference_scene(identity)]
    for shot in range(1, PICTURES):
        action = "standing" if shot <= STANDING else actions[int(rng.integers(len(actions)))]
        place = SOME_PLACES[int(rng.integers(len(SOME_PLACES)))]
        scene = Scene((identity,), (Pose(action),), place=place)
        drawn.append(realised(scene, f"{plan.split}/{plan.seed}/{number}", shot))
    return tuple(drawn)


def _render_concept(task: tuple[ConceptPlan, int]) -> NDArray[np.uint8]:
    return np.stack([render(scene, size=SIZE).image for scene in scenes_of(*task)])


def render_concepts(
    folder: Path, plan: ConceptPlan, *, workers: int = 1, progress: Progress | None = None
) -> ConceptSet:
    """Render `plan` into `folder`, or open it where it is complete already; the result does not depend on `workers`.

    Raises:
        DataError: `folder` holds concepts of another plan.
    """
    done, total = folder / "done.json", FAMILY * plan.families
    if not done.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        shape = (total, PICTURES, SIZE, SIZE, 3)
        pictures = np.lib.format.open_memmap(folder / "pictures.npy", mode="w+", dtype=np.uint8, shape=shape)
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            tasks = [(plan, number) for number in range(total)]
            for number, drawn in enumerate(pool.imap(_render_concept, tasks, chunksize=8)):
                pictures[number] = drawn
                if progress is not None:
                    progress("render concepts", (number + 1) / total)
        pictures.flush()
        done.write_text(json.dumps(asdict(plan)), encoding="utf-8")
    found = json.loads(done.read_text(encoding="utf-8"))
    if found != asdict(plan):
        raise DataError(f"wanted concepts of {asdict(plan)!r} in {str(folder)!r}; found {found!r}; name another folder")
    scenes = tuple(scenes_of(plan, number) for number in range(total))
    return ConceptSet(np.load(folder / "pictures.npy", mmap_mode="r"), scenes)
