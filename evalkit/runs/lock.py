"""One writer for each run folder, by a lock that the system itself releases when the writer dies."""

from __future__ import annotations

import errno
import os
import socket
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from evalkit.errors import RunError
from evalkit.files import write_error
from evalkit.nouns import Noun

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK_NAME = ".lock"
_BUSY = {errno.EACCES, errno.EAGAIN}
_FAR = 1 << 30
"""Windows locks bytes, and nobody can read a locked one: this one lies behind what the file says."""


class _Holder(Noun):
    pid: int
    host: str
    since: str


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Holds `folder` (created where needed) for this process alone; others get a RunError at once.

    Raises: RunError naming the process, host and time of the holder; or when the folder cannot be written, or lies on
    a file system without locks.
    """
    path = folder / LOCK_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise write_error(path, error) from error
    try:
        _acquire(handle, path)
        try:
            _sign(handle, path)
            yield
        finally:
            _release(handle)
    finally:
        os.close(handle)


def _acquire(handle: int, path: Path) -> None:
    try:
        _lock(handle)
    except OSError as error:
        if error.errno in _BUSY:
            raise RunError(f"{path.parent} is being written by {_holder(path)}; wait for it or stop it") from None
        raise RunError(
            f"cannot lock {path}: {error.strerror}; put the run folder on a file system that has locks"
        ) from error


def _lock(handle: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(handle, _FAR, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _release(handle: int) -> None:
    # Said outright: forked workers hold copies of the handle, and closing this one alone would leave the lock held.
    if sys.platform == "win32":
        import msvcrt

        os.lseek(handle, _FAR, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_UN)


def _sign(handle: int, path: Path) -> None:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    text = _Holder(pid=os.getpid(), host=socket.gethostname(), since=since).to_json()
    try:
        os.ftruncate(handle, 0)
        os.lseek(handle, 0, os.SEEK_SET)
        os.write(handle, text.encode())
    except OSError as error:
        raise write_error(path, error) from error


def _holder(path: Path) -> str:
    try:
        holder = _Holder.model_validate_json(path.read_bytes())
    except (OSError, ValueError):  # the holder is between locking and signing
        return "another process"
    return f"process {holder.pid} on host {holder.host} since {holder.since}"
