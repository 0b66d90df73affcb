"""Decoded pictures and videos, shared: one decode serves hashing and every backbone's preprocessing."""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict
from typing import TYPE_CHECKING

from evalkit.errors import MediaError
from evalkit.media import Clip, decode_image, decode_video

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from evalkit.features.spec import ClipContent, ImageContent
    from evalkit.media import Decoded

MEMORY_BYTES = 384 * 2**20


class Pictures:
    """A thread-safe, bounded memory of decoded pictures, by the hash of their pixels, and of videos, by their file."""

    def __init__(self, *, memory_bytes: int = MEMORY_BYTES) -> None:
        self.decoded = 0
        """How many files were decoded."""
        self._limit, self._bytes = memory_bytes, 0
        self._held: OrderedDict[str | Path, NDArray[np.uint8] | Clip] = OrderedDict()
        self._lock = threading.Lock()
        self._files: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)
        """One for each video: threads that want frames of one file wait for one decode."""

    def decode(self, path: Path) -> Decoded:
        """Decodes a picture's file and remembers its pixels. Raises MediaError."""
        decoded = decode_image(path)
        with self._lock:
            self.decoded += 1
        self.keep(decoded.sha256, decoded.pixels)
        return decoded

    def decode_video(self, path: Path) -> Clip:
        """Decodes a video's file and remembers its frames. Raises MediaError."""
        clip = decode_video(path)
        with self._lock:
            self.decoded += 1
        self._keep(path, clip)
        return clip

    def keep(self, sha256: str, pixels: NDArray[np.uint8]) -> None:
        """Remembers pixels [H, W, 3] by their hash: those of a picture that has no file, or was decoded elsewhere."""
        self._keep(sha256, pixels)

    def pixels(self, content: ImageContent) -> NDArray[np.uint8]:
        """The pixels [H, W, 3] of a picture, of a video's frame or of what is cut out of one, decoded again where forgotten.

        Raises MediaError, also where the file no longer holds the pixels that the hash names.
        """
        if content.box is not None:
            left, top, right, bottom = content.box
            return self.pixels(content.whole)[top:bottom, left:right]
        if content.frame is not None:
            return self._frame(content, content.frame)
        held = self._find(content.sha256)
        if held is not None and not isinstance(held, Clip):
            return held
        decoded = self.decode(content.path)
        if decoded.sha256 != content.sha256:
            raise _changed(content.path, content.sha256, decoded.sha256)
        return decoded.pixels

    def frames(self, content: ClipContent) -> tuple[NDArray[np.uint8], ...]:
        """Every frame [H, W, 3] of a clip, from one decode of its file.

        Raises MediaError, also where the file no longer holds the frames that the hash names.
        """
        clip = self._video(content.path, lambda held: held.sha256 == content.sha256)
        if clip.sha256 != content.sha256:
            raise _changed(content.path, content.sha256, clip.sha256)
        return clip.frames

    def _frame(self, content: ImageContent, index: int) -> NDArray[np.uint8]:
        held = self._find(content.sha256)  # a still that is kept as a picture
        if held is not None and not isinstance(held, Clip):
            return held
        clip = self._video(content.path, lambda held: _shows(held, content.sha256, index))
        if not _shows(clip, content.sha256, index):
            found = clip.frame_sha256[index] if index < len(clip.frames) else f"{len(clip.frames)} frames"
            raise _changed(content.path, content.sha256, found)
        return clip.frames[index]

    def _video(self, path: Path, fits: Callable[[Clip], bool]) -> Clip:
        """The file's clip: the one remembered where it fits, else as the file is now."""
        with self._lock:
            of_file = self._files[path]
        with of_file:
            held = self._find(path)
            return held if isinstance(held, Clip) and fits(held) else self.decode_video(path)

    def _find(self, key: str | Path) -> NDArray[np.uint8] | Clip | None:
        with self._lock:
            if (held := self._held.get(key)) is not None:
                self._held.move_to_end(key)
            return held

    def _keep(self, key: str | Path, media: NDArray[np.uint8] | Clip) -> None:
        with self._lock:
            if (old := self._held.pop(key, None)) is not None:
                self._bytes -= old.nbytes
            self._held[key] = media
            self._bytes += media.nbytes
            while self._bytes > self._limit and len(self._held) > 1:
                _, dropped = self._held.popitem(last=False)
                self._bytes -= dropped.nbytes


def _shows(clip: Clip, sha256: str, index: int) -> bool:
    return index < len(clip.frame_sha256) and clip.frame_sha256[index] == sha256


def _changed(path: Path, wanted: str, found: str) -> MediaError:
    return MediaError(
        f"{path} changed while it was being scored: wanted pixels {wanted[:12]}, found {found[:12]}; run again",
        reason="changed",
    )
