"""Malformed and unreadable picture files, generated: every way in which a file of samples or references goes wrong."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from evalkit.media import Reason

EXPECTED: dict[str, Reason] = {
    "missing.png": "file_missing",
    "dangling_link.png": "file_missing",
    "folder.png": "not_a_file",
    "zero_bytes.png": "empty_file",
    "text.png": "not_an_image",
    "html_download.jpg": "not_an_image",
    "lfs_pointer.png": "not_an_image",
    "heic.jpg": "not_an_image",
    "video.png": "not_an_image",
    "cut.png": "truncated",
    "cut.jpg": "truncated",
    "cut_progressive.jpg": "truncated",
    "cut.webp": "truncated",
    "cut.bmp": "truncated",
    "cut.gif": "truncated",
    "cut.tif": "truncated",
    "signature_only.png": "truncated",
    "animated.gif": "animated",
    "animated.png": "animated",
    "animated.webp": "animated",
    "pages.tif": "animated",
    "bomb.png": "too_large",
    "small_bomb.png": "too_large",
    "bomb.bmp": "too_large",
    "float.tif": "unsupported_mode",
    "int32.tif": "unsupported_mode",
    "lab.tif": "unsupported_mode",
    "grey16_transparent.png": "unsupported_mode",
    "bad_checksum.png": "unreadable",
    "garbage_stream.png": "unreadable",
}
"""The reason for which evalkit refuses each file of `write_malformed`."""


def photo(height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """uint8 [height, width, 3]: a smooth gradient under noise, which no codec shrinks to nothing."""
    y, x = np.mgrid[0:height, 0:width]
    base = np.stack([255 * x / width, 255 * y / height, 127 + 0 * x], axis=-1)
    return np.clip(base + np.random.default_rng(seed).normal(0, 8, base.shape), 0, 255).astype(np.uint8)


def save(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The bytes of `image` as a file of Pillow's format `kind`."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """One PNG chunk with its length and checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *, bits: int, colour: int, pixels: bytes, extra: bytes = b"") -> bytes:
    """A PNG written by hand: `pixels` already carry the filter byte of each row; `extra` goes before them."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    body = png_chunk(b"IDAT", zlib.compress(pixels)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + extra + body


def write_malformed(folder: Path) -> dict[str, Path]:
    """Write one file for each name of `EXPECTED` into `folder` (created); `missing.png` names a file that is not there.

    A system without symbolic links leaves out `dangling_link.png`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in _CONTENTS.items():
        (folder / name).write_bytes(make())
    (folder / "folder.png").mkdir()
    paths = {name: folder / name for name in EXPECTED}
    try:
        paths["dangling_link.png"].symlink_to("nowhere.png")
    except OSError:
        del paths["dangling_link.png"]
    return paths


def _image() -> Image.Image:
    return Image.fromarray(photo())


def _cut(kind: str, part: float = 0.5, **options: Any) -> bytes:
    data = save(_image(), kind, **options)
    return data[: int(len(data) * part)]


def _frames(kind: str, **options: Any) -> bytes:
    first, *others = (Image.fromarray(photo(seed=seed)) for seed in range(3))
    return save(first, kind, save_all=True, append_images=others, **options)


def _bad_checksum() -> bytes:
    data = bytearray(save(_image(), "PNG"))
    data[29] ^= 0xFF  # the checksum of IHDR
    return bytes(data)


def _garbage_stream() -> bytes:
    """A sound frame of chunks around bytes that no zlib stream begins with."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", b"\xff" * 400) + png_chunk(b"IEND", b"")


def _bmp_bomb() -> bytes:
    data = bytearray(save(_image(), "BMP"))
    struct.pack_into("<ii", data, 18, 20_000, 20_000)
    return bytes(data)


_LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 12345\n"

_CONTENTS: dict[str, Callable[[], bytes]] = {
    "zero_bytes.png": lambda: b"",
    "text.png": lambda: b"a caption that somebody saved under the wrong name\n",
    "html_download.jpg": lambda: b"\n<!DOCTYPE html><html><body>404</body></html>",
    "lfs_pointer.png": lambda: _LFS,
    "heic.jpg": lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64),
    "video.png": lambda: b"\0\0\0\x18ftypisom\0\0\2\0isomavc1" + bytes(64),
    "cut.png": lambda: _cut("PNG"),
    "cut.jpg": lambda: _cut("JPEG"),
    "cut_progressive.jpg": lambda: _cut("JPEG", progressive=True),
    "cut.webp": lambda: _cut("WEBP"),
    "cut.bmp": lambda: _cut("BMP"),
    "cut.gif": lambda: _cut("GIF", 0.8),
    "cut.tif": lambda: _cut("TIFF"),
    "signature_only.png": lambda: b"\x89PNG\r\n\x1a\n",
    "animated.gif": lambda: _frames("GIF"),
    "animated.png": lambda: _frames("PNG"),
    "animated.webp": lambda: _frames("WEBP", lossless=True),
    "pages.tif": lambda: _frames("TIFF"),
    # A header that claims 400 million pixels over a few bytes of data.
    "bomb.png": lambda: png(20_000, 20_000, bits=8, colour=2, pixels=bytes(60_001)),
    # Between evalkit's limit and Pillow's, where Pillow only warns.
    "small_bomb.png": lambda: png(10_000, 12_000, bits=8, colour=2, pixels=bytes(30_001)),
    "bomb.bmp": _bmp_bomb,
    "float.tif": lambda: save(Image.fromarray(photo()[..., 0].astype(np.float32)), "TIFF"),
    "int32.tif": lambda: save(Image.fromarray(photo()[..., 0].astype(np.int32)), "TIFF"),
    "lab.tif": lambda: save(Image.merge("LAB", _image().split()), "TIFF"),
    "grey16_transparent.png": lambda: png(
        1, 1, bits=16, colour=0, pixels=b"\0\x12\x34", extra=png_chunk(b"tRNS", b"\x12\x34")
    ),
    "bad_checksum.png": _bad_checksum,
    "garbage_stream.png": _garbage_stream,
}
