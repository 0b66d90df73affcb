"""Scenes as data: they round-trip, and what does not fit is refused in words."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from evalkit.errors import DataError
from evalkit.sandbox.world import Identity, Pose, Scene, View, sample_identity, sample_scene


def a_cat() -> Identity:
    return sample_identity("animal", 0, split="train")


@pytest.mark.parametrize("category", ["animal", "human", "object"])
def test_a_scene_survives_json(category: str) -> None:
    scene = sample_scene(sample_identity(category, 3, split="train"), rng=np.random.default_rng(0))
    assert Scene.from_json(json.loads(json.dumps(scene.to_json()))) == scene


def test_a_style_scene_survives_json() -> None:
    style = sample_identity("style", 0, split="train")
    scene = sample_scene(style, rng=np.random.default_rng(0), content=a_cat())
    assert scene.style_identity == style
    assert Scene.from_json(json.loads(json.dumps(scene.to_json()))) == scene


def test_an_unknown_key_is_an_error_at_every_level() -> None:
    data = Scene((a_cat(),), (Pose(),)).to_json()
    with pytest.raises(DataError, match="Scene has no key 'weather'"):
        Scene.from_json({**data, "weather": "rain"})
    with pytest.raises(DataError, match="Identity has no key 'colour'"):
        Scene.from_json({**data, "identities": [{**data["identities"][0], "colour": 1}]})
    with pytest.raises(DataError, match="View has no key 'roll'"):
        View.from_json({"roll": 3.0})


def test_a_missing_key_is_an_error() -> None:
    data = a_cat().to_json()
    del data["plan"]
    with pytest.raises(DataError, match="Identity needs the key 'plan'"):
        Identity.from_json(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"place": "mars"}, "Scene.place must be one of studio, .*found 'mars'"),
        ({"style": "cubism"}, "Scene.style must be one of photo, .*found 'cubism'"),
        ({"twist": "tiny"}, "Scene.twist must be one of none, .*found 'tiny'"),
        ({"light": "noon"}, "Scene.light must be one of day, .*found 'noon'"),
        ({"poses": ()}, "one pose an identity; found 0 for 1"),
        ({"poses": (Pose("flying"),)}, "Pose.action of a cat must be one of standing, .*found 'flying'"),
        ({"scale": 0.0}, "Scene.scale must be positive; found 0.0"),
        (
            {"style_identity": sample_identity("animal", 1, split="train")},
            "must be of category 'style'; found 'animal'",
        ),
    ],
)
def test_a_scene_says_what_does_not_fit(change: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        replace(Scene((a_cat(),), (Pose(),)), **change)  # type: ignore[arg-type]


def test_a_scene_holds_one_to_three_subjects() -> None:
    with pytest.raises(DataError, match="1 to 3 identities; found 4"):
        Scene((a_cat(),) * 4, (Pose(),) * 4)
    with pytest.raises(DataError, match="a style cannot stand in a Scene"):
        Scene((sample_identity("style", 0, split="train"),), (Pose(),))


def test_an_identity_says_what_does_not_fit() -> None:
    with pytest.raises(DataError, match=r"Identity.plan of category 'animal' must be one of cat, .*found 'teapot'"):
        replace(a_cat(), plan="teapot")
    with pytest.raises(DataError, match="must be 6 numbers"):
        replace(a_cat(), proportions=(0.0,))


@pytest.mark.parametrize(
    ("azimuth", "name"),
    [(0, "front"), (-5, "front"), (40, "three-quarter"), (-88, "side"), (176, "back"), (-185, "back")],
)
def test_a_view_is_named_by_its_nearest_direction(azimuth: float, name: str) -> None:
    assert View(azimuth).name == name
