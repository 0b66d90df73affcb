"""The animal body plans. Proportions: 0 fatness, 1 limb length, 2 head size, 3 ear or wing size, 4 tail and snout, 5 eye size."""

from __future__ import annotations

from dataclasses import dataclass

from evalkit.sandbox.world.accessories import Anchors
from evalkit.sandbox.world.rig import Rig, Vec3

Prop = tuple[float, ...]


@dataclass(frozen=True)
class Quadruped:
    """Half sizes of the body (w, h, l), leg (radius, length), head radius, muzzle half sizes, kinds of ear and tail."""

    body: Vec3
    leg: tuple[float, float]
    head: float
    muzzle: Vec3
    ears: str
    tail: str
    neck: float = 0.0


QUADRUPED_FORMS = {
    "cat": Quadruped((0.37, 0.36, 0.62), (0.12, 0.44), 0.42, (0.19, 0.13, 0.14), "pointed", "long"),
    "dog": Quadruped((0.38, 0.37, 0.68), (0.13, 0.56), 0.40, (0.19, 0.16, 0.3), "floppy", "up", 0.1),
    "rabbit": Quadruped((0.40, 0.42, 0.52), (0.13, 0.26), 0.38, (0.16, 0.13, 0.12), "tall", "puff"),
    "bear": Quadruped((0.54, 0.52, 0.68), (0.19, 0.46), 0.46, (0.22, 0.17, 0.2), "round", "puff"),
    "elephant": Quadruped((0.56, 0.54, 0.72), (0.19, 0.52), 0.46, (0.13, 0.13, 0.13), "fan", "thin", 0.05),
    "pig": Quadruped((0.48, 0.46, 0.68), (0.13, 0.3), 0.42, (0.18, 0.15, 0.16), "fold", "curl"),
}


def quadruped(rig: Rig, plan: str, p: Prop) -> Anchors:
    """A four-legged animal."""
    form = QUADRUPED_FORMS[plan]
    w, h, length = form.body[0] * (1 + 0.2 * p[0]), form.body[1] * (1 + 0.2 * p[0]), form.body[2]
    leg = form.leg[1] * (1 + 0.3 * p[1])
    rig.joint("root", None, (0, leg + 0.7 * h, -0.1))
    rig.add("root", "ball", (0, 0, 0), (w, h, length), "main")
    rig.add("root", "ball", (0, -0.16 * h, 0.1 * length), (0.86 * w, 0.88 * h, 0.86 * length), "second")
    for name, sx, sz in (("fl", -1, 1), ("fr", 1, 1), ("bl", -1, -1), ("br", 1, -1)):
        rig.joint(name, "root", (sx * 0.62 * w, -0.45 * h, sz * 0.6 * length))
        rig.add(name, "ball", (0, -0.42 * leg, 0), (form.leg[0] * 1.1, 0.5 * leg + 0.14, form.leg[0] * 1.2), "main")
        rig.add(name, "ball", (0, -leg, 0.05), (form.leg[0] * 1.15, 0.1, form.leg[0] * 1.45), "second")
    r = form.head * (1 + 0.16 * p[2])
    rig.joint("head", "root", (0, 0.5 * h + form.neck, 0.72 * length))
    if form.neck:
        rig.add("head", "ball", (0, -0.02, -0.02), (0.6 * r, 0.75 * r, 0.6 * r), "main", turn=(20, 0, 0))
    centre = (0.0, 0.62 * r, 0.3 * r)
    anchors = _head(rig, centre, r, form.muzzle, p)
    _ears(rig, form.ears, centre, r, 1 + 0.35 * p[3])
    _tail(rig, form.tail, (0, 0.35 * h, -0.88 * length), 1 + 0.35 * p[4])
    if plan == "elephant":
        _trunk(rig, centre, r, 1 + 0.25 * p[4])
    return anchors


def _head(rig: Rig, c: Vec3, r: float, muzzle: Vec3, p: Prop) -> Anchors:
    """Ball, muzzle, nose, mouth, eyes and cheeks on the joint "head"."""
    rig.add("head", "ball", c, (r * 1.05, r * 0.95, r * 0.95), "main")
    depth = muzzle[2] * (1 + 0.3 * p[4])
    front = c[2] + 0.78 * r
    rig.add("head", "ball", (0, c[1] - 0.3 * r, front), (muzzle[0], muzzle[1], depth), "second")
    rig.add("head", "ball", (0, c[1] - 0.3 * r + 0.62 * muzzle[1], front + 0.82 * depth), (0.07, 0.05, 0.05), "dark")
    eyes = eye_pair(rig, "head", (0.42 * r, c[1] + 0.14 * r, c[2] + 0.82 * r), 0.075 * (1 + 0.3 * p[5]))
    rig.pair("head", "ball", (0.66 * r, c[1] - 0.24 * r, c[2] + 0.6 * r), (0.09, 0.06, 0.06), "blush")
    return Anchors(("head", c, r), ("head", (0, c[1] - 0.82 * r, c[2] - 0.25 * r), 0.72 * r), ("head", *eyes))


def eye_pair(rig: Rig, joint: str, at: Vec3, r: float) -> tuple[Vec3, float]:
    """Shiny dark eyes, each with its highlight; returns the right eye's centre and radius."""
    rig.pair(joint, "ball", at, (r, 1.2 * r, 0.7 * r), "dark")
    for side in (1.0, -1.0):
        rig.add(
            joint,
            "ball",
            (side * at[0] + 0.3 * r, at[1] + 0.45 * r, at[2] + 0.5 * r),
            (0.36 * r, 0.36 * r, 0.3 * r),
            "white",
        )
    return at, r


def _ears(rig: Rig, kind: str, c: Vec3, r: float, s: float) -> None:
    x, y, z = 0.58 * r, c[1] + 0.78 * r, c[2] - 0.1 * r
    if kind == "pointed":
        rig.pair("head", "cone", (x, y + 0.12 * s, z), (0.18 * s, 0.22 * s, 0.1), "main", turn=(0, 0, -16), taper=0.12)
        rig.pair(
            "head",
            "cone",
            (x, y + 0.1 * s, z + 0.06),
            (0.11 * s, 0.16 * s, 0.06),
            "blush",
            turn=(0, 0, -16),
            taper=0.12,
        )
    elif kind == "floppy":
        rig.pair("head", "ball", (0.98 * r, c[1] + 0.2 * r, z), (0.1, 0.32 * s, 0.17), "second", turn=(0, 0, 14))
    elif kind == "tall":
        rig.pair("head", "ball", (0.42 * r, y + 0.42 * s, z), (0.12, 0.5 * s, 0.08), "main", turn=(-6, 0, -10))
        rig.pair("head", "ball", (0.42 * r, y + 0.44 * s, z + 0.05), (0.07, 0.38 * s, 0.05), "blush", turn=(-6, 0, -10))
    elif kind == "round":
        rig.pair("head", "ball", (0.78 * r, y, z), (0.18 * s, 0.18 * s, 0.1), "main")
        rig.pair("head", "ball", (0.78 * r, y, z + 0.06), (0.11 * s, 0.11 * s, 0.07), "second")
    elif kind == "fan":
        rig.pair("head", "ball", (1.32 * r, c[1] + 0.1, z), (0.36 * s, 0.42 * s, 0.07), "main", turn=(0, -24, 8))
        rig.pair(
            "head", "ball", (1.32 * r, c[1] + 0.1, z + 0.05), (0.26 * s, 0.31 * s, 0.05), "blush", turn=(0, -24, 8)
        )
    else:
        rig.pair(
            "head",
            "cone",
            (0.66 * r, y + 0.04, z + 0.08),
            (0.15 * s, 0.17 * s, 0.06),
            "main",
            turn=(24, 0, -34),
            taper=0.2,
        )


def _tail(rig: Rig, kind: str, at: Vec3, s: float) -> None:
    rig.joint("tail", "root", at)
    if kind == "long":
        rig.add("tail", "ball", (0, 0.2 * s, -0.2 * s), (0.08, 0.34 * s, 0.08), "main", turn=(-42, 0, 0))
        rig.add("tail", "ball", (0, 0.58 * s, -0.36 * s), (0.08, 0.26 * s, 0.08), "second", turn=(-8, 0, 0))
    elif kind == "up":
        rig.add("tail", "ball", (0, 0.22 * s, -0.1 * s), (0.09, 0.34 * s, 0.09), "main", turn=(-22, 0, 0))
    elif kind == "puff":
        rig.add("tail", "ball", (0, -0.08, -0.1), (0.15 * s, 0.15 * s, 0.15 * s), "second")
    elif kind == "thin":
        rig.add("tail", "ball", (0, -0.22 * s, -0.12), (0.04, 0.32 * s, 0.04), "main", turn=(14, 0, 0))
        rig.add("tail", "ball", (0, -0.52 * s, -0.2), (0.07, 0.1, 0.07), "dark")
    else:
        rig.add("tail", "ball", (0, 0.0, -0.1), (0.05, 0.05, 0.14 * s), "main")
        rig.add("tail", "ball", (0.07 * s, 0.1 * s, -0.2 * s), (0.05, 0.13 * s, 0.05), "main", turn=(0, 0, 30))


def _trunk(rig: Rig, c: Vec3, r: float, s: float) -> None:
    z = c[2] + 0.95 * r
    rig.add("head", "ball", (0, c[1] - 0.38 * r, z), (0.15, 0.24 * s, 0.16), "main", turn=(-26, 0, 0))
    rig.add("head", "ball", (0, c[1] - 0.38 * r - 0.28 * s, z + 0.12), (0.11, 0.22 * s, 0.11), "main", turn=(-10, 0, 0))
    rig.add("head", "ball", (0, c[1] - 0.38 * r - 0.46 * s, z + 0.22), (0.1, 0.1, 0.16), "main")
    rig.pair("head", "ball", (0.26, c[1] - 0.5 * r, z - 0.06), (0.05, 0.18, 0.05), "white", turn=(-40, 0, 12))


def bird(rig: Rig, plan: str, p: Prop) -> Anchors:
    """A song bird, or an upright penguin."""
    penguin = plan == "penguin"
    w, h, depth = (0.5, 0.68, 0.46) if penguin else (0.46, 0.48, 0.62)
    w, depth = w * (1 + 0.18 * p[0]), depth * (1 + 0.12 * p[0])
    leg = (0.12 if penguin else 0.3) * (1 + 0.4 * p[1])
    rig.joint("root", None, (0, leg + h, 0))
    rig.add("root", "ball", (0, 0, 0), (w, h, depth), "main")
    rig.add("root", "ball", (0, -0.08 * h, 0.2 * depth), (0.8 * w, 0.84 * h, 0.86 * depth), "second")
    for name, side in (("ll", -1), ("rl", 1)):
        rig.joint(name, "root", (side * 0.42 * w, -0.72 * h, 0))
        rig.add(name, "cone", (0, -0.5 * leg, 0), (0.045, 0.55 * leg + 0.06, 0.045), "beak")
        rig.add(name, "ball", (0, -leg - 0.1 * h, 0.1), (0.14, 0.05, 0.2), "beak")
    span = (0.5 if penguin else 0.44) * (1 + 0.3 * p[3])
    for name, side in (("lw", -1), ("rw", 1)):
        rig.joint(name, "root", (side * 0.92 * w, 0.42 * h, 0))
        rig.add(name, "ball", (side * 0.03, -0.7 * span, -0.04), (0.1, span, 0.24), "main", turn=(0, 0, side * 12))
        rig.add(
            name, "ball", (side * 0.07, -1.1 * span, -0.06), (0.08, 0.5 * span, 0.18), "accent2", turn=(0, 0, side * 12)
        )
    rig.joint("tail", "root", (0, -0.2 * h, -0.85 * depth))
    rig.add("tail", "ball", (0, 0.08, -0.2), (0.2, 0.07, 0.34 * (1 + 0.4 * p[4])), "accent2", turn=(24, 0, 0))
    r = 0.4 * (1 + 0.16 * p[2])
    rig.joint("head", "root", (0, 0.72 * h, 0.0 if penguin else 0.36 * depth))
    c = (0.0, 0.62 * r, 0.1)
    rig.add("head", "ball", c, (r, r * 0.96, r), "main")
    if penguin:
        rig.add("head", "ball", (0, c[1] - 0.08 * r, c[2] + 0.22 * r), (0.78 * r, 0.72 * r, 0.82 * r), "second")
    beak = 0.2 * (1 + 0.4 * p[4])
    rig.add(
        "head",
        "cone",
        (0, c[1] - 0.12 * r, c[2] + r + 0.5 * beak),
        (0.12, beak, 0.09),
        "beak",
        turn=(90, 0, 0),
        taper=0.1,
    )
    eyes = eye_pair(rig, "head", (0.46 * r, c[1] + 0.18 * r, c[2] + 0.86 * r), 0.075 * (1 + 0.3 * p[5]))
    if not penguin:
        rig.add(
            "head",
            "ball",
            (0, c[1] + 1.05 * r, c[2] - 0.1),
            (0.05, 0.18 * (1 + 0.5 * p[3]), 0.1),
            "accent2",
            turn=(-24, 0, 0),
        )
    return Anchors(("head", c, r), ("head", (0, c[1] - 0.88 * r, c[2] - 0.05), 0.86 * r), ("head", *eyes))


def turtle(rig: Rig, p: Prop) -> Anchors:
    """Shell, four flippers, a head in front."""
    w, h = 0.72 * (1 + 0.15 * p[0]), 0.46 * (1 + 0.25 * p[0])
    leg = 0.28 * (1 + 0.3 * p[1])
    rig.joint("root", None, (0, leg + 0.12, -0.1))
    rig.add("root", "ball", (0, 0.12, 0), (w, h, 0.82), "main")
    rig.add("root", "ball", (0, -0.02, 0), (1.06 * w, 0.14, 0.9), "accent2")
    rig.add("root", "ball", (0, -0.1, 0), (0.85 * w, 0.2, 0.75), "second")
    for name, sx, sz in (("fl", -1, 1), ("fr", 1, 1), ("bl", -1, -1), ("br", 1, -1)):
        rig.joint(name, "root", (sx * 0.72 * w, -0.08, sz * 0.52))
        rig.add(
            name, "ball", (sx * 0.06, -0.6 * leg, 0.02), (0.16, 0.62 * leg + 0.06, 0.18), "second", turn=(0, 0, sx * 12)
        )
    rig.joint("tail", "root", (0, -0.05, -0.85))
    rig.add("tail", "ball", (0, 0, -0.08), (0.07, 0.06, 0.18 * (1 + 0.4 * p[4])), "second")
    r = 0.34 * (1 + 0.16 * p[2])
    rig.joint("head", "root", (0, 0.02, 0.78))
    rig.add("head", "ball", (0, 0.12, 0.12), (0.2, 0.26, 0.3), "second", turn=(-40, 0, 0))
    c = (0.0, 0.42, 0.32)
    rig.add("head", "ball", c, (r, r * 0.92, r), "second")
    eyes = eye_pair(rig, "head", (0.46 * r, c[1] + 0.14 * r, c[2] + 0.84 * r), 0.075 * (1 + 0.3 * p[5]))
    rig.pair("head", "ball", (0.6 * r, c[1] - 0.2 * r, c[2] + 0.68 * r), (0.08, 0.05, 0.05), "blush")
    rig.add("head", "ball", (0, c[1] - 0.3 * r, c[2] + 0.95 * r), (0.1, 0.02, 0.03), "dark")
    return Anchors(("head", c, r), ("head", (0, 0.16, 0.12), 0.3), ("head", *eyes))


def fish(rig: Rig, p: Prop) -> Anchors:
    """Body, fins and a forked tail; it hovers."""
    w, h = 0.42 * (1 + 0.2 * p[0]), 0.58 * (1 + 0.2 * p[0])
    length = 0.78 * (1 + 0.15 * p[1])
    rig.joint("root", None, (0, h + 0.3, 0))
    rig.add("root", "ball", (0, 0, 0), (w, h, length), "main")
    rig.add("root", "ball", (0, -0.16 * h, 0.1), (0.92 * w, 0.86 * h, 0.84 * length), "second")
    rig.add("root", "ball", (0, 0.95 * h, -0.1), (0.06, 0.3 * (1 + 0.4 * p[3]), 0.4), "accent2", turn=(-20, 0, 0))
    for name, side in (("lw", -1), ("rw", 1)):
        rig.joint(name, "root", (side * 0.92 * w, -0.1, 0.1))
        rig.add(
            name,
            "ball",
            (side * 0.2, -0.1, -0.08),
            (0.26 * (1 + 0.3 * p[3]), 0.16, 0.05),
            "accent2",
            turn=(0, side * 20, -side * 34),
        )
    rig.joint("tail", "root", (0, 0, -0.88 * length))
    size = 0.4 * (1 + 0.35 * p[4])
    rig.add("tail", "ball", (0, 0.26, -0.2), (0.06, size, 0.2), "accent2", turn=(-42, 0, 0))
    rig.add("tail", "ball", (0, -0.26, -0.2), (0.06, size, 0.2), "accent2", turn=(42, 0, 0))
    rig.joint("head", "root", (0, 0.05, 0.5 * length))
    r = 0.44 * (1 + 0.1 * p[2])
    eyes = eye_pair(rig, "head", (0.62 * w, 0.14, 0.3), 0.1 * (1 + 0.25 * p[5]))
    rig.add("head", "ball", (0, -0.14, 0.4), (0.13, 0.07, 0.08), "lips")
    return Anchors(("head", (0, 0.12, -0.08), r), ("head", (0, -0.05, -0.28), 1.25 * w), ("head", *eyes))
