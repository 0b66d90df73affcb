"""A decoded picture in one of three plain modes, by Pillow, with Pillow's own surprises taken out.

Pillow is used without touching its process-wide switches, so that decoding is safe in threads. The one thing left
behind is a warning filter that silences Pillow's modules and nothing else: `warnings.catch_warnings` swaps the filters
of the whole process, and two threads that leave it in the wrong order keep the wrong ones. (The C library behind
compressed TIFFs still writes a line to stderr for each damage that it meets.)
"""

from __future__ import annotations

import io
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from evalkit.errors import MediaError
from evalkit.media.source import is_cut_short, name_content, picture_format, read_source, refuse

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
# MPO: Pillow's name for a JPEG that carries further pictures, such as the preview that phones write.
_NAMES = {"PNG": "png", "JPEG": "jpg", "MPO": "jpg", "WEBP": "webp", "BMP": "bmp", "TIFF": "tiff", "GIF": "gif"}
_FORMAT_OF_SUFFIX = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), "jpg"),
    **dict.fromkeys((".tif", ".tiff"), "tiff"),
    **dict.fromkeys((".bmp", ".dib"), "bmp"),
    ".png": "png",
    ".webp": "webp",
    ".gif": "gif",
}
_PLAIN_MODES = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr"}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_WHITE_IS_ZERO = 0
_PHOTOMETRIC = 262
# Uncompressed 16-bit RGBA takes 8 bytes a pixel; the rest is room for metadata.
_BYTES_PER_PIXEL, _METADATA_BYTES = 8, 64 * 2**20


# Without a handler Python prints a library's log of a damaged file to stderr, next to the error that tells of it.
logging.getLogger("PIL").addHandler(logging.NullHandler())


@dataclass(frozen=True, eq=False)
class Picture:
    """`image`: upright, of mode L, RGB, or RGBA where at least one pixel is not opaque; `notes`: what was converted."""

    image: Image.Image
    notes: tuple[str, ...]


def open_picture(source: Path | bytes, *, max_pixels: int, name: str | None) -> Picture:
    """Decode `source` (a path, or the bytes of a file); `name` stands for it in messages and gives its suffix.

    Raises: MediaError, and nothing else, whatever the bytes.
    """
    label = name or ("picture bytes" if isinstance(source, bytes) else str(source))
    data = read_source(source, label, max_bytes=_BYTES_PER_PIXEL * max_pixels + _METADATA_BYTES)
    _silence_pillow()
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_header(image, label, max_pixels)
            return _load(image, label)
    except MediaError:
        raise
    except Image.DecompressionBombError as error:  # Pillow's limit, which holds where max_pixels is above it
        raise refuse(label, "too_large", f"its header is refused: {str(error).rstrip('.')}") from error
    except MemoryError as error:
        raise refuse(label, "too_large", "its pixels do not fit in memory") from error
    # Pillow's decoders raise nearly every built-in exception on damaged bytes.
    except Exception as error:
        raise _failure(data, label, error) from error


def _silence_pillow() -> None:
    """Ignore warnings raised inside Pillow: what they report is either refused or noted here."""
    if not warnings.filters or getattr(warnings.filters[0][3], "pattern", None) != r"PIL\.":
        warnings.filterwarnings("ignore", module=r"PIL\.")


def _check_header(image: ImageFile.ImageFile, label: str, max_pixels: int) -> None:
    """Refuse, before any pixel is decoded, what is too large, has several frames, or has no agreed 8-bit meaning."""
    width, height = image.size
    if width * height > max_pixels:
        found = f"it has {width} x {height} = {width * height} pixels, and the limit is {max_pixels}"
        raise refuse(label, "too_large", found)
    frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    if frames != 1:
        unit = "pages" if image.format == "TIFF" else "frames"
        raise refuse(label, "animated", f"it is a {image.format} of {frames} {unit}, where one picture was wanted")
    mode = _unsupported(image)
    if mode:
        raise refuse(label, "unsupported_mode", f"it is a {image.format} of {mode}, which has no one meaning in 8 bits")


def _unsupported(image: ImageFile.ImageFile) -> str | None:
    """The name of a pixel mode that cannot be turned into 8-bit RGB without a guess, or None."""
    names = {"I": "32-bit or signed integers", "F": "floating-point values", "LAB": "CIELAB colours"}
    if not image.mode.startswith("I;16"):
        return None if image.mode in _PLAIN_MODES else names.get(image.mode, f"mode {image.mode!r}")
    if "I;12" in str(image.tile):
        return "12-bit grey values"
    if "transparency" in image.info:
        return "16-bit grey values with a transparent one"
    # Pillow inverts white-is-zero at 8 bits but not at 16.
    if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        return "16-bit grey values with white as zero"
    return None


def _load(image: ImageFile.ImageFile, label: str) -> Picture:
    notes = _header_notes(image, Path(label).suffix.lower())
    # Pillow's TIFF reader turns the picture as it loads and forgets the tag.
    turned_by_pillow = getattr(image, "tag_v2", {}).get(ExifTags.Base.Orientation) in _TURNS
    image.load()
    plain, turn = _plain(image), _turn(image, notes)
    if turn is not None:
        plain = plain.transpose(turn)
    if turned_by_pillow or turn is not None:
        notes.append("exif_rotated")
    if plain.mode == "RGBA":
        notes.append("alpha_on_white")
    return Picture(plain, tuple(notes))


def _header_notes(image: ImageFile.ImageFile, suffix: str) -> list[str]:
    content, announced = _NAMES[str(image.format)], _FORMAT_OF_SUFFIX.get(suffix)
    grey = image.mode in {"1", "L", "LA", "La"} or image.mode.startswith("I;16")
    found = {
        f"wrong_extension:{suffix.removeprefix('.')} is {content}": announced not in {None, content},
        "first_of_mpo": image.format == "MPO",
        "icc_ignored": "icc_profile" in image.info,
        "16bit_scaled": ";16" in image.mode or ";16" in str(image.tile),
        "greyscale": grey,
        "palette": image.mode in {"P", "PA"},
        "cmyk_converted": image.mode == "CMYK",
    }
    return [note for note, holds in found.items() if holds]


def _plain(image: Image.Image) -> Image.Image:
    """Mode L, RGB, or RGBA where some pixel is not opaque."""
    if image.mode.startswith("I;16"):
        # The high byte, as Pillow reads 16-bit colour: grey and colour files of one picture agree.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        # Pillow knows no direct way from premultiplied grey to RGBA.
        rgba = in_mode(in_mode(image, "LA") if image.mode == "La" else image, "RGBA")
        low, _ = rgba.getchannel("A").getextrema()
        return rgba if low != 255 else rgba.convert("RGB")
    return in_mode(image, "L" if image.mode in {"1", "L"} else "RGB")


def in_mode(image: Image.Image, mode: str) -> Image.Image:
    """`image` in `mode`, without the copy that `convert` makes where nothing changes."""
    return image if image.mode == mode else image.convert(mode)


def _turn(image: Image.Image, notes: list[str]) -> Image.Transpose | None:
    """What the EXIF (or XMP) orientation asks for; metadata that cannot be parsed is noted and passed over."""
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        notes.append("exif_unreadable")
        return None


def _failure(data: bytes, label: str, error: Exception) -> MediaError:
    announced = picture_format(data)
    if announced is None:
        return refuse(label, "not_an_image", name_content(data))
    said = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, UnidentifiedImageError):  # its text is the address of a buffer
        said = "its header cannot be read"
    if is_cut_short(data) or "truncated" in said.lower():
        return refuse(label, "truncated", f"it is a {announced} of {len(data)} bytes that ends too early ({said})")
    return refuse(label, "unreadable", f"it is a damaged {announced} ({said})")
