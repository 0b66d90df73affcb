"""Small video files of every kind that people hand in, made by FFmpeg's encoders, and damaged ones."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

H, W, T = 48, 64, 6
TICKS = 1000
"""Time stamps of `encoded` are in thousandths of a second."""


def moving(frames: int = T, height: int = H, width: int = W) -> Pixels:
    """uint8 [T, H, W, 3]: a bright block on a dark ground that moves right by two pixels a frame; no two frames agree."""
    clip = np.full((frames, height, width, 3), (20, 30, 60), np.uint8)
    for t in range(frames):
        clip[t, height // 4 : height // 2, 4 + 2 * t : 20 + 2 * t] = (220, 160 - 5 * t, 40)
    return clip


def quarters(height: int = H, width: int = W) -> Pixels:
    """uint8 [H, W, 3] whose four quarters are red, green, blue and grey, so that every turn of it is another picture."""
    picture = np.full((height, width, 3), 128, np.uint8)
    picture[: height // 2, : width // 2] = (230, 20, 20)
    picture[: height // 2, width // 2 :] = (20, 200, 20)
    picture[height // 2 :, : width // 2] = (20, 20, 230)
    return picture


def encoded(
    frames: Pixels | Sequence[Pixels],
    *,
    container: str = "mp4",
    codec: str = "libx264rgb",
    pix_fmt: str = "rgb24",
    source: str = "rgb24",
    stamps: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    rotation: int | None = None,
    sound: bool = False,
) -> bytes:
    """A file of these frames, 10 a second unless `stamps` (in thousandths) say otherwise."""
    sink = io.BytesIO()
    with av.open(sink, "w", format=container) as file:
        stream: Any = file.add_stream(codec, rate=10, options=options or {"qp": "0"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = Fraction(1, TICKS)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=source)
            frame.pts = stamps[number] if stamps is not None else number * 100
            frame.time_base = Fraction(1, TICKS)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return sink.getvalue()


def sound_only() -> bytes:
    """An MP4 that holds sound and no picture."""
    sink = io.BytesIO()
    with av.open(sink, "w", format="mp4") as file:
        stream: Any = file.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return sink.getvalue()


def write(folder: Path, name: str, data: bytes) -> Path:
    """The file, for tests that take a path."""
    path = folder / name
    path.write_bytes(data)
    return path
