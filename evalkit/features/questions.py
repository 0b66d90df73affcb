"""Questions about pictures: how a text becomes one, and the answer whose probability is read.

Names carry the date from which t2v_metrics asked so: the same package asked in other words before and after, and the
words change the value.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from evalkit.errors import UsageError
from evalkit.features.text import TextPreprocess

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Wording(NamedTuple):
    """A question with the text's place in it, and the answer whose probability counts."""

    template: str
    answer: str


QUESTIONS: Mapping[str, Wording] = {
    "t2v_2024_10": Wording('Does this image show "{}"? Answer the question with Yes or No', "Yes"),
    "t2v_2025_02": Wording('Does this image show "{}"?', "Yes"),
    "t2v_2026_06": Wording('Does this figure show "{}"? Please answer Yes or No.', "Yes"),
    "asemconsist": Wording("Does this image show {}?", "Yes"),
    "t2v_clip_t5": Wording('Does this figure show "{}"? Please answer yes or no.', "Yes"),
}
"""Source: linzhiqiu/t2v_metrics, `models/vqascore_models/qwen2vl_model.py` at 10d549b, before it and at 6ecb74f, and
`clip_t5_model.py` at 10d549b; ASemConsist writes its question with braces, without the quotes."""


@dataclass(frozen=True)
class Question(TextPreprocess):
    """A text preprocessing that asks about the text; `length` is the most tokens that the whole may have."""

    def __post_init__(self) -> None:
        if self.name not in QUESTIONS:
            raise UsageError(f"wanted a question ({', '.join(QUESTIONS)}), found {self.name!r}")

    @property
    def id(self) -> str:
        """Name, answer and the digest of both wordings: `t2v_2024_10_yes_0123abcd`."""
        told = hashlib.sha256("\n".join(self.wording).encode()).hexdigest()
        return f"{self.name}_{self.wording.answer.lower()}_{told[:8]}"

    @property
    def wording(self) -> Wording:
        """Template and answer."""
        return QUESTIONS[self.name]

    def asked(self, text: str) -> str:
        """The question about a text.

        Example:
            >>> Question("t2v_2025_02", 100).asked("a dog")
            'Does this image show "a dog"?'
        """
        return self.wording.template.replace("{}", text)


def question(name: str | None, length: int, *, among: Sequence[str], family: str) -> Question | None:
    """The named question, None for None. Raises UsageError for one that is not the family's."""
    if name is not None and name not in among:
        raise UsageError(f"wanted a question for {family!r} ({', '.join(among)}), found {name!r}")
    return None if name is None else Question(name, length)
