"""Metrics of answers in words and of what a judge says of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from evalkit.errors import DataError, UsageError
from evalkit.features.forward import text_of
from evalkit.features.loading import describe_extractor, load_extractor
from evalkit.features.spec import ExtractorSpec, FeatureRequest, ImageContent, QuestionContent
from evalkit.judges.parse import segment_valid
from evalkit.judges.prompts import read_prompts
from evalkit.metrics.answers import CHAR_BLEU, CHOICE, RECOGNITION
from evalkit.metrics.answers_judged import DENSE_SEGMENT_SCORE, GPT_SCORE
from evalkit.metrics.base import Bound, Item, Metric, Outcome, Unscorable
from evalkit.metrics.clip_t import CLIP_T
from evalkit.metrics.image_reward import IMAGE_REWARD
from evalkit.metrics.judged import PROMPT_FOLLOWING
from evalkit.metrics.text import char_bleu, recognition
from evalkit.metrics.vqascore import VQASCORE
from evalkit.nouns import Case, MetricChoice, Protocol, State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

WORDS = ExtractorSpec(family="words", model="none", preprocess="as_written")


def item(answer: str | None = "Yes", expected: str | None = "Yes.", **texts: str) -> Item:
    told = texts | ({} if expected is None else {"expected_answer": expected})
    case = Case(
        case_id="bo.rec00", prompt="Is <bo> here?", subjects=("bo",), references=(), targets=(), category="person",
        prompt_index=0, texts=told, medium="image" if answer is None else "text",
    )  # fmt: skip
    return Item(case, 0, ImageContent("a" * 64, Path("a.txt")), (), answer=answer)


def bound(metric: Metric, variant: str) -> Bound:
    card = metric.card.variant(variant)
    return Bound(variant, card, card.extractor)


def one(metric: Metric, variant: str, asked: Item) -> Outcome:
    assert metric.requests(asked, bound(metric, variant)) == []
    return metric.score([asked], bound(metric, variant), [[]])[0]


@pytest.mark.parametrize("rule", ["official", "corrected"])
def test_the_weighted_mean_is_the_weighted_accuracy(rule: str) -> None:
    """Two yes and three no of one concept; the engine's mean of a column weighs each answer."""
    answers = ["Yes.", "Yes.", "No.", "No.", "No."]
    given = ["Yes", "I do not know", "no", "I don't know", "Yes, no doubt"]
    items = [item(g, e, answers_alike=str(answers.count(e))) for g, e in zip(given, answers, strict=True)]
    found = [one(RECOGNITION, rule, asked) for asked in items]
    weighted = sum((o.value or 0) * o.weight for o in found) / sum(o.weight for o in found)
    pure = recognition(answers, given, variant=rule)  # type: ignore[arg-type]
    assert weighted == pytest.approx(pure.weighted)
    assert (rule == "official") == (weighted == pytest.approx(0.75))


def test_an_answer_weighs_one_where_nothing_else_is_said() -> None:
    assert one(RECOGNITION, "official", item()) == Outcome(State.SCORED, 1.0, 1.0)
    for wrong in ("0", "many", "-1"):
        with pytest.raises(DataError, match="wanted a whole number of at least 1 as 'answers_alike', found"):
            one(RECOGNITION, "official", item(answers_alike=wrong))


def test_a_choice_is_right_where_it_stands_anywhere() -> None:
    assert [one(CHOICE, "official", item(given, "B")).value for given in ("B", "It is B.", "b", "A")] == [1, 1, 0, 0]


@pytest.mark.parametrize("given", ["A red hat", "a hat", "zzz", ""])
def test_bleu_is_the_pure_measure(given: str) -> None:
    assert one(CHAR_BLEU, "official", item(given, "A red hat")).value == (
        char_bleu("A red hat", given) if given else 0.0
    )


@pytest.mark.parametrize("metric", [RECOGNITION, CHOICE, CHAR_BLEU, GPT_SCORE], ids=lambda m: m.card.name)
@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (item(None), "bo.rec00: the sample is no answer"),
        (item(expected=None), "bo.rec00 has no 'expected_answer' among its texts"),
    ],
)
def test_what_is_no_answered_question_is_not_measured(metric: Metric, asked: Item, told: str) -> None:
    with pytest.raises(Unscorable) as raised:
        metric.requests(asked, bound(metric, "official"))
    assert (raised.value.state, raised.value.reason) == (State.NOT_APPLICABLE, told)


def shown(requests: Sequence[FeatureRequest]) -> list[QuestionContent]:
    return [request.content for request in requests if isinstance(request.content, QuestionContent)]


def test_a_judge_is_told_question_expected_and_given_answer() -> None:
    (asked,) = shown(GPT_SCORE.requests(item("A cap", "A red hat"), bound(GPT_SCORE, "corrected")))
    assert asked.shown == ("Question: Is <bo> here?\nAnswer: A red hat\nPredicted answer: A cap",)
    assert (asked.rubric, asked.bounds) == ("answer", (0, 1))
    assert shown(GPT_SCORE.requests(item(), bound(GPT_SCORE, "official")))[0].bounds is None


def test_a_judge_is_told_what_is_known_of_the_concept() -> None:
    asked = item(None, concept_info="name: <bo>")
    (question,) = shown(GPT_SCORE.requests(asked, bound(GPT_SCORE, "knowledge")))
    assert question.shown == (asked.sample, "Concept information:\nname: <bo>\nPrompt of the picture:\nIs <bo> here?")
    named = item(None, concept_info="name: <bo>", template="a photo of <bo> in his favourite place")
    (question,) = shown(GPT_SCORE.requests(named, bound(GPT_SCORE, "knowledge")))
    assert str(question.shown[1]).endswith("\nPrompt of the picture:\na photo of <bo> in his favourite place")
    with pytest.raises(Unscorable, match="has no 'concept_info' among its texts"):
        GPT_SCORE.requests(item(None), bound(GPT_SCORE, "knowledge"))


def test_each_segment_is_asked_for_and_counts_once() -> None:
    asked = item(None, scored_prompt="a cat, 1.5 m tall; asleep")
    requests = DENSE_SEGMENT_SCORE.requests(asked, bound(DENSE_SEGMENT_SCORE, "paper"))
    assert [q.shown[1] for q in shown(requests)] == ["Segment: a cat", "Segment: 1.5 m tall", "Segment: asleep"]
    rows: list[NDArray[np.float32]] = [np.array([value], np.float32) for value in (1, 0, 1)]
    (found,) = DENSE_SEGMENT_SCORE.score([asked], bound(DENSE_SEGMENT_SCORE, "paper"), [rows])
    assert found.value == pytest.approx(2 / 3)
    assert (found.weight, found.reason) == (1.0, "runs 1; 0; 1")
    with pytest.raises(Unscorable, match="^bo.rec00: the prompt has no segment$"):
        DENSE_SEGMENT_SCORE.requests(item(None, scored_prompt=" ,."), bound(DENSE_SEGMENT_SCORE, "paper"))


@pytest.mark.parametrize(
    ("metric", "variant"),
    [
        (CLIP_T, "sync_r1"),
        (IMAGE_REWARD, "v1_0"),
        (VQASCORE, "qwen_2026_06"),
        (PROMPT_FOLLOWING, "official"),
        (DENSE_SEGMENT_SCORE, "paper"),
    ],
    ids=lambda told: told if isinstance(told, str) else told.card.name,
)
def test_text_metrics_score_against_the_prompt_with_what_it_leaves_out(metric: Metric, variant: str) -> None:
    def texts(asked: Item) -> str:
        contents = [request.content for request in metric.requests(asked, bound(metric, variant))]
        judged = [part for c in contents if isinstance(c, QuestionContent) for part in c.shown]
        return " ".join(part for part in [*judged, *map(text_of, contents)] if isinstance(part, str))

    assert texts(item(None, scored_prompt="a cat in the snow")).removeprefix("Segment: ") == "a cat in the snow"
    assert "<bo> here" in texts(item(None))


@pytest.mark.parametrize(
    ("metric", "rubric", "bounds", "replies"),
    [
        ("gpt_score", "answer", None, {"0.5": 0.5, "Score:: 1": 1.0, "0.7": 0.7, "2": None, "half": None}),
        ("gpt_score", "knowledge", (0, 1), {"0.5": 0.5, "0.7": None}),
        ("dense_segment_score", "segment", (0, 1), {"Valid.": 1.0, "invalid": 0.0, "1": None}),
    ],
)  # fmt: skip
def test_replies_are_read_as_each_rubric_asks(
    metric: str, rubric: str, bounds: tuple[int, int] | None, replies: dict[str, float | None]
) -> None:
    prompts = read_prompts(metric, None)
    question = QuestionContent(rubric, ("x",), runs=1, tries=1, temperature=0.0, bounds=bounds, need_all=True)
    assert {reply: prompts.score(question, reply) for reply in replies} == replies
    (turn,) = prompts.conversation(question)
    assert turn.parts[0] == "x"
    assert len(turn.parts) == 2


def test_the_official_folder_leaves_rubrics_alone_that_it_has_not(tmp_path: Path) -> None:
    assert read_prompts("gpt_score", tmp_path).id == read_prompts("gpt_score", None).id


def test_segments_are_valid_or_not() -> None:
    assert [segment_valid(reply) for reply in (" VALID ", '"invalid"', "valid invalid", "")] == [1.0, 0.0, None, None]


def test_words_have_no_backbone() -> None:
    assert dict(describe_extractor(WORDS).parts) == {"backbone": "none", "weights": "none"}
    with pytest.raises(UsageError, match="wanted no feature of 'words', which has no backbone"):
        load_extractor(WORDS, device="cpu")
    with pytest.raises(UsageError, match="wanted the model 'none' and the preprocessing 'as_written' for 'words'"):
        describe_extractor(WORDS.model_copy(update={"preprocess": "clip_hf"}))


def protocol(*choices: dict[str, object]) -> Protocol:
    told = {"name": "p", "title": "P", "source": "none", "seeds": 1, "metrics": list(choices)}
    return Protocol.read(told, where="test")


def test_one_metric_may_stand_in_several_columns_of_other_cases() -> None:
    base: dict[str, object] = {"metric": "char_bleu", "variant": "official"}
    both = protocol(
        base | {"where": {"tag": ["vqa"]}, "label": "vqa"}, base | {"where": {"tag": ["qa"]}, "label": "qa"}
    )
    assert [choice.label for choice in both.metrics] == ["vqa", "qa"]
    for twice in ({}, {"label": "x"}):
        with pytest.raises(DataError, match="each metric once, found twice: char_bleu@official:micro"):
            protocol(base, base | twice)
    with pytest.raises(DataError, match="each metric once, found twice: x"):
        protocol(base | {"label": "x"}, base | {"label": "x", "where": {"tag": ["qa"]}})
    assert MetricChoice.parse("char_bleu@official").label is None
