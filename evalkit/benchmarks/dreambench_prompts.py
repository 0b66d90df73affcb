"""DreamBench's `prompts_and_classes.txt`: a class table and two lists of prompt templates, in Python's notation.

A template such as `'a red {0} {1}'.format(unique_token, class_token)` has a place for a rare token and one for the
class word. Text metrics and reference-based methods use it without the token.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEADERS = {"classes": "classes", "prompts": "", "object prompts": "object", "live subject prompts": "live"}
_COLUMNS = ("subject_name", "class")
_BRACKETS = re.compile(r"prompt_list\s*=\s*\[|\]")
_QUOTED = re.compile(r"""(?P<quote>['"])(?P<text>.*)(?P=quote)\s*(?:\.format\(.*\))?\s*,?""")
_TOKEN_AND_CLASS, _CLASS = "{0} {1}", "{1}"


@dataclass(frozen=True)
class Phrase:
    """A template without its token: what stands before and after the class word.

    Example:
        >>> Phrase("a red ", "").of("toy"), Phrase("a ", " in the snow").of("stuffed animal")
        ('a red toy', 'a stuffed animal in the snow')
    """

    before: str
    after: str

    def of(self, word: str) -> str:
        """The prompt for one subject of class `word`."""
        return f"{self.before}{word}{self.after}"


@dataclass
class PromptFile:
    """What the file says. `problems` holds a line for each thing in it that could not be read."""

    classes: dict[str, str] = field(default_factory=dict)
    phrases: dict[str, list[Phrase]] = field(default_factory=lambda: {"object": [], "live": []})
    problems: list[str] = field(default_factory=list)


def parse_prompt_file(lines: Sequence[str]) -> PromptFile:
    """The class table and the phrases of both lists (`object`, `live`), in the order of the file.

    Headers are known whatever their capitals, quotes may be single or double, blank lines count for nothing.
    """
    parsed, section = PromptFile(), ""
    for number, line in enumerate(map(str.strip, lines), start=1):
        header = _HEADERS.get(line.rstrip(":").lower())
        if header is not None:
            section = header
        elif not line or _BRACKETS.fullmatch(line):
            continue
        elif section == "classes":
            _read_row(parsed, number, line)
        elif section:
            _read_prompt(parsed, section, number, line)
        else:
            parsed.problems.append(f"line {number}: wanted one of the headers {list(_HEADERS)}, found {line!r}")
    return parsed


def _read_row(parsed: PromptFile, number: int, line: str) -> None:
    cells = tuple(cell.strip() for cell in line.split(","))
    if cells == _COLUMNS:
        return
    if len(cells) != 2 or not all(cells):
        parsed.problems.append(f"line {number}: wanted 'subject,class', found {line!r}")
    elif cells[0] in parsed.classes:
        parsed.problems.append(f"line {number}: wanted each subject once, found {cells[0]!r} again; remove one")
    else:
        parsed.classes[cells[0]] = cells[1]


def _read_prompt(parsed: PromptFile, section: str, number: int, line: str) -> None:
    quoted = _QUOTED.fullmatch(line)
    if quoted is None:
        parsed.problems.append(f"line {number}: wanted a quoted {section} prompt, found {line!r}")
        return
    text = " ".join(quoted["text"].split())
    before, found, after = text.replace(_TOKEN_AND_CLASS, _CLASS).partition(_CLASS)
    if not text:
        parsed.problems.append(f"line {number}: wanted a prompt, found an empty one")
    elif not found or {"{", "}"} & set(before + after):
        parsed.problems.append(f"line {number}: wanted one '{{0}} {{1}}' (token, class) in the prompt, found {text!r}")
    elif Phrase(before, after) in parsed.phrases[section]:
        parsed.problems.append(f"line {number}: wanted each {section} prompt once, found {text!r} again")
    else:
        parsed.phrases[section].append(Phrase(before, after))
