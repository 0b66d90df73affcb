"""Soft clay light: wrapped Lambert with a hemisphere, a rim, creases, and the shadow that solids cast on the ground."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from evalkit.sandbox.world.solids import F32, F64, Solids

#: direction to the key light in camera space, and the colour grade of the whole picture
_LIGHTS: Mapping[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "day": ((-0.45, 0.75, 0.55), (1.0, 1.0, 1.0)),
    "sunset": ((-0.8, 0.42, 0.45), (1.1, 0.92, 0.76)),
    "dusk": ((0.5, 0.7, 0.5), (0.74, 0.8, 1.02)),
}
SHADOW_STRENGTH = 0.5


def light_direction(light: str) -> F64:
    """Unit vector [3] towards the key light, camera space."""
    direction = np.array(_LIGHTS[light][0])
    unit: F64 = direction / np.linalg.norm(direction)
    return unit


def grade(light: str) -> F32:
    """RGB factors [3] of the light on the whole picture."""
    return np.array(_LIGHTS[light][1], np.float32)


def shade(colour: F32, normal: F32, height: F32, light: str) -> F32:
    """Lit colour [N, 3] of points with base `colour`, camera-space `normal`, and `height` above the ground in units."""
    key = light_direction(light).astype(np.float32)
    wrap = np.clip((normal @ key + np.float32(0.25)) / np.float32(1.25), 0, None)
    sky = normal[:, 1] * np.float32(0.5) + np.float32(0.5)
    ground = np.float32(0.72) + np.float32(0.28) * np.clip(height / np.float32(0.45), 0, 1)
    rim = (
        np.clip(np.float32(1) - normal[:, 2], 0, 1) ** 3 * (np.float32(0.35) + np.float32(0.65) * sky) * np.float32(0.3)
    )
    half = key + np.array([0, 0, 1], np.float32)
    gloss = np.clip(normal @ (half / np.linalg.norm(half)), 0, 1) ** 24 * np.float32(0.14)
    lit = (np.float32(0.3) + np.float32(0.26) * sky) * ground + np.float32(0.66) * wrap
    linear = colour * colour * lit[:, None] + (rim + gloss)[:, None]
    lit_colour: F32 = np.sqrt(np.clip(linear, 0, 1))
    return lit_colour


def smooth(image: F32) -> F32:
    """3 x 3 binomial blur with the border repeated."""
    padded = np.pad(image, 1, mode="edge")
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    blurred: F32 = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / np.float32(16)
    return blurred


def ground_shadow(solids: Solids, normal: F64, origin: F64, light: str, axis: F64) -> F32:
    """Shadow strength in [0, 1] on the ground seen at the picture points (axis, -axis), [n, n].

    The ground is the plane through `origin` with unit `normal` (camera space). A solid's closest approach to the light ray, in
    its unit ball, is a quadratic form of the picture point, so all solids are one matrix product. Boxes and cones cast the
    shadow of their inscribed ball.

    Args:
        axis: picture coordinates [n], ascending; rows run from the last to the first.
    """
    key = light_direction(light)
    key = key + normal * max(0.35 - float(key @ normal), 0.0)
    slope = max(float(normal[2]), 0.12)
    ex = np.array([1.0, 0.0, -normal[0] / slope])
    ey = np.array([0.0, 1.0, -normal[1] / slope])
    base = np.array([0.0, 0.0, origin[2]]) - origin[0] * np.array([0, 0, ex[2]]) - origin[1] * np.array([0, 0, ey[2]])
    direction = solids.inverse @ key
    square = (direction**2).sum(axis=1)
    vectors = [solids.inverse @ v for v in (ex, ey)] + [np.einsum("pij,pj->pi", solids.inverse, base - solids.centre)]
    flat = [v - direction * ((v * direction).sum(axis=1) / square)[:, None] for v in vectors]
    pairs = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
    form = np.stack([(flat[i] * flat[j]).sum(axis=1) * (1 + (i != j)) for i, j in pairs], axis=1)
    x, y = (g.ravel() for g in np.meshgrid(axis, axis[::-1]))
    approach = form.astype(np.float32) @ np.stack([x * x, y * y, np.ones_like(x), x * y, x, y]).astype(np.float32)
    depth = np.clip(np.float32(1.25) - np.sqrt(np.clip(approach, 0, None)), 0, np.float32(0.5)) * 2
    lifted = ((solids.centre - origin) @ normal).astype(np.float32)
    strength = (depth * np.exp(-np.clip(lifted, 0, None) * np.float32(0.55))[:, None]).max(axis=0)
    return smooth(strength.reshape(len(axis), len(axis)))
