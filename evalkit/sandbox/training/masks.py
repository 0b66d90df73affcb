"""Pictures of the world with the masks of what they show, to train and to measure a segmenter on."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from evalkit.sandbox.training.data import SIZE, Progress
from evalkit.sandbox.world import Scene, render, sample_identity, sample_scene
from evalkit.sandbox.world.places import backdrop
from evalkit.sandbox.world.shading import grade

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Drawn = tuple[NDArray[np.uint8], NDArray[np.bool_]]

CATEGORIES = ("animal", "object", "human", "animal", "object")


@dataclass(frozen=True)
class MaskPlan:
    """What to render: one picture of each identity of a split, and pictures of places alone; `stylised` is the share of
    scenes that may be drawn in another style than a photo's."""

    subjects: int
    empty: int
    split: str
    seed: int
    stylised: float = 0.4


@dataclass(frozen=True)
class MaskSet:
    """N pictures, uint8 [N, 96, 96, 3], and their subjects' masks, bool [N, 96, 96]; `photo` bool [N], drawn as a photo."""

    images: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    photo: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.images)


def scene_of(plan: MaskPlan, number: int) -> Scene:
    """The scene of picture `number`, the subject included where the picture is of a place alone."""
    rng = np.random.default_rng([plan.seed, 8, number])
    identity = sample_identity(CATEGORIES[number % 5], 1000 * plan.seed + number, split=plan.split)
    return sample_scene(identity, rng=rng, style=None if rng.uniform() < plan.stylised else "photo")


def _draw(task: tuple[MaskPlan, int]) -> Drawn:
    plan, number = task
    scene = scene_of(plan, number)
    if number < plan.subjects:
        drawn = render(scene, size=SIZE)
        return drawn.image, drawn.mask
    scene = replace(scene, style="photo", twist="none")
    behind = backdrop(scene.place, scene.place_seed, SIZE).behind * grade(scene.light)
    return np.round(np.clip(behind, 0, 1) * 255).astype(np.uint8), np.zeros((SIZE, SIZE), bool)


def render_masks(folder: Path, plan: MaskPlan, *, workers: int = 1, progress: Progress | None = None) -> MaskSet:
    """Render `plan` into `folder`, or open it where it is complete already. The result does not depend on `workers`."""
    total = plan.subjects + plan.empty
    if not (folder / "done.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        images = np.lib.format.open_memmap(
            folder / "images.npy", mode="w+", dtype=np.uint8, shape=(total, SIZE, SIZE, 3)
        )
        masks = np.zeros((total, SIZE, SIZE), bool)
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            tasks = [(plan, number) for number in range(total)]
            for number, (pixels, mask) in enumerate(pool.imap(_draw, tasks, chunksize=8)):
                images[number], masks[number] = pixels, mask
                if progress is not None:
                    progress("render", (number + 1) / total)
        images.flush()
        np.save(folder / "masks.npy", masks)
        photo = [number >= plan.subjects or scene_of(plan, number).drawn_style == "photo" for number in range(total)]
        np.save(folder / "photo.npy", np.array(photo))
        (folder / "done.json").write_text(json.dumps({"images": total}), encoding="utf-8")
    return MaskSet(
        np.load(folder / "images.npy", mmap_mode="r"), *(np.load(folder / f"{n}.npy") for n in ("masks", "photo"))
    )
