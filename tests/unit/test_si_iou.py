"""si-IoU against crops and resizes pixel by pixel, by hand, and in batches."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from evalkit.errors import UsageError
from evalkit.metrics.si_iou import si_iou

if TYPE_CHECKING:
    from numpy.typing import NDArray


def blobs(seed: int, batch: int, height: int, width: int) -> torch.Tensor:
    """Masks of a few rectangles each, away from some borders."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((batch, height, width), bool)
    for mask in masks:
        for _ in range(3):
            top, left = rng.integers(0, height - 2), rng.integers(0, width - 2)
            mask[top : top + rng.integers(1, height // 2), left : left + rng.integers(1, width // 2)] = True
    return torch.from_numpy(masks)


def drawn(*rows: str) -> torch.Tensor:
    return torch.tensor([[character == "#" for character in row] for row in rows])[None]


def nearest(k: int, wanted: int, length: int) -> int:
    """Which of `length` pixels across a crop lies nearest to the k-th of `wanted` across it, the later of two."""
    centre = Fraction(2 * k + 1, 2 * wanted)
    return min(range(length), key=lambda j: (abs(Fraction(2 * j + 1, 2 * length) - centre), -j))


def one_pair(gen: NDArray[np.bool_], ref: NDArray[np.bool_]) -> float:
    """One pair, cropped by Pillow's box and compared pixel by pixel."""
    boxes = [Image.fromarray(mask.astype("uint8")).getbbox() for mask in (gen, ref)]
    a, b = (mask[box[1] : box[3], box[0] : box[2]] for mask, box in zip((gen, ref), boxes, strict=True) if box)
    pixels = [
        (bool(a[nearest(y, b.shape[0], a.shape[0]), nearest(x, b.shape[1], a.shape[1])]), bool(b[y, x]))
        for y, x in product(range(b.shape[0]), range(b.shape[1]))
    ]
    return sum(g and r for g, r in pixels) / sum(g or r for g, r in pixels)


@pytest.mark.parametrize(("size", "ref_size"), [((24, 20), (24, 20)), ((31, 17), (12, 30)), ((9, 9), (40, 25))])
def test_it_is_crop_resize_and_iou_of_one_pair_at_a_time(size: tuple[int, int], ref_size: tuple[int, int]) -> None:
    gen, ref = blobs(0, 30, *size), blobs(1, 30, *ref_size)
    found = si_iou(gen, ref)
    assert found.dtype == torch.float64
    wanted = [one_pair(g, r) for g, r in zip(gen.numpy(), ref.numpy(), strict=True)]
    assert found.tolist() == wanted
    assert len(set(wanted)) > 20


def test_by_hand() -> None:
    corner = drawn("....", ".#..", ".##.", "....")
    bar = drawn("....", ".##.", ".##.", "....")
    assert si_iou(corner, bar).item() == 0.75
    assert si_iou(bar, corner).item() == 0.75
    assert si_iou(drawn("#.", ".#"), drawn(".#", "#.")).item() == 0.0


def test_place_size_and_aspect_do_not_count() -> None:
    shape = drawn("#..", "##.", "###")
    moved = torch.nn.functional.pad(shape, (4, 1, 0, 7))
    larger = moved.repeat_interleave(3, 1).repeat_interleave(2, 2)
    for other in (moved, larger):
        assert si_iou(shape, other).item() == 1.0
        assert si_iou(other, shape).item() == 1.0


def test_it_is_not_symmetric() -> None:
    fine, coarse = drawn("#####", "#.#.#", "#####"), drawn("##", "##")
    assert si_iou(fine, coarse).item() != si_iou(coarse, fine).item()


def test_all_parts_of_a_subject_are_one() -> None:
    assert si_iou(drawn("#..#"), drawn("####")).item() == 0.5


def test_an_empty_mask_has_no_value_and_leaves_its_neighbours_alone() -> None:
    full, none = torch.ones(1, 3, 3, dtype=torch.bool), torch.zeros(1, 3, 3, dtype=torch.bool)
    gen, ref = torch.cat([none, full, none, full]), torch.cat([full, none, none, full])
    assert torch.equal(si_iou(gen, ref).isnan(), torch.tensor([True, True, True, False]))
    assert si_iou(gen, ref)[3] == 1
    assert si_iou(gen[:0], ref[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("gen", "ref"),
    [
        (torch.ones(2, 3, 3, dtype=torch.bool), torch.ones(1, 3, 3, dtype=torch.bool)),
        (torch.ones(3, 3, dtype=torch.bool), torch.ones(3, 3, dtype=torch.bool)),
        (torch.ones(1, 3, 3), torch.ones(1, 3, 3, dtype=torch.bool)),
        (torch.ones(1, 0, 3, dtype=torch.bool), torch.ones(1, 3, 3, dtype=torch.bool)),
    ],
)
def test_what_does_not_fit_is_refused(gen: Any, ref: Any) -> None:
    with pytest.raises(UsageError, match=r"wanted bool masks \[B, H, W\] and \[B, h, w\], found torch\.\w+ \["):
        si_iou(gen, ref)
