"""The renderer: a scene in, a picture and its exact truth out. The same scene gives the same bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import UsageError
from evalkit.sandbox.world.assemble import Body, assemble
from evalkit.sandbox.world.paint import paint_table, pattern_colour, pattern_weight
from evalkit.sandbox.world.places import Backdrop, backdrop
from evalkit.sandbox.world.rig import rotation
from evalkit.sandbox.world.shading import SHADOW_STRENGTH, grade, ground_shadow, shade, smooth
from evalkit.sandbox.world.solids import F32, F64, Solids, cast, surface
from evalkit.sandbox.world.styles import apply_style, brush_of
from evalkit.sandbox.world.types import Identity, Scene, View

HALF_WIDTH = 1.6
GROUND = -1.05
CAMERA_DEPTH = 10.0
_SPREAD = {1: (0.0,), 2: (-0.74, 0.74), 3: (-1.02, 0.0, 1.02)}
_CROWD = {1: 1.0, 2: 0.82, 3: 0.62}

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Rendered:
    """A picture [H, W] and its truth. Truth is taken at one sample a pixel, the one at `sample` of its width and height.

    `image` uint8 [H, W, 3]; `mask` bool [H, W] of all subjects; `subject_masks` bool [S, H, W]; `parts` int16 [H, W], the index
    within its subject of the visible part, -1 off the subjects; `surface` float32 [H, W, 3], the point in the part's unit-shape
    coordinates (NaN off the subjects); `depth` float32 [H, W] from the camera plane (inf off the subjects). `solids` are the
    placed solids of each subject in camera space, in which `parts` counts.
    """

    image: NDArray[np.uint8]
    mask: Mask
    subject_masks: NDArray[np.bool_]
    parts: NDArray[np.int16]
    surface: F32
    depth: F32
    solids: tuple[Solids, ...]
    sample: float


@dataclass(frozen=True)
class _Placed:
    """All subjects of a scene as one list of solids in camera space."""

    solids: Solids
    owner: NDArray[np.int16]
    local: NDArray[np.int16]
    each: tuple[Solids, ...]
    origins: tuple[F64, ...]


def _camera(view: View) -> F64:
    """Subject space to camera space [3, 3]: turn by the azimuth, then look down by the elevation."""
    return rotation(view.elevation, 0, 0) @ rotation(0, view.azimuth, 0)


def _place(scene: Scene, bodies: tuple[Body, ...]) -> _Placed:
    turn, count = _camera(scene.view), len(bodies)
    size = scene.scale * _CROWD[count]
    if scene.twist == "giant":
        size *= 1.25
    floating = scene.twist in ("space", "underwater", "clouds")
    each, origins = [], []
    for body, dx in zip(bodies, _SPREAD[count], strict=True):
        linear = turn * size
        origin = np.array([dx + scene.position[0], GROUND + scene.position[1], 0.0])
        offset = origin + (np.array([0.0, 0.28, 0.0]) if floating else 0.0)
        if scene.twist == "moon":
            roll = rotation(0, 0, 180)
            middle = np.array([0.0, 1.0 * size, 0.0])
            linear, offset = roll @ linear, offset + roll @ -middle + middle + np.array([0.0, 0.18, 0.0])
        each.append(body.solids.moved(linear, offset))
        origins.append(origin)
    counts = [len(s.kind) for s in each]
    merged = Solids(
        *(np.concatenate([getattr(s, f) for s in each]) for f in ("kind", "taper", "matrix", "centre", "inverse"))
    )
    owner = np.repeat(np.arange(count, dtype=np.int16), counts)
    local = np.concatenate([np.arange(n, dtype=np.int16) for n in counts])
    return _Placed(merged, owner, local, tuple(each), tuple(origins))


def _base_colour(identities: tuple[Identity, ...], bodies: tuple[Body, ...], owner: NDArray[np.int16], part: NDArray[np.int16],
                 u: F32) -> F32:  # fmt: skip
    """Painted and patterned colour [N, 3] of surface points `u` [N, 3] on `part` [N] (counting over all subjects)."""
    paints = [(paint_table(i), b.paints) for i, b in zip(identities, bodies, strict=True)]
    colour = np.array([table[p] for table, names in paints for p in names], np.float32)[part]
    radii = np.concatenate([b.radii for b in bodies]).astype(np.float32)
    long_axis = np.eye(3, dtype=np.float32)[radii.argmax(axis=1)]
    patterned = np.concatenate([np.array([p == "main" for p in b.paints]) for b in bodies])
    for s, identity in enumerate(identities):
        chosen = np.flatnonzero(patterned[part] & (owner[part] == s))
        if identity.pattern == "plain" or not len(chosen):
            continue
        on = part[chosen]
        weight = pattern_weight(identity, u[chosen] * radii[on], long_axis[on])[:, None]
        colour[chosen] += weight * (pattern_colour(identity).astype(np.float32) - colour[chosen])
    return colour


def _edges(part: NDArray[np.int16], z: F32) -> F32:
    """1 where the subject or its depth breaks, 0.5 where only the part changes, [n, n]."""
    strength = np.zeros(part.shape, np.float32)
    finite = np.where(part >= 0, z, np.float32(-9))
    for axis in (0, 1):
        jump = np.abs(np.diff(finite, axis=axis))
        step = np.where(
            jump > 0.16, np.float32(1), np.where(np.diff(part, axis=axis) != 0, np.float32(0.4), np.float32(0))
        )
        here = strength[:-1] if axis == 0 else strength[:, :-1]
        np.maximum(here, step, out=here)
    return strength


def _pool(values: F32, factor: int) -> F32:
    """Mean over factor x factor blocks of the first two axes."""
    rows = sum((values[i::factor] for i in range(1, factor)), start=values[0::factor])
    total = sum((rows[:, i::factor] for i in range(1, factor)), start=rows[:, 0::factor])
    return np.asarray(total / np.float32(factor * factor), np.float32)


def _behind(scene: Scene, place: Backdrop, placed: _Placed, size: int) -> F32:
    """The backdrop with the subjects' shadow on its ground."""
    if not place.ground or scene.twist == "moon":
        return place.behind
    n = max(size // 2, 8)
    axis = (np.arange(n) + 0.5) / n * 2 * HALF_WIDTH - HALF_WIDTH
    elevation = max(scene.view.elevation, 8.0)
    normal = rotation(elevation, 0, 0)[:, 1]
    shadow = ground_shadow(placed.solids, normal, placed.origins[0], scene.light, axis)
    rows = np.minimum(np.arange(size) * n // size, n - 1)
    full = smooth(shadow[rows][:, rows])
    down = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
    low = np.clip((down - np.float32(0.5)) * np.float32(12), 0, 1)[:, None]
    lit: F32 = place.behind * (1 - np.float32(SHADOW_STRENGTH) * full * low)[:, :, None]
    return lit


def render(scene: Scene, *, size: int = 96, supersample: int = 2) -> Rendered:
    """Draw a scene.

    Args:
        size: pixels on a side, at least 16.
        supersample: samples along each side of a pixel, at least 1.

    Raises:
        UsageError: size or supersample too small.
    """
    if size < 16 or supersample < 1:
        raise UsageError(
            f"render needs size >= 16 and supersample >= 1; found {size!r} and {supersample!r}; raise them"
        )
    bodies = tuple(assemble(i, p) for i, p in zip(scene.identities, scene.poses, strict=True))
    placed = _place(scene, bodies)
    n = size * supersample
    xs = ((np.arange(n) + 0.5) / n * 2 * HALF_WIDTH - HALF_WIDTH).astype(np.float32)
    z, part = cast(placed.solids, xs, -xs)
    layer, u = _subject_layer(scene, bodies, placed, xs, (z, part))
    place = backdrop(scene.place if scene.twist == "none" else scene.twist, scene.place_seed, size)
    image, hidden = _composite(scene, place, placed, _pool(layer, supersample), size)
    if scene.drawn_style != "photo":
        edges = np.clip(_pool(_edges(part, z), supersample) * np.float32(min(supersample, 2)), 0, 1)
        image = apply_style(
            scene.drawn_style, image, np.where(hidden, np.float32(0), edges), brush_of(scene.style_identity)
        )
    pixels = np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
    pick = slice(supersample // 2, None, supersample)
    return _truth(
        pixels, placed, (z[pick, pick], part[pick, pick], u[pick, pick]), hidden, (supersample // 2 + 0.5) / supersample
    )


def _subject_layer(
    scene: Scene, bodies: tuple[Body, ...], placed: _Placed, xs: F32, cast_buffers: tuple[F32, NDArray[np.int16]]
) -> tuple[F32, F32]:
    """Lit colour and coverage of the subjects [n, n, 4], and surface coordinates [n, n, 3], NaN off them."""
    z, part = cast_buffers
    rows, cols = np.nonzero(part >= 0)
    points = np.stack([xs[cols], -xs[rows], z[rows, cols]], axis=1)
    hit = part[rows, cols]
    u, normal = surface(placed.solids, hit, points)
    colour = _base_colour(scene.identities, bodies, placed.owner, hit, u)
    layer, full = np.zeros((*z.shape, 4), np.float32), np.full((*z.shape, 3), np.nan, np.float32)
    layer[rows, cols, :3] = shade(colour, normal, points[:, 1] - np.float32(GROUND + scene.position[1]), scene.light)
    layer[rows, cols, 3] = 1
    full[rows, cols] = u
    return layer, full


def _composite(scene: Scene, place: Backdrop, placed: _Placed, layer: F32, size: int) -> tuple[F32, Mask]:
    """Backdrop, subjects and foreground in the scene's light [n, n, 3], and where the foreground hides the subjects."""
    image = _behind(scene, place, placed, size) * (1 - layer[:, :, 3:]) + layer[:, :, :3]
    hidden = np.zeros((size, size), bool)
    if place.front is not None and place.cover is not None:
        image = image * (1 - place.cover[:, :, None]) + place.front
        hidden = place.cover > 0.6
    if scene.twist == "underwater":
        image = image * np.array([0.72, 0.95, 1.0], np.float32) + np.array([0.0, 0.03, 0.06], np.float32)
    return np.clip(image * grade(scene.light), 0, 1), hidden


def _truth(
    image: NDArray[np.uint8], placed: _Placed, samples: tuple[F32, NDArray[np.int16], F32], hidden: Mask, sample: float
) -> Rendered:
    """The truth buffers from one sample a pixel: Z, index of the solid, surface coordinates."""
    z, index, u = samples
    mask = (index >= 0) & ~hidden
    depth = np.where(mask, np.float32(CAMERA_DEPTH) - z, np.float32(math.inf)).astype(np.float32)
    owner = np.where(mask, placed.owner[np.maximum(index, 0)], np.int16(-1))
    subjects = np.stack([owner == s for s in range(len(placed.each))])
    local = np.where(mask, placed.local[np.maximum(index, 0)], np.int16(-1)).astype(np.int16)
    points = np.where(mask[:, :, None], u, np.float32(math.nan)).astype(np.float32)
    return Rendered(image, mask, subjects, local, points, depth, placed.each, sample)
