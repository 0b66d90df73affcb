"""Answers in words against the expected ones: recognition, choice, and character BLEU, as metrics of single answers.

Source: UniCTokens (arctanxarc/UniCTokens, `eval/eval_p_mmu.py` at 9f7a80c); `evalkit.metrics.text` has the measures.
Deviations: a recognition question weighs less the more of its concept have the same answer, so that the mean of a column
is the mean over concepts of Yo'LLaVA's weighted accuracy, half the recall of yes and half that of no.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, NamedTuple

from evalkit.content import content
from evalkit.errors import DataError
from evalkit.metrics.base import Bound, Item, Metric, Outcome, Unscorable
from evalkit.metrics.text import char_bleu, choice_accuracy, recognised
from evalkit.nouns import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from evalkit.features.spec import FeatureRequest

EXPECTED_ANSWER = "expected_answer"
"""The key of a case's texts under which a question has its answer."""
ALIKE = "answers_alike"
"""The key under which a recognition question has the number of its concept's questions with the same answer."""


class Answered(NamedTuple):
    """An answer beside the expected one."""

    expected: str
    given: str


def answered(item: Item) -> Answered:
    """Expected and given answer. Raises Unscorable (`not_applicable`) where there is either none."""
    if item.answer is None:
        raise Unscorable(State.NOT_APPLICABLE, f"{item.case.case_id}: the sample is no answer")
    if EXPECTED_ANSWER not in item.case.texts:
        raise Unscorable(State.NOT_APPLICABLE, f"{item.case.case_id} has no {EXPECTED_ANSWER!r} among its texts")
    return Answered(item.case.texts[EXPECTED_ANSWER], item.answer)


class Answers(Metric):
    """A metric of an answer's words, which needs no features."""

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        """Nothing, once there is an answer and an expected one."""
        answered(item)
        return []

    def score(
        self, items: Sequence[Item], bound: Bound, features: Sequence[Sequence[NDArray[np.float32]]]
    ) -> list[Outcome]:
        """One value an answer."""
        return [self.one(item, answered(item), bound) for item in items]

    @abstractmethod
    def one(self, item: Item, told: Answered, bound: Bound) -> Outcome:
        """The outcome of an answer."""


class Recognition(Answers):
    """1 for a right answer to a question of yes or no, 0 for a wrong one. Variant parameter `rule`: official, corrected."""

    def one(self, item: Item, told: Answered, bound: Bound) -> Outcome:
        """The value weighs 1 / how many questions of the concept have the same answer; 1 where the case does not say."""
        right = recognised(told.expected, told.given, variant=bound.card.params["rule"])
        return Outcome.scored(bound.card.scale * right, weight=1 / _alike(item))


class Choice(Answers):
    """1 for an answer that holds the expected choice, letter for letter; 0 for another."""

    def one(self, item: Item, told: Answered, bound: Bound) -> Outcome:
        """As `choice_accuracy` of this one."""
        return Outcome.scored(bound.card.scale * choice_accuracy([told.expected], [told.given]))


class CharBleu(Answers):
    """Character BLEU of the answer."""

    def one(self, item: Item, told: Answered, bound: Bound) -> Outcome:
        """0 for an empty answer."""
        return Outcome.scored(bound.card.scale * (char_bleu(told.expected, told.given) if told.given else 0.0))


def _alike(item: Item) -> int:
    text = item.case.texts.get(ALIKE, "1")
    if not text.isdecimal() or int(text) < 1:
        raise DataError(f"{item.case.case_id}: wanted a whole number of at least 1 as {ALIKE!r}, found {text!r}")
    return int(text)


RECOGNITION = Recognition(content("metrics", "recognition", "card.yaml"))
CHOICE = Choice(content("metrics", "choice", "card.yaml"))
CHAR_BLEU = CharBleu(content("metrics", "char_bleu", "card.yaml"))
