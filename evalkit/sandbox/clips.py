"""Short clips of the embedded world: a scene in which its subjects come into their pose and walk across the picture."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from evalkit.sandbox.scenes import realised
from evalkit.sandbox.world import View, render

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evalkit.sandbox.world import Scene

FRAMES, FPS = 12, 8.0
STRIDE = (0.35, 0.6)
"""How far a subject walks in all, in picture units of which the picture is 3.2 wide."""
TURN = (4.0, 14.0)
"""Degrees by which the camera goes round it meanwhile."""


def moving(scene: Scene, case_id: str, seed: int, *, frames: int = FRAMES) -> tuple[Scene, ...]:
    """The scenes of a clip's frames, with what a prompt leaves open drawn from case and seed: way, turn, place in the
    picture and all that `realised` draws."""
    rng = np.random.default_rng([seed, frames, *case_id.encode()])
    start = realised(scene, case_id, seed)
    way = float(rng.choice([-1.0, 1.0])) * float(rng.uniform(*STRIDE))
    turn = float(rng.choice([-1.0, 1.0])) * float(rng.uniform(*TURN))
    return tuple(
        replace(
            start,
            position=(start.position[0] + way * (at - 0.5), start.position[1]),
            view=View(start.view.azimuth + turn * (at - 0.5), start.view.elevation),
            poses=tuple(replace(pose, strength=pose.strength * (0.4 + 0.6 * at)) for pose in start.poses),
        )
        for at in np.linspace(0.0, 1.0, frames).tolist()
    )  # fmt: skip


def draw_clip(scene: Scene, case_id: str, seed: int, *, size: int, frames: int = FRAMES) -> NDArray[np.uint8]:
    """A true clip of a scene, uint8 [frames, size, size, 3]. Another seed gives another way, view and pose."""
    return np.stack([render(shot, size=size).image for shot in moving(scene, case_id, seed, frames=frames)])
