"""Colour of a surface point: the paint of its solid, and the pattern as a solid texture in the part's own coordinates."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from evalkit.sandbox.world.solids import F32, F64
from evalkit.sandbox.world.types import RGB, Identity

_FIXED: Mapping[str, RGB] = {
    "dark": (0.16, 0.13, 0.15),
    "white": (0.98, 0.98, 0.97),
    "beak": (0.96, 0.66, 0.24),
    "metal": (0.66, 0.69, 0.73),
    "lens": (0.36, 0.52, 0.66),
    "lamp": (1.0, 0.9, 0.58),
    "drink": (0.42, 0.26, 0.17),
    "shoe": (0.36, 0.25, 0.22),
    "leaf": (0.36, 0.58, 0.33),
    "wood": (0.6, 0.43, 0.28),
}


def _mix(a: RGB, b: RGB, t: float) -> RGB:
    return tuple(float(x + t * (y - x)) for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


def paint_table(identity: Identity) -> dict[str, RGB]:
    """Every paint's colour for one identity, RGB in [0, 1]."""
    base = identity.skin if identity.category == "human" else identity.second
    return {
        **_FIXED,
        "main": identity.main,
        "second": identity.second,
        "accent": identity.accent,
        "accent2": _mix(identity.main, (0.2, 0.14, 0.2), 0.42),
        "ribbon": _mix(identity.accent, (1.0, 0.98, 0.94), 0.6),
        "skin": identity.skin,
        "skin2": _mix(identity.skin, (0.75, 0.3, 0.25), 0.25),
        "hair": identity.hair,
        "blush": _mix(base, (0.95, 0.45, 0.45), 0.5),
        "lips": _mix(base, (0.75, 0.2, 0.25), 0.65),
    }


def _edge(value: F32, width: float = 0.18) -> F32:
    """0..1 step at 0, softened so that the texture does not alias."""
    step: F32 = np.clip(value / np.float32(width) * np.float32(0.5) + np.float32(0.5), 0, 1)
    return step


def _striped(q: F32, long_axis: F32) -> F32:
    along = (q * long_axis).sum(axis=1)
    return _edge(np.sin(along * np.float32(4.6)), 0.5)


def _spotted(q: F32, _long_axis: F32) -> F32:
    cell = q * np.float32(1.15)
    cell[:, 0] += np.float32(0.5) * np.floor(cell[:, 1])
    offset = cell - np.floor(cell) - np.float32(0.5)
    return _edge(np.float32(0.36) - np.sqrt((offset * offset).sum(axis=1)), 0.1)


def _checked(q: F32, _long_axis: F32) -> F32:
    s = np.sin(q * np.float32(3.3) + np.float32(0.4))
    return _edge(s[:, 0] * s[:, 1] * s[:, 2], 0.16)


def _patched(q: F32, _long_axis: F32) -> F32:
    a = np.sin(q @ np.array([2.1, 0.7, -1.3], np.float32) + np.float32(0.5))
    b = np.sin(q @ np.array([-0.8, 1.9, 1.6], np.float32) + np.float32(1.7))
    return _edge(a + b - np.float32(0.35), 0.16)


_PATTERNS = {"striped": _striped, "spotted": _spotted, "checked": _checked, "patched": _patched}


def pattern_weight(identity: Identity, metric: F32, long_axis: F32) -> F32:
    """How much of the second colour shows, in [0, 1], at N points.

    Args:
        metric: part coordinates times the part's half sizes [N, 3], so that the pattern has one size on every part.
        long_axis: one-hot [N, 3], the longest axis of each point's part, across which stripes run.
    """
    if identity.pattern == "plain":
        return np.zeros(len(metric), np.float32)
    q = metric * np.float32(3.2 / identity.pattern_scale) + np.float32(identity.pattern_phase)
    return _PATTERNS[identity.pattern](q, long_axis) * np.float32(identity.pattern_strength)


def pattern_colour(identity: Identity) -> F64:
    """The colour of the pattern: the second colour, pushed away from the main one where they are close in lightness."""
    main, second = np.array(identity.main), np.array(identity.second)
    if abs(float(main.mean() - second.mean())) < 0.25:
        second = second * 0.45 if main.mean() > 0.5 else 0.5 + 0.5 * second
    return second
