"""What is said to a judge and what it says back: the one interface of served and local judges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from evalkit.features.spec import ImageContent
from evalkit.nouns import Noun

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Turn:
    """One message: texts and pictures in the order in which they are shown."""

    role: Literal["user", "assistant"]
    parts: tuple[str | ImageContent, ...]

    def told(self) -> list[object]:
        """What of it can change a reply, for the key of the reply: texts as they are, pictures by their pixels."""
        shown = [["picture", p.sha256] if isinstance(p, ImageContent) else ["text", p] for p in self.parts]
        return [self.role, shown]


class Reply(Noun):
    """What a judge said, and what it took."""

    text: str
    """As it came; empty where the judge declined to answer."""
    answered_by: str
    """The model that says it answered."""
    finish: str | None
    """Why the judge stopped, in its server's word; None where it does not say."""
    prompt_tokens: int | None
    """None where the server does not count."""
    completion_tokens: int | None


class JudgeModel(Protocol):
    """A model that answers conversations."""

    parallel: int
    """How many conversations may be under way at once."""

    def ask(self, turns: Sequence[Turn], pictures: Mapping[str, bytes], *, temperature: float, seed: int) -> Reply:
        """The next message. `pictures`: JPEG by pixel sha256. Raises JudgeError where no reply can be had."""
        ...
