"""Text answers: one to a file, known by the hash of the text."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from evalkit.media.source import read_source, refuse

if TYPE_CHECKING:
    from pathlib import Path

MAX_ANSWER_BYTES = 2**20


def text_sha256(text: str) -> str:
    """Hex SHA-256 of a text in UTF-8.

    Example:
        >>> text_sha256("yes")[:12]
        '8a798890fe93'
    """
    return hashlib.sha256(text.encode()).hexdigest()


def plain_answer(text: str) -> str:
    r"""The answer that a text is: white space around it is no part of it; an empty answer is one.

    Example:
        >>> plain_answer(" A blue cup.\n")
        'A blue cup.'
    """
    return text.strip()


def read_answer(path: Path, *, name: str | None = None) -> str:
    """The answer in a `.txt` (all of it), or in a `.json`: a string, or an object whose `answer` is one. UTF-8.

    Raises: MediaError (`not_an_answer` for other content, or as `evalkit.media.source.read_source`).
    """
    label = name or str(path)
    # An empty file of text is an empty answer.
    data = read_source(path, label, max_bytes=MAX_ANSWER_BYTES) if not _is_empty(path) else b""
    try:
        text = data.decode("utf-8-sig")
        if path.suffix.lower() != ".json":
            return plain_answer(text)
        told = json.loads(text, object_pairs_hook=_once)
    except UnicodeDecodeError as error:
        raise refuse(label, "not_an_answer", f"byte {error.start} is no UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise refuse(label, "not_an_answer", f"it is no JSON ({error})") from error
    answer = told.get("answer") if isinstance(told, dict) else told
    if not isinstance(answer, str):
        found = f"an object with the keys {sorted(told)}" if isinstance(told, dict) else type(told).__name__
        raise refuse(label, "not_an_answer", f"it holds no text but {found:.120}")
    if (lone := lone_surrogate(answer)) is not None:
        raise refuse(label, "not_an_answer", f"its text holds {lone}, half a character, which UTF-8 cannot hold")
    return plain_answer(answer)


def lone_surrogate(text: str) -> str | None:
    r"""The first half of a character in a text, as JSON escapes it; None where UTF-8 can hold the text.

    Example:
        >>> print(lone_surrogate("a\ud800b"), lone_surrogate("\U0001f600"))
        \ud800 None
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"\\u{ord(text[error.start]):04x}"
    return None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object's keys and values. Raises ValueError for a key that stands twice: which answer is meant?"""
    told = dict(pairs)
    if len(told) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands twice")
    return told


def _is_empty(path: Path) -> bool:
    return path.suffix.lower() != ".json" and path.is_file() and not path.stat().st_size
