"""The graded changes: for each subject of the battery its reference picture and that picture changed, weak to strong."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from evalkit.metrics.validity import CHANGES, Change
from evalkit.sandbox.world import (
    Identity,
    Pose,
    Rendered,
    Scene,
    caption,
    drift_target,
    reference_scene,
    render,
    sample_identity,
)
from evalkit.sandbox.world.places import backdrop
from evalkit.sandbox.world.shading import grade
from evalkit.sandbox.world.vocabulary import PLACES, PLANS, STYLE_PLANS, actions_of

BATTERY_VERSION = 1
"""Raised whenever a picture or prompt of the battery changes."""
SEED = 7
SIZE = 96
CATEGORIES = ("animal", "object", "human")
GRADES: Mapping[Change, tuple[float, ...]] = {
    "identity": (0, 1, 2, 3, 4),
    "pose": (0, 0.25, 0.5, 0.75, 1),
    "view": (0, 15, 30, 60, 90),
    "scale": (1, 0.9, 0.8, 0.7, 0.55),
    "position": (0, 0.1, 0.2, 0.3, 0.4),
    "background": (0, 0.25, 0.5, 0.75, 1),
    "style": (0, 0.25, 0.5, 0.75, 1),
    "crop": (1, 0.9, 0.8, 0.7, 0.6),
    "blur": (0, 0.4, 0.8, 1.2, 1.6),
    "jpeg": (100, 95, 75, 50, 25),
    "wrong_subject": (0, 1, 2, 3),
    "missing_subject": (0, 0.25, 0.5, 0.75, 1),
    "prompt": (0, 1, 2, 3, 4),
}
"""How strong, none first: the unchanged reference, or its prompt."""
UNITS: Mapping[Change, str] = {
    "identity": "of 4 parts of the identity (colours, pattern, shape, details) taken from another of its kind",
    "pose": "strength of another action",
    "view": "degrees turned",
    "scale": "size",
    "position": "picture units moved sideways, of 3.2",
    "background": "share of another place blended in behind the subject",
    "style": "share of a drawing of the same scene blended in",
    "crop": "side of the central crop, enlarged again",
    "blur": "standard deviation of a Gaussian in pixels, of 96",
    "jpeg": "quality; 100 is without re-encoding",
    "wrong_subject": "1 another of its kind, 2 another kind of its category, 3 another category",
    "missing_subject": "share of the subject's pixels painted out, from the left",
    "prompt": "respects (place, style, action, subject) in which the prompt asks for something else",
}
PARTS = (
    ("palette", "main", "second"),
    ("pattern", "pattern_scale", "pattern_phase"),
    ("proportions",),
    ("accessory", "accent", "skin", "hair", "hair_style"),
)
"""Colours, pattern, shape and details of an identity: the parts that change one by one, in an order drawn a subject."""

Pixels = NDArray[np.uint8]
Draw = Callable[["Subject", np.random.Generator], list[Pixels]]


@dataclass(frozen=True)
class Subject:
    """One subject of the battery with its reference picture."""

    number: int
    identity: Identity
    scene: Scene
    reference: Rendered

    @classmethod
    def of(cls, number: int) -> Subject:
        """Subject `number`: categories take turns, and nothing that the embedded models were trained on is like it."""
        identity = sample_identity(CATEGORIES[number % len(CATEGORIES)], 1000 * SEED + number, split="bench")
        scene = reference_scene(identity)
        return cls(number, identity, scene, render(scene, size=SIZE))


def rng_of(subject: Subject, change: Change) -> np.random.Generator:
    """What the change draws of a subject depends on these two alone."""
    return np.random.default_rng([SEED, subject.number, CHANGES.index(change)])


def changed_pictures(subject: Subject, change: Change) -> list[Pixels]:
    """The subject's pictures [96, 96, 3] of every grade but none, in order; empty for the prompt, which changes none."""
    return [] if change == "prompt" else _DRAWS[change](subject, rng_of(subject, change))


def prompts(subject: Subject) -> list[str]:
    """The prompt of every grade of `prompt`; the first describes the reference and goes with all other changes."""
    rng, scene = rng_of(subject, "prompt"), subject.scene
    told = [scene]
    told.append(replace(told[-1], place=_pick([p for p in PLACES if p != scene.place], rng)))
    told.append(replace(told[-1], style=_pick(STYLE_PLANS, rng)))
    told.append(replace(told[-1], poses=(_other_pose(subject.identity, rng),)))
    other = _of_another_category(subject, rng)
    told.append(replace(told[-1], identities=(other,), poses=(_other_pose(other, rng),)))
    return [caption(one) for one in told]


def _pick(options: list[str] | tuple[str, ...], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


def _other_pose(identity: Identity, rng: np.random.Generator) -> Pose:
    return Pose(_pick([action for action in actions_of(identity.plan) if action != "standing"], rng))


def _shown(scene: Scene) -> Pixels:
    return render(scene, size=SIZE).image


def _identity(subject: Subject, rng: np.random.Generator) -> list[Pixels]:
    own = subject.identity
    while True:
        other = drift_target(own, rng=rng)
        if other.pattern != own.pattern and other.accessory != own.accessory:
            break
    shown, now = [], own
    for part in rng.permutation(len(PARTS)).tolist():
        now = replace(now, **{name: getattr(other, name) for name in PARTS[part]})
        shown.append(_shown(replace(subject.scene, identities=(now,))))
    return shown


def _pose(subject: Subject, rng: np.random.Generator) -> list[Pixels]:
    pose = _other_pose(subject.identity, rng)
    return [_shown(replace(subject.scene, poses=(replace(pose, strength=s),))) for s in GRADES["pose"][1:]]


def _view(subject: Subject, rng: np.random.Generator) -> list[Pixels]:
    side, view = float(rng.choice([-1, 1])), subject.scene.view
    turned = (replace(view, azimuth=view.azimuth + side * degrees) for degrees in GRADES["view"][1:])
    return [_shown(replace(subject.scene, view=one)) for one in turned]


def _scale(subject: Subject, _rng: np.random.Generator) -> list[Pixels]:
    return [_shown(replace(subject.scene, scale=subject.scene.scale * size)) for size in GRADES["scale"][1:]]


def _position(subject: Subject, rng: np.random.Generator) -> list[Pixels]:
    side, (x, y) = float(rng.choice([-1, 1])), subject.scene.position
    return [_shown(replace(subject.scene, position=(x + side * shift, y))) for shift in GRADES["position"][1:]]


def _background(subject: Subject, rng: np.random.Generator) -> list[Pixels]:
    places = [place for place in PLACES if place != subject.scene.place]
    for index in rng.permutation(len(places)).tolist():
        other = render(replace(subject.scene, place=places[index], place_seed=int(rng.integers(16))), size=SIZE)
        if np.array_equal(other.mask, subject.reference.mask):  # nothing of that place stands before the subject
            break
    return _blended(subject, other.image, GRADES["background"])


def _style(subject: Subject, rng: np.random.Generator) -> list[Pixels]:
    return _blended(subject, _shown(replace(subject.scene, style=_pick(STYLE_PLANS, rng))), GRADES["style"])


def _blended(subject: Subject, other: Pixels, shares: tuple[float, ...]) -> list[Pixels]:
    ours, theirs = subject.reference.image.astype(np.float64), other.astype(np.float64)
    return [np.rint((1 - share) * ours + share * theirs).astype(np.uint8) for share in shares[1:]]


def _crop(subject: Subject, _rng: np.random.Generator) -> list[Pixels]:
    image, shown = Image.fromarray(subject.reference.image), []
    for side in GRADES["crop"][1:]:
        edge = (1 - side) / 2 * SIZE
        box = (edge, edge, SIZE - edge, SIZE - edge)
        shown.append(np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=box)))
    return shown


def _blur(subject: Subject, _rng: np.random.Generator) -> list[Pixels]:
    image = Image.fromarray(subject.reference.image)
    return [np.asarray(image.filter(ImageFilter.GaussianBlur(sigma))) for sigma in GRADES["blur"][1:]]


def _jpeg(subject: Subject, _rng: np.random.Generator) -> list[Pixels]:
    shown = []
    for quality in GRADES["jpeg"][1:]:
        file = io.BytesIO()
        Image.fromarray(subject.reference.image).save(file, "JPEG", quality=int(quality))
        shown.append(np.asarray(Image.open(file).convert("RGB")))
    return shown


def _wrong_subject(subject: Subject, rng: np.random.Generator) -> list[Pixels]:
    own = subject.identity
    kinds = PLANS[own.category]
    plan = _pick([kind for kind in kinds if kind != own.plan], rng)
    number = kinds.index(plan) + len(kinds) * int(rng.integers(1000))  # plans take turns by number
    others = (
        drift_target(own, rng=rng),
        sample_identity(own.category, number, split="bench"),
        _of_another_category(subject, rng),
    )
    return [_shown(replace(subject.scene, identities=(other,))) for other in others]


def _of_another_category(subject: Subject, rng: np.random.Generator) -> Identity:
    category = _pick([c for c in CATEGORIES if c != subject.identity.category], rng)
    return sample_identity(category, int(rng.integers(10_000)), split="bench")


def _missing_subject(subject: Subject, _rng: np.random.Generator) -> list[Pixels]:
    scene, picture = subject.scene, subject.reference
    place = backdrop(scene.place, scene.place_seed, SIZE)
    empty = np.round(np.clip(place.behind * grade(scene.light), 0, 1) * 255).astype(np.uint8)
    columns = np.cumsum(picture.mask.sum(axis=0)) / picture.mask.sum()
    shown = []
    for share in GRADES["missing_subject"][1:]:
        gone = SIZE if share == 1 else int(np.searchsorted(columns, share)) + 1
        shown.append(np.concatenate([empty[:, :gone], picture.image[:, gone:]], axis=1))
    return shown


_DRAWS: Mapping[Change, Draw] = {
    "identity": _identity, "pose": _pose, "view": _view, "scale": _scale, "position": _position,
    "background": _background, "style": _style, "crop": _crop, "blur": _blur, "jpeg": _jpeg,
    "wrong_subject": _wrong_subject, "missing_subject": _missing_subject,
}  # fmt: skip
