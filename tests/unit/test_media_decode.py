from __future__ import annotations

import hashlib
import logging
import os
import struct
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from evalkit.errors import MediaError, UsageError
from evalkit.media import REASONS, decode_image, encode_png, pixel_sha256
from evalkit.media.source import is_cut_short, picture_format
from tests.unit.media_samples import EXPECTED, photo, png, png_chunk, save, write_malformed

RGB = photo()
GREY = RGB[..., 0]
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


OF_OTHER_MEDIA = {"not_a_video", "no_frames", "size_changes", "not_an_answer"}
"""Reached in test_media_video.py and test_media_answer.py."""


def as_rgb(grey: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.repeat(grey[..., None], 3, axis=2)


@pytest.fixture(scope="module")
def malformed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_malformed(tmp_path_factory.mktemp("malformed") / "files")


@pytest.mark.parametrize("name", EXPECTED)
def test_malformed_files_are_refused_for_their_reason_in_one_line(name: str, malformed: dict[str, Path]) -> None:
    if name not in malformed:
        pytest.skip("this system has no symbolic links")
    with pytest.raises(MediaError) as caught:
        decode_image(malformed[name])
    assert caught.value.reason == EXPECTED[name]
    message = str(caught.value)
    assert message.startswith(f"cannot decode {str(malformed[name])!r}: ")
    assert "\n" not in message
    assert "; " in message


def test_every_reason_is_reached() -> None:
    assert set(EXPECTED.values()) == set(REASONS) - OF_OTHER_MEDIA


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("missing.png", "there is no such file; check the path, or make the file again"),
        ("dangling_link.png", "it is a symbolic link to 'nowhere.png', which does not exist; check the path"),
        ("folder.png", "it is a folder, not a file; give the path of one file"),
        ("zero_bytes.png", "it is empty (0 bytes); its writing was interrupted"),
        ("lfs_pointer.png", "it is a Git LFS pointer (run `git lfs pull` where it came from); give a PNG"),
        ("html_download.jpg", "it is an HTML page (a failed download?)"),
        ("heic.jpg", "it is a HEIC picture"),
        ("text.png", "it is no picture that evalkit knows (it begins with b'a captio')"),
        ("cut.jpg", "bytes that ends too early"),
        ("signature_only.png", "it is a PNG of 8 bytes that ends too early (its header cannot be read)"),
        (
            "animated.gif",
            "it is a GIF of 3 frames, where one picture was wanted; save the frame that is meant as a PNG",
        ),
        ("pages.tif", "it is a TIFF of 3 pages"),
        ("small_bomb.png", "it has 10000 x 12000 = 120000000 pixels, and the limit is 100000000; shrink it"),
        ("bomb.png", "its header is refused: Image size (400000000 pixels)"),
        ("float.tif", "it is a TIFF of floating-point values, which has no one meaning in 8 bits; convert it"),
        ("garbage_stream.png", "it is a damaged PNG (broken data stream when reading image file); make or fetch it"),
    ],
)
def test_messages_say_what_was_found_and_what_to_do(name: str, found: str, malformed: dict[str, Path]) -> None:
    if name not in malformed:
        pytest.skip("this system has no symbolic links")
    with pytest.raises(MediaError) as caught:
        decode_image(malformed[name])
    assert found in str(caught.value)


def test_a_name_stands_for_the_path_in_messages_and_hides_no_line_break() -> None:
    with pytest.raises(MediaError, match=r"cannot decode 'case 7, seed 3\\nx': it is empty"):
        decode_image(b"", name="case 7, seed 3\nx")
    with pytest.raises(MediaError, match="cannot decode 'picture bytes': it is empty"):
        decode_image(b"")


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes and NUL in paths are a POSIX matter")
def test_a_pipe_is_refused_without_waiting_and_a_nul_is_no_crash(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(MediaError, match="it is a named pipe, not a file") as caught:
        decode_image(tmp_path / "pipe.png")
    assert caught.value.reason == "not_a_file"
    with pytest.raises(MediaError, match="cannot be read") as caught:
        decode_image(Path("a\0b.png"))
    assert caught.value.reason == "unreadable"


def test_permission_denied_is_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode_png(RGB))

    def denied(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(MediaError, match=r"cannot be read \(Permission denied\); .* or mend its permissions") as caught:
        decode_image(path)
    assert caught.value.reason == "unreadable"


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode_png(RGB))
    (tmp_path / "link.png").symlink_to("a.png")
    assert np.array_equal(decode_image(tmp_path / "link.png").pixels, RGB)


def test_size_limits_are_the_callers(tmp_path: Path) -> None:
    data = encode_png(RGB)
    assert decode_image(data, max_pixels=48 * 64).pixels.shape == (48, 64, 3)
    with pytest.raises(MediaError, match="64 x 48 = 3072 pixels, and the limit is 3071") as caught:
        decode_image(data, max_pixels=48 * 64 - 1)
    assert caught.value.reason == "too_large"
    huge = tmp_path / "huge.bmp"
    with huge.open("wb") as file:
        file.truncate(2**40)  # sparse: takes no room, but reading it would
    with pytest.raises(MediaError, match="it has 1099511627776 bytes, and the limit is") as caught:
        decode_image(huge)
    assert caught.value.reason == "too_large"


def test_a_picture_that_does_not_fit_in_memory_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(ImageFile.ImageFile, "load", full)
    with pytest.raises(MediaError, match="do not fit in memory") as caught:
        decode_image(encode_png(RGB))
    assert caught.value.reason == "too_large"


def test_lossless_formats_agree_in_pixels_and_hash() -> None:
    image = Image.fromarray(RGB)
    files = [save(image, "PNG"), save(image, "BMP"), save(image, "TIFF"), save(image, "WEBP", lossless=True)]
    files += [save(image, "TIFF", compression="tiff_lzw"), save(image, "PNG", compress_level=9)]
    decoded = [decode_image(data) for data in files]
    assert all(np.array_equal(d.pixels, RGB) for d in decoded)
    assert {d.sha256 for d in decoded} == {pixel_sha256(RGB)}
    assert {d.notes for d in decoded} == {()}


def test_jpeg_and_webp_and_gif_are_what_pillow_decodes() -> None:
    for kind in ("JPEG", "WEBP"):
        data = save(Image.fromarray(RGB), kind)
        assert np.abs(decode_image(data).pixels.astype(int) - RGB).mean() < 8
    gif = decode_image(save(Image.fromarray(RGB).quantize(32), "GIF"))
    assert np.array_equal(gif.pixels, np.asarray(Image.fromarray(RGB).quantize(32).convert("RGB")))
    assert gif.notes == ("palette",)


def test_the_hash_is_of_tag_height_width_and_bytes_as_documented() -> None:
    pixels = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    expected = hashlib.sha256(b"rgb8" + b"\2\0\0\0" + b"\3\0\0\0" + bytes(range(18))).hexdigest()
    assert pixel_sha256(pixels) == expected
    assert pixel_sha256(np.asfortranarray(pixels)) == expected
    assert pixel_sha256(pixels.reshape(3, 2, 3)) != expected


@pytest.mark.parametrize("bad", [np.zeros((2, 2, 4), np.uint8), np.zeros((2, 2, 3)), np.zeros((0, 2, 3), np.uint8)])
def test_the_hash_refuses_what_is_no_rgb_picture(bad: np.ndarray[Any, Any]) -> None:
    with pytest.raises(
        UsageError, match=r"wanted RGB pixels as uint8 \[H, W, 3\], found (uint8|float64) \[\d, 2, \d\]"
    ):
        pixel_sha256(bad)


def test_decoded_pixels_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        decode_image(encode_png(RGB)).pixels[0, 0, 0] = 1


def test_alpha_is_composited_on_white_in_every_mode_that_has_it() -> None:
    alpha = np.full(GREY.shape, 255, np.uint8)
    alpha[:, :20], alpha[:, 20:40] = 0, 128
    white = 255 - alpha.astype(float)
    expected = (RGB * (alpha[..., None] / 255) + white[..., None]).round()
    rgba = decode_image(save(Image.fromarray(np.dstack([RGB, alpha])), "PNG"))
    assert np.abs(rgba.pixels - expected).max() <= 1
    assert (rgba.pixels[:, :20] == 255).all()
    assert np.array_equal(rgba.pixels[:, 40:], RGB[:, 40:])
    assert rgba.notes == ("alpha_on_white",)
    la = decode_image(save(Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(alpha)]), "PNG"))
    assert np.abs(la.pixels[..., 0] - (GREY * (alpha / 255) + white)).max() <= 1
    assert la.notes == ("greyscale", "alpha_on_white")


def test_rgba_is_composited_as_the_benchmark_code_does_it() -> None:
    """Equal to the last bit to Pillow's integer compositing on opaque white, which that code calls."""
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (32, 32, 4), dtype=np.uint8))
    reference = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    assert np.array_equal(decode_image(save(image, "PNG")).pixels, np.asarray(reference))


def test_opaque_alpha_changes_and_notes_nothing() -> None:
    opaque = np.dstack([RGB, np.full(GREY.shape, 255, np.uint8)])
    decoded = decode_image(save(Image.fromarray(opaque), "PNG"))
    assert np.array_equal(decoded.pixels, RGB)
    assert decoded.notes == ()


def test_transparent_palette_entry_and_transparent_colour_become_white() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    decoded = decode_image(save(palette, "PNG", transparency=0))
    assert decoded.pixels.tolist() == [[[255, 255, 255], [40, 50, 60]]]
    assert decoded.notes == ("palette", "alpha_on_white")
    keyed = png(2, 1, bits=8, colour=2, pixels=bytes([0, 1, 2, 3, 4, 5, 6]), extra=png_chunk(b"tRNS", b"\0\1\0\2\0\3"))
    assert decode_image(keyed).pixels.tolist() == [[[255, 255, 255], [4, 5, 6]]]


def test_premultiplied_grey_and_palettes_with_alpha() -> None:
    grey, alpha = Image.new("L", (2, 1), 60), Image.new("L", (2, 1), 255)
    alpha.putpixel((0, 0), 0)
    straight = save(Image.merge("LA", [grey, alpha]), "TIFF")
    tag = b"\x52\x01\x03\0\1\0\0\0"  # ExtraSamples, one short: 2 is straight alpha, 1 premultiplied
    assert straight.count(tag + b"\2") == 1
    premultiplied = straight.replace(tag + b"\2", tag + b"\1")
    assert decode_image(straight).pixels[0, :, 0].tolist() == [255, 60]
    assert decode_image(premultiplied).pixels[0, 1, 0] == 60
    assert decode_image(premultiplied).notes == ("greyscale", "alpha_on_white")
    palette = Image.new("P", (2, 1))
    palette.putpalette([60, 60, 60])
    palette = palette.convert("PA")
    palette.putalpha(alpha)
    decoded = decode_image(save(palette, "TIFF"))
    assert decoded.pixels[0, :, 0].tolist() == [255, 60]
    assert decoded.notes == ("palette", "alpha_on_white")


def test_grey_and_bilevel_are_repeated_over_the_channels() -> None:
    grey = decode_image(save(Image.fromarray(GREY), "PNG"))
    assert np.array_equal(grey.pixels, as_rgb(GREY))
    assert grey.notes == ("greyscale",)
    bilevel = decode_image(save(Image.fromarray(GREY > 127), "PNG"))
    assert np.array_equal(bilevel.pixels, as_rgb((GREY > 127) * np.uint8(255)))


def test_sixteen_bit_grey_and_colour_keep_the_high_byte() -> None:
    wide = np.array([[0, 255, 256, 0x1234, 0x80FF, 0xFFFF]], np.uint16)
    rows = b"\0" + wide.astype(">u2").tobytes()
    colour = b"\0" + np.repeat(wide[..., None], 3, axis=2).astype(">u2").tobytes()
    for data, notes in [
        (png(6, 1, bits=16, colour=0, pixels=rows), ("16bit_scaled", "greyscale")),
        (png(6, 1, bits=16, colour=2, pixels=colour), ("16bit_scaled",)),
        (save(Image.fromarray(wide), "TIFF"), ("16bit_scaled", "greyscale")),
    ]:
        decoded = decode_image(data)
        assert decoded.pixels[0, :, 1].tolist() == [0, 0, 1, 0x12, 0x80, 255]
        assert decoded.notes == notes


def test_sixteen_bit_grey_undoes_the_usual_widening() -> None:
    wide = np.arange(256, dtype=np.uint16)[None] * 257
    decoded = decode_image(png(256, 1, bits=16, colour=0, pixels=b"\0" + wide.astype(">u2").tobytes()))
    assert decoded.pixels[0, :, 0].tolist() == list(range(256))


@pytest.mark.parametrize(
    ("tag", "value", "named"),
    [(258, 12, "12-bit grey values"), (262, 0, "16-bit grey values with white as zero")],
)
def test_grey_tiffs_that_pillow_would_decode_to_wrong_values_are_refused(tag: int, value: int, named: str) -> None:
    data = bytearray(save(Image.fromarray(GREY.astype(np.uint16)), "TIFF"))
    at = data.index(struct.pack("<HHI", tag, 3, 1)) + 8
    struct.pack_into("<H", data, at, value)
    with pytest.raises(MediaError, match=f"it is a TIFF of {named}, which has no one meaning in 8 bits") as caught:
        decode_image(bytes(data))
    assert caught.value.reason == "unsupported_mode"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_a_file_is_cut_short_where_its_format_says_so(kind: str) -> None:
    data = save(Image.fromarray(RGB), kind)
    directory = 10 + 12 * int.from_bytes(data[8:10], "little")  # Pillow's TIFFs have it in front
    shorter = [data[: directory - 1], data[:9]] if kind == "TIFF" else [data[: len(data) // 2], data[:-20], data[:12]]
    assert picture_format(data) == kind
    assert not is_cut_short(data)
    assert all(is_cut_short(cut) for cut in shorter)


def test_cmyk_is_converted_as_pillow_does() -> None:
    image = Image.fromarray(RGB).convert("CMYK")
    decoded = decode_image(save(image, "JPEG"))
    assert np.abs(decoded.pixels.astype(int) - RGB).mean() < 8
    assert decoded.notes == ("cmyk_converted",)


def test_a_profile_is_noted_and_ignored() -> None:
    decoded = decode_image(save(Image.fromarray(RGB), "PNG", icc_profile=b"any profile"))
    assert np.array_equal(decoded.pixels, RGB)
    assert decoded.notes == ("icc_ignored",)


def test_a_jpeg_with_a_second_picture_gives_the_first() -> None:
    first, second = Image.fromarray(RGB), Image.fromarray(photo(seed=1))
    decoded = decode_image(save(first, "MPO", save_all=True, append_images=[second]), name="phone.jpg")
    assert decoded.sha256 == decode_image(save(first, "JPEG")).sha256
    assert decoded.notes == ("first_of_mpo",)


@pytest.mark.parametrize(
    ("name", "notes"),
    [
        ("a.jpg", ("wrong_extension:jpg is png",)),
        ("a.WEBP", ("wrong_extension:webp is png",)),
        ("a.PNG", ()),
        ("blob", ()),
        ("a.part", ()),
    ],
)
def test_the_content_decides_and_a_wrong_extension_is_noted(name: str, notes: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(encode_png(RGB))
    decoded = decode_image(path)
    assert np.array_equal(decoded.pixels, RGB)
    assert decoded.notes == notes


def test_every_format_knows_its_own_extensions() -> None:
    image = Image.fromarray(RGB)
    kinds = {"JPEG": "jpg jpeg", "TIFF": "tif tiff", "BMP": "bmp dib", "GIF": "gif", "WEBP": "webp"}
    for kind, suffixes in kinds.items():
        data = save(image, kind)
        for suffix in suffixes.split():
            assert not any("wrong" in note for note in decode_image(data, name=f"a.{suffix}").notes)


def test_damaged_exif_is_noted_and_the_picture_kept() -> None:
    data = png(1, 1, bits=8, colour=2, pixels=bytes([0, 1, 2, 3]), extra=png_chunk(b"eXIf", b"nonsense"))
    decoded = decode_image(data)
    assert decoded.pixels.tolist() == [[[1, 2, 3]]]
    assert decoded.notes == ("exif_unreadable",)


def pillow_switches() -> tuple[int | None, bool]:
    return Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES


def test_pillows_switches_are_left_alone() -> None:
    before = pillow_switches()
    decode_image(encode_png(RGB))
    with pytest.raises(MediaError):
        decode_image(encode_png(RGB)[:200])
    assert pillow_switches() == before


def test_pillows_warnings_never_leak_and_others_still_do(malformed: dict[str, Path]) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with pytest.raises(MediaError, match="120000000 pixels"):  # Pillow only warns of this many
            decode_image(malformed["small_bomb.png"])
        assert seen == []
        warnings.warn("of somebody else", stacklevel=1)
        assert len(seen) == 1


def test_pillows_log_does_not_reach_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("PIL").handlers)
    data = bytearray(save(Image.fromarray(RGB), "TIFF"))
    at = data.index(b"\x15\x01\x03\0\1\0\0\0") + 8  # SamplesPerPixel
    data[at : at + 2] = b"\xff\x7f"
    with pytest.raises(MediaError, match="damaged TIFF"):
        decode_image(bytes(data))
    assert "More samples" not in capfd.readouterr().err


def test_threads_decode_to_the_same_bits(malformed: dict[str, Path]) -> None:
    files = [encode_png(photo(seed=seed)) for seed in range(8)]
    alone = [decode_image(data).sha256 for data in files]
    together: dict[int, str] = {}
    refused: list[str] = []

    def work(index: int) -> None:
        together[index] = decode_image(files[index]).sha256
        try:
            decode_image(malformed["small_bomb.png"])
        except MediaError as error:
            refused.append(error.reason)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(files))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[index] for index in range(len(files))] == alone
    assert refused == ["too_large"] * len(files)
