"""Decoded pictures, shared: one decode serves hashing and every backbone's preprocessing."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from evalkit.errors import MediaError
from evalkit.media import decode_image

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from evalkit.features.spec import ImageContent
    from evalkit.media import Decoded

_MEMORY_BYTES = 384 * 2**20


class Pictures:
    """A thread-safe, bounded memory of decoded pictures by the hash of their pixels."""

    def __init__(self, *, memory_bytes: int = _MEMORY_BYTES) -> None:
        self.decoded = 0
        """How many files were decoded."""
        self._limit, self._held = memory_bytes, 0
        self._pixels: OrderedDict[str, NDArray[np.uint8]] = OrderedDict()
        self._lock = threading.Lock()

    def decode(self, path: Path) -> Decoded:
        """Decodes a file and remembers its pixels. Raises MediaError."""
        decoded = decode_image(path)
        with self._lock:
            self.decoded += 1
        self.keep(decoded.sha256, decoded.pixels)
        return decoded

    def keep(self, sha256: str, pixels: NDArray[np.uint8]) -> None:
        """Remembers pixels [H, W, 3] by their hash: those of a picture that has no file, or was decoded elsewhere."""
        with self._lock:
            if sha256 not in self._pixels:
                self._pixels[sha256] = pixels
                self._held += pixels.nbytes
            while self._held > self._limit and len(self._pixels) > 1:
                _, dropped = self._pixels.popitem(last=False)
                self._held -= dropped.nbytes

    def pixels(self, content: ImageContent) -> NDArray[np.uint8]:
        """The pixels [H, W, 3] of a picture, decoded again where they were forgotten.

        Raises MediaError, also where the file no longer holds the pixels that the hash names.
        """
        with self._lock:
            if (held := self._pixels.get(content.sha256)) is not None:
                self._pixels.move_to_end(content.sha256)
                return held
        decoded = self.decode(content.path)
        if decoded.sha256 != content.sha256:
            raise MediaError(
                f"{content.path} changed while it was being scored: wanted pixels {content.sha256[:12]}, found "
                f"{decoded.sha256[:12]}; run again",
                reason="changed",
            )
        return decoded.pixels
