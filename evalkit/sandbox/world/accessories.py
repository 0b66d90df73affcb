"""What a subject wears. Sizes follow the accessory size of the identity, so that it can fade in and out."""

from __future__ import annotations

from dataclasses import dataclass

from evalkit.sandbox.world.rig import Rig, Vec3


@dataclass(frozen=True)
class Anchors:
    """Where accessories sit, in joint frames: the head's ball, the eyes on it, and the neck (or waist) ring.

    `head`, `neck`: joint, centre, radius. `eyes`: joint, centre of the right eye (+x), its radius. `front`: joint and point
    for a bow or star on the chest of a thing without head; None: the bow sits on the head.
    """

    head: tuple[str, Vec3, float]
    neck: tuple[str, Vec3, float]
    eyes: tuple[str, Vec3, float] | None = None
    front: tuple[str, Vec3] | None = None


def wear(rig: Rig, accessory: str, anchors: Anchors, size: float) -> None:
    """Add the solids of `accessory` to `rig`; "none" adds nothing."""
    if accessory == "hat":
        _hat(rig, anchors, size)
    elif accessory == "scarf":
        _scarf(rig, anchors, size)
    elif accessory == "glasses":
        _glasses(rig, anchors, size)
    elif accessory == "bow":
        _bow(rig, anchors, size)
    elif accessory == "star":
        _star(rig, anchors, size)


def _hat(rig: Rig, anchors: Anchors, s: float) -> None:
    joint, (x, y, z), r = anchors.head
    rig.add(joint, "cone", (x, y + 0.78 * r, z - 0.05 * r), (1.02 * r * s, 0.07 * r * s, 1.02 * r * s), "accent")
    top = y + (0.78 + 0.42 * s) * r
    rig.add(joint, "cone", (x, top, z - 0.05 * r), (0.66 * r * s, 0.42 * r * s, 0.66 * r * s), "accent", taper=0.78)
    rig.add(joint, "cone", (x, y + 0.95 * r, z - 0.05 * r), (0.685 * r * s, 0.1 * r * s, 0.685 * r * s), "ribbon")


def _scarf(rig: Rig, anchors: Anchors, s: float) -> None:
    joint, (x, y, z), r = anchors.neck
    rig.add(joint, "ball", (x, y, z), (1.12 * r * s, 0.3 * r * s, 1.12 * r * s), "accent")
    rig.add(joint, "ball", (x + 0.45 * r, y - 0.42 * r * s, z + 0.95 * r), (0.2 * r * s, 0.5 * r * s, 0.12 * r * s), "accent",
            turn=(8, 0, 10))  # fmt: skip
    rig.add(joint, "ball", (x + 0.45 * r, y, z + 0.98 * r), (0.2 * r * s, 0.2 * r * s, 0.16 * r * s), "ribbon")


def _glasses(rig: Rig, anchors: Anchors, s: float) -> None:
    if anchors.eyes is None:
        return
    joint, (x, y, z), r = anchors.eyes
    rig.pair(joint, "cone", (x, y, z + 0.4 * r), (2.0 * r * s, 0.18 * r * s, 2.0 * r * s), "accent", turn=(90, 0, 0))
    rig.pair(joint, "cone", (x, y, z + 0.52 * r), (1.5 * r * s, 0.18 * r * s, 1.5 * r * s), "lens", turn=(90, 0, 0))
    rig.add(joint, "box", (0.0, y + 0.3 * r, z + 0.4 * r), (x * s, 0.22 * r * s, 0.15 * r * s), "accent")


def _bow(rig: Rig, anchors: Anchors, s: float) -> None:
    joint, (x, y, z), r = anchors.head
    at, unit = (x + 0.5 * r, y + 0.86 * r, z + 0.25 * r), 0.36 * r * s
    if anchors.front is not None:
        joint, at = anchors.front
        unit = 0.22 * s
    for side in (1.0, -1.0):
        rig.add(joint, "ball", (at[0] + side * unit * 0.95, at[1], at[2]), (unit, 0.62 * unit, 0.4 * unit), "accent",
                turn=(0, 0, side * 24))  # fmt: skip
    rig.add(joint, "ball", at, (0.4 * unit, 0.4 * unit, 0.5 * unit), "ribbon")


def _star(rig: Rig, anchors: Anchors, s: float) -> None:
    joint, at = anchors.front if anchors.front is not None else (anchors.head[0], anchors.head[1])
    for i in range(5):
        rig.add(joint, "ball", at, (0.085 * s, 0.27 * s, 0.05 * s), "accent", turn=(0, 0, 72.0 * i))
    rig.add(joint, "ball", at, (0.13 * s, 0.13 * s, 0.07 * s), "accent")
