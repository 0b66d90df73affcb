"""Any picture file to 8-bit RGB, any mask file to booleans, and the hash by which pixels are known."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evalkit.errors import DataError, UsageError
from evalkit.media.picture import in_mode, open_picture

DECODER_VERSION = 1
"""Raised whenever the pixels of a file can change."""
MAX_PIXELS = 100_000_000
MASK_THRESHOLD = 127
_HEADER = struct.Struct("<4sII")


@dataclass(frozen=True, eq=False, slots=True)
class Decoded:
    """A decoded picture.

    `pixels` uint8 [H, W, 3], RGB, read-only; `sha256` is `pixel_sha256(pixels)`; `notes` names each conversion, in
    this order: `wrong_extension:<suffix> is <format>`, `first_of_mpo`, `icc_ignored`, `16bit_scaled`, `greyscale`,
    `palette`, `cmyk_converted`, `exif_unreadable`, `exif_rotated`, `alpha_on_white`.
    """

    pixels: NDArray[np.uint8]
    sha256: str
    notes: tuple[str, ...]


def decode_image(source: Path | bytes, *, max_pixels: int = MAX_PIXELS, name: str | None = None) -> Decoded:
    """Decode a PNG, JPEG, WebP, BMP, TIFF or GIF of one frame; the content decides, not the extension.

    EXIF orientation is applied; what is not opaque (alpha, or a transparent palette entry or colour) is composited on
    white, as the DreamBench++ code does for RGBA; CMYK is converted without its profile, and profiles are ignored, as
    there; of 16-bit channels the high byte is kept. A JPEG that carries further pictures (MPO) gives the first.
    Colours of files with the other transparencies, which that code refuses or leaves as they are, can differ from it.

    `max_pixels` is checked on the header; above Pillow's own limit (178,956,970 unless the process changed it) that one
    holds. `name` stands for the source in messages, and for bytes gives the extension that is checked.

    Raises: MediaError, with a `reason` out of `evalkit.media.REASONS`, and nothing else.
    Source: DreamBench++, `dreambench_plus/utils/image_utils.py` at df0b960, `load_image`.
    """
    picture = open_picture(source, max_pixels=max_pixels, name=name)
    image = picture.image
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    pixels = np.array(in_mode(image, "RGB"))
    pixels.flags.writeable = False
    return Decoded(pixels, pixel_sha256(pixels), picture.notes)


def pixel_sha256(pixels: NDArray[np.uint8]) -> str:
    """Hex SHA-256 of a picture's pixels, whatever file they came from.

    Hashed are `b"rgb8"`, height and width as little-endian uint32, and the [H, W, 3] bytes row by row.
    Raises: UsageError when `pixels` is not uint8 [H, W, 3] with H, W >= 1.

    >>> pixel_sha256(np.zeros((1, 2, 3), np.uint8))[:16]
    '04acdbe05bc647e2'
    """
    check_pixels(pixels)
    digest = hashlib.sha256(_HEADER.pack(b"rgb8", *pixels.shape[:2]))
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def check_pixels(pixels: NDArray[np.uint8]) -> None:
    """Raises: UsageError when `pixels` is not uint8 [H, W, 3] with H, W >= 1."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise UsageError(
            f"wanted RGB pixels as uint8 [H, W, 3], found {pixels.dtype} {list(pixels.shape)}; convert them first"
        )


def decode_mask(
    source: Path | bytes, *, size: tuple[int, int] | None = None, name: str | None = None
) -> NDArray[np.bool_]:
    """Decode a mask, bool [H, W], from any picture that `decode_image` reads, orientation applied.

    A picture with transparency (some pixel not opaque) is a cut-out: true where alpha > 127. Any other is drawn: true
    where its grey value (ITU-R 601 luma of colours) > 127. `size` is the wanted (H, W); a mask is never resized.

    Raises: MediaError as `decode_image`; DataError when the size differs, or when nothing is above 127 in a mask that is
    not 0 throughout: class labels and dark greys, which cannot be told from faint noise and would all be lost.
    """
    label = name or ("mask bytes" if isinstance(source, bytes) else str(source))
    picture = open_picture(source, max_pixels=MAX_PIXELS, name=label)
    channel = picture.image.getchannel("A") if picture.image.mode == "RGBA" else in_mode(picture.image, "L")
    values = np.asarray(channel)
    if size is not None and values.shape != tuple(size):
        raise DataError(
            f"mask {label!r} is {values.shape[0]} x {values.shape[1]} (height x width), wanted {size[0]} x {size[1]}, "
            "the size of its picture; masks are not resized: make it again at that size"
        )
    _refuse_labels(values, label)
    return values > MASK_THRESHOLD


def _refuse_labels(values: NDArray[np.uint8], label: str) -> None:
    top = int(values.max())
    if 0 < top <= MASK_THRESHOLD:
        raise DataError(
            f"wanted white (255) on black (0) in mask {label!r}, found class labels or dark greys up to {top}, "
            "all of which would be background; write the object as 255, a mask without one as 0 throughout"
        )
