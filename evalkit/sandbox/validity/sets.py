"""The graded changes of sets: for each subject of the battery five pictures of it, and that set changed, weak to strong."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evalkit.metrics.validity import Change
from evalkit.sandbox.validity.changes import CATEGORIES, SEED, SIZE, Subject
from evalkit.sandbox.world import Identity, Pose, Scene, caption, drift_target, render, sample_identity
from evalkit.sandbox.world.vocabulary import PLACES, actions_of

PICTURES = 5
GRADES: Mapping[Change, tuple[float, ...]] = {
    "others": (0, 1, 2, 3, 4),
    "strangers": (0, 1, 2, 3, 4),
    "wrong_prompts": (0, 1, 2, 3, 5),
    "jpeg": (100, 95, 75, 50, 25),
}
"""How strong, none first: five pictures of one subject, each as its prompt asks."""
UNITS: Mapping[Change, str] = {
    "others": "of 5 pictures that show another subject of its kind, each one of its own",
    "strangers": "of 5 pictures that show a subject of another category, each one of its own",
    "wrong_prompts": "of 5 prompts that ask for another action in another place",
    "jpeg": "quality of every picture; 100 is without re-encoding",
}


class Asked(NamedTuple):
    """One picture of a set [96, 96, 3] and its prompt."""

    pixels: NDArray[np.uint8]
    prompt: str


def changed_sets(subject: Subject) -> dict[tuple[Change | None, int], list[Asked]]:
    """The subject's sets by change and grade; the unchanged one under (None, 0)."""
    rng = np.random.default_rng([SEED, subject.number, 200])
    scenes = _scenes(subject, rng, PICTURES)
    plain = [Asked(_shown(scene), caption(scene)) for scene in scenes]
    sets: dict[tuple[Change | None, int], list[Asked]] = {(None, 0): plain}
    shows: dict[Change, list[Identity]] = {"others": _others(subject, rng), "strangers": _strangers(subject, rng)}
    for change, those in shows.items():
        shown = [_shown(_with(scene, one, rng)) for scene, one in zip(scenes, those, strict=True)]
        for grade, count in enumerate(map(int, GRADES[change][1:]), start=1):
            changed = [Asked(pixels, asked.prompt) for pixels, asked in zip(shown, plain, strict=True)]
            sets[change, grade] = [*plain[: PICTURES - count], *changed[PICTURES - count :]]
    elsewhere = [caption(scene) for scene in _scenes(subject, rng, PICTURES, but=scenes)]
    for grade, count in enumerate(map(int, GRADES["wrong_prompts"][1:]), start=1):
        told = [*[asked.prompt for asked in plain[: PICTURES - count]], *elsewhere[PICTURES - count :]]
        sets["wrong_prompts", grade] = [Asked(asked.pixels, text) for asked, text in zip(plain, told, strict=True)]
    for grade, quality in enumerate(map(int, GRADES["jpeg"][1:]), start=1):
        sets["jpeg", grade] = [Asked(_jpeg(asked.pixels, quality), asked.prompt) for asked in plain]
    return sets


def _scenes(subject: Subject, rng: np.random.Generator, count: int, but: list[Scene] | None = None) -> list[Scene]:
    """The subject in `count` actions and places; with `but` in other places and actions than each of those has."""
    actions = [action for action in actions_of(subject.identity.plan) if action != "standing"]
    turns = rng.permutation(len(actions)).tolist()
    places = [place for place in PLACES if place not in {scene.place for scene in but or ()}]
    places = [places[index] for index in rng.permutation(len(places)).tolist()]
    chosen = []
    for number in range(count):
        free = [actions[turn] for turn in turns if but is None or actions[turn] != but[number].poses[0].action]
        pose, place = Pose(free[number % len(free)]), places[number % len(places)]
        chosen.append(replace(subject.scene, poses=(pose,), place=place))
    return chosen


def _with(scene: Scene, other: Identity, rng: np.random.Generator) -> Scene:
    """The same picture of another subject, in an action of its own where it has not the other's."""
    actions = actions_of(other.plan)
    pose = scene.poses[0]
    fits = pose if pose.action in actions else Pose(actions[int(rng.integers(len(actions)))])
    return replace(scene, identities=(other,), poses=(fits,))


def _others(subject: Subject, rng: np.random.Generator) -> list[Identity]:
    return [drift_target(subject.identity, rng=rng) for _ in range(PICTURES)]


def _strangers(subject: Subject, rng: np.random.Generator) -> list[Identity]:
    categories = [category for category in CATEGORIES if category != subject.identity.category]
    return [
        sample_identity(categories[number % 2], int(rng.integers(10_000)), split="bench") for number in range(PICTURES)
    ]


def _shown(scene: Scene) -> NDArray[np.uint8]:
    return render(scene, size=SIZE).image


def _jpeg(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))
