"""Finding faces and their landmarks with SCRFD.

Source: deepinsight/insightface `python-package/insightface/model_zoo/retinaface.py` and `scrfd.py`, which read the pack
buffalo_l's `det_10g.onnx`; sizes and thresholds are those of franciszzj/OpenS2V-Nexus `eval/get_facesim.py` (ef17513) and,
where it names none, of insightface's `FaceAnalysis`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float32]
    Pixels = NDArray[np.uint8]
    Network = Callable[[Array], Sequence[Array]]
    """Prepared pixels [1, 3, s, s] to scores, boxes and landmarks, of each stride in turn."""

SIDE = 320
STRIDES = (8, 16, 32)
ANCHORS = 2
"""Of each place."""
SCORE, OVERLAP = 0.5, 0.4
"""What a face's probability must reach, and the overlap above which two boxes are one face."""
PAD_SHARE, PAD_GREY = 0.25, 128
"""Of each side, where no face was found in the picture itself and it is looked at again from further off."""


class Faces(NamedTuple):
    """N faces, the largest first."""

    boxes: Array
    """[N, 5]: left, top, right, bottom in pixels, and the probability."""
    landmarks: Array
    """[N, 5, 2]: x and y of eyes, nose and mouth's corners."""
    margin: bool = False
    """Whether they were found in `with_margin` of the picture alone; places are the picture's own all the same."""


def find_faces(network: Network, pixels: Pixels) -> Faces:
    """The faces of a picture [H, W, 3] RGB; where there is none, those of the picture with a grey margin, in its own pixels."""
    found = _looked_at(network, pixels)
    if len(found.boxes):
        return found
    padded, shift = with_margin(pixels)
    found = _looked_at(network, padded)
    boxes = found.boxes.copy()
    boxes[:, :4] -= np.tile(shift, 2)
    return Faces(boxes, found.landmarks - shift, margin=True)


def with_margin(pixels: Pixels) -> tuple[Pixels, Array]:
    """The picture with a grey margin, and how far right and down [2] its own pixels are there."""
    top, left = (int(side * PAD_SHARE) for side in pixels.shape[:2])
    padded = np.pad(pixels, ((top, top), (left, left), (0, 0)), constant_values=PAD_GREY)
    return padded, np.array([left, top], np.float32)


def _looked_at(network: Network, pixels: Pixels) -> Faces:
    prepared, scale = _prepared(pixels)
    outputs = network(prepared)
    count = len(STRIDES)
    told = zip(outputs[:count], outputs[count : 2 * count], outputs[2 * count :], STRIDES, strict=True)
    rows = [_decoded(scores, edges, marks, stride) for scores, edges, marks, stride in told]
    boxes, landmarks = (np.concatenate(column) for column in zip(*rows, strict=True))
    boxes[:, :4] /= scale
    kept = _apart(boxes)
    boxes, landmarks = boxes[kept], (landmarks[kept] / scale).astype(np.float32)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    order = np.argsort(-area, kind="stable")
    return Faces(boxes[order], landmarks[order])


def _prepared(pixels: Pixels) -> tuple[Array, float]:
    """The picture fitted into the upper left of a black square, (x - 127.5) / 128 [1, 3, s, s], and what it was scaled by."""
    import cv2

    height, width = pixels.shape[:2]
    ratio = height / width
    fits = (SIDE, int(SIDE / ratio)) if ratio > 1 else (int(SIDE * ratio), SIDE)
    square = np.zeros((SIDE, SIDE, 3), np.uint8)
    small: Any = cv2.resize(pixels, (max(1, fits[1]), max(1, fits[0])))
    square[: small.shape[0], : small.shape[1]] = small
    centred = (square.astype(np.float32).transpose(2, 0, 1)[None] - 127.5) / 128
    return centred.astype(np.float32), small.shape[0] / height


def _decoded(scores: Array, boxes: Array, landmarks: Array, stride: int) -> tuple[Array, Array]:
    """Boxes with their probability [N, 5] and landmarks [N, 5, 2] of one stride, in the square's pixels."""
    places = SIDE // stride
    y, x = np.mgrid[:places, :places]
    centres = np.repeat(np.stack([x, y], -1).reshape(-1, 2) * stride, ANCHORS, 0).astype(np.float32)
    probability = scores.reshape(-1)
    kept = probability >= SCORE
    centre, edges = centres[kept], boxes.reshape(-1, 4)[kept] * stride
    corners = np.concatenate([centre - edges[:, :2], centre + edges[:, 2:], probability[kept, None]], 1)
    points = centre[:, None] + landmarks.reshape(-1, 5, 2)[kept] * stride
    return corners.astype(np.float32), points.astype(np.float32)


def _apart(boxes: Array) -> list[int]:
    """Which of the boxes [N, 5] stay, the most probable first, when none may overlap another too much; pixels count whole."""
    first, last = boxes[:, :2], boxes[:, 2:4]
    area = (last - first + 1).prod(1)
    left, kept = np.argsort(-boxes[:, 4], kind="stable"), []
    while len(left):
        best, left = int(left[0]), left[1:]
        kept.append(best)
        shared = (np.minimum(last[best], last[left]) - np.maximum(first[best], first[left]) + 1).clip(0).prod(1)
        left = left[shared / (area[best] + area[left] - shared) <= OVERLAP]
    return kept
