"""Pictures and masks to PNG and clips to MP4, without loss, each file whole or not there."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evalkit.errors import UsageError
from evalkit.files import atomic_write_bytes
from evalkit.media.decode import check_pixels
from evalkit.media.video import clip_of

if TYPE_CHECKING:
    from collections.abc import Sequence

# Level 6 takes three to four times as long for files 4 to 12 per cent smaller (photographs of 1024 x 1024).
_COMPRESS_LEVEL = 2
# Lossless at the frames' own colours. One thread: with more, x264's bytes depend on how many there are.
_X264 = {"qp": "0", "preset": "veryfast", "threads": "1"}


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """PNG of uint8 [H, W, 3], RGB, without metadata.

    The same pixels give the same bytes with the same build of Pillow; across builds only the pixels are the same, so
    compare pictures by `pixel_sha256`.
    Raises: UsageError when `pixels` is not uint8 [H, W, 3].
    """
    check_pixels(pixels)
    return _png(Image.fromarray(pixels))


def encode_mp4(frames: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], fps: float) -> bytes:
    """MP4 of frames [T, H, W, 3], uint8 RGB, at `fps` frames a second: H.264 in RGB without loss.

    What `decode_video` reads back is what was given, pixel for pixel. Files are larger than published videos are, and some
    players do not show RGB H.264. Raises: UsageError for no frame, another array, frames of several sizes, or a rate that
    is not positive.
    """
    import av

    held = clip_of(frames).frames
    if not fps > 0:
        raise UsageError(f"wanted a positive frame rate, found {fps!r}; give frames a second")
    sink = io.BytesIO()
    with av.open(sink, "w", format="mp4") as container:
        stream = container.add_stream("libx264rgb", rate=Fraction(fps).limit_denominator(1001), options=dict(_X264))
        stream.height, stream.width = held[0].shape[:2]
        stream.pix_fmt = "rgb24"
        for frame in held:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return sink.getvalue()


def write_image(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write uint8 [H, W, 3] to `path`, a `.png`, atomically; parents are created.

    Raises: UsageError for another extension or array; RunError when the disk is full or the folder cannot be written.
    """
    _check_suffix(path)
    atomic_write_bytes(path, encode_png(pixels))


def write_mask(path: Path, mask: NDArray[np.bool_]) -> None:
    """Write bool [H, W] to `path`, a `.png` with 255 where true and 0 elsewhere, atomically; parents are created.

    Raises: UsageError for another extension or array; RunError when the disk is full or the folder cannot be written.
    """
    _check_suffix(path)
    if mask.dtype != np.bool_ or mask.ndim != 2 or 0 in mask.shape:
        raise UsageError(f"wanted a mask as bool [H, W], found {mask.dtype} {list(mask.shape)}; threshold it first")
    atomic_write_bytes(path, _png(Image.fromarray(mask.astype(np.uint8) * 255)))


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=_COMPRESS_LEVEL)
    return buffer.getvalue()


def _check_suffix(path: Path) -> None:
    if path.suffix.lower() != ".png":
        raise UsageError(f"wanted a path that ends in '.png', found {str(path)!r}; evalkit writes pictures as PNG only")
