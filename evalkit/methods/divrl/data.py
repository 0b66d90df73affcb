"""What DivRL is trained on: pictures of subjects with masks, and prompts for each.

The documented form, as a folder or as a dataset of the `datasets` library (a hub id, or a folder of `save_to_disk`):

    images/NAME.png     a picture of the subject
    masks/NAME.png      its mask, of the same size; white on the subject
    captions/NAME.txt   line 1: what the subject is; further lines: prompts

A dataset has the columns `image`, `mask` and `caption`, the caption with the same lines. This is the form of the
published training set (`QWW/Syncd_filtered`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from evalkit.errors import DataError, MediaError, ProblemsError
from evalkit.files import atomic_write_text
from evalkit.media import decode_image, decode_mask, write_image, write_mask
from evalkit.media.decode import MASK_THRESHOLD
from evalkit.nouns import Case, Reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
MOST_LINES = 64


class Lesson(NamedTuple):
    """One prompt for one subject."""

    case: Case
    root: Path
    """What the case's paths are relative to."""


def read_lessons(folder: Path) -> list[Lesson]:
    """Every prompt of every picture in a folder of the documented form, pictures by name.

    Raises DataError where it is none; ProblemsError with everything that does not fit, at once.
    """
    images = folder / "images"
    if not images.is_dir():
        found = "nothing" if not folder.exists() else "a file" if folder.is_file() else "no folder images/ in it"
        raise DataError(
            f"wanted training data (images/, masks/ and captions/), found {found} at {str(folder)!r}; "
            "`evalkit describe method divrl` says what it looks like"
        )
    pictures = sorted(path for path in images.iterdir() if path.suffix.lower() in SUFFIXES)
    problems: list[str] = []
    lessons = [lesson for path in pictures for lesson in _of_picture(folder, path, problems)]
    if not pictures:
        problems.append(f"wanted pictures ({', '.join(SUFFIXES)}) in images/, found none")
    if problems:
        raise ProblemsError(f"the training data in {folder} do not fit", problems)
    return lessons


def _of_picture(folder: Path, path: Path, problems: list[str]) -> Iterator[Lesson]:
    name = path.stem
    mask, caption = folder / "masks" / f"{name}.png", folder / "captions" / f"{name}.txt"
    before = len(problems)
    try:
        size = decode_image(path).pixels.shape[:2]
        if not mask.is_file():
            problems.append(f"images/{path.name}: wanted its mask masks/{name}.png, found none")
        elif not decode_mask(mask, size=(size[0], size[1])).any():
            problems.append(f"masks/{name}.png: wanted white on the subject, found an empty mask")
    except (MediaError, DataError) as error:
        problems.append(str(error))
    lines = _lines(caption, problems)
    if len(problems) > before:
        return
    label, *prompts = lines
    reference = Reference(path=f"images/{path.name}", subject=name, label=label, mask=f"masks/{name}.png")
    for index, prompt in enumerate(prompts):
        yield Lesson(
            Case(
                case_id=f"t{_file_safe(name)}.p{index:02d}", prompt=prompt, subjects=(name,), references=(reference,),
                targets=(reference,), category="training", prompt_index=index,
            ),
            folder,
        )  # fmt: skip


def _lines(caption: Path, problems: list[str]) -> list[str]:
    try:
        lines = [line.strip() for line in caption.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"captions/{caption.name}: cannot be read ({error.__class__.__name__})")
        return []
    if not 2 <= len(lines) <= MOST_LINES:
        problems.append(
            f"captions/{caption.name}: wanted a line that names the subject and 1 to {MOST_LINES - 1} prompts, found "
            f"{len(lines)} lines"
        )
    return lines


def _file_safe(name: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in name)[:150]


def training_folder(data: Path, cache: Path) -> Path:
    """`data` where it is a folder of the documented form, else the dataset that it names, written in that form into `cache`.

    Raises DataError where it is neither.
    """
    if (data / "images").is_dir() or data.is_file():
        return data
    from datasets import load_dataset, load_from_disk

    try:
        if data.is_dir():
            rows: Any = load_from_disk(str(data))
        else:
            rows = load_dataset(str(data), split="train")
    except Exception as error:  # the library raises errors of many types
        raise DataError(
            f"wanted training data in {str(data)!r}, found neither a folder with images/ nor a dataset "
            f"({type(error).__name__}: {' '.join(str(error).split()):.120}); check --train-data"
        ) from error
    # By what it holds: the dataset of that name may be another one tomorrow.
    target = cache / "training" / f"{_file_safe(data.name)}-{rows._fingerprint}"
    if not (target / "done").is_file():
        _write_rows(rows, target)
        (target / "done").touch()
    return target


def write_lesson(
    folder: Path, name: str, picture: NDArray[np.uint8], mask: NDArray[np.bool_], lines: Sequence[str]
) -> None:
    """One subject in the documented form: picture uint8 [H, W, 3], mask bool [H, W], the caption's lines."""
    write_image(folder / "images" / f"{name}.png", picture)
    write_mask(folder / "masks" / f"{name}.png", mask)
    atomic_write_text(folder / "captions" / f"{name}.txt", "\n".join(lines) + "\n")


def _write_rows(rows: Any, target: Path) -> None:
    import numpy as np

    lacking = {"image", "mask", "caption"} - set(rows.column_names)
    if lacking:
        raise DataError(
            f"wanted the columns image, mask and caption, found {', '.join(rows.column_names)}; rename or add "
            f"{', '.join(sorted(lacking))}"
        )
    for number, row in enumerate(rows):
        caption = row["caption"]
        lines = caption.splitlines() if isinstance(caption, str) else list(caption)
        mask = np.asarray(row["mask"].convert("L")) > MASK_THRESHOLD
        write_lesson(target, f"{number:06d}", np.array(row["image"].convert("RGB")), mask, lines)
