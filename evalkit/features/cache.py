"""Features on disk: one file for (content, extractor fingerprint, output), shared by every run on the machine.

Safe under concurrent runs: a file appears whole, by rename, and carries its own digest, so that an entry cut short is
recomputed and never read. Reading an entry touches it; `prune` removes the least recently used.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evalkit.errors import EvalkitError, UsageError
from evalkit.files import atomic_write_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_MAGIC = b"EKF1"
_UNFINISHED, _LABEL = ".part-", ".label"
_DIGEST = 16
_HEADER = len(_MAGIC) + _DIGEST
DEFAULT_LIMIT_BYTES = 20 * 2**30


@dataclass(frozen=True)
class CacheKey:
    """What a stored feature is a feature of."""

    fingerprint: str
    output: str
    content: str

    def path(self, root: Path) -> Path:
        """`root/<fingerprint>/<output>/<2 letters>/<content>`."""
        return root / self.fingerprint / self.output / self.content[:2] / self.content


@dataclass(frozen=True)
class CacheUse:
    """What one extractor's features take: `entries` files, `bytes` on disk."""

    fingerprint: str
    entries: int
    bytes: int
    label: str = ""
    """What the extractor is, as `FeatureCache.label` was told."""


class FeatureCache:
    """Arrays by CacheKey: a bounded memory layer over files under `root` (None: memory only)."""

    def __init__(self, root: Path | None, *, memory_bytes: int = 256 * 2**20) -> None:
        self.root = root
        self.damaged = 0
        """Entries found cut short or altered, and so recomputed."""
        self._memory: OrderedDict[CacheKey, NDArray[np.float32]] = OrderedDict()
        self._memory_bytes, self._held = memory_bytes, 0
        self._lock = threading.Lock()

    def get(self, key: CacheKey) -> NDArray[np.float32] | None:
        """The feature (read-only), None where it is not cached."""
        with self._lock:
            if (held := self._memory.get(key)) is not None:
                self._memory.move_to_end(key)
                return held
        root = self.root
        if root is None:
            return None
        path = key.path(root)
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise EvalkitError(
                f"the feature cache entry {path} cannot be read: {error}; mend its rights or set EVALKIT_CACHE"
            ) from error
        array = _unpack(data)
        if array is None:
            self.damaged += 1
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        self._keep(key, array)
        return array

    def put(self, key: CacheKey, array: NDArray[np.float32]) -> None:
        """Stores a feature. A cache that cannot be written (full, read-only) costs a warning once, never the run."""
        kept = np.array(array, dtype=np.float32, order="C")
        kept.setflags(write=False)
        self._keep(key, kept)
        root = self.root
        if root is not None:
            try:
                _write(key.path(root), _pack(kept))
            except OSError as error:
                self._give_up(error)

    def label(self, fingerprint: str, text: str) -> None:
        """Notes for people what the features under `fingerprint` are of; nothing where there are none."""
        if self.root is not None and (self.root / fingerprint).is_dir():
            with contextlib.suppress(EvalkitError):
                atomic_write_text(self.root / f"{fingerprint}{_LABEL}", text)

    def _give_up(self, error: OSError) -> None:
        from evalkit.progress import warn

        warn(f"the feature cache {self.root} cannot be written ({error.strerror}); going on without it")
        self.root = None

    def _keep(self, key: CacheKey, array: NDArray[np.float32]) -> None:
        with self._lock:
            previous = self._memory.pop(key, None)
            self._held += array.nbytes - (previous.nbytes if previous is not None else 0)
            self._memory[key] = array
            while self._held > self._memory_bytes and len(self._memory) > 1:
                _, dropped = self._memory.popitem(last=False)
                self._held -= dropped.nbytes


def uses(root: Path) -> list[CacheUse]:
    """What each extractor's features take under `root`, largest first."""
    found = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []:
        sizes = [stat.st_size for _, stat in _files(folder)]
        found.append(CacheUse(folder.name, len(sizes), sum(sizes), _label(root / f"{folder.name}{_LABEL}")))
    return sorted(found, key=lambda use: (-use.bytes, use.fingerprint))


def prune(root: Path, *, limit_bytes: int) -> tuple[int, int]:
    """Removes least recently used entries until at most `limit_bytes` are left; returns (entries, bytes) removed."""
    if limit_bytes < 0:
        raise UsageError(f"wanted a size limit of 0 bytes or more, found {limit_bytes}")
    entries = sorted(_files(root), key=lambda item: (item[1].st_mtime_ns, str(item[0])))
    excess = sum(stat.st_size for _, stat in entries) - limit_bytes
    count = removed = 0
    for path, stat in entries:
        if removed >= excess:
            break
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
            count, removed = count + 1, removed + stat.st_size
    return count, removed


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
        with contextlib.suppress(FileNotFoundError):
            if path.is_file() and path.suffix != _LABEL and not _being_written(path):
                yield path, path.stat()


def _label(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _being_written(path: Path) -> bool:
    """An entry that another process may be about to rename; a killed one's counts as an entry after an hour."""
    return path.name.startswith(_UNFINISHED) and time.time() - path.stat().st_mtime < 3600


def _pack(array: NDArray[np.float32]) -> bytes:
    from safetensors.numpy import save

    payload = save({"x": array})
    return _MAGIC + hashlib.blake2b(payload, digest_size=_DIGEST).digest() + payload


def _unpack(data: bytes) -> NDArray[np.float32] | None:
    payload = data[_HEADER:]
    whole = data[:_HEADER] == _MAGIC + hashlib.blake2b(payload, digest_size=_DIGEST).digest()
    if not whole:
        return None
    from safetensors.numpy import load

    array: NDArray[np.float32] = load(payload)["x"]
    array.setflags(write=False)
    return array


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=_UNFINISHED)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
