"""The closed-form intersections, against marching along each ray."""

from __future__ import annotations

import numpy as np
import pytest

from evalkit.sandbox.world.rig import Rig, rotation
from evalkit.sandbox.world.solids import BALL, BOX, CONE, F32, F64, Solids, cast, surface

N = 24
XS = np.linspace(-1.5, 1.5, N).astype(np.float32)


def one(kind: int, taper: float = 1.0) -> Solids:
    """A turned, stretched and shifted solid."""
    matrix = (rotation(25, 40, 15) * np.array([0.9, 0.5, 0.7]))[None]
    return Solids(
        np.array([kind], np.int8), np.array([taper]), matrix, np.array([[0.1, -0.2, 0.3]]), np.linalg.inv(matrix)
    )


def inside(kind: int, taper: float, u: F32 | F64) -> np.ndarray:
    if kind == BALL:
        return np.asarray((u**2).sum(axis=-1) <= 1)
    if kind == BOX:
        return np.asarray(np.abs(u).max(axis=-1) <= 1)
    radius = (1 + taper) / 2 + (taper - 1) / 2 * u[..., 1]
    return np.asarray((np.abs(u[..., 1]) <= 1) & (u[..., 0] ** 2 + u[..., 2] ** 2 <= radius**2))


def marched(solids: Solids, taper: float) -> F64:
    """Greatest Z inside the solid on each ray of the grid, by dense sampling; -inf for a miss."""
    zs = np.linspace(-2, 2, 4001)
    out = np.full((N, N), -np.inf)
    for r in range(N):
        for c in range(N):
            points = np.stack([np.full_like(zs, XS[c]), np.full_like(zs, -XS[r]), zs], axis=1)
            hit = inside(
                int(solids.kind[0]), taper, np.asarray((points - solids.centre[0]) @ solids.inverse[0].T, np.float64)
            )
            if hit.any():
                out[r, c] = zs[hit].max()
    return out


@pytest.mark.parametrize(("kind", "taper"), [(BALL, 1.0), (CONE, 1.0), (CONE, 0.2), (CONE, 1.3), (BOX, 1.0)])
def test_depth_equals_the_marched_depth(kind: int, taper: float) -> None:
    solids = one(kind, taper)
    z, part = cast(solids, XS, -XS)
    want = marched(solids, taper)
    agree = np.isfinite(z) == np.isfinite(want)
    assert agree.mean() > 0.99  # grazing rays may fall either way
    both = np.isfinite(z) & np.isfinite(want)
    assert both.sum() > 40
    assert np.abs(z[both] - want[both]).max() < 5e-3
    assert np.array_equal(part >= 0, np.isfinite(z))


@pytest.mark.parametrize(("kind", "taper"), [(BALL, 1.0), (CONE, 0.2), (BOX, 1.0)])
def test_surface_points_lie_on_the_unit_shape_and_face_the_viewer(kind: int, taper: float) -> None:
    solids = one(kind, taper)
    z, part = cast(solids, XS, -XS)
    rows, cols = np.nonzero(part >= 0)
    u, normal = surface(solids, part[rows, cols], np.stack([XS[cols], -XS[rows], z[rows, cols]], axis=1))
    grown, shrunk = inside(kind, taper, u * 1.01), inside(kind, taper, u * 0.99)
    assert shrunk.mean() > 0.95
    assert not grown.any()
    assert np.allclose((normal**2).sum(axis=1), 1, atol=1e-5)
    assert (normal[:, 2] > -1e-3).all()


def test_the_nearer_solid_hides_the_other() -> None:
    rig = Rig()
    rig.joint("root", None, (0, 0, 0))
    rig.add("root", "ball", (0, 1, -0.5), (0.5, 0.5, 0.1), "main")
    rig.add("root", "ball", (0, 1, 0.5), (0.25, 0.25, 0.1), "second")
    solids = rig.solids().moved(np.eye(3), np.array([0.0, -0.5, 0.0]))
    _, part = cast(solids, XS, -XS)
    assert part[N // 2, N // 2] == 1
    assert (part == 0).sum() > (part == 1).sum()


def test_a_rig_stands_on_the_ground() -> None:
    rig = Rig({"root": (0, 0, 45)})
    rig.joint("root", None, (0, 3, 0))
    rig.add("root", "box", (0, 0, 0), (1, 1, 1), "main")
    solids = rig.solids()
    assert solids.centre[0, 1] == pytest.approx(np.sqrt(2))
    assert (solids.centre - solids.half_extents())[0, 1] == pytest.approx(0)


def test_rotation_is_a_rotation() -> None:
    turn = rotation(13, -70, 150)
    assert np.allclose(turn @ turn.T, np.eye(3))
    assert np.linalg.det(turn) == pytest.approx(1)
    assert np.allclose(rotation(90, 0, 0) @ np.array([0, 0, 1.0]), [0, -1, 0])
