"""A face turned and sized so that eyes, nose and mouth lie where recognisers expect them.

Source: deepinsight/insightface `python-package/insightface/utils/face_align.py`; Umeyama, Least-squares estimation of
transformation parameters between two point patterns, PAMI 1991.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Pixels = NDArray[np.uint8]

TEMPLATE = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)
"""x and y of the eyes, the nose's tip and the mouth's corners, left before right, in a face of 112 x 112 pixels."""
TEMPLATE_SIDE = 112


def similarity(points: ArrayLike, onto: ArrayLike) -> NDArray[np.float64]:
    """The turn, size and shift that brings points nearest to others, without mirroring.

    points, onto: [N, 2]. Returns [2, 3] M, such that M @ (x, y, 1) is near the other point in the least-squares sense; NaN
    where all points are one.

    Example:
        >>> similarity([[0, 0], [1, 0], [0, 1]], [[5, 5], [5, 7], [3, 5]]).round(6).tolist()
        [[0.0, -2.0, 5.0], [2.0, 0.0, 5.0]]
    """
    source, target = np.asarray(points, np.float64), np.asarray(onto, np.float64)
    mean_source, mean_target = source.mean(0), target.mean(0)
    a, b = source - mean_source, target - mean_target
    if not a.any():
        return np.full((2, 3), np.nan)
    left, strengths, right = np.linalg.svd(b.T @ a / len(a))
    upright = np.array([1.0, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    turn = left @ np.diag(upright) @ right
    size = (strengths * upright).sum() / a.var(0).sum()
    shift = mean_target - size * turn @ mean_source
    return np.concatenate([size * turn, shift[:, None]], 1)


def aligned(pixels: Pixels, landmarks: ArrayLike, side: int) -> Pixels:
    """A face of side x side pixels [side, side, 3] out of a picture [H, W, 3], by its landmarks [5, 2] as of `TEMPLATE`.

    Bilinear; black where the picture does not reach.
    """
    import cv2

    matrix = similarity(landmarks, np.array(TEMPLATE) * (side / TEMPLATE_SIDE))
    face: Any = cv2.warpAffine(pixels, matrix, (side, side), borderValue=0.0)
    return np.asarray(face, np.uint8)
