"""Small copies for pages: a WebP of a picture, and a clip as every browser plays it."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from PIL import Image

from evalkit.media.source import refuse

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from evalkit.media.video import Clip

SIDE, QUALITY = 256, 84
RATE = 8.0
"""Frames a second of a clip that does not say."""


def small_copy(pixels: NDArray[np.uint8]) -> bytes:
    """A WebP of at most 256 pixels a side of uint8 [H, W, 3]; small pictures keep every pixel."""
    picture = Image.fromarray(pixels)
    if max(picture.size) > SIDE:
        picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    out = BytesIO()
    picture.save(out, "WEBP", quality=QUALITY, method=4)
    return out.getvalue()


def playable(clip: Clip, label: str) -> bytes:
    """The clip as H.264 in the colour format that every browser plays, its index first.

    Raises: MediaError naming `label` for a clip that cannot be encoded so.
    """
    import av

    with TemporaryDirectory() as folder:
        to = Path(folder) / "clip.mp4"  # putting the index first reads the file again: it cannot be in memory
        try:
            _encode(clip, to)
        except (av.error.FFmpegError, ValueError, OverflowError) as error:
            raise refuse(label, "unreadable", f"no copy of it can be made for browsers ({error})") from error
        return to.read_bytes()


def _encode(clip: Clip, to: Path) -> None:
    import av

    rate = Fraction(clip.fps or RATE).limit_denominator(1001)
    height, width = clip.frames[0].shape[:2]
    with av.open(str(to), "w", options={"movflags": "faststart"}) as sink:
        stream = sink.add_stream("libx264", rate=rate, options={"crf": "20", "threads": "1"})
        # this colour format wants even sides
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        for number, pixels in enumerate(clip.frames):
            shown = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            fitted = shown.reformat(stream.width, stream.height, "yuv420p")
            fitted.pts, fitted.time_base = number, 1 / rate
            sink.mux(stream.encode(fitted))
        sink.mux(stream.encode())
