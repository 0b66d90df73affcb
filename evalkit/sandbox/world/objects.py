"""The object plans. Proportions: 0 width, 1 height, 2 detail size, 3 handle or fin size, 4 spout or nose, 5 small parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from evalkit.sandbox.world.accessories import Anchors
from evalkit.sandbox.world.rig import Rig

Prop = tuple[float, ...]


def _anchors(top: float, radius: float, waist: float, girth: float, front: float) -> Anchors:
    return Anchors(
        ("root", (0, top - 0.8 * radius, 0), radius),
        ("root", (0, waist, 0), girth),
        None,
        ("root", (0, waist + 0.05, front)),
    )


def _handle(rig: Rig, x: float, y: float, size: float, paint: str) -> None:
    """A ring of balls in the x-y plane, open towards the body."""
    for dx, dy, tilt in (
        (0.02, 0.8, -62.0),
        (0.48, 0.52, -28.0),
        (0.62, 0.0, 0.0),
        (0.48, -0.52, 28.0),
        (0.02, -0.8, 62.0),
    ):
        rig.add(
            "root",
            "ball",
            (x + dx * size, y + dy * size, 0),
            (0.17 * size, 0.4 * size, 0.17 * size),
            paint,
            turn=(0, 0, -tilt + 0.0),
        )


def _teapot(rig: Rig, p: Prop) -> Anchors:
    w, h = 0.66 * (1 + 0.15 * p[0]), 0.58 * (1 + 0.15 * p[1])
    rig.add("root", "ball", (0, h, 0), (w, h, w), "main")
    rig.add("root", "cone", (0, 0.06, 0), (0.5 * w, 0.06, 0.5 * w), "second")
    rig.add("root", "ball", (0, 1.82 * h, 0), (0.5 * w, 0.16, 0.5 * w), "second")
    rig.add("root", "ball", (0, 1.82 * h + 0.2, 0), (0.1, 0.11, 0.1), "accent2")
    spout = 0.34 * (1 + 0.3 * p[4])
    rig.add("root", "cone", (-w - 0.1, 1.1 * h, 0), (0.2, spout, 0.2), "second", turn=(0, 0, 42), taper=0.5)
    _handle(rig, w * 0.92, 1.05 * h, 0.42 * (1 + 0.25 * p[3]), "second")
    return _anchors(2 * h + 0.05, 0.5 * w, 0.95 * h, 0.98 * w, w)


def _car(rig: Rig, p: Prop) -> Anchors:
    h = 0.26 * (1 + 0.15 * p[1])
    wide = 0.5 * (1 + 0.12 * p[0])
    rig.add("root", "box", (0, 0.3 + h, 0), (0.92, h, wide), "main")
    rig.add("root", "ball", (-0.86, 0.3 + 0.9 * h, 0), (0.3, h, wide * 0.98), "main")
    rig.add("root", "ball", (0.86, 0.3 + 0.9 * h, 0), (0.3, h, wide * 0.98), "main")
    rig.add("root", "ball", (0.02, 0.36 + 2 * h, 0), (0.62, 0.46 * (1 + 0.2 * p[2]), 0.9 * wide), "second")
    rig.add("root", "ball", (0.02, 0.38 + 2 * h, 0), (0.52, 0.36 * (1 + 0.2 * p[2]), 0.95 * wide), "lens")
    wheel = 0.25 * (1 + 0.2 * p[5])
    for x in (-0.56, 0.56):
        for z in (-wide, wide):
            rig.add("root", "cone", (x, wheel, z), (wheel, 0.1, wheel), "dark", turn=(90, 0, 0))
            rig.add("root", "cone", (x, wheel, z * 1.04), (0.5 * wheel, 0.1, 0.5 * wheel), "metal", turn=(90, 0, 0))
    rig.add("root", "ball", (-1.08, 0.36 + h, 0.28), (0.09, 0.1, 0.1), "lamp")
    rig.add("root", "ball", (-1.08, 0.36 + h, -0.28), (0.09, 0.1, 0.1), "lamp")
    return _anchors(0.86 + 2 * h, 0.42, 0.3 + h, 0.8, wide + 0.04)


def _lamp(rig: Rig, p: Prop) -> Anchors:
    h = 0.5 * (1 + 0.2 * p[1])
    rig.add("root", "cone", (0, 0.07, 0), (0.44, 0.07, 0.44), "second", taper=0.85)
    rig.add("root", "cone", (0, 0.1 + h, 0), (0.07, h, 0.07), "metal")
    rig.add("root", "ball", (0, 0.3, 0), (0.2 * (1 + 0.3 * p[5]), 0.2, 0.2), "second")
    rig.add("root", "ball", (0, 0.2 + 2 * h, 0), (0.18, 0.2, 0.18), "lamp")
    wide = 0.68 * (1 + 0.18 * p[0])
    rig.add("root", "cone", (0, 0.34 + 2 * h, 0), (wide, 0.38 * (1 + 0.2 * p[2]), wide), "main", taper=0.5)
    return _anchors(0.72 + 2 * h, 0.4, 0.22 + 2 * h, 0.98 * wide, wide * 0.86)


def _mug(rig: Rig, p: Prop) -> Anchors:
    w, h = 0.56 * (1 + 0.15 * p[0]), 0.66 * (1 + 0.18 * p[1])
    rig.add("root", "cone", (0, h, 0), (w, h, w), "main", taper=1 + 0.1 * p[2])
    rig.add("root", "cone", (0, 2 * h + 0.02, 0), (w * (1.05 + 0.1 * p[2]), 0.05, w * (1.05 + 0.1 * p[2])), "second")
    rig.add("root", "cone", (0, 2 * h + 0.03, 0), (w * (0.88 + 0.1 * p[2]), 0.05, w * (0.88 + 0.1 * p[2])), "drink")
    _handle(rig, w * 0.95, h * 1.05, 0.5 * (1 + 0.25 * p[3]), "second")
    return _anchors(2 * h + 0.1, 0.5 * w, h, w, w * 1.02)


def _rocket(rig: Rig, p: Prop) -> Anchors:
    w, h = 0.4 * (1 + 0.18 * p[0]), 0.86 * (1 + 0.12 * p[1])
    rig.add("root", "cone", (0, 0.1, 0), (0.5 * w, 0.12, 0.5 * w), "metal", taper=0.8)
    rig.add("root", "ball", (0, 0.15 + h, 0), (w, h, w), "main")
    rig.add("root", "ball", (0, 0.15 + 1.72 * h, 0), (0.52 * w, 0.36 * h * (1 + 0.2 * p[4]), 0.52 * w), "accent2")
    fin = 0.36 * (1 + 0.25 * p[3])
    for x, z, turn in ((1, 0, 0.0), (-1, 0, 180.0), (0, 1, -90.0), (0, -1, 90.0)):
        rig.add("root", "ball", (x * w, 0.36, z * w), (0.26, fin, 0.06), "accent2", turn=(0, turn, 30))
    window = 0.17 * (1 + 0.25 * p[5])
    rig.add("root", "cone", (0, 0.3 + 1.1 * h, 0.9 * w), (window, 0.06, window), "second", turn=(90, 0, 0))
    rig.add("root", "cone", (0, 0.3 + 1.1 * h, 0.98 * w), (0.7 * window, 0.04, 0.7 * window), "lens", turn=(90, 0, 0))
    return _anchors(0.2 + 2 * h, 0.3, 0.2 + 0.62 * h, 0.95 * w, 1.02 * w)


def _backpack(rig: Rig, p: Prop) -> Anchors:
    w, h = 0.54 * (1 + 0.15 * p[0]), 0.7 * (1 + 0.12 * p[1])
    rig.add("root", "ball", (0, h, 0), (w, h, 0.42), "main")
    rig.add("root", "box", (0, 0.72 * h, 0), (0.82 * w, 0.66 * h, 0.34), "main")
    pocket = 0.36 * (1 + 0.2 * p[2])
    rig.add("root", "ball", (0, 0.55 * h, 0.36), (0.72 * w, pocket, 0.22), "second")
    rig.add("root", "ball", (0, 0.55 * h + 0.7 * pocket, 0.5), (0.5 * w, 0.045, 0.06), "dark")
    rig.add("root", "ball", (0, 1.42 * h, 0.24), (0.86 * w, 0.3 * h, 0.3), "accent2")
    rig.pair("root", "ball", (0.6 * w, 0.8 * h, -0.42), (0.11, 0.62 * h, 0.12), "accent2")
    rig.add("root", "ball", (0, 2 * h + 0.05, -0.05), (0.2 * (1 + 0.3 * p[3]), 0.13, 0.06), "dark")
    rig.add("root", "box", (0, 1.2 * h, 0.52), (0.09, 0.11, 0.04), "metal")
    return _anchors(2 * h, 0.42, 0.95 * h, w, 0.58)


def _boot(rig: Rig, p: Prop) -> Anchors:
    h = 0.6 * (1 + 0.25 * p[1])
    w = 0.32 * (1 + 0.15 * p[0])
    rig.add("root", "box", (0, 0.07, 0.14), (w * 1.02, 0.07, 0.68), "dark")
    rig.add("root", "ball", (0, 0.34, 0.36 * (1 + 0.2 * p[4])), (w * 1.05, 0.3, 0.56), "main")
    rig.add("root", "ball", (0, 0.3, 0.68 * (1 + 0.15 * p[4])), (w * 0.92, 0.22, 0.3), "accent2")
    rig.add("root", "cone", (0, 0.25 + h, -0.2), (w, h, 0.38), "main", taper=1.1)
    rig.add("root", "cone", (0, 0.25 + 2 * h, -0.2), (w * 1.24, 0.11, 0.48), "second")
    for i in range(3):
        y = 0.5 + 0.24 * i
        rig.add("root", "ball", (0, y, 0.44 - 0.16 * i), (0.2, 0.04, 0.07), "second", turn=(-30, 0, 0))
    rig.add("root", "box", (0, 0.16, -0.42), (w * 0.9, 0.12, 0.14), "dark")
    return _anchors(0.3 + 2 * h, 0.4, 0.2 + h, 0.42, 0.24)


def _clock(rig: Rig, p: Prop) -> Anchors:
    r = 0.62 * (1 + 0.12 * p[0])
    y = r + 0.22 * (1 + 0.3 * p[1])
    rig.add("root", "cone", (0, y, 0), (r, 0.26, r), "main", turn=(90, 0, 0))
    rig.add("root", "cone", (0, y, 0.06), (0.82 * r, 0.26, 0.82 * r), "second", turn=(90, 0, 0))
    rig.pair("root", "ball", (0.62 * r, 0.14, 0), (0.1, 0.22, 0.12), "accent2", turn=(0, 0, -24))
    bell = 0.24 * (1 + 0.25 * p[2])
    rig.pair("root", "ball", (0.58 * r, y + 0.98 * r, 0), (bell, 0.8 * bell, bell), "accent2", turn=(0, 0, -32))
    rig.add("root", "ball", (0, y + 1.08 * r, 0), (0.07, 0.16, 0.07), "metal")
    rig.add("root", "ball", (0, y + 0.26 * r, 0.36), (0.05, 0.3 * r * (1 + 0.2 * p[5]), 0.03), "dark")
    rig.add("root", "ball", (0.2 * r, y + 0.08 * r, 0.36), (0.26 * r, 0.05, 0.03), "dark", turn=(0, 0, 24))
    rig.add("root", "ball", (0, y, 0.38), (0.07, 0.07, 0.04), "dark")
    for x, dy in ((0.66, 0.0), (-0.66, 0.0), (0.0, 0.66), (0.0, -0.66)):
        rig.add("root", "ball", (x * r, y + dy * r, 0.33), (0.05, 0.05, 0.03), "dark")
    return _anchors(y + r, 0.4, y - 0.4 * r, 0.9 * r, 0.36)


def _robot(rig: Rig, p: Prop) -> Anchors:
    w, h = 0.42 * (1 + 0.15 * p[0]), 0.4 * (1 + 0.15 * p[1])
    rig.pair("root", "cone", (0.5 * w, 0.22, 0), (0.11, 0.22, 0.11), "metal")
    rig.pair("root", "ball", (0.5 * w, 0.09, 0.06), (0.17, 0.1, 0.24), "accent2")
    rig.add("root", "box", (0, 0.4 + h, 0), (w, h, 0.32), "main")
    rig.add("root", "box", (0, 0.42 + h, 0.3), (0.6 * w, 0.55 * h, 0.06), "second")
    rig.pair("root", "ball", (0.2, 0.42 + h, 0.37), (0.06, 0.06, 0.04), "lamp")
    for name, side in (("la", -1.0), ("ra", 1.0)):
        rig.joint(name, "root", (side * (w + 0.08), 0.4 + 1.7 * h, 0), (0, 0, side * 14))
        rig.add(name, "cone", (0, -0.26, 0), (0.09, 0.26, 0.09), "metal")
        rig.add(name, "ball", (0, 0.0, 0), (0.14, 0.14, 0.14), "accent2")
        rig.add(name, "ball", (0, -0.56, 0), (0.14, 0.14, 0.14), "accent2")
    head = 0.32 * (1 + 0.2 * p[2])
    y = 0.45 + 2 * h + head
    rig.joint("head", "root", (0, y, 0))
    rig.add("head", "box", (0, 0, 0), (1.25 * head, head, 0.9 * head), "main")
    eye = 0.11 * (1 + 0.25 * p[5])
    rig.pair("head", "cone", (0.55 * head, 0.12 * head, 0.92 * head), (eye, 0.05, eye), "lamp", turn=(90, 0, 0))
    rig.pair("head", "ball", (0.55 * head, 0.12 * head, 0.92 * head + 0.06), (0.05, 0.05, 0.04), "dark")
    rig.add("head", "box", (0, -0.5 * head, 0.92 * head), (0.5 * head, 0.05, 0.03), "dark")
    rig.add("head", "cone", (0, head + 0.12, 0), (0.03, 0.14, 0.03), "metal")
    rig.add("head", "ball", (0, head + 0.28, 0), (0.09, 0.09, 0.09), "accent2")
    return Anchors(
        ("head", (0, 0.2 * head, 0), head),
        ("root", (0, 0.42 + 2 * h, 0), 0.38),
        None,
        ("root", (0, 0.45 + 1.3 * h, 0.4)),
    )


def _vase(rig: Rig, p: Prop) -> Anchors:
    w, h = 0.52 * (1 + 0.18 * p[0]), 0.5 * (1 + 0.15 * p[1])
    rig.add("root", "cone", (0, 0.06, 0), (0.55 * w, 0.06, 0.55 * w), "second")
    rig.add("root", "ball", (0, 0.06 + h, 0), (w, h, w), "main")
    neck = 0.26 * (1 + 0.3 * p[2])
    rig.add("root", "cone", (0, 2 * h + 0.1, 0), (neck, 0.24, neck), "main", taper=1.2)
    rig.add("root", "cone", (0, 2 * h + 0.33, 0), (1.3 * neck, 0.05, 1.3 * neck), "second")
    bloom = 0.2 * (1 + 0.25 * p[5])
    for x, y, z in ((-0.26, 0.72, 0.0), (0.26, 0.76, 0.06), (0.0, 0.96, -0.05)):
        rig.add("root", "cone", (0.6 * x, 2 * h + 0.28 + 0.4 * y, z), (0.03, 0.32, 0.03), "leaf", turn=(0, 0, -40 * x))
        rig.add("root", "ball", (x, 2 * h + 0.1 + y, z), (bloom, bloom, 0.7 * bloom), "accent")
        rig.add("root", "ball", (x, 2 * h + 0.1 + y, z + 0.55 * bloom), (0.08, 0.08, 0.07), "lamp")
    return _anchors(2 * h + 0.4, 0.3, 0.1 + h, w, 1.02 * w)


def _camera(rig: Rig, p: Prop) -> Anchors:
    w, h = 0.74 * (1 + 0.12 * p[0]), 0.44 * (1 + 0.15 * p[1])
    rig.add("root", "box", (0, h, 0), (w, h, 0.26), "main")
    rig.add("root", "box", (0, 1.62 * h, 0.01), (1.02 * w, 0.2 * h, 0.27), "second")
    lens = 0.33 * (1 + 0.15 * p[2])
    rig.add("root", "cone", (0, 0.9 * h, 0.36), (lens, 0.2, lens), "dark", turn=(90, 0, 0))
    rig.add("root", "cone", (0, 0.9 * h, 0.46), (0.82 * lens, 0.16, 0.82 * lens), "accent2", turn=(90, 0, 0))
    rig.add("root", "ball", (0, 0.9 * h, 0.58), (0.62 * lens, 0.62 * lens, 0.12), "lens")
    rig.add("root", "ball", (-0.1, 0.9 * h + 0.1, 0.68), (0.05, 0.05, 0.03), "white")
    rig.add("root", "box", (0, 2.1 * h, 0), (0.26, 0.14, 0.22), "second")
    rig.add("root", "cone", (0.5 * w, 2.05 * h, 0), (0.13, 0.09 * (1 + 0.4 * p[5]), 0.13), "accent2")
    rig.add("root", "ball", (-0.66 * w, 1.62 * h, 0.27), (0.1, 0.09, 0.05), "lamp")
    return _anchors(2.3 * h, 0.3, 0.35 * h, 0.6, 0.32)


def _boat(rig: Rig, p: Prop) -> Anchors:
    length, h = 0.92 * (1 + 0.12 * p[0]), 0.36
    rig.add("root", "cone", (0, h, 0), (length * 0.72, h * 0.8, 0.36), "main", taper=1.34)
    rig.add("root", "cone", (0, 1.78 * h, 0), (length * 0.99, 0.05, 0.5), "second")
    rig.add("root", "box", (0.36, 1.9 * h + 0.14, 0), (0.24, 0.2 * (1 + 0.25 * p[2]), 0.24), "second")
    rig.add("root", "cone", (0.36, 1.9 * h + 0.5, 0), (0.1, 0.2 * (1 + 0.3 * p[5]), 0.1), "accent2")
    mast = 0.66 * (1 + 0.2 * p[1])
    rig.add("root", "cone", (-0.12, 1.7 * h + mast, 0), (0.04, mast, 0.04), "wood")
    sail = 0.46 * (1 + 0.25 * p[3])
    rig.add("root", "cone", (-0.46, 2 * h + 0.95 * mast, 0), (sail * 0.8, 0.78 * mast, 0.05), "accent2", taper=0.1)
    rig.add("root", "ball", (-0.02, 1.72 * h + 2 * mast, 0), (0.16, 0.08, 0.04), "accent")
    return _anchors(1.8 * h + mast, 0.3, h, 0.7, 0.48)


_PLANS: Mapping[str, Callable[[Rig, Prop], Anchors]] = {
    "teapot": _teapot, "car": _car, "lamp": _lamp, "mug": _mug, "rocket": _rocket, "backpack": _backpack,
    "boot": _boot, "clock": _clock, "robot": _robot, "vase": _vase, "camera": _camera, "boat": _boat,
}  # fmt: skip


def thing(rig: Rig, plan: str, p: Prop) -> Anchors:
    """An object of the given plan on the joint "root"."""
    rig.joint("root", None, (0, 0, 0))
    return _PLANS[plan](rig, p)
