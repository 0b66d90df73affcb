"""Closed-form ray casting of analytic solids under an orthographic camera.

A solid is a unit shape under an affine map x = A u + c: the unit ball, the capped cone (axis y in [-1, 1], radius 1 at the
bottom and `taper` at the top) or the cube [-1, 1]^3. In camera space X is right, Y up and Z towards the viewer, so the visible
point of a ray is the one with the greatest Z.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

BALL, CONE, BOX = 0, 1, 2
_MISS = np.float32(-np.inf)


@dataclass(frozen=True)
class Solids:
    """P solids in one space: `kind` [P], `taper` [P], `matrix` A [P, 3, 3], `centre` c [P, 3], `inverse` A^-1 [P, 3, 3]."""

    kind: NDArray[np.int8]
    taper: F64
    matrix: F64
    centre: F64
    inverse: F64

    def moved(self, linear: F64, offset: F64) -> Solids:
        """The same solids under x -> linear x + offset."""
        matrix = linear @ self.matrix
        inverse: F64 = np.linalg.inv(matrix).astype(np.float64, copy=False)
        return Solids(self.kind, self.taper, matrix, self.centre @ linear.T + offset, inverse)

    def half_extents(self) -> F64:
        """Half sizes [P, 3] of the axis-aligned boxes around the solids (exact; for a cone that of its bounding cylinder)."""
        squares = self.matrix**2
        wide = np.maximum(self.taper, 1.0)[:, None]
        ball = np.sqrt(squares.sum(axis=2))
        cone = np.sqrt(squares[:, :, 0] + squares[:, :, 2]) * wide + np.abs(self.matrix[:, :, 1])
        box = np.abs(self.matrix).sum(axis=2)
        kind = self.kind[:, None]
        extents: F64 = np.where(kind == BALL, ball, np.where(kind == CONE, cone, box))
        return extents


def _ball(inverse: F64, dx: F32, dy: F32) -> F32:
    """Z offset [h, w] of the visible surface of a ball above its centre; -inf where the ray misses."""
    q = (inverse.T @ inverse).astype(np.float32)
    b = q[0, 2] * dx + q[1, 2] * dy
    c = (q[0, 0] * dx + 2 * q[0, 1] * dy) * dx + (q[1, 1] * dy * dy - np.float32(1))
    disc = b * b - q[2, 2] * c
    hit = disc >= 0
    root = np.sqrt(np.where(hit, disc, np.float32(0)))
    return np.where(hit, (root - b) / q[2, 2], _MISS)


def _cone(inverse: F64, taper: float, dx: F32, dy: F32) -> F32:
    """As `_ball`, for a capped cone."""
    inv = inverse.astype(np.float32)
    ox, oy, oz = (inv[i, 0] * dx + inv[i, 1] * dy for i in range(3))
    vx, vy, vz = (float(v) for v in inv[:, 2])
    m, k = (1 + taper) / 2, (taper - 1) / 2
    a = vx * vx + vz * vz - k * k * vy * vy
    a = a if abs(a) > 1e-9 else 1e-9
    radius = m + k * oy
    b = ox * vx + oz * vz - k * vy * radius
    disc = b * b - a * (ox * ox + oz * oz - radius * radius)
    root = np.sqrt(np.maximum(disc, 0))
    best = np.full(ox.shape, _MISS, np.float32)
    for sign in (1.0, -1.0):
        s = (sign * root - b) / a
        valid = (disc >= 0) & (np.abs(oy + s * vy) <= 1)
        best = np.maximum(best, np.where(valid, s, _MISS))
    if abs(vy) > 1e-9:
        for end, limit in ((1.0, taper), (-1.0, 1.0)):
            s = (end - oy) / vy
            valid = (ox + s * vx) ** 2 + (oz + s * vz) ** 2 <= limit * limit
            best = np.maximum(best, np.where(valid, s, _MISS))
    return best.astype(np.float32, copy=False)


def _box(inverse: F64, dx: F32, dy: F32) -> F32:
    """As `_ball`, for a cube."""
    inv = inverse.astype(np.float32)
    near: F32 = np.full(np.broadcast_shapes(dx.shape, dy.shape), np.inf, np.float32)
    far: F32 = -near
    for i in range(3):
        origin, v = inv[i, 0] * dx + inv[i, 1] * dy, float(inv[i, 2])
        v = v if abs(v) > 1e-9 else 1e-9
        middle, half = -origin / v, abs(1 / v)
        near, far = np.minimum(near, middle + half), np.maximum(far, middle - half)
    return np.where(near >= far, near, _MISS).astype(np.float32, copy=False)


def _span(centre: float, half: float, origin: float, step: float, n: int) -> tuple[int, int]:
    first, last = sorted(((centre - half - origin) / step, (centre + half - origin) / step))
    return max(int(np.floor(first)), 0), min(int(np.ceil(last)) + 1, n)


def cast(solids: Solids, xs: F32, ys: F32) -> tuple[F32, NDArray[np.int16]]:
    """Depth buffer over the grid of sample positions `xs` [W] (ascending) and `ys` [H] (descending), camera space.

    Returns:
        Z [H, W] of the visible point (-inf where nothing is) and the index [H, W] of its solid (-1 where nothing is).
    """
    z = np.full((len(ys), len(xs)), _MISS, np.float32)
    part = np.full(z.shape, -1, np.int16)
    extents = solids.half_extents()
    step_x, step_y = float(xs[1] - xs[0]), float(ys[1] - ys[0])
    for p in range(len(solids.kind)):
        cx, cy, cz = (float(v) for v in solids.centre[p])
        x0, x1 = _span(cx, extents[p, 0], float(xs[0]), step_x, len(xs))
        y0, y1 = _span(cy, extents[p, 1], float(ys[0]), step_y, len(ys))
        if x0 >= x1 or y0 >= y1:
            continue
        dx = xs[None, x0:x1] - np.float32(cx)
        dy = ys[y0:y1, None] - np.float32(cy)
        if solids.kind[p] == BALL:
            offset = _ball(solids.inverse[p], dx, dy)
        elif solids.kind[p] == CONE:
            offset = _cone(solids.inverse[p], float(solids.taper[p]), dx, dy)
        else:
            offset = _box(solids.inverse[p], dx, dy)
        here = offset + np.float32(cz)
        window = z[y0:y1, x0:x1]
        nearer = here > window
        window[nearer] = here[nearer]
        part[y0:y1, x0:x1][nearer] = p
    return z, part


def surface(solids: Solids, part: NDArray[np.int16], points: F32) -> tuple[F32, F32]:
    """Unit-shape coordinates u [N, 3] and unit camera-space normals [N, 3] of surface `points` [N, 3] on solids `part` [N]."""
    rows = solids.inverse.astype(np.float32).reshape(-1, 9).T.copy()[:, part]
    x, y, z = points.T - solids.centre.T.astype(np.float32)[:, part]
    u = np.stack([rows[3 * i] * x + rows[3 * i + 1] * y + rows[3 * i + 2] * z for i in range(3)], axis=1)
    gradient = u.copy()
    kind = solids.kind[part]
    _cone_gradient(gradient, u, kind == CONE, solids.taper.astype(np.float32)[part])
    boxes = kind == BOX
    if boxes.any():
        flat = np.abs(u[boxes])
        gradient[boxes] = np.where(flat == flat.max(axis=1, keepdims=True), np.sign(u[boxes]), 0)
    gx, gy, gz = gradient.T
    normal = np.stack([rows[j] * gx + rows[3 + j] * gy + rows[6 + j] * gz for j in range(3)], axis=1)
    length = np.sqrt(normal[:, 0] ** 2 + normal[:, 1] ** 2 + normal[:, 2] ** 2) + np.float32(1e-9)
    return u, normal / length[:, None]


def _cone_gradient(gradient: F32, u: F32, cones: NDArray[np.bool_], taper: F32) -> None:
    """Fill the implicit function's gradient for the points on cones, in place: caps point along y, sides outwards."""
    if not cones.any():
        return
    v, t = u[cones], taper[cones]
    side = np.stack([v[:, 0], -((t - 1) / 2) * ((1 + t) / 2 + (t - 1) / 2 * v[:, 1]), v[:, 2]], axis=1)
    cap = np.abs(v[:, 1]) > 1 - 1e-4
    side[cap] = np.stack([0 * v[cap, 0], np.sign(v[cap, 1]), 0 * v[cap, 0]], axis=1)
    gradient[cones] = side
