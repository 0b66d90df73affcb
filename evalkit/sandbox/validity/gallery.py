"""The battery's pictures on disk: drawn once, a folder for each subject, found again by later runs."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL
from PIL import Image

from evalkit.files import write_error
from evalkit.media import pixel_sha256, write_image
from evalkit.metrics.validity import CHANGES, Change
from evalkit.progress import progress
from evalkit.sandbox.validity.changes import BATTERY_VERSION, GRADES, SEED, Subject, changed_pictures, prompts
from evalkit.sandbox.world import WORLD_VERSION, subject_words

REFERENCE, MASK, RECORD = "reference.png", "mask.png", "subject.json"


class Shot(NamedTuple):
    """One picture under one prompt: what the battery asks a metric about."""

    change: Change | None
    """None for the reference itself, which is the first grade of every change."""
    grade: int
    picture: str
    """Its file below the gallery."""
    sha256: str
    prompt: str


@dataclass(frozen=True)
class Shown:
    """A subject's pictures."""

    name: str
    """Of its folder in the gallery."""
    word: str
    """What it is, e.g. `teapot`."""
    category: str
    shots: tuple[Shot, ...]


def gallery_name() -> str:
    """The folder of the pictures that this battery, world and JPEG encoder draw."""
    return f"validity-{BATTERY_VERSION}-world-{WORLD_VERSION}-seed-{SEED}-pillow-{PIL.__version__}"


def open_gallery(root: Path, subjects: int) -> list[Shown]:
    """The first subjects' pictures below `root`, drawn where they are missing. Raises RunError where it cannot be written."""
    shown = []
    with progress("draw", subjects, unit="subjects") as advance:
        for number in range(subjects):
            folder = root / f"{number:03d}"
            if not (folder / RECORD).is_file():
                _draw(folder, Subject.of(number))
            shown.append(_read(folder))
            advance()
    return shown


def _draw(folder: Path, subject: Subject) -> None:
    """All pictures of a subject, whole or not at all."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".draw-") as temporary:
            staged = Path(temporary) / folder.name
            hashes = dict(_write(staged, subject))
            record = {
                "word": subject_words(subject.identity), "category": subject.identity.category,
                "prompts": prompts(subject), "pictures": hashes,
            }  # fmt: skip
            (staged / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
            if not (folder / RECORD).is_file():
                staged.rename(folder)
    except OSError as error:
        if not (folder / RECORD).is_file():  # another process was quicker with the same
            raise write_error(folder, error) from error


def _write(folder: Path, subject: Subject) -> Iterator[tuple[str, str]]:
    """Writes the pictures and yields each file's name with the hash of its pixels."""
    folder.mkdir()
    Image.fromarray(subject.reference.mask.astype(np.uint8) * 255).save(folder / MASK)
    pictures = {REFERENCE: subject.reference.image}
    for change in CHANGES:
        pictures |= {
            f"{change}-{grade}.png": pixels for grade, pixels in enumerate(changed_pictures(subject, change), start=1)
        }
    for name, pixels in pictures.items():
        write_image(folder / name, pixels)
        yield name, pixel_sha256(pixels)


def _read(folder: Path) -> Shown:
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    return Shown(folder.name, record["word"], record["category"], tuple(_shots(folder.name, record)))


def _shots(name: str, record: Mapping[str, object]) -> Iterator[Shot]:
    asked, hashes = record["prompts"], record["pictures"]
    assert isinstance(asked, list)
    assert isinstance(hashes, dict)
    yield Shot(None, 0, f"{name}/{REFERENCE}", hashes[REFERENCE], asked[0])
    for change in CHANGES:
        for grade in range(1, len(GRADES[change])):
            file = REFERENCE if change == "prompt" else f"{change}-{grade}.png"
            prompt = asked[grade if change == "prompt" else 0]
            yield Shot(change, grade, f"{name}/{file}", hashes[file], prompt)
