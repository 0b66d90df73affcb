"""Pictures with known glitches: a reference, the same subject elsewhere, a look-alike and another subject in its place.

Which cell of the reference shows what a cell of the other pictures shows, and whether a look-alike's cell looks as it
should, is known exactly: the two are drawn in one scene, so that every difference between them is the subject's.
"""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from evalkit.sandbox.training.data import ATTRIBUTES, GRID, MIN_MATCH_PIXELS, PATCH, SIZE, Progress, patch_matches
from evalkit.sandbox.world import (
    Identity,
    Rendered,
    Scene,
    drift_target,
    reference_scene,
    render,
    sample_identity,
    sample_scene,
    split_of,
)
from evalkit.sandbox.world.assemble import assemble

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Known = NDArray[np.uint8] | NDArray[np.int16] | NDArray[np.int8] | np.generic

REFERENCE, SAME, LOOKALIKE, OTHER = range(4)
"""The pictures of a group, in this order."""
CELLS = GRID * GRID
ALIKE, CHANGED = 0.03, 0.10
"""Mean difference (largest channel, of 1) of a cell's subject pixels up to which a look-alike's cell looks the same, and
from which it does not."""
TURN = 30.0
"""Standard deviation in degrees of the view's turn from the reference's."""
_TRAITS = {
    "palette": ("palette", "main", "second"),
    "pattern": ("pattern", "pattern_scale", "pattern_phase"),
    "accessory": ("accessory",),
    "accent": ("accent",),
    "hair": ("hair", "hair_style"),
    "skin": ("skin",),
}
_SHAPES = ("accessory", "hair")
"""Traits whose change covers or uncovers parts, so that the same cell may show another part."""


@dataclass(frozen=True)
class GlitchPlan:
    """How many groups of four pictures, of which split; `stylised` is the share of scenes that are not photos."""

    groups: int
    split: str
    seed: int
    stylised: float = 0.25


@dataclass(frozen=True)
class Glitches:
    """N groups of four pictures (`REFERENCE`, `SAME`, `LOOKALIKE`, `OTHER`) and what is known of their cells.

    `images` uint8 [N, 4, 96, 96, 3]; `subject` uint8 [N, 4, 144], pixels of the subject in each cell, 0 to 64; `matches`
    int16 [N, 3, 144], for cells of the last three the reference's cell that shows the same part, -1 for none; `alike`
    int8 [N, 3, 144], 1 where a cell's subject looks as it should, -1 where it does not, 0 where that is unclear or there
    is none; `photo` bool [N], whether the scene is drawn as a photo, in which colours can be told; `plan` int16 [N].
    """

    images: NDArray[np.uint8]
    subject: NDArray[np.uint8]
    matches: NDArray[np.int16]
    alike: NDArray[np.int8]
    photo: NDArray[np.bool_]
    plan: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.photo)


class Group(NamedTuple):
    """The scenes of one group and the trait in which the look-alike differs."""

    scenes: tuple[Scene, Scene, Scene, Scene]
    trait: str


def group_of(plan: GlitchPlan, number: int) -> Group:
    """Group `number` of a plan; identities are all of its split."""
    rng = np.random.default_rng([plan.seed, 5, number])
    category = ("animal", "object", "human", "animal", "object")[number % 5]
    identity = sample_identity(category, 1000 * plan.seed + number, split=plan.split)
    reference = reference_scene(identity)
    if rng.uniform() < 0.5:
        reference = sample_scene(identity, rng=rng, style="photo", twist="none")
    stylised = float(rng.uniform()) < plan.stylised
    scene = sample_scene(identity, rng=rng, style=None if stylised else "photo")
    turn = reference.view.azimuth + float(rng.normal(0, TURN))
    scene = replace(scene, view=replace(scene.view, azimuth=turn))
    near, trait = lookalike(identity, plan.split, rng)
    far = replace(_donor(identity, plan.split, rng), hair_style=identity.hair_style)
    shown = (identity, near, far)
    return Group((reference, *(replace(scene, identities=(who,)) for who in shown)), trait)  # type: ignore[arg-type]


def lookalike(identity: Identity, split: str, rng: np.random.Generator) -> tuple[Identity, str]:
    """`identity` with one trait of another of its plan, and that trait's name."""
    traits = [t for t in _TRAITS if identity.category == "human" or t not in ("hair", "skin")]
    traits = [t for t in traits if t != "accent" or identity.accessory != "none"]
    while True:
        trait = traits[int(rng.integers(len(traits)))]
        donor = drift_target(identity, rng=rng)
        near = replace(identity, **{name: getattr(donor, name) for name in _TRAITS[trait]})
        leading = _TRAITS[trait][0]
        if getattr(near, leading) != getattr(identity, leading) and split_of(near) == split:
            return near, trait


def _donor(identity: Identity, split: str, rng: np.random.Generator) -> Identity:
    while True:
        donor = drift_target(identity, rng=rng)
        if split_of(donor) == split:
            return donor


def render_glitches(folder: Path, plan: GlitchPlan, *, workers: int = 1, progress: Progress | None = None) -> Glitches:
    """Render `plan` into `folder`, or open it where it is complete already. The result does not depend on `workers`."""
    if not (folder / "done.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        images = np.lib.format.open_memmap(
            folder / "images.npy", mode="w+", dtype=np.uint8, shape=(plan.groups, 4, SIZE, SIZE, 3)
        )
        truths: list[tuple[Known, ...]] = []
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            tasks = [(plan, number) for number in range(plan.groups)]
            for pictures, truth in pool.imap(_render_group, tasks, chunksize=8):
                images[len(truths)] = pictures
                truths.append(truth)
                if progress is not None:
                    progress("render", len(truths) / plan.groups)
        images.flush()
        for field, column in zip(_truths(), zip(*truths, strict=True), strict=True):
            np.save(folder / f"{field}.npy", np.stack(column))
        (folder / "done.json").write_text(json.dumps({"groups": plan.groups}), encoding="utf-8")
    images = np.load(folder / "images.npy", mmap_mode="r")
    return Glitches(images, *(np.load(folder / f"{field}.npy") for field in _truths()))


def _truths() -> list[str]:
    return [field.name for field in fields(Glitches) if field.name != "images"]


def _render_group(task: tuple[GlitchPlan, int]) -> tuple[NDArray[np.uint8], tuple[Known, ...]]:
    scenes, trait = group_of(*task)
    drawn = [render(scene, size=SIZE) for scene in scenes]
    subject = np.stack([_pixels_a_cell(picture.mask) for picture in drawn]).astype(np.uint8)
    same = patch_matches(drawn[SAME], drawn[REFERENCE])
    differences = [_difference(picture, drawn[SAME]) for picture in drawn[SAME:]]
    alike = np.stack([_alike(d, s) for d, s in zip(differences, subject[SAME:], strict=True)])
    alike[OTHER - 1] = np.minimum(alike[OTHER - 1], 0)  # what looks the same there does so by chance
    moved = trait in _SHAPES
    near = np.where((alike[LOOKALIKE - 1] > 0) | (not moved), same, -1)
    matches = np.stack([same, near, _part_matches(scenes, drawn)]).astype(np.int16)
    plan = ATTRIBUTES["plan"].index(scenes[REFERENCE].identities[0].plan)
    truth = (subject, matches, alike, np.bool_(scenes[SAME].drawn_style == "photo"), np.int16(plan))
    return np.stack([picture.image for picture in drawn]), truth


def _pixels_a_cell(pixels: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many of a cell's 8 x 8 pixels are true, [144]."""
    return np.asarray(pixels.reshape(GRID, PATCH, GRID, PATCH).sum(axis=(1, 3)).reshape(-1))


def _difference(picture: Rendered, same: Rendered) -> NDArray[np.float64]:
    """Mean over a cell's pixels that show a subject in either picture of the largest channel's difference, [144]."""
    shown = picture.mask | same.mask
    apart = np.abs(picture.image.astype(np.int64) - same.image).max(axis=2) * shown / 255
    total = apart.reshape(GRID, PATCH, GRID, PATCH).sum(axis=(1, 3)).reshape(-1)
    return np.asarray(total / np.maximum(_pixels_a_cell(shown), 1))


def _alike(difference: NDArray[np.float64], subject: NDArray[np.uint8]) -> NDArray[np.int8]:
    there = subject >= MIN_MATCH_PIXELS
    return np.where(there & (difference <= ALIKE), 1, np.where(there & (difference >= CHANGED), -1, 0)).astype(np.int8)


def _part_matches(scenes: tuple[Scene, ...], drawn: list[Rendered]) -> NDArray[np.int16]:
    """`patch_matches` between two subjects of one plan, by the parts of the bare body, which they have in common."""
    bare = replace(scenes[REFERENCE].identities[0], accessory="none")
    count = len(assemble(bare, scenes[REFERENCE].poses[0]).solids.kind)
    return patch_matches(_first_parts(drawn[OTHER], count), _first_parts(drawn[REFERENCE], count))


def _first_parts(picture: Rendered, count: int) -> Rendered:
    solids = picture.solids[0]
    first = type(solids)(*(getattr(solids, field.name)[:count] for field in fields(solids)))
    return replace(picture, solids=(first,), subject_masks=picture.subject_masks & (picture.parts < count))
