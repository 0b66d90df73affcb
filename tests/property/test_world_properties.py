"""What holds for any scene of the world."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.sandbox.world import (
    Identity,
    Scene,
    caption,
    correspondences,
    drift,
    render,
    sample_identity,
    sample_scene,
    split_of,
    words,
)

CATEGORY = st.sampled_from(["animal", "human", "object"])
SEED = st.integers(0, 2**31 - 1)
KNOWN = frozenset(words())


@given(CATEGORY, st.integers(0, 10_000), SEED, st.sampled_from(["train", "bench"]))
@settings(max_examples=25, deadline=None)
def test_any_scene_round_trips_and_is_described(category: str, index: int, seed: int, split: str) -> None:
    identity = sample_identity(category, index, split=split)
    scene = sample_scene(identity, rng=np.random.default_rng(seed))
    assert split_of(identity) == split
    assert Scene.from_json(json.loads(json.dumps(scene.to_json()))) == scene
    assert set(caption(scene, detailed=True, light=True).split()) <= KNOWN


@given(CATEGORY, st.integers(0, 500), SEED)
@settings(max_examples=10, deadline=None)
def test_any_picture_agrees_with_itself(category: str, index: int, seed: int) -> None:
    r = render(sample_scene(sample_identity(category, index, split="train"), rng=np.random.default_rng(seed)), size=48)
    assert np.array_equal(r.mask, r.parts >= 0)
    assert np.array_equal(r.mask, np.isfinite(r.depth))
    pairs = correspondences(r, r)
    assert np.array_equal(pairs[:, :2], pairs[:, 2:])


@given(CATEGORY, st.integers(0, 500), SEED, st.floats(0, 1))
@settings(max_examples=25, deadline=None)
def test_drift_is_a_valid_identity_between_its_ends(category: str, index: int, seed: int, amount: float) -> None:
    start = sample_identity(category, index, split="bench")
    end = drift(start, 1.0, rng=np.random.default_rng(seed))
    there = drift(start, amount, rng=np.random.default_rng(seed))
    assert Identity.from_json(there.to_json()) == there
    gap = np.abs(np.array(start.main) - np.array(there.main)).sum()
    assert gap <= np.abs(np.array(start.main) - np.array(end.main)).sum() + 1e-9
