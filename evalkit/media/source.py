"""Bytes of a media file, and the closed set of reasons why a file is refused."""

from __future__ import annotations

import stat
import struct
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, get_args

from evalkit.errors import MediaError

if TYPE_CHECKING:
    from collections.abc import Iterator

Reason = Literal[
    "file_missing",
    "not_a_file",
    "empty_file",
    "not_an_image",
    "truncated",
    "animated",
    "too_large",
    "unsupported_mode",
    "not_a_video",
    "no_frames",
    "size_changes",
    "not_an_answer",
    "unreadable",
]
"""Every `MediaError.reason`: no file at the path; a folder, device or pipe; zero bytes; another kind of file; cut
short; several frames or pages; more pixels or bytes than allowed; a pixel mode without an agreed meaning in 8-bit RGB;
where a video was wanted, another kind of file or one without a video stream, no frame in it, frames of several sizes;
where a text was wanted, a file without one; damaged, or not permitted to be read."""

REASONS: tuple[Reason, ...] = get_args(Reason)

_ADVICE: dict[Reason, str] = {
    "file_missing": "check the path, or make the file again",
    "not_a_file": "give the path of one file",
    "empty_file": "its writing was interrupted: make or fetch it again",
    "not_an_image": "give a PNG, JPEG, WebP, BMP, TIFF or one-frame GIF",
    "truncated": "its writing or copying was interrupted: make or fetch it again",
    "animated": "save the frame that is meant as a PNG",
    "too_large": "shrink it, or raise the limit if its size is meant",
    "unsupported_mode": "convert it to an 8-bit RGB PNG, choosing how its values map to 0..255",
    "not_a_video": "give an MP4, MOV, WebM, Matroska, AVI or GIF with a video stream",
    "no_frames": "make it again",
    "size_changes": "make it again at one size",
    "not_an_answer": "write the answer alone as UTF-8 text, or a JSON object with the key 'answer'",
    "unreadable": "make or fetch it again, or mend its permissions",
}

# What people hand in by mistake, by a mark at an offset in the first bytes.
_OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"version https://git-lfs", "a Git LFS pointer (run `git lfs pull` where it came from)"),
    (0, b"%PDF", "a PDF"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (4, b"ftypavif", "an AVIF picture"),
    (4, b"ftyphei", "a HEIC picture"),
    (4, b"ftypmif1", "a HEIF picture"),
    (4, b"ftyp", "a video (or another MP4-like container)"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
)
_TEXTS: tuple[tuple[bytes, str], ...] = (
    (b"<!doctype html", "an HTML page (a failed download?)"),
    (b"<html", "an HTML page (a failed download?)"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML document"),
)


def refuse(label: str, reason: Reason, found: str) -> MediaError:
    """The one-line MediaError of `reason` for the item `label`, with what was found in it and what to do."""
    return MediaError(f"cannot decode {label!r}: {found}; {_ADVICE[reason]}", reason=reason)


def read_source(source: Path | bytes, label: str, *, max_bytes: int) -> bytes:
    """All bytes of `source`; never empty, never more than `max_bytes`.

    Symbolic links to files are followed. Raises: MediaError (`file_missing`, `not_a_file`, `empty_file`, `too_large`,
    `unreadable`).
    """
    data = source if isinstance(source, bytes) else _read_file(source, label, max_bytes)
    if not data:
        raise refuse(label, "empty_file", "it is empty (0 bytes)")
    if len(data) > max_bytes:
        raise refuse(label, "too_large", f"it has {len(data)} bytes, and the limit is {max_bytes}")
    return data


@contextmanager
def open_source(path: Path, label: str) -> Iterator[BinaryIO]:
    """The file opened for reading; never empty. Raises: MediaError as `read_source`."""
    with _told(path, label):
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise refuse(label, "not_a_file", f"it is {_kind(status.st_mode)}, not a file")
        if not status.st_size:
            raise refuse(label, "empty_file", "it is empty (0 bytes)")
        file = path.open("rb")
    with file:
        yield file


def _read_file(path: Path, label: str, max_bytes: int) -> bytes:
    with _told(path, label):
        status = path.stat()
        # A pipe or a device would block or never end: only regular files are opened.
        if not stat.S_ISREG(status.st_mode):
            raise refuse(label, "not_a_file", f"it is {_kind(status.st_mode)}, not a file")
        if status.st_size > max_bytes:
            raise refuse(label, "too_large", f"it has {status.st_size} bytes, and the limit is {max_bytes}")
        return path.read_bytes()


@contextmanager
def _told(path: Path, label: str) -> Iterator[None]:
    """What the system says of a file that cannot be read, as a MediaError."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise refuse(label, "file_missing", _what_is_missing(path)) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise refuse(label, "unreadable", f"it cannot be read ({_one_line(error)})") from error


def _what_is_missing(path: Path) -> str:
    if path.is_symlink():
        return f"it is a symbolic link to {str(path.readlink())!r}, which does not exist"
    return "there is no such file"


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a named pipe" if stat.S_ISFIFO(mode) else "a device or a socket"


def name_content(data: bytes) -> str:
    """What a file that is no readable picture seems to be, for a message.

    >>> name_content(b"%PDF-1.7")
    'it is a PDF'
    """
    for offset, mark, kind in _OTHERS:
        if data.startswith(mark, offset):
            return f"it is {kind}"
    head = data[:256].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for mark, kind in _TEXTS:
        if head.startswith(mark):
            return f"it is {kind}"
    return f"it is no picture that evalkit knows (it begins with {data[:8]!r})"


def picture_format(data: bytes) -> str | None:
    """The picture format that the first bytes announce, or None."""
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    marks = (
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"\xff\xd8\xff", "JPEG"),
        (b"GIF87a", "GIF"),
        (b"GIF89a", "GIF"),
        (b"BM", "BMP"),
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
    )
    return next((name for mark, name in marks if data.startswith(mark)), None)


def is_cut_short(data: bytes) -> bool:
    """Whether the bytes of a picture stop before the end that its own format announces.

    It tells `truncated` from `unreadable` after a decoder has failed; it is no test of a sound file.
    """
    kind = picture_format(data)
    if kind == "PNG":
        return b"IEND" not in data[-64:]
    if kind == "JPEG":
        return not data.rstrip(b"\0").endswith(b"\xff\xd9")
    if kind == "GIF":
        return not data.rstrip(b"\0").endswith(b";")
    if kind in {"WEBP", "BMP"}:
        offset, extra = (4, 8) if kind == "WEBP" else (2, 0)
        return len(data) < 30 or len(data) < struct.unpack_from("<I", data, offset)[0] + extra
    return kind == "TIFF" and _tiff_is_cut_short(data)


def _tiff_is_cut_short(data: bytes) -> bool:
    """Whether the first directory, which may stand anywhere in the file, is not wholly there."""
    order = "<" if data.startswith(b"II") else ">"
    if len(data) < 8:
        return True
    offset = struct.unpack_from(f"{order}I", data, 4)[0]
    if len(data) < offset + 2:
        return True
    return bool(len(data) < offset + 2 + 12 * struct.unpack_from(f"{order}H", data, offset)[0])


def _one_line(error: Exception) -> str:
    return " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())
