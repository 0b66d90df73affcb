from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from evalkit.errors import DataError, MediaError
from evalkit.media import decode_mask, write_mask
from tests.unit.media_samples import save, write_malformed

RNG = np.random.default_rng(0)
MASK = RNG.random((5, 7)) > 0.5


def test_a_written_mask_comes_back(tmp_path: Path) -> None:
    write_mask(tmp_path / "new" / "mask.png", MASK)
    back = decode_mask(tmp_path / "new" / "mask.png", size=(5, 7))
    assert back.dtype == np.bool_
    assert np.array_equal(back, MASK)
    with Image.open(tmp_path / "new" / "mask.png") as image:
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image), MASK * 255)


@pytest.mark.parametrize("fill", [False, True])
def test_empty_and_full_masks_are_masks(fill: bool, tmp_path: Path) -> None:
    write_mask(tmp_path / "mask.png", np.full((3, 4), fill))
    assert (decode_mask(tmp_path / "mask.png") == fill).all()


def test_true_begins_above_127() -> None:
    values = np.array([[0, 64, 127, 128, 255]], np.uint8)
    assert decode_mask(save(Image.fromarray(values), "PNG")).tolist() == [[False, False, False, True, True]]


def test_colours_count_by_their_luma() -> None:
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    assert decode_mask(save(Image.fromarray(colours), "PNG")).tolist() == [[False, True, False, True]]


def test_bilevel_and_sixteen_bit_masks() -> None:
    assert np.array_equal(decode_mask(save(Image.fromarray(MASK), "PNG")), MASK)
    wide = np.where(MASK, 65535, 0).astype(np.uint16)
    assert np.array_equal(decode_mask(save(Image.fromarray(wide), "PNG")), MASK)


def test_a_cut_out_is_true_where_it_is_not_transparent() -> None:
    dark_object = np.zeros((5, 7, 4), np.uint8)
    dark_object[..., 3] = MASK * 255
    assert np.array_equal(decode_mask(save(Image.fromarray(dark_object), "PNG")), MASK)
    dark_object[..., 3] = np.where(MASK, 128, 127)
    assert np.array_equal(decode_mask(save(Image.fromarray(dark_object), "PNG")), MASK)


def test_opaque_alpha_leaves_the_drawing_to_decide() -> None:
    drawn = np.dstack([MASK * 255] * 3 + [np.full(MASK.shape, 255)]).astype(np.uint8)
    assert np.array_equal(decode_mask(save(Image.fromarray(drawn), "PNG")), MASK)


def test_orientation_is_applied_before_the_size_is_checked() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = save(Image.fromarray((MASK * 255).astype(np.uint8)), "PNG", exif=exif)
    assert np.array_equal(decode_mask(data, size=(7, 5)), np.rot90(MASK, -1))


def test_another_size_is_an_error_that_names_both(tmp_path: Path) -> None:
    write_mask(tmp_path / "mask.png", MASK)
    with pytest.raises(DataError, match=r"5 x 7 \(height x width\), wanted 7 x 5, .*; masks are not resized") as caught:
        decode_mask(tmp_path / "mask.png", size=(7, 5))
    assert not isinstance(caught.value, MediaError)
    assert str(tmp_path / "mask.png") in str(caught.value)


@pytest.mark.parametrize("values", [MASK * 1, MASK * 127, np.ones((5, 7))])
def test_class_labels_are_refused_and_not_taken_for_background(values: np.ndarray[Any, Any]) -> None:
    data = save(Image.fromarray(values.astype(np.uint8)), "PNG")
    top = int(values.max())
    with pytest.raises(DataError, match=f"in mask 'labels.png', found class labels or dark greys up to {top}, .* 255"):
        decode_mask(data, name="labels.png")


def test_a_cut_out_that_is_faint_everywhere_is_refused_too() -> None:
    faint = np.dstack([MASK * 255] * 3 + [np.where(MASK, 100, 0)]).astype(np.uint8)
    with pytest.raises(DataError, match=r"in mask 'faint\.png', found class labels or dark greys up to 100"):
        decode_mask(save(Image.fromarray(faint), "PNG"), name="faint.png")


def test_a_palette_of_dark_colours_is_refused() -> None:
    labels = Image.new("P", (3, 1))
    labels.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    for x in range(3):
        labels.putpixel((x, 0), x)
    with pytest.raises(DataError, match="found class labels or dark greys up to 75"):
        decode_mask(save(labels, "PNG"))


@pytest.mark.parametrize("top", [4, 127])
def test_several_labels_are_refused_as_one_is(top: int) -> None:
    """Of faint noise in a black mask nothing tells them apart."""
    values = RNG.integers(0, top + 1, (8, 8)).astype(np.uint8)
    values[0, 0] = top
    told = f"found class labels or dark greys up to {top}, all of which would be background; write the object as 255, "
    with pytest.raises(DataError, match=f"{told}a mask without one as 0 throughout$"):
        decode_mask(save(Image.fromarray(values), "PNG"))


def test_soft_edges_and_faint_noise_beside_an_object_are_read() -> None:
    soft = np.array([[0, 3, 40, 100, 127, 128, 170, 90, 1]], np.uint8)
    assert np.flatnonzero(decode_mask(save(Image.fromarray(soft), "PNG"))).tolist() == [5, 6]
    drawn = Image.new("L", (40, 40))
    drawn.paste(255, (10, 8, 30, 33))
    smaller = drawn.resize((23, 23), Image.Resampling.LANCZOS)
    assert np.array_equal(decode_mask(save(smaller, "PNG")), np.asarray(smaller) > 127)
    assert np.array_equal(decode_mask(save(drawn, "JPEG")), np.asarray(drawn) > 127)


def test_unreadable_masks_are_refused_as_pictures_are(tmp_path: Path) -> None:
    paths = write_malformed(tmp_path)
    for name, reason in [("cut.png", "truncated"), ("animated.gif", "animated"), ("missing.png", "file_missing")]:
        with pytest.raises(MediaError) as caught:
            decode_mask(paths[name])
        assert caught.value.reason == reason
    with pytest.raises(MediaError, match="cannot decode 'mask bytes': it is empty"):
        decode_mask(b"")
