"""Controls that answer questions: what the numbers of a board of answers mean.

`true_answers` is the ceiling, `always_yes` what recognition is worth without looking, and `wrong_subject`, among the
controls of pictures, the answer that the question has for another subject.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.methods.base import Context, Job, Made, Method, MethodInfo
from evalkit.methods.controls import answered

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

YES = "Yes."


def _info(name: str, title: str, meaning: str) -> MethodInfo:
    return MethodInfo(
        name=name, version="1", title=title, kind="control", meaning=meaning, media=("text",), max_references=None,
        licence="Apache-2.0", source="evalkit", stochastic=False,
    )  # fmt: skip


class TrueAnswers(Method):
    """Gives the expected answer of each question."""

    info = _info(
        "true_answers",
        "True answers",
        "The expected answers, word for word: what a method that knows everything scores.",
    )

    def make(self, jobs: Sequence[Job], context: Context) -> Iterator[Made]:
        """The expected answer of each job, or that the data have none."""
        for job in jobs:
            yield answered(job, job.case)


class AlwaysYes(Method):
    """Says yes to everything."""

    info = _info(
        "always_yes",
        "Always yes",
        "Says yes to every question: half of recognition, and what other scores owe to chance.",
    )

    def make(self, jobs: Sequence[Job], context: Context) -> Iterator[Made]:
        """The same word for each job."""
        for job in jobs:
            yield Made(job, text=YES)


TRUE_ANSWERS = TrueAnswers()
ALWAYS_YES = AlwaysYes()
