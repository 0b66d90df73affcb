"""Which video container a file is, and whether it was cut short, by its own first bytes and sizes."""

from __future__ import annotations

import io
from typing import BinaryIO, Literal

from evalkit.media.source import is_cut_short, name_content, picture_format

Container = Literal["mov", "matroska", "gif", "avi"]
"""FFmpeg's names: `mov` is MP4 too, `matroska` is WebM too."""

_ATOMS = (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip", b"pnot")
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def container_of(head: bytes) -> Container | None:
    """The container that a file's first 12 bytes announce, None for anything else.

    Example:
        >>> container_of(b"GIF89a" + bytes(6)), container_of(b"#EXTM3U a.mp4")
        ('gif', None)
    """
    if head[4:8] in _ATOMS:
        return "mov"
    if head.startswith(_EBML):
        return "matroska"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    return "avi" if head.startswith(b"RIFF") and head[8:12] == b"AVI " else None


def name_other(head: bytes) -> str:
    """What a file that is no video seems to be, for a message."""
    picture = picture_format(head)
    if picture is not None:
        return f"it is a {picture} picture, where a video was wanted"
    return name_content(head).replace("no picture that evalkit knows", "no video that evalkit knows")


def is_cut_short_video(file: BinaryIO, container: Container) -> str | None:
    """In what way the file ends before its own sizes say, None where it does not, or where it does not say."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if container == "mov":
        return _mov(file, size)
    if container == "matroska":
        return _matroska(file, size)
    if container == "gif":
        file.seek(max(0, size - 64))
        return f"it is a GIF file of {size} bytes without an end" if is_cut_short(b"GIF89a" + file.read()) else None
    announced = 8 + int.from_bytes(file.read(8)[4:], "little")
    return _short("AVI", announced, size) if announced > size else None


def _mov(file: BinaryIO, size: int) -> str | None:
    """Top-level boxes, each a length and a name; the index (`moov`) may come last, so a cut file has none."""
    place, indexed = 0, False
    while place + 8 <= size:
        file.seek(place)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        elif length == 0:
            length = size - place
        indexed |= head[4:8] == b"moov"
        if length < 8:
            return None  # not a box: damage, which the decoder will name
        if place + length > size:
            return _short("MP4", place + length, size)
        place += length
    return None if indexed else f"it is an MP4 file of {size} bytes without its index (moov)"


def _matroska(file: BinaryIO, size: int) -> str | None:
    """An EBML header, then one segment, whose length is unknown in a stream that was written as it came."""
    data = file.read(256)
    place = _after_number(data, 4)
    header = _number(data, 4)
    if place is None or header is None:
        return f"it is an MKV or WebM file of {size} bytes that ends in its header"
    place += header
    file.seek(place)
    data = file.read(16)
    if not data.startswith(_SEGMENT):
        return None if data else f"it is an MKV or WebM file of {size} bytes that ends in its header"
    length, start = _number(data, 4), _after_number(data, 4)
    if length is None or start is None:
        return None
    announced = place + start + length
    return _short("MKV or WebM", announced, size) if announced > size else None


def _width(data: bytes, place: int) -> int | None:
    first = data[place] if place < len(data) else 0
    return 9 - first.bit_length() if first else None


def _after_number(data: bytes, place: int) -> int | None:
    width = _width(data, place)
    return None if width is None or place + width > len(data) else place + width


def _number(data: bytes, place: int) -> int | None:
    """EBML's number at a place: the first byte's leading zeros say how many bytes it has; None for 'unknown'."""
    end = _after_number(data, place)
    if end is None:
        return None
    bits = 7 * (end - place)
    value = int.from_bytes(data[place:end], "big") & ((1 << bits) - 1)
    return None if value == (1 << bits) - 1 else value


def _short(kind: str, announced: int, size: int) -> str:
    return f"it is an {kind} file of {size} bytes that should have {announced}"
