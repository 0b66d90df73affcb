"""The human body plans: small clay people whose faces read at 96 pixels. Proportions: 0 girth, 1 legs, 2 head, 3 brows and ears,
4 nose and mouth, 5 eyes."""

from __future__ import annotations

from dataclasses import dataclass

from evalkit.sandbox.world.accessories import Anchors
from evalkit.sandbox.world.animals import eye_pair
from evalkit.sandbox.world.rig import Rig, Vec3

Prop = tuple[float, ...]


@dataclass(frozen=True)
class Build:
    """Torso half width and height, leg length, head radius, whether a skirt and a beard are worn."""

    width: float
    torso: float
    leg: float
    head: float
    skirt: bool = False
    beard: bool = False


BUILDS = {
    "man": Build(0.36, 0.40, 0.56, 0.44, beard=True),
    "woman": Build(0.30, 0.38, 0.54, 0.44, skirt=True),
    "boy": Build(0.29, 0.30, 0.38, 0.47),
    "girl": Build(0.27, 0.30, 0.36, 0.47, skirt=True),
}


def human(rig: Rig, plan: str, hair_style: str, hair_size: float, p: Prop) -> Anchors:
    """A standing person."""
    build = BUILDS[plan]
    w, torso, leg = build.width * (1 + 0.2 * p[0]), build.torso, build.leg * (1 + 0.2 * p[1])
    rig.joint("root", None, (0, leg + 0.1, 0))
    rig.add("root", "ball", (0, torso * 0.85, 0), (w, torso, 0.72 * w), "main")
    rig.add("root", "ball", (0, 0.04, 0), (0.9 * w, 0.2, 0.68 * w), "accent2")
    if build.skirt:
        rig.add("root", "cone", (0, -0.02, 0), (1.3 * w, 0.26, 1.05 * w), "main", taper=0.6)
    _limbs(rig, w, torso, leg)
    r = build.head * (1 + 0.12 * p[2])
    rig.joint("head", "root", (0, 1.72 * torso, 0.02))
    c = (0.0, 0.8 * r, 0.02)
    rig.add("head", "ball", (0, -0.02, 0), (0.13, 0.14, 0.13), "skin")
    eyes = _face(rig, c, r, p)
    _hair(rig, hair_style, c, r, hair_size)
    if build.beard:
        rig.add("head", "ball", (0, c[1] - 0.7 * r, c[2] + 0.34 * r), (0.6 * r, 0.34 * r, 0.54 * r), "hair")
    return Anchors(("head", (0, c[1] + 0.06 * r, c[2]), 1.02 * r), ("head", (0, -0.08, 0.02), 0.33), ("head", *eyes))


def _limbs(rig: Rig, w: float, torso: float, leg: float) -> None:
    for arm, thigh, knee, side in (("la", "ll", "lk", -1), ("ra", "rl", "rk", 1)):
        rig.joint(arm, "root", (side * 0.86 * w, 1.38 * torso, 0), (0, 0, side * 22))
        rig.add(arm, "ball", (0, -0.2, 0), (0.115, 0.28, 0.12), "main")
        rig.add(arm, "ball", (0, -0.46, 0.02), (0.1, 0.17, 0.1), "skin")
        rig.joint(thigh, "root", (side * 0.46 * w, 0.0, 0))
        rig.add(thigh, "ball", (0, -0.28 * leg, 0), (0.15, 0.36 * leg + 0.05, 0.16), "accent2")
        rig.joint(knee, thigh, (0, -0.55 * leg, 0))
        rig.add(knee, "ball", (0, -0.2 * leg, 0), (0.125, 0.32 * leg, 0.13), "accent2")
        rig.add(knee, "ball", (0, -0.46 * leg, 0.07), (0.14, 0.1, 0.22), "shoe")


def _face(rig: Rig, c: Vec3, r: float, p: Prop) -> tuple[Vec3, float]:
    rig.add("head", "ball", c, (0.95 * r, r, 0.92 * r), "skin")
    front = c[2] + 0.8 * r
    white = 0.095 * (1 + 0.25 * p[5])
    rig.pair("head", "ball", (0.36 * r, c[1] + 0.02 * r, front), (white, 1.15 * white, 0.05), "white")
    eyes = eye_pair(rig, "head", (0.36 * r, c[1] + 0.02 * r, front + 0.04), 0.066 * (1 + 0.3 * p[5]))
    brow = 0.035 * (1 + 0.5 * p[3])
    rig.pair("head", "ball", (0.36 * r, c[1] + 0.3 * r, front), (0.12, brow, 0.06), "hair", turn=(0, 0, -8))
    rig.pair("head", "ball", (0.95 * r, c[1] - 0.05, c[2]), (0.06, 0.11 * (1 + 0.4 * p[3]), 0.08), "skin")
    nose = 0.06 * (1 + 0.5 * p[4])
    rig.add("head", "ball", (0, c[1] - 0.14 * r, front + 0.06), (nose, nose, nose), "skin2")
    rig.add("head", "ball", (0, c[1] - 0.42 * r, front - 0.02), (0.13 * (1 + 0.4 * p[4]), 0.04, 0.06), "lips")
    rig.pair("head", "ball", (0.56 * r, c[1] - 0.24 * r, front - 0.1), (0.09, 0.06, 0.05), "blush")
    return eyes


def _hair(rig: Rig, style: str, c: Vec3, r: float, s: float) -> None:
    """Hair of one style; size 0 leaves a bald head."""
    rig.add(
        "head", "ball", (0, c[1] + 0.22 * r * s, c[2] - 0.2 * r), (1.04 * r * s, 0.96 * r * s, 0.98 * r * s), "hair"
    )
    rig.add(
        "head", "ball", (0, c[1] + 0.72 * r * s, c[2] + 0.3 * r), (0.74 * r * s, 0.28 * r * s, 0.52 * r * s), "hair"
    )
    if style == "long":
        rig.pair(
            "head",
            "ball",
            (0.82 * r, c[1] - 0.5 * r, c[2] - 0.2 * r),
            (0.26 * r * s, 0.95 * r * s, 0.4 * r * s),
            "hair",
        )
        rig.add("head", "ball", (0, c[1] - 0.4 * r, c[2] - 0.6 * r), (0.9 * r * s, 1.05 * r * s, 0.4 * r * s), "hair")
    elif style == "bun":
        rig.add(
            "head", "ball", (0, c[1] + 1.25 * r, c[2] - 0.25 * r), (0.42 * r * s, 0.4 * r * s, 0.42 * r * s), "hair"
        )
    elif style == "curly":
        for x, y in ((0.95, 0.1), (0.85, 0.55), (0.5, 0.95), (0.95, -0.3)):
            rig.pair(
                "head",
                "ball",
                (x * r, c[1] + y * r, c[2] - 0.1 * r),
                (0.36 * r * s, 0.36 * r * s, 0.42 * r * s),
                "hair",
            )
        rig.add("head", "ball", (0, c[1] + 1.08 * r, c[2]), (0.4 * r * s, 0.34 * r * s, 0.42 * r * s), "hair")
    elif style == "spiky":
        for x, tilt in ((-0.62, 34.0), (-0.22, 12.0), (0.22, -12.0), (0.62, -34.0)):
            rig.add("head", "cone", (x * r, c[1] + (1.12 - 0.4 * abs(x)) * r, c[2] + 0.05 * r),
                    (0.26 * r * s, 0.34 * r * s, 0.3 * r * s),
                    "hair", turn=(0, 0, tilt), taper=0.08)  # fmt: skip
