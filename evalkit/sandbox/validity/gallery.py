"""The batteries' pictures and clips on disk: drawn once, a folder for each subject, found again by later runs."""

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
from evalkit.media import encode_mp4, pixel_sha256, write_image
from evalkit.metrics.validity import CHANGES, Battery, Change
from evalkit.progress import progress
from evalkit.sandbox.clips import FPS
from evalkit.sandbox.validity.changes import BATTERY_VERSION, GRADES, SEED, Subject, changed_pictures, prompts
from evalkit.sandbox.validity.clips import changed_clips
from evalkit.sandbox.validity.sets import changed_sets
from evalkit.sandbox.world import WORLD_VERSION, caption, subject_words

REFERENCE, MASK, RECORD = "reference.png", "mask.png", "subject.json"


class Shot(NamedTuple):
    """One picture or clip under one prompt: what the battery asks a metric about."""

    change: Change | None
    """None for the reference itself, which is the first grade of every change."""
    grade: int
    picture: str
    """Its file below the gallery."""
    sha256: str
    """Of a picture's pixels; empty of a clip, whose frames have hashes of their own."""
    prompt: str
    place: int = 0
    """Which picture of a set it is."""


@dataclass(frozen=True)
class Shown:
    """A subject's pictures."""

    name: str
    """Of its folder in the gallery."""
    word: str
    """What it is, e.g. `teapot`."""
    category: str
    shots: tuple[Shot, ...]


def gallery_name(battery: Battery = "pictures") -> str:
    """The folder of the pictures or clips that this battery, world and JPEG encoder draw."""
    kind = "" if battery == "pictures" else f"-{battery}"
    return f"validity-{BATTERY_VERSION}{kind}-world-{WORLD_VERSION}-seed-{SEED}-pillow-{PIL.__version__}"


def open_gallery(root: Path, subjects: int, battery: Battery = "pictures") -> list[Shown]:
    """The first subjects' pictures or clips below `root`, drawn where they are missing.

    Raises: RunError where it cannot be written.
    """
    shown = []
    with progress("draw", subjects, unit="subjects") as advance:
        for number in range(subjects):
            folder = root / f"{number:03d}"
            if not (folder / RECORD).is_file():
                _draw(folder, Subject.of(number), battery)
            shown.append(_read(folder))
            advance()
    return shown


def _draw(folder: Path, subject: Subject, battery: Battery) -> None:
    """All that is shown of a subject, whole or not at all."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".draw-") as temporary:
            staged = Path(temporary) / folder.name
            record: dict[str, object] = {"word": subject_words(subject.identity), "category": subject.identity.category}
            staged.mkdir()
            if battery == "pictures":
                record |= {"prompts": prompts(subject), "pictures": dict(_write(staged, subject))}
            else:
                record["shots"] = [*(_clips(staged, subject) if battery == "clips" else _sets(staged, subject))]
            (staged / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
            if not (folder / RECORD).is_file():
                staged.rename(folder)
    except OSError as error:
        if not (folder / RECORD).is_file():  # another process was quicker with the same
            raise write_error(folder, error) from error


def _write(folder: Path, subject: Subject) -> Iterator[tuple[str, str]]:
    """Writes the pictures and yields each file's name with the hash of its pixels."""
    Image.fromarray(subject.reference.mask.astype(np.uint8) * 255).save(folder / MASK)
    pictures = {REFERENCE: subject.reference.image}
    for change in CHANGES:
        pictures |= {
            f"{change}-{grade}.png": pixels for grade, pixels in enumerate(changed_pictures(subject, change), start=1)
        }
    for name, pixels in pictures.items():
        write_image(folder / name, pixels)
        yield name, pixel_sha256(pixels)


def _clips(folder: Path, subject: Subject) -> Iterator[Shot]:
    """Writes the clips and yields each."""
    prompt = caption(subject.scene)
    for (change, grade), frames in changed_clips(subject).items():
        name = f"{change or 'plain'}-{grade}.mp4"
        (folder / name).write_bytes(encode_mp4(frames, FPS))
        yield Shot(change, grade, f"{folder.name}/{name}", "", prompt)


def _sets(folder: Path, subject: Subject) -> Iterator[Shot]:
    """Writes the sets' pictures, equal ones once, and yields each picture of each set."""
    written: dict[str, str] = {}
    for (change, grade), asked in changed_sets(subject).items():
        for place, (pixels, prompt) in enumerate(asked):
            sha256 = pixel_sha256(pixels)
            if sha256 not in written:
                written[sha256] = f"{change or 'plain'}-{grade}-{place}.png"
                write_image(folder / written[sha256], pixels)
            yield Shot(change, grade, f"{folder.name}/{written[sha256]}", sha256, prompt, place)


def _read(folder: Path) -> Shown:
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    if "shots" in record:
        return Shown(folder.name, record["word"], record["category"], tuple(Shot(*shot) for shot in record["shots"]))
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
