"""OpenS2V-Eval on disk: the three files of entries, read and checked, and the cases that they make."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from evalkit.benchmarks.json_files import load_json
from evalkit.benchmarks.layout import compare_names, listed
from evalkit.errors import DataError
from evalkit.files import inside
from evalkit.nouns import Case, Name, Noun, Reference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

KEYS = ("img_paths", "prompt", "class_label", "synthesis_flag")
FLAGS = {"true": "synthesis", "wrong": "real", "false": "real"}
"""The tag of a case, by its entry's flag in lower case: the files say `True`, `wrong` and `Wrong`."""
MOST_PICTURES = 3
_ID = re.compile(r"([a-z]+)_([1-9][0-9]*)")


class Domain(Noun):
    """A file of entries, and how many of each category it holds."""

    file: str
    counts: dict[Name, int]


class OpenS2VFacts(Noun):
    """The `facts` of the spec; a drawn world has its own."""

    domains: dict[Name, Domain]


class Entry(NamedTuple):
    """One entry of a file."""

    case_id: str
    category: str
    pictures: tuple[str, ...]
    """Relative to the data folder."""
    labels: tuple[str, ...]
    prompt: str
    tag: str


def read_entries(root: Path, domain: Domain) -> tuple[tuple[Entry, ...], list[str]]:
    """The entries of a domain in the order of its file, and a line for each problem."""
    told, problems = load_json(root / domain.file, name=domain.file)
    if told is None and problems:
        return (), problems
    if not isinstance(told, dict):
        return (), [f"{domain.file}: wanted a mapping of ids to entries, found {type(told).__name__}; fetch it again"]
    entries = []
    for case_id, entry in told.items():
        lines = list(_faults(case_id, entry, domain.counts, root))
        problems += [f"{domain.file}, {case_id!r}: {line}" for line in lines]
        if not lines:
            entries.append(_entry(case_id, entry))
    found = Counter(category for case_id in told if (category := _category(case_id)) in domain.counts)
    for category, count in domain.counts.items():
        if found[category] != count:
            problems.append(
                f"{domain.file}: wanted {count} entries of {category!r}, found {found[category]}; fetch it again"
            )
    return tuple(entries), problems


def _category(case_id: str) -> str | None:
    named = _ID.fullmatch(case_id)
    return named.group(1) if named else None


def _entry(case_id: str, entry: Mapping[str, Any]) -> Entry:
    return Entry(
        case_id,
        str(_category(case_id)),
        tuple(path.replace("\\", "/") for path in entry["img_paths"]),
        tuple(entry["class_label"]),
        entry["prompt"],
        FLAGS[entry["synthesis_flag"].lower()],
    )


def _faults(case_id: str, entry: Any, counts: Mapping[str, int], root: Path) -> list[str]:
    """A line for each thing that an entry has wrong."""
    if not isinstance(entry, dict):
        return [f"wanted an object, found {type(entry).__name__}"]
    lines = []
    if _category(case_id) not in counts:
        lines.append(f"wanted an id CATEGORY_NUMBER with a category of {listed(counts)}")
    if gaps := compare_names("keys", KEYS, entry):
        return [*lines, *gaps]
    paths, labels, flag = entry["img_paths"], entry["class_label"], entry["synthesis_flag"]
    if not _texts(paths) or not 1 <= len(paths) <= MOST_PICTURES:
        lines.append(f"wanted 1 to {MOST_PICTURES} paths in img_paths, found {paths!r:.80}")
    else:
        lines += [str(error) for error in (_outside(root, path) for path in paths) if error is not None]
    if not _texts(labels) or (_texts(paths) and len(labels) != len(paths)):
        lines.append(f"wanted a class_label for each of img_paths, found {labels!r:.80}")
    if not isinstance(entry["prompt"], str) or not entry["prompt"].strip():
        lines.append(f"wanted a prompt, found {entry['prompt']!r:.80}")
    if not isinstance(flag, str) or flag.lower() not in FLAGS:
        lines.append(f"wanted a synthesis_flag of {listed(FLAGS)} in any case, found {flag!r:.80}")
    return lines


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) and text.strip() for text in value)


def _outside(root: Path, path: str) -> DataError | None:
    try:
        inside(root, path)
    except DataError as error:
        return error
    return None


def cases_of(entries: Sequence[Entry]) -> tuple[Case, ...]:
    """A case an entry; those that share a picture, however far apart, have one subject, the unit of claims.

    A reference's own subject is its picture. `prompt_index` counts within the unit.
    """
    units = shared_units(entries)
    seen: Counter[str] = Counter()
    cases = []
    for entry in entries:
        unit = units[entry.case_id]
        references = tuple(
            Reference(path=path, subject=path.rpartition(".")[0] or path, label=label)
            for path, label in zip(entry.pictures, entry.labels, strict=True)
        )
        cases.append(
            Case(
                case_id=entry.case_id, prompt=entry.prompt, subjects=(unit,), references=references, targets=references,
                category=entry.category, tags=(entry.tag,), prompt_index=seen[unit], medium="video",
            )
        )  # fmt: skip
        seen[unit] += 1
    return tuple(cases)


def shared_units(entries: Sequence[Entry]) -> dict[str, str]:
    """Each case's unit: the first case, in the order of the entries, to which shared pictures lead.

    Example:
        >>> def entry(name, *pictures):
        ...     return Entry(name, "c", pictures, (), "p", "real")
        >>> shared_units([entry("a", "1"), entry("b", "2"), entry("c", "3", "1"), entry("d", "3")])
        {'a': 'a', 'b': 'b', 'c': 'a', 'd': 'a'}
    """
    with_picture: dict[str, list[str]] = defaultdict(list)
    pictures = {entry.case_id: entry.pictures for entry in entries}
    for entry in entries:
        for picture in entry.pictures:
            with_picture[picture].append(entry.case_id)
    units: dict[str, str] = {}
    for first in pictures:
        waiting = [first]
        while waiting:
            case_id = waiting.pop()
            if case_id not in units:
                units[case_id] = first
                waiting += [other for picture in pictures[case_id] for other in with_picture[picture]]
    return {case_id: units[case_id] for case_id in pictures}
