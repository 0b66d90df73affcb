"""The graded changes of clips: for each subject of the battery a walk of its own, and that walk changed, weak to strong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evalkit.metrics.validity import CLIP_CHANGES, Change
from evalkit.sandbox.clips import FRAMES, moving
from evalkit.sandbox.validity.changes import PARTS, SEED, SIZE, Subject
from evalkit.sandbox.world import Scene, drift_target, render

GRADES: Mapping[Change, tuple[float, ...]] = {
    "speed": (1, 0.75, 0.5, 0.25),
    "still": (0, 0.25, 0.5, 0.75, 1),
    "shake": (0, 1, 2, 4, 6),
    "flicker": (0, 0.05, 0.1, 0.2, 0.3),
    "noise": (0, 4, 8, 16, 32),
    "drift": (0, 1, 2, 3, 4),
}
"""How strong, none first: the subject's walk as it is."""
UNITS: Mapping[Change, str] = {
    "speed": "share of the walk's speed",
    "still": "share of the clip, from its end, in which nothing moves any more",
    "shake": "most pixels by which each frame is moved, of 96, either way and along both sides",
    "flicker": "share by which every other frame is brighter",
    "noise": "standard deviation of Gaussian noise, of 255, new in every frame",
    "drift": "of 4 parts of the identity (colours, pattern, shape, details) that become another's, one after the other",
}
FINEST = 4
"""Of how many steps of the slowest walk one of the walk itself is."""

Frames = NDArray[np.uint8]


def walk(subject: Subject) -> tuple[Scene, ...]:
    """The scenes of a whole walk, of which the clip takes every fourth."""
    return moving(subject.scene, f"validity-{subject.number}", SEED, frames=FINEST * (FRAMES - 1) + 1)


def changed_clips(subject: Subject) -> dict[tuple[Change | None, int], Frames]:
    """The subject's clips [12, 96, 96, 3] by change and grade; the walk itself under (None, 0)."""
    scenes = walk(subject)
    plain = _shown(scenes[::FINEST])
    clips: dict[tuple[Change | None, int], Frames] = {(None, 0): plain}
    for change in CLIP_CHANGES:
        rng = np.random.default_rng([SEED, subject.number, 100 + CLIP_CHANGES.index(change)])
        for grade, clip in enumerate(_DRAWS[change](subject, scenes, plain, rng), start=1):
            clips[change, grade] = clip
    return clips


def _shown(scenes: tuple[Scene, ...]) -> Frames:
    return np.stack([render(scene, size=SIZE).image for scene in scenes])


Draw = Callable[[Subject, tuple[Scene, ...], Frames, np.random.Generator], list[Frames]]


def _speed(_subject: Subject, scenes: tuple[Scene, ...], _plain: Frames, _rng: np.random.Generator) -> list[Frames]:
    steps = (round(share * FINEST) for share in GRADES["speed"][1:])
    return [_shown(scenes[: step * FRAMES : step]) for step in steps]


def _still(_subject: Subject, _scenes: tuple[Scene, ...], plain: Frames, _rng: np.random.Generator) -> list[Frames]:
    ends = (round((1 - share) * (FRAMES - 1)) for share in GRADES["still"][1:])
    return [plain[np.minimum(np.arange(FRAMES), end)] for end in ends]


def _shake(_subject: Subject, _scenes: tuple[Scene, ...], plain: Frames, rng: np.random.Generator) -> list[Frames]:
    ways = rng.uniform(-1, 1, (FRAMES, 2))
    return [
        np.stack([_moved(frame, way) for frame, way in zip(plain, np.rint(ways * most).astype(int), strict=True)])
        for most in GRADES["shake"][1:]
    ]


def _moved(frame: Frames, way: NDArray[np.int_]) -> Frames:
    """A frame moved down and right, what comes in repeating its edge."""
    down, right = (np.clip(np.arange(SIZE) - shift, 0, SIZE - 1) for shift in way.tolist())
    moved: Frames = frame[down][:, right]
    return moved


def _flicker(_subject: Subject, _scenes: tuple[Scene, ...], plain: Frames, _rng: np.random.Generator) -> list[Frames]:
    turns = (np.arange(FRAMES) % 2)[:, None, None, None]
    return [np.rint(np.minimum(plain * (1 + share * turns), 255)).astype(np.uint8) for share in GRADES["flicker"][1:]]


def _noise(_subject: Subject, _scenes: tuple[Scene, ...], plain: Frames, rng: np.random.Generator) -> list[Frames]:
    drawn = rng.normal(size=plain.shape)
    return [np.rint(np.clip(plain + width * drawn, 0, 255)).astype(np.uint8) for width in GRADES["noise"][1:]]


def _drift(subject: Subject, scenes: tuple[Scene, ...], _plain: Frames, rng: np.random.Generator) -> list[Frames]:
    other, order = drift_target(subject.identity, rng=rng), rng.permutation(len(PARTS)).tolist()
    clips = []
    for most in (int(grade) for grade in GRADES["drift"][1:]):
        shown = []
        for place, scene in enumerate(scenes[::FINEST]):
            gone = order[: place * (most + 1) // FRAMES]  # the last part is another's before the clip ends
            parts = {name: getattr(other, name) for part in gone for name in PARTS[part]}
            shown.append(replace(scene, identities=(replace(subject.identity, **parts),)))
        clips.append(_shown(tuple(shown)))
    return clips


_DRAWS: Mapping[Change, Draw] = {
    "speed": _speed, "still": _still, "shake": _shake, "flicker": _flicker, "noise": _noise, "drift": _drift,
}  # fmt: skip
