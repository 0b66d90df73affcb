"""Which files can hold a sample of which medium, and what such a file holds, whatever the medium."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evalkit.media.answer import read_answer, text_sha256
from evalkit.media.decode import decode_image
from evalkit.media.video import decode_video

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from evalkit.media.decode import Decoded
    from evalkit.media.video import Clip
    from evalkit.nouns import Medium, Sample

SUFFIXES: Mapping[Medium, tuple[str, ...]] = {
    "image": (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"),
    "video": (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".gif"),
    "text": (".txt", ".json"),
}
"""What a sample's file may be called, by its case's medium."""
CALLED: Mapping[Medium, str] = {"image": "pictures", "video": "videos", "text": "answers"}
"""What such samples are called in messages."""


class Held(NamedTuple):
    """What a sample's file holds, as a `Sample` records it."""

    pixels_sha256: str
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    fps: float | None = None
    frame_sha256: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def medium_of(sample: Sample) -> Medium:
    """What was made: a video where it has frames, a text where its file is one, else a picture."""
    if sample.frames is not None:
        return "video"
    return "text" if str(sample.path).lower().endswith(SUFFIXES["text"]) else "image"


def held_by(
    path: Path,
    medium: Medium,
    *,
    picture: Callable[[Path], Decoded] = decode_image,
    video: Callable[[Path], Clip] = decode_video,
) -> Held:
    """What a file of that medium holds; `picture` and `video` decode it. Raises MediaError."""
    if medium == "text":
        return Held(text_sha256(read_answer(path)))
    if medium == "video":
        return held_of(video(path))
    decoded = picture(path)
    height, width = decoded.pixels.shape[:2]
    return Held(decoded.sha256, width, height, notes=decoded.notes)


def held_of(clip: Clip) -> Held:
    """A clip as a `Sample` records it."""
    height, width = clip.frames[0].shape[:2]
    return Held(clip.sha256, width, height, len(clip.frames), clip.fps, clip.frame_sha256, clip.notes)
