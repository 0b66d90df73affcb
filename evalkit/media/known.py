"""Pixel hashes of files that were decoded before, so that a benchmark's pictures are decoded once per machine.

An entry counts as long as the file's size and modification time are those of the decode, and the decoder is the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from typing import TYPE_CHECKING

import PIL

from evalkit.errors import RunError
from evalkit.files import atomic_write_text
from evalkit.media.decode import DECODER_VERSION, decode_image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Stamp = list[int | str]


class KnownPixels:
    """sha256 of decoded pixels by file; one small JSON file under `root` for each folder of pictures."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folders: dict[Path, dict[str, Stamp]] = {}
        self._changed: set[Path] = set()
        self._lock = threading.Lock()

    def sha256(self, path: Path, *, decode: Callable[[Path], str] = lambda path: decode_image(path).sha256) -> str:
        """The hash of the picture's pixels; `decode` is asked only for a file that is new or changed. Raises MediaError."""
        stamp = _stamp(path)
        with self._lock:
            known = self._folder(path.parent).get(path.name)
        if stamp is not None and known is not None and known[:2] == stamp:
            return str(known[2])
        sha256 = decode(path)
        if stamp is not None:
            with self._lock:
                self._folder(path.parent)[path.name] = [*stamp, sha256]
                self._changed.add(path.parent)
        return sha256

    def save(self) -> None:
        """Keeps what was learnt for later runs. A cache that cannot be written costs a later decode, nothing else."""
        with self._lock:
            for folder in self._changed:
                with contextlib.suppress(RunError):
                    atomic_write_text(self._file(folder), json.dumps(self._folders[folder], separators=(",", ":")))
            self._changed.clear()

    def _folder(self, folder: Path) -> dict[str, Stamp]:
        if folder not in self._folders:
            self._folders[folder] = _read(self._file(folder))
        return self._folders[folder]

    def _file(self, folder: Path) -> Path:
        told = f"{folder.resolve()}\0decoder {DECODER_VERSION}, Pillow {PIL.__version__}"
        return self._root / (hashlib.sha256(told.encode()).hexdigest()[:32] + ".json")


def _stamp(path: Path) -> Stamp | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns]


def _read(file: Path) -> dict[str, Stamp]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    sound = isinstance(found, dict) and all(isinstance(v, list) and len(v) == 3 for v in found.values())
    return found if sound else {}
