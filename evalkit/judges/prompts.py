"""What a judge is told before it is shown anything: a rubric and, as if it had said so itself, that it understood.

Our own wording of the published criteria lies beside the metric's card. `EVALKIT_JUDGE_PROMPTS` names a folder with the
official texts, as yuangpeng/dreambench_plus has in `dreambench_plus/prompts`; the texts' hash is in the signature. A rubric
without an acknowledgement is said after what is shown, in the one turn there is, and answered by a number or a word alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.content import content
from evalkit.errors import DataError, UsageError
from evalkit.judges.parse import gpt_score, labelled_score, natural_score, segment_valid
from evalkit.judges.talk import Turn
from evalkit.nouns import digest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from evalkit.features.spec import QuestionContent

_SETS = {"concept_preservation": ("subject", "style"), "prompt_following": ("text",)}
"""Rubrics by the metric whose folder has them."""
_AT_ONCE = {"natural_score": ("video",), "gpt_score": ("answer", "knowledge"), "dense_segment_score": ("segment",)}
"""Those that are said after what is shown, of which there is our own wording alone."""
_OURS = ("{}_rubric.md", "{}_acknowledgement.md")
_OFFICIAL = ("user_prompt_{}_full.txt", "gpt_prompt_{}_full.txt")


@dataclass(frozen=True)
class Prompts:
    """A metric's rubrics, each with the acknowledgement that follows it."""

    name: str
    texts: Mapping[str, tuple[str, ...]]
    """Rubric and acknowledgement, or the rubric alone."""

    @property
    def id(self) -> str:
        """Name and content, as the signature shows them: `prompt_following-0123456789ab`."""
        return f"{self.name}-{self.sha256[:12]}"

    @property
    def sha256(self) -> str:
        """Digest of all the texts."""
        return digest({name: list(texts) for name, texts in self.texts.items()})

    def conversation(self, question: QuestionContent) -> tuple[Turn, ...]:
        """Rubric, acknowledgement and what is to be rated. Raises UsageError for a rubric that is none of these."""
        if question.rubric not in self.texts:
            known = ", ".join(self.texts)
            raise UsageError(f"wanted a rubric of {self.name!r} ({known}), found {question.rubric!r}")
        rubric, *acknowledged = self.texts[question.rubric]
        if not acknowledged:
            return (Turn("user", (*question.shown, rubric)),)
        return (Turn("user", (rubric,)), Turn("assistant", (acknowledged[0],)), Turn("user", question.shown))

    def score(self, question: QuestionContent, reply: str) -> float | None:
        """The number in a reply, None where it does not keep the form that the rubric asks for."""
        if self.name == "dense_segment_score":
            return segment_valid(reply)
        if self.name == "gpt_score":
            return gpt_score(reply, variant="official" if question.bounds is None else "corrected")
        if self.name == "natural_score":
            return natural_score(reply)
        return labelled_score(reply, bounds=question.bounds)


def read_prompts(name: str | None, folder: Path | None) -> Prompts:
    """The rubrics of a metric, from `folder` in the official names where one is given, else our own.

    Raises: UsageError for a name that has none; DataError for a file that is missing or empty.
    """
    if name in _AT_ONCE:
        own = content("metrics", name)
        return Prompts(name, {rubric: (_read(own / _OURS[0].format(rubric)),) for rubric in _AT_ONCE[name]})
    if name not in _SETS:
        raise UsageError(f"wanted the rubrics of a judged metric ({', '.join((*_SETS, *_AT_ONCE))}), found {name!r}")
    names, root = (_OURS, content("metrics", name)) if folder is None else (_OFFICIAL, folder)
    texts = {
        rubric: (_read(root / names[0].format(rubric)), _read(root / names[1].format(rubric))) for rubric in _SETS[name]
    }
    return Prompts(name, texts)


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        found = error.strerror if isinstance(error, OSError) else "bytes that are no UTF-8"
        raise DataError(
            f"wanted a judge's rubric in {str(path)!r}, found {found}; EVALKIT_JUDGE_PROMPTS names the folder "
            "`dreambench_plus/prompts` of the official repository, or nothing for our own wording"
        ) from error
    if not text:
        raise DataError(f"wanted a judge's rubric in {str(path)!r}, found an empty file; copy it again")
    return text
