from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from evalkit.errors import RunError, UsageError
from evalkit.media import decode_image, encode_png, pixel_sha256, write_image, write_mask
from tests.unit.media_samples import photo

RGB = photo()


def test_encoding_is_lossless_and_repeatable() -> None:
    data = encode_png(RGB)
    assert np.array_equal(decode_image(data).pixels, RGB)
    assert encode_png(RGB.copy()) == data


def test_the_memory_layout_does_not_matter() -> None:
    flipped = RGB[::-1, ::2]
    assert not flipped.flags.c_contiguous
    assert encode_png(flipped) == encode_png(flipped.copy())


def test_the_file_holds_pixels_and_nothing_else() -> None:
    data = encode_png(RGB)
    kinds, at = [], 8
    while at < len(data):
        kinds.append(data[at + 4 : at + 8])
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    assert set(kinds) == {b"IHDR", b"IDAT", b"IEND"}


@pytest.mark.parametrize("bad", [RGB[..., 0], RGB.astype(np.float32), np.dstack([RGB, RGB]), RGB[:0]])
def test_what_is_no_rgb_picture_is_refused(bad: np.ndarray[Any, Any]) -> None:
    with pytest.raises(UsageError, match=r"wanted RGB pixels as uint8 \[H, W, 3\], found "):
        encode_png(bad)


def test_write_image_makes_the_folders_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "0.png"
    write_image(path, RGB)
    write_image(path, RGB[::-1])
    assert decode_image(path).sha256 == pixel_sha256(RGB[::-1])
    assert [p.name for p in path.parent.iterdir()] == ["0.png"]


def test_pictures_and_masks_are_written_as_png_only(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"wanted a path that ends in '\.png', found '.*0\.jpg'"):
        write_image(tmp_path / "0.jpg", RGB)
    with pytest.raises(UsageError, match=r"wanted a path that ends in '\.png', found '.*mask'"):
        write_mask(tmp_path / "mask", RGB[..., 0] > 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bad", [RGB[..., 0], RGB > 0, RGB[:0, :, 0] > 0])
def test_what_is_no_mask_is_refused(bad: np.ndarray[Any, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"wanted a mask as bool \[H, W\], found (uint8|bool) \[.*\]; threshold it"):
        write_mask(tmp_path / "mask.png", bad)


def test_a_full_disk_leaves_the_old_picture_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "0.png"
    write_image(path, RGB)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"cannot write '.*0\.png': the disk \(or the quota\) is full; free some space"):
        write_image(path, RGB[::-1])
    assert decode_image(path).sha256 == pixel_sha256(RGB)
    assert [p.name for p in tmp_path.iterdir()] == ["0.png"]


def test_a_mask_file_is_grey_and_small(tmp_path: Path) -> None:
    write_mask(tmp_path / "m.png", np.zeros((512, 512), bool))
    assert (tmp_path / "m.png").stat().st_size < 2000
    with Image.open(tmp_path / "m.png") as image:
        assert image.info == {}
