"""`{name}` in a recipe's arguments, filled in textually and never split; `{{` and `}}` stand for braces."""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_SHELLS = {"sh", "bash", "dash", "zsh", "ksh", "fish", "csh", "tcsh"}
_PYTHON = re.compile(r"\{python\}|pythonw?[0-9.]*(\.exe)?|pypy[0-9.]*")
_CODE = re.compile(r"-[A-Za-z]*c")


def _arguments(value: Any) -> Any:
    if isinstance(value, str):
        raise ValueError(
            f"wanted a list of arguments, found one string; no shell reads it, so write [{', '.join(value.split())}]"
        )
    if value in ([], ()):
        raise ValueError("wanted a program and its arguments, found an empty list")
    return value


Arguments = Annotated[tuple[str, ...], BeforeValidator(_arguments)]
"""A program and its arguments, one string each."""


def check_arguments(key: str, arguments: Sequence[str], known: Collection[str]) -> None:
    """Raises ValueError for a placeholder that `key` does not know, and for code that a shell would take apart."""
    for argument in arguments:
        check_text(key, argument, known)
    for number, argument in enumerate(arguments):
        _check_code(key, PurePath(argument).name, arguments[number + 1 :])


def _check_code(key: str, program: str, arguments: Sequence[str]) -> None:
    options = list(takewhile(lambda argument: argument.startswith("-"), arguments))
    option = next((option for option in options if _CODE.fullmatch(option)), None)
    if option is None:
        return
    if program in _SHELLS:
        raise ValueError(
            f"{key} gives {program} a command line to take apart; write the program and its arguments as a list"
        )
    code = arguments[options.index(option) + 1 :][:1]
    if _PYTHON.fullmatch(program) and any(placeholders(text) for text in code):
        raise ValueError(f"{key} puts placeholders into code after {option!r}; pass them as arguments of their own")


def check_text(key: str, text: str, known: Collection[str]) -> None:
    """Raises ValueError where `text` holds a placeholder that is not `known`, or half of one."""
    if unknown := [name for name in placeholders(text) if name not in known]:
        there = ", ".join(f"{{{name}}}" for name in sorted(known)) or "none"
        raise ValueError(
            f"{{{unknown[0]}}} is no placeholder that {key} has here; it has {there}; write {{{{ for a brace"
        )


def placeholders(text: str) -> list[str]:
    """The names in `text`, in their order. Raises ValueError for a brace without its other half.

    Example:
        >>> placeholders("{output}/{case_id}_{{x}}.png")
        ['output', 'case_id']
    """
    names = []
    for found in _TOKEN.finditer(text):
        if found[0] in ("{", "}"):
            raise ValueError(f"{text!r} holds a single {found[0]!r}; write {{{{ or }}}} for a brace that is meant")
        if found[1] is not None:
            names.append(found[1])
    return names


def fill(text: str, values: Mapping[str, str], *, quote: Callable[[str], str] = lambda value: value) -> str:
    r"""`text` with its placeholders filled in once: what a value holds is never read as a placeholder.

    Example:
        >>> fill("--prompt={prompt} {{}}", {"prompt": "a {seed} 'dog'"})
        "--prompt=a {seed} 'dog' {}"
    """

    def one(found: re.Match[str]) -> str:
        return found[0][0] if found[1] is None else quote(values[found[1]])

    return _TOKEN.sub(one, text)


def used(texts: Iterable[str]) -> set[str]:
    """Every placeholder in any of the texts."""
    return {name for text in texts for name in placeholders(text)}
