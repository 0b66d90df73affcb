"""GPT score of answers and pictures, and the dense segment score of pictures: what a judge says of them.

The GPT score is 0, .5 or 1: of an answer, whether it says what the expected one says; of a picture made for a prompt that
leaves something out, whether it shows what is known of the concept. The dense segment score is the share of a dense
prompt's segments that the judge finds in the picture, each asked for by itself.

Source: UniCTokens (arctanxarc/UniCTokens at 9f7a80c, `eval/eval_p_mmu.py`, `eval/4o_judge_t2i.py`); Sync-R1, appendix E, for
the segments; there is no public code of them. Deviations: rubrics are our own wording; every question is a conversation of
its own, where the picture script keeps one for all; a reply that cannot be read is asked for again and then a state,
where the scripts stop or leave it out; prompts are split as `evalkit.metrics.text.segments` says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.content import content
from evalkit.metrics.answers import answered
from evalkit.metrics.base import Bound, Item, Outcome, Unscorable
from evalkit.metrics.judged import Judged, rated, runs_told
from evalkit.metrics.text import segments
from evalkit.nouns import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from evalkit.features.spec import FeatureRequest

CONCEPT_INFO = "concept_info"
"""The key of a case's texts under which the judge is told what is known of the concept."""
NAMED = "template"
"""The key under which a case keeps its prompt with the concept's own name in it, where the prompt itself has the class."""


class OfSample(Judged):
    """A judged metric in which every sample counts once, whatever number of questions it is asked."""

    def score(
        self, items: Sequence[Item], bound: Bound, features: Sequence[Sequence[NDArray[np.float32]]]
    ) -> list[Outcome]:
        """The mean over questions of the mean over their runs; the reason keeps what each run gave."""
        found = []
        for scores in features:
            each = [
                rated([question.tolist()], full_score=float(bound.card.params["full_score"])) for question in scores
            ]
            outcome = Outcome.scored(bound.card.scale * sum(one.value for one in each) / len(each))
            found.append(outcome if outcome.value is None else outcome._replace(reason=runs_told(scores)))
        return found


class GptScore(OfSample):
    """GPT score as a plugin. Variant parameter `of`: `answer`, or `knowledge` for pictures."""

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        """The question with both answers, or the picture with its prompt, in which the concept has its own name, and what is
        known of it."""
        if bound.card.params["of"] == "answer":
            told = answered(item)
            text = f"Question: {item.case.prompt}\nAnswer: {told.expected}\nPredicted answer: {told.given}"
            return [self.question(bound, "answer", (text,))]
        if CONCEPT_INFO not in item.case.texts:
            raise Unscorable(State.NOT_APPLICABLE, f"{item.case.case_id} has no {CONCEPT_INFO!r} among its texts")
        prompt = item.case.texts.get(NAMED, item.case.prompt)
        text = f"Concept information:\n{item.case.texts[CONCEPT_INFO]}\nPrompt of the picture:\n{prompt}"
        return [self.question(bound, "knowledge", (item.sample, text))]


class DenseSegmentScore(OfSample):
    """The dense segment score as a plugin."""

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        """One question for each segment of the prompt. Raises Unscorable (`undefined`) for a prompt without any."""
        parts = segments(item.scored_prompt)
        if not parts:
            raise Unscorable(State.UNDEFINED, f"{item.case.case_id}: the prompt has no segment")
        return [self.question(bound, "segment", (item.sample, f"Segment: {part}")) for part in parts]


GPT_SCORE = GptScore(content("metrics", "gpt_score", "card.yaml"))
DENSE_SEGMENT_SCORE = DenseSegmentScore(content("metrics", "dense_segment_score", "card.yaml"))
