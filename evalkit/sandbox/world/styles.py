"""Drawing styles: image operations on the picture and its geometry edges. Images are RGB in 0..1, [n, n, 3]."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from evalkit.sandbox.world.solids import F32
from evalkit.sandbox.world.types import RGB, Identity

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Brush:
    """Stroke size relative to the style's own, colour of ink, colour of paper, and how much both tint the picture."""

    scale: float = 1.0
    ink: RGB = (0.17, 0.16, 0.2)
    paper: RGB = (0.97, 0.95, 0.9)
    tint: float = 0.0


def brush_of(identity: Identity | None) -> Brush:
    """The brush of a style subject: its dark colour inks, its light one is the paper; the default brush for None."""
    if identity is None:
        return Brush()
    main, second = np.array(identity.main), np.array(identity.second)
    ink, paper = (main * 0.55, 0.35 * main + 0.65 * second + 0.1) if main.mean() < 0.8 else (second * 0.4, main)
    return Brush(identity.pattern_scale, _rgb(ink), _rgb(paper), 0.42)


def _rgb(v: NDArray[np.float64]) -> RGB:
    r, g, b = np.clip(v, 0, 1).tolist()
    return r, g, b


def _blur(image: F32, radius: int) -> F32:
    """Box blur of half width `radius` over the first two axes, border repeated."""
    for axis in (0, 1):
        pad = [(0, 0)] * image.ndim
        pad[axis] = (radius + 1, radius)
        total = np.cumsum(np.pad(image, pad, mode="edge"), axis=axis, dtype=np.float32)
        n, width = image.shape[axis], 2 * radius + 1
        high = np.take(total, np.arange(width, width + n), axis=axis)
        image = (high - np.take(total, np.arange(n), axis=axis)) / np.float32(width)
    return image


def _gradient(gray: F32) -> F32:
    dx = np.abs(np.diff(gray, axis=1, append=gray[:, -1:]))
    dy = np.abs(np.diff(gray, axis=0, append=gray[-1:]))
    return dx + dy


def _grid(n: int) -> tuple[F32, F32]:
    line = (np.arange(n, dtype=np.float32) + np.float32(0.5)) / np.float32(n)
    return line[None, :], line[:, None]


@lru_cache(maxsize=16)
def _noise(n: int, seed: int) -> F32:
    noise = np.random.default_rng([n, seed]).uniform(-1, 1, (n, n)).astype(np.float32)
    noise.flags.writeable = False
    return noise


def _saturate(image: F32, factor: float) -> F32:
    gray = (image @ _LUMA)[:, :, None]
    return np.clip(gray + (image - gray) * np.float32(factor), 0, 1)


def _sketch(image: F32, edges: F32, brush: Brush) -> F32:
    gray = image @ _LUMA
    x, y = _grid(len(gray))
    rate = np.float32(150 / brush.scale)
    light, dark = np.sin((x + y) * rate), np.sin((x - y) * rate)
    hatch = 0.42 * (light > 0.1) * np.clip((0.62 - gray) * 5, 0, 1) + 0.4 * (dark > 0.1) * np.clip(
        (0.4 - gray) * 5, 0, 1
    )
    line = np.clip(edges * 0.95 + _gradient(gray) * 2.4, 0, 1)
    ink = np.clip(hatch + line + 0.16 * (1 - gray) + 0.04 * _noise(len(gray), 1), 0, 1).astype(np.float32)[:, :, None]
    drawn: F32 = np.array(brush.paper, np.float32) * (1 - ink) + np.array(brush.ink, np.float32) * ink
    return drawn


def _watercolour(image: F32, edges: F32, brush: Brush) -> F32:
    n = len(image)
    radius = max(round(n / 42 * brush.scale), 1)
    wash = _blur(_blur(image, radius), max(radius // 2, 1))
    levels = np.round(wash * 7) / 7 * np.float32(0.55) + wash * np.float32(0.45)
    pool = _gradient(levels @ _LUMA)
    bloom = _blur(_noise(n, 2), max(n // 24, 1))[:, :, None] * 1.6
    paint = _saturate(levels, 1.25) * np.float32(0.72) + np.float32(0.3) + bloom * np.float32(0.18)
    line = np.clip(pool * 1.6 + edges * 0.22, 0, 0.5)[:, :, None]
    drawn: F32 = np.clip(paint * (1 - line) + 0.03 * _noise(n, 3)[:, :, None], 0, 1)
    return drawn


def _comic(image: F32, edges: F32, brush: Brush) -> F32:
    gray = _blur(image, 1) @ _LUMA
    step = (np.floor(gray * 4) + np.float32(0.6)) / 4
    flat = _saturate(image * (step / np.maximum(image @ _LUMA, 0.04))[:, :, None], 1.7)
    thick = np.clip(_blur(edges, 1) * 3.2, 0, 1)[:, :, None] if len(image) >= 64 else edges[:, :, None]
    return np.clip(flat, 0, 1) * (1 - thick) + np.array(brush.ink, np.float32) * 0.5 * thick


def _pixel(image: F32, _edges: F32, brush: Brush) -> F32:
    n = len(image)
    block = max(round(n / 48 * brush.scale), 2)
    rows = np.arange(n) // block
    count = int(rows[-1]) + 1
    sums = np.add.reduceat(np.add.reduceat(image, np.arange(count) * block, axis=0), np.arange(count) * block, axis=1)
    size = np.bincount(rows).astype(np.float32)
    mean = sums / (size[:, None] * size[None, :])[:, :, None]
    flat = np.round(_saturate(mean, 1.35) * 5) / np.float32(5)
    return flat[rows][:, rows]


@lru_cache(maxsize=64)
def _tiles(n: int, cells: int) -> tuple[NDArray[np.int64], F32]:
    """Index of the nearest jittered site of each pixel, and the gap to the second nearest, in cells."""
    jitter = np.random.default_rng([n, cells]).uniform(0.15, 0.85, (cells + 2, cells + 2, 2)).astype(np.float32)
    x, y = _grid(n)
    u, v = np.broadcast_arrays(x * cells + 1, y * cells + 1)
    i, j = v.astype(int), u.astype(int)
    distances, sites = [], []
    for di in (-1, 0, 1):
        for dj in (-1, 0, 1):
            a, b = np.clip(i + di, 0, cells + 1), np.clip(j + dj, 0, cells + 1)
            distances.append(np.hypot(v - a - jitter[a, b, 1], u - b - jitter[a, b, 0]))
            sites.append(a * (cells + 2) + b)
    stack = np.stack(distances)
    nearest = stack.argmin(axis=0)
    two = np.partition(stack, 1, axis=0)
    return np.take_along_axis(np.stack(sites), nearest[None], axis=0)[0], (two[1] - two[0]).astype(np.float32)


def _mosaic(image: F32, _edges: F32, brush: Brush) -> F32:
    n = len(image)
    cells = max(round(30 / brush.scale), 6)
    site, gap = _tiles(n, cells)
    total = int(site.max()) + 1
    count = np.maximum(np.bincount(site.ravel(), minlength=total), 1)
    mean = np.stack([np.bincount(site.ravel(), image[:, :, k].ravel(), total) / count for k in range(3)], axis=1)
    glint = 1 + 0.1 * np.random.default_rng(total).uniform(-1, 1, total)
    tile = _saturate((mean * glint[:, None]).astype(np.float32)[site], 1.35)
    grout = np.clip(gap * np.float32(8), 0, 1)[:, :, None]
    joint = np.float32(0.45) * (tile + np.array(brush.paper, np.float32))
    drawn: F32 = np.clip(tile * grout + joint * (1 - grout), 0, 1)
    return drawn


def _oil(image: F32, _edges: F32, brush: Brush) -> F32:
    n = len(image)
    k = max(round(n / 80 * brush.scale), 1)
    mean = _blur(image, k)
    spread = _blur((image @ _LUMA) ** 2, k) - _blur(image @ _LUMA, k) ** 2
    shifts = [(-k, -k), (-k, k), (k, -k), (k, k)]
    means = np.stack([np.roll(mean, s, (0, 1)) for s in shifts])
    best = np.stack([np.roll(spread, s, (0, 1)) for s in shifts]).argmin(axis=0)
    paint = np.take_along_axis(means, best[None, :, :, None], axis=0)[0]
    x, y = _grid(n)
    angle = np.float32(6.0) * (paint @ _LUMA)
    bristle = np.sin((x * np.cos(angle) + y * np.sin(angle)) * np.float32(150 / brush.scale) + _noise(n, 4))
    relief = np.float32(0.07) * bristle + np.float32(0.02) * _noise(n, 5)
    drawn: F32 = np.clip(_saturate(paint, 1.45) * (1 + relief[:, :, None]), 0, 1)
    return drawn


def _linocut(image: F32, edges: F32, brush: Brush) -> F32:
    gray = _blur(image @ _LUMA, 1)
    x, y = _grid(len(gray))
    carve = np.sin((y + np.float32(0.06) * np.sin(x * 14)) * np.float32(170 / brush.scale))
    level = gray + np.float32(0.17) * carve
    ink = np.clip((np.float32(0.56) - level) * 9 + np.float32(0.5), 0, 1)
    ink = np.maximum(ink, np.clip(edges * 1.3, 0, 1))
    cover = ink[:, :, None]
    drawn: F32 = np.array(brush.paper, np.float32) * (1 - cover) + np.array(brush.ink, np.float32) * 0.7 * cover
    return drawn


_POP = np.array(
    [[0.1, 0.09, 0.22], [0.87, 0.18, 0.42], [0.98, 0.72, 0.2], [0.3, 0.78, 0.84], [1.0, 0.97, 0.86]], np.float32
)


def _pop(image: F32, edges: F32, brush: Brush) -> F32:
    gray = _blur(image @ _LUMA, 1)
    x, y = _grid(len(gray))
    rate = np.float32(75 / brush.scale)
    dots = np.sin((x + y) * rate) * np.sin((x - y) * rate)
    level = np.clip(gray * 5.2 - 0.5 + dots * 0.62, 0, 4)
    flat = _POP[np.round(level).astype(int)] * np.float32(0.72) + _saturate(image, 2.2) * np.float32(0.28)
    line = np.clip(edges * 1.2, 0, 1)[:, :, None]
    drawn: F32 = flat * (1 - line) + _POP[0] * line
    return drawn


_STYLES: Mapping[str, Callable[[F32, F32, Brush], F32]] = {
    "sketch": _sketch, "watercolour": _watercolour, "comic": _comic, "pixel": _pixel, "mosaic": _mosaic, "oil": _oil,
    "linocut": _linocut, "pop": _pop,
}  # fmt: skip


def apply_style(name: str, image: F32, edges: F32, brush: Brush) -> F32:
    """Redraw a picture in one of `vocabulary.STYLE_PLANS`.

    Args:
        image: RGB in 0..1, [n, n, 3].
        edges: strength of part and depth edges in 0..1, [n, n].
    """
    drawn = _STYLES[name](image, edges, brush)
    if brush.tint:
        gray = (drawn @ _LUMA)[:, :, None]
        duotone = np.array(brush.ink, np.float32) * (1 - gray) + np.array(brush.paper, np.float32) * gray
        drawn = drawn + np.float32(brush.tint) * (duotone - drawn)
    return drawn
