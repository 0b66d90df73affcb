"""Rendered training and evaluation sets: pictures, captions, attribute labels and exact patch matches.

A set is rendered once into a folder (pictures as a memory-mapped array) and depends on its plan alone, not on the number of
worker processes.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evalkit.sandbox.world import (
    Identity,
    Rendered,
    Scene,
    caption,
    correspondences,
    drift,
    render,
    sample_identity,
    sample_scene,
    split_of,
)
from evalkit.sandbox.world.vocabulary import (
    ACCESSORIES,
    CATEGORIES,
    PALETTES,
    PATTERNS,
    PLACES,
    PLANS,
    STYLES,
    TWISTS,
    actions_of,
)

SIZE = 96
PATCH = 8
GRID = SIZE // PATCH
IMAGES_PER_IDENTITY = 8
MIN_MATCH_PIXELS = 10

_PLAN_NAMES = tuple(plan for category in CATEGORIES[:3] for plan in PLANS[category])
#: attribute -> its values, in label order; "style" is the drawn style, "place" includes the twists
ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "plan": _PLAN_NAMES,
    "palette": tuple(PALETTES),
    "pattern": PATTERNS,
    "accessory": tuple(dict.fromkeys((*ACCESSORIES["animal"], *ACCESSORIES["object"]))),
    "place": (*PLACES, *TWISTS[1:]),
    "style": STYLES,
    "action": tuple(dict.fromkeys(action for plan in _PLAN_NAMES for action in actions_of(plan))),
}
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class SetPlan:
    """What to render: `identities` of a split with 8 pictures each, a share of them lookalikes of the one before, and single
    pictures of style subjects and of two subjects together."""

    identities: int
    styles: int
    pairs: int
    split: str
    seed: int
    lookalikes: float = 0.25


@dataclass(frozen=True)
class WorldSet:
    """N rendered pictures.

    `images` uint8 [N, 96, 96, 3]; `identity` int64 [N], -1 where the picture is of a style or of two subjects; `labels` int64
    [N, len(ATTRIBUTES)]; `captions` (plain, detailed) each; `matched` int64 [M, 2], pairs of pictures of one identity;
    `matches` int16 [M, 144], the patch of the second picture that shows what each patch of the first does, -1 for none.
    """

    images: NDArray[np.uint8]
    identity: NDArray[np.int64]
    labels: NDArray[np.int64]
    captions: tuple[tuple[str, str], ...]
    matched: NDArray[np.int64]
    matches: NDArray[np.int16]


def attribute_labels(scene: Scene) -> list[int]:
    """Index of each of `ATTRIBUTES` for the scene's first subject."""
    first, pose = scene.identities[0], scene.poses[0]
    where = scene.place if scene.twist == "none" else scene.twist
    values = (first.plan, first.palette, first.pattern, first.accessory, where, scene.drawn_style, pose.action)
    return [names.index(value) for names, value in zip(ATTRIBUTES.values(), values, strict=True)]


def patch_matches(a: Rendered, b: Rendered) -> NDArray[np.int16]:
    """For each 8 x 8 patch of `a`, the patch of `b` that shares most of its visible surface (at least 10 pixels), else -1."""
    pixels = correspondences(a, b) // PATCH
    counts = np.zeros((GRID * GRID, GRID * GRID), np.int32)
    np.add.at(counts, (pixels[:, 0] * GRID + pixels[:, 1], pixels[:, 2] * GRID + pixels[:, 3]), 1)
    best = counts.argmax(axis=1)
    return np.where(counts.max(axis=1) >= MIN_MATCH_PIXELS, best, -1).astype(np.int16)


def identity_of(plan: SetPlan, number: int) -> Identity:
    """Identity `number` of a set; every fourth or so is a near lookalike of the one before it."""
    rng = np.random.default_rng([plan.seed, 1, number])
    if number and float(rng.uniform()) < plan.lookalikes:
        near = drift(_fresh_identity(plan, number - 1), 0.4, rng=rng)
        if split_of(near) == plan.split:
            return near
    return _fresh_identity(plan, number)


def _fresh_identity(plan: SetPlan, number: int) -> Identity:
    category = ("animal", "object", "human", "animal", "object")[number % 5]
    return sample_identity(category, 1000 * plan.seed + number, split=plan.split)


def identity_scenes(plan: SetPlan, number: int) -> list[Scene]:
    """Eight scenes of one identity; the second of each pair is seen from near the first's direction, so that surface is shared."""
    rng = np.random.default_rng([plan.seed, 2, number])
    identity = identity_of(plan, number)
    scenes = [sample_scene(identity, rng=rng) for _ in range(IMAGES_PER_IDENTITY)]
    for k in range(0, IMAGES_PER_IDENTITY, 2):
        turn = scenes[k].view.azimuth + float(rng.normal(0, 22))
        scenes[k + 1] = replace(scenes[k + 1], view=replace(scenes[k + 1].view, azimuth=turn))
    return scenes


def single_scene(plan: SetPlan, number: int) -> Scene:
    """A picture of a style subject, or of two subjects, for captions only."""
    rng = np.random.default_rng([plan.seed, 3, number])
    first = _fresh_identity(plan, number)
    if number < plan.styles:
        style = sample_identity("style", 1000 * plan.seed + number, split=plan.split)
        return sample_scene(style, rng=rng, content=first)
    return sample_scene(first, rng=rng, others=(_fresh_identity(plan, number + 7919),), style="photo", twist="none")


def _render_identity(task: tuple[SetPlan, int]) -> tuple[NDArray[np.uint8], list[Scene], NDArray[np.int16]]:
    scenes = identity_scenes(*task)
    drawn = [render(scene, size=SIZE) for scene in scenes]
    matches = np.stack([patch_matches(drawn[k], drawn[k + 1]) for k in range(0, len(drawn), 2)])
    return np.stack([d.image for d in drawn]), scenes, matches


def _render_single(task: tuple[SetPlan, int]) -> tuple[NDArray[np.uint8], list[Scene], NDArray[np.int16]]:
    scene = single_scene(*task)
    return render(scene, size=SIZE).image[None], [scene], np.zeros((0, GRID * GRID), np.int16)


def render_set(folder: Path, plan: SetPlan, *, workers: int = 1, progress: Progress | None = None) -> WorldSet:
    """Render `plan` into `folder`, or open it where it is complete already.

    Args:
        workers: processes to render with; the result does not depend on it.
        progress: called with ("render", share done).
    """
    if not (folder / "done.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        _render_all(folder, plan, workers, progress)
    return open_set(folder)


def _render_all(folder: Path, plan: SetPlan, workers: int, progress: Progress | None) -> None:
    total = plan.identities * IMAGES_PER_IDENTITY + plan.styles + plan.pairs
    images = np.lib.format.open_memmap(folder / "images.npy", mode="w+", dtype=np.uint8, shape=(total, SIZE, SIZE, 3))
    scenes: list[Scene] = []
    matches: list[NDArray[np.int16]] = []
    singles = range(plan.styles + plan.pairs)
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for tasks, work in ((range(plan.identities), _render_identity), (singles, _render_single)):
            for pixels, drawn, match in pool.imap(work, [(plan, i) for i in tasks], chunksize=8):
                images[len(scenes) : len(scenes) + len(pixels)] = pixels
                scenes += drawn
                matches.append(match)
                if progress is not None:
                    progress("render", len(scenes) / total)
    images.flush()
    _write_tables(folder, plan, scenes, matches)


def _write_tables(folder: Path, plan: SetPlan, scenes: Sequence[Scene], matches: Sequence[NDArray[np.int16]]) -> None:
    known = plan.identities * IMAGES_PER_IDENTITY
    identity = np.full(len(scenes), -1, np.int64)
    identity[:known] = np.repeat(np.arange(plan.identities), IMAGES_PER_IDENTITY)
    np.save(folder / "identity.npy", identity)
    np.save(folder / "labels.npy", np.array([attribute_labels(s) for s in scenes], np.int64))
    np.save(folder / "matches.npy", np.concatenate(matches))
    captions = [(caption(s), caption(s, detailed=True, light=True)) for s in scenes]
    (folder / "captions.json").write_text(json.dumps(captions), encoding="utf-8")
    (folder / "done.json").write_text(json.dumps({"images": len(scenes)}), encoding="utf-8")


def open_set(folder: Path) -> WorldSet:
    """A set rendered earlier."""
    identity, matches = np.load(folder / "identity.npy"), np.load(folder / "matches.npy")
    first = np.arange(len(matches), dtype=np.int64) * 2
    captions = json.loads((folder / "captions.json").read_text(encoding="utf-8"))
    return WorldSet(
        np.load(folder / "images.npy", mmap_mode="r"), identity, np.load(folder / "labels.npy"),
        tuple((plain, detailed) for plain, detailed in captions), np.stack([first, first + 1], axis=1), matches,
    )  # fmt: skip
