"""Pictures and their truth: repeatable to the byte, consistent with each other, and of every plan, pose, place and style."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from evalkit.errors import UsageError
from evalkit.sandbox.world import Pose, Scene, View, correspondences, render, sample_identity, sample_scene
from evalkit.sandbox.world.solids import BALL
from evalkit.sandbox.world.vocabulary import CATEGORIES, PLACES, PLANS, STYLES, TWISTS, actions_of

DIGEST = """
import hashlib, numpy as np
from evalkit.sandbox.world import render, sample_identity, sample_scene
r = render(sample_scene(sample_identity("animal", 4, split="train"), rng=np.random.default_rng(5)))
print(hashlib.sha256(r.image.tobytes() + r.parts.tobytes() + r.surface.tobytes() + r.depth.tobytes()).hexdigest())
"""


def scene_of(category: str, index: int, **changes: object) -> Scene:
    return replace(Scene((sample_identity(category, index, split="train"),), (Pose(),)), **changes)  # type: ignore[arg-type]


def test_the_same_scene_gives_the_same_bytes_in_another_process() -> None:
    r = render(sample_scene(sample_identity("animal", 4, split="train"), rng=np.random.default_rng(5)))
    here = hashlib.sha256(r.image.tobytes() + r.parts.tobytes() + r.surface.tobytes() + r.depth.tobytes()).hexdigest()
    there = subprocess.run([sys.executable, "-c", DIGEST], capture_output=True, text=True, check=True).stdout.strip()
    assert here == there


def test_shapes_types_and_agreement_of_the_truth() -> None:
    r = render(scene_of("object", 0), size=64, supersample=3)
    assert r.image.shape == (64, 64, 3)
    assert [b.dtype.name for b in (r.image, r.parts, r.surface, r.depth)] == ["uint8", "int16", "float32", "float32"]
    assert np.array_equal(r.mask, r.parts >= 0)
    assert np.array_equal(r.mask, np.isfinite(r.depth))
    assert np.array_equal(r.mask, ~np.isnan(r.surface).any(axis=2))
    assert np.array_equal(r.subject_masks[0], r.mask)


def test_surface_coordinates_of_balls_have_length_one() -> None:
    r = render(scene_of("animal", 3))
    kinds = r.solids[0].kind[r.parts[r.mask]]
    radius = np.linalg.norm(r.surface[r.mask][kinds == BALL], axis=1)
    assert len(radius) > 200
    assert np.abs(radius - 1).max() < 5e-3


@pytest.mark.parametrize(("size", "supersample"), [(15, 2), (96, 0)])
def test_sizes_too_small_are_refused(size: int, supersample: int) -> None:
    with pytest.raises(UsageError, match="size >= 16 and supersample >= 1; found"):
        render(scene_of("animal", 0), size=size, supersample=supersample)


@pytest.mark.parametrize("plan", [p for c in CATEGORIES[:3] for p in PLANS[c]])
def test_every_plan_in_every_action_is_well_inside_the_picture(plan: str) -> None:
    category = next(c for c in CATEGORIES if plan in PLANS[c])
    identity = sample_identity(category, PLANS[category].index(plan), split="train")
    pictures = [render(Scene((identity,), (Pose(action),), View(30))) for action in actions_of(plan)]
    assert all(0.05 < r.mask.mean() < 0.6 for r in pictures)
    assert len({r.mask.tobytes() for r in pictures}) == len(pictures)


@pytest.mark.parametrize("place", PLACES)
def test_places_differ_and_leave_the_mask_alone(place: str) -> None:
    studio, there = render(scene_of("animal", 1)), render(scene_of("animal", 1, place=place, place_seed=3))
    assert np.array_equal(studio.mask, there.mask)
    assert place == "studio" or np.abs(studio.image[:20].astype(int) - there.image[:20]).mean() > 8


@pytest.mark.parametrize("twist", TWISTS[1:])
def test_twists_show_the_subject(twist: str) -> None:
    assert render(scene_of("human", 1, twist=twist)).mask.sum() > 400


def test_a_foreground_hides_what_it_covers() -> None:
    giant = render(scene_of("human", 0, twist="giant"))
    free = render(scene_of("human", 0, scale=1.25))
    assert giant.mask.sum() < free.mask.sum()
    assert not (giant.mask & ~free.mask).any()


@pytest.mark.parametrize("style", STYLES[1:])
def test_styles_redraw_the_picture_and_keep_the_truth(style: str) -> None:
    photo, drawn = (
        render(scene_of("object", 1, place="meadow")),
        render(scene_of("object", 1, place="meadow", style=style)),
    )
    assert np.abs(photo.image.astype(int) - drawn.image).mean() > 8
    assert np.array_equal(photo.parts, drawn.parts)


def test_a_style_subject_draws_in_its_style_and_tints() -> None:
    style = sample_identity("style", 0, split="train")
    scene = scene_of("animal", 0, place="meadow")
    tinted, named = render(replace(scene, style_identity=style)), render(replace(scene, style=style.plan))
    assert tinted.image.tobytes() != named.image.tobytes()


def test_subjects_stand_side_by_side_in_order() -> None:
    three = tuple(sample_identity(c, 0, split="train") for c in ("animal", "human", "object"))
    r = render(Scene(three, (Pose(),) * 3))
    centres = [np.nonzero(m)[1].mean() for m in r.subject_masks]
    assert centres == sorted(centres)
    assert np.array_equal(r.subject_masks.sum(axis=0) == 1, r.mask)


def test_patterns_follow_the_surface() -> None:
    striped = replace(scene_of("animal", 0).identities[0], pattern="striped", accessory="none")
    a = render(Scene((striped,), (Pose(),), View(20)), supersample=4)
    b = render(Scene((striped,), (Pose("sitting"),), View(28)), supersample=4)
    pairs = correspondences(a, b)
    first, second = a.image[pairs[:, 0], pairs[:, 1]].astype(int), b.image[pairs[:, 2], pairs[:, 3]].astype(int)
    shuffled = np.random.default_rng(0).permutation(second)
    assert np.abs(first - second).mean() < 0.6 * np.abs(first - shuffled).mean()


def test_light_changes_colours_only() -> None:
    day, dusk = render(scene_of("object", 2)), render(scene_of("object", 2, light="dusk"))
    assert np.array_equal(day.parts, dusk.parts)
    assert dusk.image.mean() < day.image.mean()
