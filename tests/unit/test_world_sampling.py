"""Identities: seeded, split by a rule that holds combinations out, and drifting continuously."""

from __future__ import annotations

import numpy as np
import pytest

from evalkit.errors import UsageError
from evalkit.sandbox.world import (
    drift,
    drift_target,
    reference_scene,
    render,
    sample_identity,
    sample_scene,
    split_of,
)
from evalkit.sandbox.world.vocabulary import CATEGORIES, PLANS


@pytest.mark.parametrize("category", CATEGORIES)
def test_no_combination_of_the_benchmark_occurs_in_training(category: str) -> None:
    train = {sample_identity(category, i, split="train").combination for i in range(300)}
    bench = {sample_identity(category, i, split="bench").combination for i in range(100)}
    assert not train & bench
    assert len(train) > 40


def test_identities_are_seeded_and_the_plans_take_turns() -> None:
    assert sample_identity("animal", 5, split="train") == sample_identity("animal", 5, split="train")
    assert sample_identity("animal", 5, split="train") != sample_identity("animal", 15, split="train")
    plans = [sample_identity("object", i, split="bench").plan for i in range(len(PLANS["object"]))]
    assert tuple(plans) == PLANS["object"]


def test_the_rule_says_which_split_an_identity_is_of() -> None:
    for split in ("train", "bench"):
        assert all(split_of(sample_identity("human", i, split=split)) == split for i in range(20))


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UsageError, match="found 'plant', 'train'"):
        sample_identity("plant", 0, split="train")
    with pytest.raises(UsageError, match="found 'animal', 'test'"):
        sample_identity("animal", 0, split="test")


def test_scenes_are_seeded() -> None:
    cat = sample_identity("animal", 0, split="train")
    draw = [sample_scene(cat, rng=np.random.default_rng(s)) for s in (1, 1, 2)]
    assert draw[0] == draw[1]
    assert draw[0] != draw[2]


def test_what_is_given_is_kept() -> None:
    cat = sample_identity("animal", 0, split="train")
    scene = sample_scene(cat, rng=np.random.default_rng(0), place="lake", style="oil", twist="none")
    assert (scene.place, scene.style, scene.twist) == ("lake", "oil", "none")


def test_a_style_needs_content() -> None:
    style = sample_identity("style", 0, split="train")
    with pytest.raises(UsageError, match="a style picture shows something"):
        sample_scene(style, rng=np.random.default_rng(0))
    with pytest.raises(UsageError, match="a style's reference shows something"):
        reference_scene(style)


@pytest.mark.parametrize("category", CATEGORIES[:3])
def test_drift_goes_from_the_identity_to_its_target(category: str) -> None:
    start = sample_identity(category, 1, split="bench")
    target = drift_target(start, rng=np.random.default_rng(3))
    assert drift(start, 0.0, rng=np.random.default_rng(3)) == start
    assert drift(start, 1.0, rng=np.random.default_rng(3)) == target
    assert target.plan == start.plan


def test_pictures_change_more_with_more_drift() -> None:
    distance = np.zeros(5)
    for index in range(6):
        start = sample_identity("animal", index, split="bench")
        amounts = [drift(start, a, rng=np.random.default_rng(index)) for a in (0.0, 0.1, 0.3, 0.6, 1.0)]
        images = [render(reference_scene(start)).image.astype(float)]
        base = reference_scene(start)
        images = [render(type(base)((i,), base.poses, base.view, place_seed=1)).image.astype(float) for i in amounts]
        distance += [np.abs(image - images[0]).mean() for image in images]
    assert distance[0] == 0
    assert (np.diff(distance) > 0).all()


@pytest.mark.parametrize("amount", [-0.1, 1.1])
def test_drift_outside_the_unit_range_is_refused(amount: float) -> None:
    with pytest.raises(UsageError, match=r"amount in \[0, 1\]; found"):
        drift(sample_identity("animal", 0, split="train"), amount, rng=np.random.default_rng(0))
