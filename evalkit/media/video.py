"""Any video file to its frames as 8-bit RGB, once, and the hash by which a clip is known.

FFmpeg's libraries (through PyAV) do the decoding. The container is chosen by the file's first bytes and never by
FFmpeg's own guess, and the file is read through an open handle: a playlist that names other files is no video here.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.errors import MediaError, UsageError
from evalkit.media.container import container_of, is_cut_short_video, name_other
from evalkit.media.decode import check_pixels, pixel_sha256
from evalkit.media.source import open_source, refuse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

MAX_CLIP_BYTES = 2**30
"""Of decoded frames: 172 of 1920 x 1080, 815 of 832 x 480."""
MAX_FRAME_PIXELS = 2**25
"""Of one frame, which is in memory several times while it is decoded: 7680 x 4320 is less."""
_BAND_PIXELS = 2**18
"""Composited at once."""
_HEADER = struct.Struct("<4sIII")
_DISPLAY_MATRIX = struct.Struct("<9i")
_MOST_8_BIT = 8


@dataclass(frozen=True, eq=False)
class Clip:
    """A decoded video.

    `frames`: every frame in the order shown, each uint8 [H, W, 3], RGB, read-only, all of one size; `frame_sha256`:
    `pixel_sha256` of each; `fps`: frames a second on average, None where the file does not say; `notes` names each
    conversion: `wrong_extension:<suffix> is <container>`, `variable_rate`, `rotated`, `alpha_on_white`,
    `more_than_8_bits_scaled`, `first_of_several_streams`.
    """

    frames: tuple[Pixels, ...]
    frame_sha256: tuple[str, ...]
    fps: float | None
    notes: tuple[str, ...]

    @cached_property
    def sha256(self) -> str:
        """`clip_sha256` of the frames."""
        return clip_sha256(self.frame_sha256, self.frames[0].shape[:2])

    @property
    def nbytes(self) -> int:
        """Bytes of all frames."""
        return sum(frame.nbytes for frame in self.frames)


def clip_sha256(frame_sha256: Sequence[str], size: Sequence[int]) -> str:
    """Hex SHA-256 of a clip from its frames' hashes: `b"clp8"`, T, H, W as little-endian uint32, and the hashes in order.

    The frame rate does not enter: two files that show the same frames are one clip.

    Example:
        >>> clip_sha256(["00"], (4, 6))[:12], clip_sha256(["00", "00"], (4, 6))[:12]
        ('372a5125493e', '0a297d429446')
    """
    digest = hashlib.sha256(_HEADER.pack(b"clp8", len(frame_sha256), *size))
    for sha256 in frame_sha256:
        digest.update(bytes.fromhex(sha256))
    return digest.hexdigest()


def clip_of(frames: Sequence[Pixels] | Pixels, fps: float | None = None) -> Clip:
    """A clip of frames that are at hand, as if they had been decoded.

    Raises: UsageError for no frame, one that is not uint8 [H, W, 3], or frames of several sizes.
    """
    held = tuple(np.ascontiguousarray(frame) for frame in frames)
    for frame in held:
        check_pixels(frame)
    if len({frame.shape for frame in held}) != 1:
        raise UsageError(f"wanted frames of one size, found {sorted({f.shape for f in held}) or 'no frame'}")
    return _clip(held, fps, ())


def decode_video(path: Path, *, max_bytes: int = MAX_CLIP_BYTES, name: str | None = None) -> Clip:
    """Every frame of the first video stream of an MP4, MOV, WebM, Matroska, AVI or GIF, as stored, none repeated or left
    out to keep a rate.

    A display matrix (rotation, flip) is applied; transparency is composited on white; more than 8 bits a channel are
    scaled down. A file that is cut short is refused even where some of its frames could be read; damage within a frame is
    noticed only where the decoder does not conceal it. `max_bytes` bounds the decoded frames, `MAX_FRAME_PIXELS` one of
    them. `name` stands for the path in messages.

    Raises: MediaError with a `reason` out of `evalkit.media.REASONS`, and nothing else.
    """
    import av

    label = name or str(path)
    with open_source(path, label) as file:
        head = file.read(64)
        container = container_of(head)
        if container is None:
            raise refuse(label, "not_a_video", name_other(head))
        if (cut := is_cut_short_video(file, container)) is not None:
            raise refuse(label, "truncated", cut)
        file.seek(0)
        try:
            with av.open(file, format=container) as opened:
                return _decoded(opened, path, label, container, max_bytes)
        except MediaError:
            raise
        except MemoryError as error:
            raise refuse(label, "too_large", "its frames do not fit in memory") from error
        except (av.error.FFmpegError, ValueError, OSError) as error:
            said = " ".join(str(getattr(error, "strerror", None) or error).split())
            raise refuse(label, "unreadable", f"it is a damaged {container} file ({said})") from error


def _decoded(opened: Any, path: Path, label: str, container: str, max_bytes: int) -> Clip:
    # A cover picture of a sound file is a video stream to FFmpeg, of one frame.
    streams = [s for s in opened.streams.video if "ATTACHED_PIC" not in str(s.disposition).upper()]
    if not streams:
        kinds = ", ".join(sorted({s.type for s in opened.streams})) or "nothing"
        raise refuse(label, "not_a_video", f"it has no video stream (it holds {kinds})")
    stream = streams[0]
    _check_size(stream.frames or 1, (stream.height, stream.width), label, max_bytes)
    notes = dict.fromkeys(_header_notes(path, container, several=len(streams) > 1))
    frames: list[Pixels] = []
    stamps: list[int] = []
    for frame in _shown(opened, stream):
        if frame.is_corrupt:
            raise refuse(label, "unreadable", f"its frame {len(frames)} is damaged")
        _check_size(len(frames) + 1, (frame.height, frame.width), label, max_bytes)
        pixels = _pixels(frame, notes)
        if frames and pixels.shape != frames[0].shape:
            sizes = " to ".join(f"{shape[1]} x {shape[0]}" for shape in (frames[0].shape, pixels.shape))
            raise refuse(label, "size_changes", f"its frames change from {sizes} at frame {len(frames)}")
        frames.append(pixels)
        stamps += [] if frame.pts is None else [frame.pts]
    if not frames:
        raise refuse(label, "no_frames", "its video stream has no frame")
    if len(stamps) > 2 and _varies(stamps, float(stream.time_base)):
        notes["variable_rate"] = None
    rate = stream.average_rate
    return _clip(tuple(frames), float(rate) if rate else None, tuple(notes))


def _clip(frames: tuple[Pixels, ...], fps: float | None, notes: tuple[str, ...]) -> Clip:
    for frame in frames:
        frame.flags.writeable = False
    return Clip(frames, tuple(pixel_sha256(frame) for frame in frames), fps, notes)


def _shown(opened: Any, stream: Any) -> Iterator[Any]:
    """The stream's frames; WebM keeps transparency where only one decoder looks for it."""
    import av

    if stream.metadata.get("alpha_mode") != "1" or stream.codec_context.name not in ("vp8", "vp9"):
        stream.thread_type = "AUTO"
        yield from opened.decode(stream)
        return
    decoder = av.CodecContext.create(f"libvpx-{stream.codec_context.name}".replace("libvpx-vp8", "libvpx"), "r")
    for packet in opened.demux(stream):
        yield from decoder.decode(packet)


def _pixels(frame: Any, notes: dict[str, None]) -> Pixels:
    components = frame.format.components
    if any(part.is_alpha for part in components) or frame.format.name.startswith("pal8"):
        rgba = frame.to_ndarray(format="rgba")
        pixels = rgba[..., :3]
        if rgba[..., 3].min() < 255:
            notes["alpha_on_white"] = None
            pixels = _on_white(rgba)
    else:
        pixels = frame.to_ndarray(format="rgb24")
    if max(part.bits for part in components) > _MOST_8_BIT:
        notes["more_than_8_bits_scaled"] = None
    return np.ascontiguousarray(_upright(pixels, frame, notes))


def _on_white(rgba: Pixels) -> Pixels:
    """[H, W, 4] composited on white, rounded to the nearest, in bands of rows: every term is a copy of its own."""
    height, width = rgba.shape[:2]
    pixels = np.empty((height, width, 3), np.uint8)
    rows = max(1, _BAND_PIXELS // width)
    for start in range(0, height, rows):
        band = rgba[start : start + rows].astype(np.uint32)
        colour, alpha = band[..., :3], band[..., 3:]
        pixels[start : start + rows] = (colour * alpha + 255 * (255 - alpha) + 127) // 255
    return pixels


def _upright(pixels: Pixels, frame: Any, notes: dict[str, None]) -> Pixels:
    """The frame as its display matrix wants it shown; turns other than quarters are left, as players do."""
    from av.sidedata.sidedata import Type

    found = frame.side_data.get(Type.DISPLAYMATRIX)
    if found is None:
        return pixels
    a, b, _, c, d, *_ = _DISPLAY_MATRIX.unpack(bytes(found)[: _DISPLAY_MATRIX.size])
    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels, across, down = pixels.transpose(1, 0, 2), c, b
    else:
        across, down = a, d
    pixels = pixels[:, ::-1] if across < 0 else pixels
    pixels = pixels[::-1] if down < 0 else pixels
    if (a, b, c, d) != (2**16, 0, 0, 2**16):
        notes["rotated"] = None
    return pixels


def _header_notes(path: Path, container: str, *, several: bool) -> Iterator[str]:
    suffixes = {"mov": (".mp4", ".mov", ".m4v"), "matroska": (".webm", ".mkv"), "gif": (".gif",), "avi": (".avi",)}
    if path.suffix.lower() not in suffixes[container]:
        yield f"wrong_extension:{path.suffix.lower().removeprefix('.')} is {container}"
    if several:
        yield "first_of_several_streams"


def _varies(stamps: Sequence[int], tick: float) -> bool:
    """Whether frames are shown for different times by more than the rounding of their time stamps, `tick` seconds each."""
    steps = [(after - before) * tick for before, after in pairwise(stamps)]
    return max(steps) - min(steps) > 0.1 * max(steps) + 2 * tick


def _check_size(frames: int, size: Sequence[int], label: str, max_bytes: int) -> None:
    height, width = size
    if height * width > MAX_FRAME_PIXELS:
        found = f"its frames of {width} x {height} have {height * width} pixels, and the limit is {MAX_FRAME_PIXELS}"
        raise refuse(label, "too_large", found)
    if frames * height * width * 3 > max_bytes:
        found = f"{frames} or more frames of {width} x {height} take more than {max_bytes} bytes"
        raise refuse(label, "too_large", found)
