"""Articulated assemblies: a tree of joints that carries painted solids."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from evalkit.sandbox.world.solids import BALL, BOX, CONE, F64, Solids

Vec3 = tuple[float, float, float]
_KINDS = {"ball": BALL, "cone": CONE, "box": BOX}


def rotation(rx: float, ry: float, rz: float) -> F64:
    """Ry Rx Rz in degrees, right-handed, [3, 3]."""
    (ca, sa), (cb, sb), (cc, sc) = ((math.cos(math.radians(v)), math.sin(math.radians(v))) for v in (rx, ry, rz))
    return np.array(
        [
            [cb * cc + sb * sa * sc, -cb * sc + sb * sa * cc, sb * ca],
            [ca * sc, ca * cc, -sa],
            [-sb * cc + cb * sa * sc, sb * sc + cb * sa * cc, cb * ca],
        ]
    )


@dataclass
class Rig:
    """Collects joints and solids in subject space: ground at y = 0, facing +z, about 2 units tall.

    `bend` maps a joint's name to extra Euler angles (degrees) on top of its rest angles.
    """

    bend: Mapping[str, Vec3] = field(default_factory=dict)
    _frames: dict[str, tuple[F64, F64]] = field(default_factory=dict)
    _kind: list[int] = field(default_factory=list)
    _taper: list[float] = field(default_factory=list)
    _matrix: list[F64] = field(default_factory=list)
    _centre: list[F64] = field(default_factory=list)
    paints: list[str] = field(default_factory=list)

    def joint(self, name: str, parent: str | None, at: Vec3, rest: Vec3 = (0.0, 0.0, 0.0)) -> None:
        """A frame at `at` in its parent's frame (None: subject space), turned by `rest` plus the pose's bend."""
        turn, origin = self._frames[parent] if parent else (np.eye(3), np.zeros(3))
        bx, by, bz = self.bend.get(name, (0.0, 0.0, 0.0))
        local = rotation(rest[0] + bx, rest[1] + by, rest[2] + bz)
        self._frames[name] = (turn @ local, origin + turn @ np.array(at))

    def add(
        self, joint: str, kind: str, at: Vec3, radii: Vec3, paint: str, *, turn: Vec3 = (0, 0, 0), taper: float = 1.0
    ) -> None:
        """A solid with half sizes `radii` centred at `at` in the frame of `joint`."""
        frame, origin = self._frames[joint]
        local = rotation(*turn) if any(turn) else np.eye(3)
        self._kind.append(_KINDS[kind])
        self._taper.append(taper)
        self._matrix.append((frame @ local) * np.maximum(np.array(radii), 1e-4))
        self._centre.append(origin + frame @ np.array(at))
        self.paints.append(paint)

    def pair(
        self, joint: str, kind: str, at: Vec3, radii: Vec3, paint: str, *, turn: Vec3 = (0, 0, 0), taper: float = 1.0
    ) -> None:
        """`add` on both sides, mirrored in x: first right (+x), then left."""
        for side in (1.0, -1.0):
            mirrored = (turn[0], side * turn[1], side * turn[2])
            self.add(joint, kind, (side * at[0], at[1], at[2]), radii, paint, turn=mirrored, taper=taper)

    def solids(self) -> Solids:
        """All solids, moved vertically so that the lowest point stands on the ground."""
        matrix = np.stack(self._matrix)
        made = Solids(np.array(self._kind, np.int8), np.array(self._taper), matrix, np.stack(self._centre), matrix)
        bottom = float((made.centre[:, 1] - made.half_extents()[:, 1]).min())
        return made.moved(np.eye(3), np.array([0.0, -bottom, 0.0]))
