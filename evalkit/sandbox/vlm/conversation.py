"""How a question about a concept is put to a vision-language model: its pictures, what is known of it, the question.

The published model is asked in these words, and the small one is trained on them. What comes before the question is the same
for every question about a concept.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

SHOWN = "These pictures show {name}."
KNOWN = "What is known of {name}:\n{facts}"
LOOK = "Now look at this picture:"
ASKED = "{question}\nAnswer briefly."
TEMPLATE = hashlib.sha256("\x00".join((SHOWN, KNOWN, LOOK, ASKED)).encode()).hexdigest()[:16]
"""Changes with any of the wording."""

Message = dict[str, Any]


class Inquiry(NamedTuple):
    """A question, and what the model may know when it is asked; pictures are whatever the model's processor reads."""

    question: str
    name: str = ""
    """The concept's, as the question has it; empty where there is none."""
    facts: str = ""
    pictures: tuple[Any, ...] = ()
    """Of the concept."""
    picture: Any = None
    """What the question is about, None for a question about no picture."""


def messages(inquiry: Inquiry) -> list[Message]:
    """The conversation in the form that `apply_chat_template` takes: one message of the user."""
    return [{"role": "user", "content": [*introduction(inquiry), *asking(inquiry)]}]


def introduction(inquiry: Inquiry) -> list[Message]:
    """The pictures of the concept and what is known of it."""
    told = [SHOWN.format(name=inquiry.name)] if inquiry.pictures else []
    told += [KNOWN.format(name=inquiry.name, facts=inquiry.facts)] if inquiry.facts else []
    return [*map(_shown, inquiry.pictures), *map(_said, told)]


def asking(inquiry: Inquiry) -> list[Message]:
    """The picture that the question is about, and the question."""
    seen = [_said(LOOK), _shown(inquiry.picture)] if inquiry.picture is not None else []
    return [*seen, _said(ASKED.format(question=inquiry.question))]


def _shown(picture: Any) -> Message:
    return {"type": "image", "image": picture}


def _said(text: str) -> Message:
    return {"type": "text", "text": f"{text}\n"}
