from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from evalkit.errors import MediaError
from evalkit.media import REASONS, decode_image, decode_mask, encode_png, pixel_sha256
from tests.unit.media_samples import photo, save

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

sides = st.integers(1, 12)
pictures = st.tuples(sides, sides).flatmap(lambda side: arrays(np.uint8, (*side, 3)))
bounded = settings(deadline=None, max_examples=60)

# What each EXIF orientation says of the stored array, to make it upright.
UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a[::-1].transpose(1, 0, 2),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a[:, ::-1].transpose(1, 0, 2),
}


@functools.cache
def sound_files() -> dict[str, bytes]:
    image = Image.fromarray(photo(24, 32))
    alpha = image.convert("RGBA")
    alpha.putalpha(100)
    return {
        "png": save(image, "PNG"),
        "palette png": save(image.quantize(16), "PNG"),
        "alpha png": save(alpha, "PNG"),
        "jpeg": save(image, "JPEG"),
        "progressive jpeg": save(image, "JPEG", progressive=True),
        "webp": save(image, "WEBP"),
        "lossless webp": save(image, "WEBP", lossless=True),
        "bmp": save(image, "BMP"),
        "gif": save(image, "GIF"),
        "tiff": save(image, "TIFF"),
        "mpo": save(image, "MPO", save_all=True, append_images=[image]),
    }


kinds = st.sampled_from(sorted(sound_files()))


def outcome(data: bytes) -> str:
    """The hash of the pixels, or the reason of the refusal; any other exception fails the test."""
    refusal = None
    try:
        return decode_image(data).sha256
    except MediaError as error:
        refusal = error
    assert refusal.reason in REASONS
    assert "\n" not in str(refusal)
    return refusal.reason


@bounded
@given(pictures)
def test_encode_then_decode_is_exact_and_keeps_the_hash(pixels: Pixels) -> None:
    decoded = decode_image(encode_png(pixels))
    assert np.array_equal(decoded.pixels, pixels)
    assert decoded.pixels.dtype == np.uint8
    assert decoded.sha256 == pixel_sha256(pixels)


@bounded
@given(st.binary(min_size=12, max_size=12).map(lambda data: np.frombuffer(data * 3, np.uint8)))
def test_the_hash_sees_the_shape_as_well_as_the_bytes(flat: Pixels) -> None:
    shapes = [(1, 12, 3), (12, 1, 3), (2, 6, 3), (6, 2, 3), (3, 4, 3), (4, 3, 3)]
    assert len({pixel_sha256(flat.reshape(shape)) for shape in shapes}) == len(shapes)


@bounded
@given(pictures, st.data())
def test_the_hash_sees_every_pixel(pixels: Pixels, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, pixels.size - 1))
    other = pixels.copy()
    other.flat[index] ^= 1 << data.draw(st.integers(0, 7))
    assert pixel_sha256(other) != pixel_sha256(pixels)


@bounded
@given(pictures, st.sampled_from(sorted(UPRIGHT)), st.sampled_from(["PNG", "TIFF", "WEBP"]))
def test_every_orientation_agrees_with_numpy(pixels: Pixels, orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    decoded = decode_image(save(Image.fromarray(pixels), kind, exif=exif, **options))
    assert np.array_equal(decoded.pixels, UPRIGHT[orientation](pixels))
    assert decoded.notes == (("exif_rotated",) if orientation != 1 else ())


@bounded
@given(st.sampled_from(sorted(UPRIGHT)))
def test_jpegs_turn_by_their_orientation(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(photo(16, 24))
    stored = decode_image(save(image, "JPEG")).pixels
    assert np.array_equal(decode_image(save(image, "JPEG", exif=exif)).pixels, UPRIGHT[orientation](stored))


@settings(deadline=None, max_examples=200)
@given(kinds, st.floats(0, 1))
def test_a_cut_file_is_refused_or_whole(kind: str, part: float) -> None:
    data = sound_files()[kind]
    cut = data[: int(part * len(data))]
    result = outcome(cut)
    assert result in {outcome(data), "empty_file", "not_an_image", "truncated", "unreadable"}
    if len(cut) < len(data) // 2:
        assert result in REASONS


@settings(deadline=None, max_examples=300)
@given(kinds, st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6))
def test_damaged_bytes_raise_nothing_but_media_errors(kind: str, changes: list[tuple[float, int]]) -> None:
    data = bytearray(sound_files()[kind])
    for place, value in changes:
        data[int(place**3 * len(data))] = value  # most of them near the header, where decoders trip
    outcome(bytes(data))


@bounded
@given(
    st.binary(max_size=64), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"BM", b"GIF89a"])
)
def test_noise_behind_any_signature_is_refused(noise: bytes, mark: bytes) -> None:
    assert outcome(mark + noise) in REASONS


@bounded
@given(st.tuples(sides, sides).flatmap(lambda side: arrays(np.bool_, side)))
def test_masks_come_back_from_white_on_black(mask: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
    data = save(Image.fromarray((mask * 255).astype(np.uint8)), "PNG")
    assert np.array_equal(decode_mask(data, size=(mask.shape[0], mask.shape[1])), mask)
