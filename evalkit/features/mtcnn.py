"""Finding faces with MTCNN: three small networks, each looking closer at the boxes that the one before let through.

Source: Zhang et al., Joint face detection and alignment using multitask cascaded convolutional networks (2016), as in
timesler/facenet-pytorch 2.5.3, `models/utils/detect_face.py`, whose networks these are. Deviations: landmarks are not
computed; a picture below the smallest face's size, and a box without a pixel inside the picture, where that code fails,
have no face.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import torch
    from numpy.typing import NDArray

SMALLEST = 20
"""Side in pixels of the smallest face that is looked for."""
FACTOR = 0.709
"""Each picture of the pyramid has this share of the side of the one before."""
THRESHOLDS = (0.6, 0.7, 0.7)
"""The probability that a box must have to pass each network; that of the first suffices when equal."""
WINDOW, STRIDE = 12, 2
"""Of the first network: the side that one output sees, and the step between two."""
REFINE_SIDE, OUTPUT_SIDE = 24, 48
OVERLAP_WITHIN, OVERLAP = 0.5, 0.7
"""Boxes that overlap more are one: within a picture of the pyramid, and in all of it."""
CHUNK = 512
"""Boxes that one forward pass looks at."""


class Networks(NamedTuple):
    """The three networks, in eval mode on one device."""

    propose: Any
    refine: Any
    output: Any


def find_faces(
    networks: Networks, picture: torch.Tensor, *, thresholds: tuple[float, float, float] = THRESHOLDS
) -> torch.Tensor:
    """The faces of one picture.

    picture: [3, H, W] RGB, 0 to 255, in the networks' dtype. Returns [N, 5] float32 on its device: left, top, right,
    bottom in pixels (they may lie outside the picture) and the probability; the largest first, N = 0 without a face.
    """
    boxes = _proposed(networks.propose, picture, thresholds[0])
    boxes = _refined(networks.refine, picture, boxes, thresholds[1])
    boxes = _output(networks.output, picture, boxes, thresholds[2])
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return boxes[area.argsort(descending=True, stable=True)]


def _scales(short: int) -> Iterator[float]:
    """What the picture is resized by, so that the smallest face fills the window, and on until the window does not fit."""
    scale = WINDOW / SMALLEST
    side = short * scale
    while side >= WINDOW:
        yield scale
        scale *= FACTOR
        side *= FACTOR


def _proposed(network: Any, picture: torch.Tensor, threshold: float) -> torch.Tensor:
    import torch
    from torchvision.ops import nms

    height, width = picture.shape[1:]
    found = [torch.zeros(0, 9, device=picture.device)]
    for scale in _scales(min(height, width)):
        moves, chances = network(_sized(picture, (int(height * scale + 1), int(width * scale + 1))))
        chance = chances[0, 1].float()
        row, column = (chance >= threshold).nonzero(as_tuple=True)
        corner = torch.stack([column, row], -1).float() * STRIDE
        boxes = torch.cat([((corner + 1) / scale).floor(), ((corner + WINDOW) / scale).floor()], -1)
        score = chance[row, column]
        level = torch.cat([boxes, score[:, None], moves[0].float()[:, row, column].T], -1)
        found.append(level[nms(boxes, score, OVERLAP_WITHIN)])
    everything = torch.cat(found)
    kept = everything[nms(everything[:, :4], everything[:, 4], OVERLAP)]
    return _squared(_moved(kept[:, :5], kept[:, 5:], extra=0))


def _refined(network: Any, picture: torch.Tensor, boxes: torch.Tensor, threshold: float) -> torch.Tensor:
    from torchvision.ops import nms

    boxes, (moves, chances) = _looked_at(network, picture, boxes, REFINE_SIDE)
    boxes, moves = _passing(boxes, moves, chances, threshold)
    kept = nms(boxes[:, :4], boxes[:, 4], OVERLAP)
    return _squared(_moved(boxes[kept], moves[kept], extra=1))


def _output(network: Any, picture: torch.Tensor, boxes: torch.Tensor, threshold: float) -> torch.Tensor:
    boxes, (moves, _landmarks, chances) = _looked_at(network, picture, boxes, OUTPUT_SIDE)
    boxes = _moved(*_passing(boxes, moves, chances, threshold), extra=1)
    return boxes[_apart(boxes.cpu().numpy())]


def _looked_at(
    network: Any, picture: torch.Tensor, boxes: torch.Tensor, side: int
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The boxes that have a pixel in the picture, and what the network says of each, float32."""
    import torch

    height, width = picture.shape[1:]
    # Pixels count from 1 here, both ends of a box in it.
    first, last = boxes[:, :2].trunc().clamp(min=1), boxes[:, 2:4].trunc()
    last = torch.minimum(last, last.new_tensor([width, height]))
    inside = (last >= first).all(-1)
    corners = torch.cat([first, last], -1)[inside].int().tolist()
    crops = [_sized(picture[:, y - 1 : bottom, x - 1 : right], (side, side)) for x, y, right, bottom in corners]
    # The networks cannot read an empty batch: without a box they see one that is grey, and what they say is left out.
    seen = torch.cat(crops or [picture.new_zeros(1, 3, side, side)])
    parts = [network(part) for part in torch.split(seen, CHUNK)]
    return boxes[inside], [torch.cat(outputs)[: len(corners)].float() for outputs in zip(*parts, strict=True)]


def _passing(
    boxes: torch.Tensor, moves: torch.Tensor, chances: torch.Tensor, threshold: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes above the threshold with their new probability, and where they are to be moved."""
    import torch

    score = chances[:, 1]
    passed = score > threshold
    return torch.cat([boxes[passed, :4], score[passed, None]], -1), moves[passed]


def _sized(picture: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """[3, H, W] to [1, 3, h, w], each pixel the mean of what it covers, about -1 to 1."""
    from torch.nn.functional import interpolate

    return (interpolate(picture[None], size=size, mode="area") - 127.5) * 0.0078125


def _moved(boxes: torch.Tensor, moves: torch.Tensor, *, extra: int) -> torch.Tensor:
    """Each edge moved by a share of the box's side, counted with `extra` pixels."""
    import torch

    sides = (boxes[:, 2:4] - boxes[:, :2] + extra).repeat(1, 2)
    return torch.cat([boxes[:, :4] + moves * sides, boxes[:, 4:]], -1)


def _squared(boxes: torch.Tensor) -> torch.Tensor:
    """Each box as the square of its longer side around the same middle."""
    import torch

    sides = boxes[:, 2:4] - boxes[:, :2]
    longest = sides.amax(-1, keepdim=True)
    corner = boxes[:, :2] + sides * 0.5 - longest * 0.5
    return torch.cat([corner, corner + longest, boxes[:, 4:]], -1)


def _apart(boxes: NDArray[np.float32]) -> list[int]:
    """Which of the boxes [N, 5] stay, the most probable first, when none may share too much of the smaller with another."""
    import numpy as np

    first, last = boxes[:, :2], boxes[:, 2:4]
    area = (last - first + 1).prod(-1)
    left, kept = np.argsort(boxes[:, 4]), []
    while len(left):
        best, left = int(left[-1]), left[:-1]
        kept.append(best)
        shared = np.minimum(last[best], last[left]) - np.maximum(first[best], first[left]) + 1
        left = left[shared.clip(0).prod(-1) / np.minimum(area[best], area[left]) <= OVERLAP]
    return kept
