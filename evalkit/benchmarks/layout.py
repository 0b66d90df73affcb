"""What loaders check alike: that folders are there, what they hold, and that every picture decodes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from evalkit.errors import DataError, ProblemsError
from evalkit.paths import cache_root

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from evalkit.benchmarks.spec import BenchmarkSpec
    from evalkit.media.known import KnownPixels

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
_OF_THE_SYSTEM = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
_DECODERS = 2
_NAMES_SHOWN = 8


class Checked(NamedTuple):
    """A picture to decode, and its mask where it has one; both relative to the data folder."""

    picture: str
    mask: str | None = None


def find_root(data: Path, spec: BenchmarkSpec, *, mark: str, below: str) -> Path:
    """The folder that holds `mark`: `data` itself, or its folder `below`.

    Raises: DataError when `data` is no folder, ProblemsError when neither holds `mark`; both say how to get the data.
    """
    if not data.is_dir():
        found = "a file" if data.exists() else "nothing"
        raise DataError(f"wanted the folder of {spec.title}, found {found} at {str(data)!r}; {spec.source.get}")
    for root in (data, data / below):
        if (root / mark).exists():
            return root
    layout = " ".join(spec.layout.split())
    missing = f"wanted {mark!r} in it or in its {below!r}, found {listed(p.name for p in entries(data))}"
    raise ProblemsError(heading(data, spec), [f"{missing}; the layout is: {layout}; {spec.source.get}"])


def heading(data: Path, spec: BenchmarkSpec) -> str:
    """The first line of a report on damaged data."""
    return f"{str(data)!r} is not a whole copy of {spec.title}"


def entries(folder: Path) -> list[Path]:
    """What a folder holds, sorted by name, without the files that operating systems leave behind.

    Left out are names that begin with a dot, `Thumbs.db`, `desktop.ini` and `__MACOSX`. Empty where there is no folder.
    Raises: DataError when the folder may not be read.
    """
    if not folder.is_dir():
        return []
    try:
        found = sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError as error:
        raise DataError(f"cannot list {str(folder)!r}: {error.strerror or error}; mend its permissions") from error
    return [p for p in found if not p.name.startswith(".") and p.name.lower() not in _OF_THE_SYSTEM]


def is_picture(path: Path) -> bool:
    """Whether the name says that the file is a picture; decoding decides whether it is one."""
    return path.is_file() and path.suffix.lower() in PICTURE_SUFFIXES


def pictures_by_stem(folder: Path, name: str) -> tuple[dict[str, Path], list[str]]:
    """The pictures of a folder by file name without suffix, and a line for each thing that has no place there."""
    found: dict[str, Path] = {}
    problems = []
    for path in entries(folder):
        if not is_picture(path):
            what = "folder" if path.is_dir() else "file"
            problems.append(f"{name}: wanted pictures only, found the {what} {path.name!r}; move it out")
        elif path.stem in found:
            both = f"{found[path.stem].name!r} and {path.name!r}"
            problems.append(f"{name}: wanted one picture numbered {path.stem}, found {both}; keep one")
        else:
            found[path.stem] = path
    return found, problems


def undecodable(root: Path, pictures: Iterable[Checked]) -> list[str]:
    """A line for each picture that does not decode and each mask that is none of its picture's size.

    A picture without a mask that this machine decoded before, and that has not changed since, is not decoded again.
    """
    from evalkit.media.known import KnownPixels

    known = KnownPixels(cache_root() / "pixels")
    with ThreadPoolExecutor(_DECODERS) as pool:
        lines = [line for line in pool.map(lambda checked: _fault(root, checked, known), pictures) if line]
    known.save()
    return lines


def _fault(root: Path, checked: Checked, known: KnownPixels) -> str | None:
    from evalkit.media import decode_image, decode_mask

    try:
        if checked.mask is None:
            known.sha256(root / checked.picture, decode=lambda path: decode_image(path, name=checked.picture).sha256)
        else:
            size = decode_image(root / checked.picture, name=checked.picture).pixels.shape[:2]
            decode_mask(root / checked.mask, size=size, name=checked.mask)
    except DataError as error:
        return str(error)
    return None


def read_lines(path: Path, name: str) -> list[str]:
    """The stripped lines of a UTF-8 text file, blank ones at its end left out; a byte-order mark is allowed.

    Raises: DataError when the file cannot be read or is not UTF-8; `name` stands for it in the message.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").split("\n")]
    except UnicodeDecodeError as error:
        found = f"byte {error.object[error.start]:#04x} at position {error.start}"
        raise DataError(f"{name}: wanted text in UTF-8, found {found}; save it again as UTF-8") from error
    except OSError as error:
        raise DataError(f"{name}: cannot be read ({error.strerror or error}); fetch it again") from error
    while lines and not lines[-1]:
        lines.pop()
    return lines


def compare_names(what: str, wanted: Sequence[str] | Mapping[str, object], found: Iterable[str]) -> list[str]:
    """One line each for names that are missing and that are extra; empty when both hold the same."""
    have = set(found)
    missing, extra = [name for name in wanted if name not in have], sorted(have.difference(wanted))
    lines = [f"{what}: missing {listed(missing)}; fetch the data again"] if missing else []
    return lines + ([f"{what}: found {listed(extra)} beside the {len(wanted)} wanted; take them out"] if extra else [])


def listed(names: Iterable[str]) -> str:
    """Names for a message, the first few of many.

    Example:
        >>> listed(["cat", "dog"]), listed([])
        ("'cat', 'dog'", 'nothing')
    """
    every = list(names)
    shown = ", ".join(map(repr, every[:_NAMES_SHOWN])) or "nothing"
    return shown + (f" and {len(every) - _NAMES_SHOWN} more" if len(every) > _NAMES_SHOWN else "")
