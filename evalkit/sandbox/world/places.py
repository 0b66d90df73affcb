"""Backdrops: where a picture is taken, and the imaginative twists. Each is drawn procedurally from (name, seed, size) alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from evalkit.sandbox.world.canvas import Canvas
from evalkit.sandbox.world.solids import F32
from evalkit.sandbox.world.vocabulary import PLACES, TWISTS

HORIZON = 0.56


@dataclass(frozen=True)
class Backdrop:
    """Pixels behind the subjects [n, n, 3]; a layer in front of them with its coverage [n, n]; does the ground take shadows."""

    behind: F32
    front: F32 | None
    cover: F32 | None
    ground: bool


def _studio(c: Canvas) -> None:
    wall, floor = (((236, 226, 214), (216, 198, 182)), ((222, 230, 236), (196, 208, 216)), ((232, 234, 220), (206, 210, 188)),
                   ((240, 224, 226), (220, 198, 202)))[int(c.rng.integers(4))]  # fmt: skip
    c.fade(wall, (min(wall[0] + 10, 255), min(wall[1] + 10, 255), min(wall[2] + 10, 255)))
    c.fade((floor[0] - 4, floor[1] - 4, floor[2] - 4), wall, 0.6, 1.0).disc(
        0.5, 0.4, 0.42, (255, 252, 246), alpha=0.4, blur=40
    )


def _beach(c: Canvas) -> None:
    c.fade((112, 188, 232), (214, 238, 246), 0, HORIZON).disc(
        float(c.rng.uniform(0.1, 0.9)), 0.14, 0.06, (255, 246, 200), blur=3
    )
    c.scatter(4, 0.1, 0.3, 0.08, ((250, 252, 255),), squash=0.3)
    c.fade((36, 132, 178), (92, 196, 206), HORIZON - 0.1, HORIZON + 0.06)
    c.fade((246, 226, 176), (228, 196, 138), HORIZON + 0.06, 1).rect(
        0, HORIZON + 0.04, 1, HORIZON + 0.065, (248, 252, 250)
    )
    c.grain(HORIZON + 0.08, 0.05).scatter(7, 0.7, 0.98, 0.012, ((250, 236, 220), (226, 160, 140)), squash=0.6)
    x = float(c.rng.choice([0.1, 0.9]))
    c.rect(x - 0.012, 0.36, x + 0.012, 0.7, (120, 90, 60)).disc(x, 0.36, 0.13, (226, 84, 74), squash=0.5)
    c.disc(x, 0.36, 0.06, (250, 244, 232), squash=0.9).rect(x - 0.16, 0.37, x + 0.16, 0.44, (166, 214, 226), alpha=0.35)


def _snow(c: Canvas) -> None:
    c.fade((168, 194, 220), (228, 236, 246), 0, HORIZON).ridge(HORIZON, 0.16, 1.1, (196, 210, 228))
    for x in c.rng.uniform(0, 1, 6).tolist():
        h = float(c.rng.uniform(0.2, 0.34))
        c.wedge(x, HORIZON + 0.03 - h, HORIZON + 0.03, 0.3 * h, (86, 122, 116))
        c.wedge(x, HORIZON + 0.03 - h, HORIZON - 0.5 * h, 0.16 * h, (236, 242, 248))
    c.fade((232, 238, 248), (250, 252, 255), HORIZON, 1).ridge(0.7, 0.08, 0.7, (240, 245, 252)).grain(HORIZON, 0.02)
    c.scatter(34, 0, 1, 0.007, ((255, 255, 255),))


def _forest(c: Canvas) -> None:
    c.fade((178, 212, 170), (214, 230, 178), 0, HORIZON).ridge(HORIZON - 0.1, 0.2, 3.0, (122, 168, 112))
    for depth, tone in ((0.0, (98, 138, 92)), (0.05, (66, 104, 66))):
        for x in c.rng.uniform(0, 1, 6).tolist():
            half = 0.014 + 0.3 * depth
            c.rect(x - half, 0, x + half, HORIZON + 0.02 + depth, (110 - int(500 * depth), 84 - int(300 * depth), 58))
            c.disc(x, float(c.rng.uniform(0, 0.16)), 0.13, tone, squash=0.8)
    c.fade((92, 126, 66), (64, 98, 48), HORIZON + 0.03, 1).grain(HORIZON, 0.14)
    c.scatter(10, 0.64, 1, 0.014, ((198, 120, 60), (226, 186, 90), (126, 158, 78)), squash=0.5)


def _street(c: Canvas) -> None:
    c.fade((164, 200, 230), (232, 232, 226), 0, HORIZON)
    tones = ((196, 132, 108), (226, 196, 150), (150, 168, 186), (206, 160, 150), (176, 186, 160))
    x = -0.05
    while x < 1:
        wide, top = float(c.rng.uniform(0.16, 0.26)), float(c.rng.uniform(0.04, 0.28))
        c.rect(x, top, x + wide - 0.01, HORIZON + 0.08, tones[int(c.rng.integers(5))])
        for wy in np.arange(top + 0.05, HORIZON - 0.02, 0.1).tolist():
            for wx in np.arange(x + 0.03, x + wide - 0.05, 0.07).tolist():
                c.rect(wx, wy, wx + 0.035, wy + 0.055, (250, 236, 180) if c.rng.uniform() < 0.35 else (98, 116, 140))
        x += wide
    c.fade((206, 200, 192), (190, 184, 176), HORIZON + 0.06, 0.72).fade((112, 114, 122), (90, 92, 100), 0.7, 1)
    c.rect(0, 0.7, 1, 0.715, (228, 224, 214))
    for x in (0.02, 0.3, 0.58, 0.86):
        c.rect(x, 0.92, x + 0.14, 0.945, (246, 232, 160))


def _desert(c: Canvas) -> None:
    c.fade((104, 176, 224), (250, 226, 184), 0, HORIZON).disc(
        float(c.rng.uniform(0.15, 0.85)), 0.13, 0.07, (255, 240, 190), blur=4
    )
    c.ridge(HORIZON + 0.02, 0.16, 0.9, (230, 176, 112)).ridge(0.66, 0.12, 0.7, (236, 188, 122)).ridge(
        0.8, 0.1, 0.6, (226, 172, 104)
    )
    for x in (float(c.rng.uniform(0.04, 0.2)), float(c.rng.uniform(0.8, 0.96))):
        c.rect(x - 0.022, 0.4, x + 0.022, 0.68, (84, 138, 88)).disc(x, 0.4, 0.022, (84, 138, 88))
        c.rect(x, 0.52, x + 0.07, 0.55, (84, 138, 88)).rect(x + 0.045, 0.45, x + 0.075, 0.55, (84, 138, 88))
    c.grain(HORIZON, 0.04, 16, 3.0)


def _kitchen(c: Canvas) -> None:
    c.fade((246, 236, 214), (240, 226, 200), 0, 0.62)
    for y in np.arange(0.34, 0.6, 0.085).tolist():
        c.rect(0, y, 1, y + 0.006, (222, 206, 180))
    for x in np.arange(0.04, 1, 0.12).tolist():
        c.rect(x, 0.34, x + 0.006, 0.6, (222, 206, 180))
    shift = float(c.rng.uniform(-0.08, 0.08))
    c.rect(0.3 + shift, 0.04, 0.62 + shift, 0.28, (250, 250, 246)).rect(
        0.32 + shift, 0.06, 0.6 + shift, 0.26, (170, 214, 240)
    )
    c.rect(0, 0.05, 0.2, 0.3, (122, 168, 164)).rect(0.78, 0.05, 1, 0.3, (122, 168, 164))
    c.disc(0.17, 0.24, 0.012, (250, 240, 210)).disc(0.81, 0.24, 0.012, (250, 240, 210))
    for i, x in enumerate(c.rng.uniform(0.03, 0.97, 3).tolist()):
        c.rect(x - 0.03, 0.46, x + 0.03, 0.6, ((206, 96, 80), (96, 140, 170), (230, 184, 90))[i])
    c.fade((206, 158, 112), (180, 130, 88), 0.6, 1).rect(0, 0.6, 1, 0.62, (226, 184, 140)).grain(0.62, 0.06, 6, 6.0)


def _bedroom(c: Canvas) -> None:
    c.fade((206, 198, 226), (226, 216, 236), 0, 0.64)
    for x in np.arange(0.02, 1, 0.1).tolist():
        c.rect(x, 0, x + 0.03, 0.6, (214, 206, 232))
    side = float(c.rng.choice([0.0, 1.0]))
    x = 0.62 if side else 0.08
    c.rect(x, 0.06, x + 0.3, 0.34, (250, 246, 240)).rect(x + 0.02, 0.08, x + 0.28, 0.32, (64, 84, 140)).disc(
        x + 0.2, 0.16, 0.04, (252, 240, 190)
    )
    x = 0.0 if side else 0.56
    c.rect(x, 0.3, x + 0.44, 0.62, (150, 106, 76)).rect(x, 0.42, x + 0.44, 0.64, (232, 150, 160)).disc(
        x + 0.22, 0.43, 0.13, (250, 246, 240), squash=0.4
    )
    c.fade((196, 152, 118), (172, 126, 94), 0.63, 1).grain(0.63, 0.05, 6, 8.0).disc(
        0.5, 0.86, 0.42, (150, 130, 190), squash=0.3
    )
    c.disc(0.5, 0.86, 0.36, (176, 158, 212), squash=0.3)


def _mountain(c: Canvas) -> None:
    c.fade((122, 172, 224), (226, 236, 244), 0, HORIZON).scatter(4, 0.06, 0.2, 0.09, ((250, 252, 255),), squash=0.28)
    for x in c.rng.uniform(0, 1, 4).tolist():
        h = float(c.rng.uniform(0.34, 0.48))
        c.wedge(x, HORIZON - h, HORIZON, 0.72 * h, (120, 130, 152)).wedge(
            x + 0.012, HORIZON - h, HORIZON - 0.66 * h, 0.24 * h, (248, 250, 255)
        )
    c.ridge(HORIZON + 0.02, 0.1, 1.6, (92, 124, 104)).fade((136, 146, 120), (112, 118, 102), HORIZON + 0.03, 1).grain(
        HORIZON, 0.12
    )
    c.scatter(9, 0.62, 1, 0.02, ((150, 150, 150), (120, 122, 128)), squash=0.6, grow=1.0)


def _meadow(c: Canvas) -> None:
    c.fade((132, 198, 240), (232, 246, 246), 0, HORIZON).scatter(5, 0.08, 0.3, 0.08, ((255, 255, 255),), squash=0.35)
    c.ridge(HORIZON, 0.14, 0.8, (150, 202, 120)).ridge(HORIZON + 0.08, 0.1, 0.6, (128, 190, 96)).fade(
        (124, 188, 90), (98, 166, 72), 0.62, 1
    )
    c.grain(0.6, 0.08, 40, 1.2)
    c.scatter(36, 0.62, 1, 0.009, ((250, 220, 90), (250, 250, 250), (240, 120, 150), (190, 130, 220)), grow=1.4)


def _lake(c: Canvas) -> None:
    c.fade((150, 196, 226), (240, 228, 214), 0, HORIZON - 0.06).ridge(HORIZON - 0.06, 0.2, 0.9, (112, 146, 150)).ridge(
        HORIZON - 0.05, 0.08, 2.6, (70, 110, 92)
    )
    c.fade((120, 170, 186), (66, 128, 164), HORIZON - 0.05, 0.76)
    for y in np.linspace(HORIZON, 0.74, 9).tolist():
        x = float(c.rng.uniform(0, 0.8))
        c.rect(x, y, x + float(c.rng.uniform(0.1, 0.3)), y + 0.008, (206, 228, 234), alpha=0.7)
    c.fade((164, 126, 88), (140, 102, 70), 0.74, 1).rect(0, 0.74, 1, 0.757, (196, 156, 114))
    for x in np.arange(0.08, 1, 0.16).tolist():
        c.rect(x, 0.76, x + 0.007, 1, (110, 80, 56))


def _night(c: Canvas) -> None:
    c.fade((22, 26, 66), (78, 78, 138), 0, HORIZON).scatter(46, 0, 0.5, 0.006, ((255, 252, 230), (200, 214, 255)))
    x = float(c.rng.uniform(0.12, 0.88))
    c.disc(x, 0.16, 0.14, (150, 160, 220), alpha=0.25, blur=12).disc(x, 0.16, 0.085, (250, 244, 214)).disc(
        x + 0.03, 0.14, 0.02, (226, 216, 186)
    )
    c.ridge(HORIZON, 0.16, 1.0, (44, 50, 96)).fade((58, 70, 96), (40, 50, 76), HORIZON, 1).ridge(
        0.66, 0.06, 0.8, (52, 66, 90)
    ).grain(HORIZON, 0.08)


def _space(c: Canvas) -> None:
    c.fade((14, 10, 36), (44, 22, 72)).disc(0.3, 0.6, 0.4, (96, 40, 120), alpha=0.4, blur=40).scatter(
        70, 0, 1, 0.006, ((255, 255, 255), (190, 210, 255), (255, 226, 190))
    )
    x, y = float(c.rng.choice([0.16, 0.84])), float(c.rng.uniform(0.14, 0.3))
    c.disc(x, y, 0.13, (226, 158, 98)).disc(x - 0.03, y - 0.03, 0.08, (240, 184, 124), blur=6).disc(
        x, y, 0.2, (250, 224, 180), squash=0.16, alpha=0.75
    )
    c.disc(1 - x, 0.92, 0.24, (66, 138, 200)).disc(1 - x + 0.05, 0.86, 0.1, (98, 176, 120), squash=0.6)


def _giant(c: Canvas) -> None:
    c.fade((116, 160, 214), (250, 218, 190), 0, 0.8).scatter(5, 0.1, 0.5, 0.09, ((255, 248, 242),), squash=0.3).ridge(
        0.8, 0.1, 2.0, (150, 150, 176)
    )
    c.fade((120, 124, 150), (92, 96, 120), 0.78, 1)


def _giant_front(c: Canvas) -> None:
    x = -0.02
    while x < 1:
        wide, top = float(c.rng.uniform(0.06, 0.11)), float(c.rng.uniform(0.76, 0.93))
        tone = ((86, 92, 122), (108, 104, 132), (70, 80, 110))[int(c.rng.integers(3))]
        c.rect(x, top, x + wide, 1.01, tone)
        for wy in np.arange(top + 0.02, 1, 0.045).tolist():
            for wx in np.arange(x + 0.015, x + wide - 0.015, 0.03).tolist():
                c.rect(wx, wy, wx + 0.014, wy + 0.02, (255, 228, 150))
        x += wide


def _underwater(c: Canvas) -> None:
    c.fade((70, 176, 206), (16, 78, 128), 0, 0.8)
    for x in c.rng.uniform(-0.1, 0.9, 4).tolist():
        ray = np.minimum(
            c.x - np.float32(x) - c.y * np.float32(0.3), np.float32(x + 0.09) + c.y * np.float32(0.4) - c.x
        )
        c.blend(c.soft(ray, 6) * (1 - c.y) * np.float32(0.3), (220, 250, 250))
    c.ridge(0.84, 0.08, 0.9, (206, 190, 140)).grain(0.76, 0.06)
    for x in (*c.rng.uniform(0.02, 0.24, 2).tolist(), *c.rng.uniform(0.76, 0.98, 2).tolist()):
        tone = ((236, 112, 120), (240, 164, 96), (150, 100, 190), (72, 160, 110))[int(c.rng.integers(4))]
        for dx, h in ((-0.04, 0.16), (0.0, 0.24), (0.04, 0.18)):
            c.disc(x + dx, 0.84, h, tone, squash=1.0) if h < 0.05 else c.blend(
                c.soft(
                    np.minimum(
                        np.float32(0.02) - np.abs(c.x - np.float32(x + dx)),
                        np.minimum(c.y - np.float32(0.86 - h), np.float32(0.88) - c.y),
                    )
                ),
                tone,
            )


def _bubbles(c: Canvas) -> None:
    for x, y, r in c.rng.uniform((0.03, 0.05, 0.01), (0.97, 0.8, 0.03), (10, 3)).tolist():
        c.disc(x, y, r, (206, 240, 250), alpha=0.55).disc(x - 0.3 * r, y - 0.3 * r, 0.35 * r, (255, 255, 255))


def _moon(c: Canvas) -> None:
    c.fade((10, 10, 22), (26, 26, 48), 0, 0.7).scatter(60, 0, 0.6, 0.005, ((255, 255, 255), (210, 220, 255)))
    x = float(c.rng.choice([0.2, 0.8]))
    c.disc(x, 0.2, 0.13, (60, 120, 200)).disc(x - 0.03, 0.18, 0.06, (96, 170, 110), squash=0.7).disc(
        x + 0.04, 0.24, 0.05, (240, 246, 250), squash=0.4
    )
    c.ridge(0.7, 0.08, 0.8, (150, 150, 156)).fade((176, 176, 180), (134, 134, 140), 0.69, 1).grain(0.68, 0.06)
    for cx, cy, r in ((0.14, 0.8, 0.07), (0.86, 0.78, 0.08), (0.66, 0.93, 0.1), (0.3, 0.95, 0.07)):
        c.disc(cx, cy, r, (112, 112, 118), squash=0.34).disc(cx, cy + 0.008, r * 0.84, (146, 146, 152), squash=0.3)


def _clouds(c: Canvas) -> None:
    c.fade((86, 146, 226), (250, 214, 220))
    for y in (0.62, 0.74, 0.86, 0.97):
        for x in c.rng.uniform(-0.05, 1.05, 7).tolist():
            c.disc(x, y + 0.05, 0.13, (226, 206, 226), squash=0.6, blur=3).disc(
                x, y, 0.12, (255, 250, 250), squash=0.6, blur=3
            )


def _candy(c: Canvas) -> None:
    c.fade((250, 206, 226), (255, 240, 222), 0, HORIZON).ridge(HORIZON, 0.16, 1.0, (186, 226, 214)).ridge(
        0.64, 0.1, 0.7, (250, 190, 206)
    )
    c.fade((250, 202, 216), (240, 176, 200), 0.62, 1).scatter(
        20, 0.66, 1, 0.014, ((120, 200, 220), (250, 220, 110), (255, 255, 255), (190, 140, 220))
    )
    for x in (*c.rng.uniform(0.04, 0.22, 2).tolist(), *c.rng.uniform(0.78, 0.96, 2).tolist()):
        y, tone = (
            float(c.rng.uniform(0.26, 0.42)),
            ((236, 84, 110), (110, 190, 230), (150, 210, 120), (250, 180, 80))[int(c.rng.integers(4))],
        )
        c.rect(x - 0.009, y, x + 0.009, 0.68, (255, 252, 246)).disc(x, y, 0.085, tone).disc(
            x, y, 0.058, (255, 250, 244)
        ).disc(x, y, 0.034, tone)


_DRAW: Mapping[str, Callable[[Canvas], None]] = {
    "studio": _studio, "beach": _beach, "snow": _snow, "forest": _forest, "street": _street, "desert": _desert,
    "kitchen": _kitchen, "bedroom": _bedroom, "mountain": _mountain, "meadow": _meadow, "lake": _lake, "night": _night,
    "space": _space, "giant": _giant, "underwater": _underwater, "moon": _moon, "clouds": _clouds, "candy": _candy,
}  # fmt: skip
_FRONT: Mapping[str, Callable[[Canvas], None]] = {"giant": _giant_front, "underwater": _bubbles}
_NO_GROUND = ("space", "giant", "clouds", "underwater")
_ORDER = (*PLACES, *TWISTS)


@lru_cache(maxsize=512)
def backdrop(name: str, seed: int, size: int) -> Backdrop:
    """The backdrop `name` (a place or a twist), its detail drawn from `seed`; arrays are read-only."""
    behind = Canvas(size, np.random.default_rng([_ORDER.index(name), seed]))
    _DRAW[name](behind)
    pixels = np.clip(behind.pixels, 0, 1)
    pixels.flags.writeable = False
    if name not in _FRONT:
        return Backdrop(pixels, None, None, name not in _NO_GROUND)
    front = Canvas(size, np.random.default_rng([_ORDER.index(name), seed, 1]))
    _FRONT[name](front)
    front.pixels.flags.writeable = front.cover.flags.writeable = False
    return Backdrop(pixels, front.pixels, front.cover, name not in _NO_GROUND)
