"""DreamBench++ on disk: pictures and captions of numbered subjects in four categories, read and checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.benchmarks.hub import HubArchive
from evalkit.benchmarks.layout import compare_names, entries, listed, pictures_by_stem, read_lines
from evalkit.errors import DataError
from evalkit.nouns import Case, Name, Noun, Reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

STYLE = "style"
_LONGEST_SUBJECT = 80
_NUMBER = re.compile(r"[0-9]+")
_NOT_FILE_SAFE = re.compile(r"[^A-Za-z0-9_.-]|\.(?=\.)")


class Category(Noun):
    """Where a category lies below `images/` and `captions/`, and how many subjects the published data has of it."""

    folder: str
    subjects: int


class DreamBenchPPFacts(Noun):
    """The `facts` of the spec."""

    categories: dict[Name, Category]
    prompt_kinds: tuple[Name, ...]
    """What kind each prompt of a subject is, by its position."""
    archive: HubArchive


@dataclass(frozen=True)
class Subject:
    """One subject: its picture and its prompts."""

    category: str
    folder: str
    number: str
    collection_id: str
    """The authors' name for it, in their output folders: `live_subject_animal_00_kitten`."""
    prompts: tuple[str, ...]
    reference: Reference

    @property
    def place(self) -> str:
        """Its path below `images/`, `captions/` and `masks/`, without suffix."""
        return f"{self.folder}/{self.number}"


def read_subjects(
    root: Path, facts: DreamBenchPPFacts, counts: Mapping[str, int]
) -> tuple[tuple[Subject, ...], list[str]]:
    """Every subject, categories in the order of the facts and numbers in order, and a line for each problem.

    `counts` says how many subjects each category must have.
    """
    subjects: list[Subject] = []
    problems = _strays(root, facts)
    for name, category in facts.categories.items():
        found, lines = _read_category(root, name, category.folder, counts[name], len(facts.prompt_kinds))
        subjects += found
        problems += lines
    return tuple(subjects), problems


def _strays(root: Path, facts: DreamBenchPPFacts) -> list[str]:
    folders = [category.folder for category in facts.categories.values()]
    known = {part for folder in folders for part in (folder, folder.rpartition("/")[0])} - {""}
    lines = []
    for kind in ("images", "captions", "masks"):
        for above in ("", *sorted(known.difference(folders))):
            names = [f"{above}/{path.name}".lstrip("/") for path in entries(root / kind / above)]
            strange = [name for name in names if name not in known]
            if strange:
                where = f"{kind}/{above}".rstrip("/")
                lines.append(
                    f"{where}: wanted only the folders of {listed(folders)}, found {listed(strange)}; move them out"
                )
    return lines


def _read_category(root: Path, category: str, folder: str, count: int, prompts: int) -> tuple[list[Subject], list[str]]:
    pictures, problems = pictures_by_stem(root / "images" / folder, f"images/{folder}")
    captions, lines = _captions_by_stem(root / "captions" / folder, f"captions/{folder}")
    problems += lines + compare_names(f"captions/{folder}", sorted(pictures), captions)
    masks, lines = pictures_by_stem(root / "masks" / folder, f"masks/{folder}")
    problems += lines + compare_names(f"masks/{folder}", sorted(pictures), {*masks, *pictures})
    if unnumbered := sorted(number for number in pictures if not _NUMBER.fullmatch(number)):
        problems.append(f"images/{folder}: wanted pictures named by numbers, found {listed(unnumbered)}; rename them")
    if len(pictures) != count:
        problems.append(f"images/{folder}: wanted {count} pictures, found {len(pictures)}; fetch the data again")
    subjects = []
    for number in sorted(pictures.keys() & captions.keys()):
        try:
            words, *texts = _read_caption(captions[number], f"captions/{folder}/{captions[number].name}", prompts)
        except DataError as error:
            problems.append(str(error))
            continue
        picture = f"images/{folder}/{pictures[number].name}"
        mask = f"masks/{folder}/{masks[number].name}" if number in masks else None
        identity = _collection_id(folder, number, words)
        reference = Reference(path=picture, subject=identity, label=words, mask=mask)
        subjects.append(Subject(category, folder, number, identity, tuple(texts), reference))
    return subjects, problems


def _captions_by_stem(folder: Path, name: str) -> tuple[dict[str, Path], list[str]]:
    inside = entries(folder)
    others = [path.name for path in inside if path.suffix != ".txt"]
    problems = [f"{name}: wanted .txt files only, found {listed(others)}; move them out"] if others else []
    return {path.stem: path for path in inside if path.suffix == ".txt"}, problems


def _collection_id(folder: str, number: str, words: str) -> str:
    return f"{folder.replace('/', '_')}_{number}_{words.lower().replace(' ', '_')}"


def _read_caption(path: Path, name: str, prompts: int) -> list[str]:
    """The subject, then its prompts. Raises: DataError."""
    lines = read_lines(path, name)
    if len(lines) != 1 + prompts:
        raise DataError(
            f"{name}: wanted {1 + prompts} lines (subject, {prompts} prompts), found {len(lines)}; fetch it again"
        )
    empty = [str(number) for number, line in enumerate(lines, start=1) if not line]
    if empty:
        raise DataError(
            f"{name}: wanted a text on every line, found nothing on line {', '.join(empty)}; fetch it again"
        )
    if len(lines[0]) > _LONGEST_SUBJECT or {"/", "\\", "\0"} & set(lines[0]):
        raise DataError(
            f"{name}: wanted the subject on line 1, at most {_LONGEST_SUBJECT} characters and no slash, "
            f"found {lines[0]!r:.100}; fetch it again"
        )
    return lines


def cases_of(subject: Subject, kinds: tuple[str, ...]) -> Iterator[Case]:
    """A subject's cases, one a prompt; its picture is reference and target. The tag `masked` says that it has a mask.

    `case_id` is the collection id and `.p0` to `.p8`; characters that no file name should hold become `-` in it.
    """
    for index, (prompt, kind) in enumerate(zip(subject.prompts, kinds, strict=True)):
        yield Case(
            case_id=f"{_NOT_FILE_SAFE.sub('-', subject.collection_id)}.p{index}",
            prompt=prompt,
            subjects=(subject.collection_id,),
            references=(subject.reference,),
            targets=(subject.reference,),
            category=subject.category,
            tags=(
                kind,
                *(["style_subject"] if subject.category == STYLE else []),
                *(["masked"] if subject.reference.mask is not None else []),
            ),
            prompt_index=index,
        )
