"""Exact correspondence between two pictures of one subject."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import UsageError
from evalkit.sandbox.world.render import CAMERA_DEPTH, HALF_WIDTH, Rendered

DEPTH_TOLERANCE = 0.06


def correspondences(a: Rendered, b: Rendered, *, subject: int = 0) -> NDArray[np.int64]:
    """Pixels of `a` and `b` that show the same surface point of one subject.

    Each visible point of `a` is carried on its part into `b` and kept where `b` shows the same part at that depth; exact up to
    rounding to a pixel. Both pictures must show the same identity (poses, views, places and styles may differ).

    Returns:
        [N, 4] rows (ya, xa, yb, xb) in the order of `a`'s pixels; empty when no point is visible in both.

    Raises:
        UsageError: `subject` is not in both, or its parts differ in number, so that it cannot be the same identity.
    """
    if subject >= min(len(a.solids), len(b.solids)) or len(a.solids[subject].kind) != len(b.solids[subject].kind):
        raise UsageError(
            f"correspondences need the same identity as subject {subject!r} of both pictures; found another; check them"
        )
    ya, xa = np.nonzero(a.subject_masks[subject])
    part = a.parts[ya, xa]
    target = b.solids[subject]
    points = np.einsum("nij,nj->ni", target.matrix[part], a.surface[ya, xa].astype(np.float64)) + target.centre[part]
    n = b.mask.shape[0]
    scale = n / (2 * HALF_WIDTH)
    x = np.rint((points[:, 0] + HALF_WIDTH) * scale - b.sample).astype(np.int64)
    y = np.rint((HALF_WIDTH - points[:, 1]) * scale - b.sample).astype(np.int64)
    inside = (x >= 0) & (x < n) & (y >= 0) & (y < n)
    xi, yi = np.where(inside, x, 0), np.where(inside, y, 0)
    same = inside & b.subject_masks[subject][yi, xi] & (b.parts[yi, xi] == part)
    near = np.abs(CAMERA_DEPTH - points[:, 2] - b.depth[yi, xi]) <= DEPTH_TOLERANCE
    keep = same & near
    shared: NDArray[np.int64] = np.stack([ya, xa, y, x], axis=1)[keep].astype(np.int64)
    return shared
