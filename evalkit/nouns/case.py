"""Case and Reference: one thing to make or answer, and what it is to be like."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from evalkit.nouns.base import FileSafeId, Noun

Medium = Literal["image", "video", "text"]


class Reference(Noun):
    """A picture (or clip) of a subject, by its path inside the benchmark's data folder."""

    path: str = Field(min_length=1)
    subject: str
    label: str
    """The class word: what the thing is, e.g. `stuffed animal`."""
    mask: str | None = None


class Case(Noun):
    """One thing to make or answer."""

    case_id: FileSafeId
    prompt: str
    """What the method is asked for, and what text metrics score against."""
    subjects: tuple[str, ...]
    """Identities in the picture; the unit over which claims are made."""
    references: tuple[Reference, ...]
    """What the method may look at."""
    targets: tuple[Reference, ...]
    """What identity metrics score against; the protocol chooses them."""
    category: str
    tags: tuple[str, ...] = ()
    prompt_index: int = Field(ge=0)
    """Position of the prompt in the benchmark's list for this subject."""
    texts: dict[str, str] = {}
    """Other texts that metrics need, e.g. `identity_prompt`, `expected_answer`; `scored_prompt` stands in for the prompt
    in text metrics, where the prompt leaves out what the picture is to show."""
    set_id: str | None = None
    medium: Medium = "image"

    @field_validator("prompt")
    @classmethod
    def _says_something(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("a prompt must not be empty")
        return value
