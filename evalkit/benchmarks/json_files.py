"""JSON files that people publish or write, read strictly: everything that does not fit is said, and no key stands twice."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import AfterValidator, TypeAdapter, ValidationError

from evalkit.errors import DataError, ProblemsError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from pathlib import Path

_TOLD = 160
_AGAIN = "fetch the data again"
T = TypeVar("T")


def _says_something(text: str) -> str:
    if not text.strip():
        raise ValueError("a text must not be empty")
    return text


Text = Annotated[str, AfterValidator(_says_something)]
"""Something that is said, more than white space."""


class JsonFiles:
    """The JSON files of one folder; what is wrong with any of them is gathered in `problems`, one line each."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.problems: list[str] = []

    def read(self, name: str, kind: type[T], *, missing: str = _AGAIN) -> T | None:
        """The file's data as `kind`; None where it is not that. `missing` says what brings a file that is not there."""
        value, problems = parsed_json(self.root / name, kind, name=name, missing=missing)
        self.problems += problems
        return value


def read_json(path: Path, kind: type[T], *, missing: str = _AGAIN) -> T:
    """The data in one JSON file as `kind`. Raises: DataError naming the file; ProblemsError for several things that do not fit."""
    value, problems = parsed_json(path, kind, name=str(path), missing=missing)
    if len(problems) > 1:
        raise ProblemsError(f"{str(path)!r} is not of the form that is wanted", problems)
    if value is None or problems:
        raise DataError(*problems)
    return value


def parsed_json(path: Path, kind: type[T], *, name: str, missing: str = _AGAIN) -> tuple[T | None, list[str]]:
    """The data in a JSON file as `kind`, None where they are not; and a line for each thing that does not fit."""
    data, problems = load_json(path, name=name, missing=missing)
    if problems:
        return None, problems
    return validated(data, kind, lambda where, told: f"{name}: not of the form that is wanted: {where}: {told}")


def validated(data: Any, kind: type[T], say: Callable[[str, str], str]) -> tuple[T | None, list[str]]:
    """`data` as `kind`, None where they are not; and what `say` makes of each place and what is wrong there."""
    try:
        return TypeAdapter(kind).validate_python(data), []
    except ValidationError as error:
        found = error.errors(include_url=False)
        return None, [say(".".join(map(str, one["loc"])) or "document", one["msg"]) for one in found]


def load_json(path: Path, *, name: str, missing: str = _AGAIN) -> tuple[Any, list[str]]:
    """What a JSON file holds, None where it is none; and a line for each thing wrong: no file, no JSON, a key twice."""
    twice: list[str] = []
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=noting_twice(twice))
    except OSError as error:
        return None, [f"wanted {name!r}, found {error.strerror or error}; {missing}"]
    except (ValueError, RecursionError) as error:
        return None, [f"{name}: wanted JSON, found something else: {' '.join(str(error).split()):.{_TOLD}}; {missing}"]
    return data, [f"{name}: wanted each key once, found {key!r} again in one object; keep one" for key in twice]


def noting_twice(twice: list[str]) -> Callable[[list[tuple[str, Any]]], dict[str, Any]]:
    """A hook for `json.loads` that adds to `twice` each key that an object has more than once.

    Example:
        >>> twice = []
        >>> json.loads('{"a": 1, "a": {"b": 2, "b": 3}}', object_pairs_hook=noting_twice(twice)), twice
        ({'a': {'b': 3}}, ['b', 'a'])
    """

    def made(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        twice.extend(repeated(key for key, _ in pairs))
        return dict(pairs)

    return made


def keys_twice(text: str) -> list[str]:
    """The keys that stand more than once in an object of a JSON text; the text must be sound."""
    twice: list[str] = []
    json.loads(text, object_pairs_hook=noting_twice(twice))
    return twice


def repeated(things: Any) -> list[Any]:
    """What stands more than once, each once, in the order of its first place.

    Example:
        >>> repeated("abracadabra")
        ['a', 'b', 'r']
    """
    counted: Counter[Hashable] = Counter(things)
    return [thing for thing, count in counted.items() if count > 1]
