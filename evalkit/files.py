"""Files written whole or not at all, file hashes, and paths that stay inside their folder."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
from pathlib import Path, PureWindowsPath

from evalkit.errors import DataError, RunError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_DENIED = {errno.EACCES, errno.EPERM}


def write_error(path: Path, error: OSError) -> RunError:
    """The one-line RunError for a failed write to `path`; every writer of evalkit reports through it."""
    if error.errno in _FULL:
        why = "the disk (or the quota) is full; free some space and run the same command again"
    elif error.errno == errno.EROFS:
        why = "the file system is read-only; choose a folder that can be written"
    elif error.errno in _DENIED:
        why = "permission is denied; make the folder writable or choose another"
    elif error.errno == errno.EISDIR:
        why = "a folder is there already; move it away or choose another name"
    elif error.errno in {errno.ENOTDIR, errno.EEXIST}:
        why = "one of its parents is a file, not a folder; move that file away or choose another path"
    else:
        why = f"{error.strerror or error}; check the path and its folder"
    return RunError(f"cannot write {str(path)!r}: {why}")


def atomic_write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a reader sees the old file or the whole new one, never a part.

    The bytes go to a temporary name in the same folder (parents are created), are synced to the disk and then renamed
    over `path`. The temporary file is removed on any failure, an interrupt included. The folder itself is not synced:
    after a power cut the old file may still be there, which a resumed run repairs.

    Raises: RunError when the disk is full, the folder cannot be written or the path cannot hold a file.
    """
    # A short random name: `path.name` may already be as long as the file system allows.
    temporary = path.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not tempfile: its 0600 permissions would survive the rename and lock out the others of a shared run folder.
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        _remove(temporary)
        raise write_error(path, error) from error
    except BaseException:
        _remove(temporary)
        raise


def atomic_write_text(path: Path, text: str) -> None:
    r"""`atomic_write_bytes` of `text` in UTF-8, line ends as given (never turned into `\r\n`).

    Raises: RunError as `atomic_write_bytes`; DataError when the text holds a lone surrogate, which UTF-8 cannot hold.
    """
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        found = text[error.start]
        raise DataError(
            f"cannot write {str(path)!r}: wanted text that UTF-8 can hold, found {found!r} at character {error.start}; "
            "repair the text where it was read"
        ) from error
    atomic_write_bytes(path, data)


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of the file's bytes, read in blocks. Raises: DataError when the file cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r} to hash it: {error.strerror or error}; check the path") from error


def inside(root: Path, relative: str) -> Path:
    r"""The resolved path of a manifest's `relative` path, which must name something below `root`.

    Both `/` and `\` part folders, whatever the system, so that a manifest means the same everywhere. The file itself
    need not exist. `..` is allowed as long as the path never climbs above `root`; symbolic links are followed, and
    one that ends outside `root` is refused.

    Raises: DataError for an empty or absolute path, one with a drive or a NUL, one that leaves `root`, `root` itself, or a
    name that the file system cannot hold.

    >>> inside(Path("data"), "../etc/passwd")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    evalkit.errors.DataError: wanted a path inside 'data', found '../etc/passwd', which climbs out of it; write ...
    """
    windows = PureWindowsPath(relative)  # knows both separators and drives
    if windows.root or windows.drive:
        raise _outside(root, relative, "which is absolute")
    if "\0" in relative:
        raise _outside(root, relative, "which holds a NUL character")
    parts = [part for part in re.split(r"[/\\]", relative) if part not in {"", "."}]
    if _climbs(parts):
        raise _outside(root, relative, "which climbs out of it")
    try:
        base = root.resolve()
        path = base.joinpath(*parts).resolve()
        path.exists()  # asks the system, which refuses names that it cannot hold
    except (OSError, RuntimeError) as error:  # RuntimeError: how Python 3.11 and 3.12 report a loop of links
        raise _outside(root, relative, f"which cannot be resolved ({error})") from error
    if not path.is_relative_to(base):
        raise _outside(root, relative, f"which a symbolic link leads to {str(path)!r}")
    if path == base:
        raise _outside(root, relative, "which names the folder itself")
    return path


def _climbs(parts: list[str]) -> bool:
    depth = 0
    for part in parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return True
    return False


def _outside(root: Path, relative: str, why: str) -> DataError:
    return DataError(
        f"wanted a path inside {str(root)!r}, found {relative!r}, {why}; write paths relative to that folder"
    )


def _remove(path: Path) -> None:
    """Remove a leftover; the error that made it one is the error to report."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return
