"""VQAScore, Q-Align, GmeScore and NaturalScore: what they ask for and what they make of it."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from evalkit.features.base import Fingerprint
from evalkit.features.service import Missing
from evalkit.features.spec import ClipContent, ExtractorSpec, ImageContent, PromptedContent, QuestionContent
from evalkit.judges.judge import Judge
from evalkit.judges.prompts import read_prompts
from evalkit.judges.shown import show_rule
from evalkit.judges.store import ReplyStore
from evalkit.judges.talk import Reply
from evalkit.metrics.base import Bound, Item, Unscorable
from evalkit.metrics.natural_score import strides
from evalkit.metrics.q_align import q_align
from evalkit.nouns import Case, State
from evalkit.registry import METRICS, load
from tests.fakes import picture

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from evalkit.judges.talk import Turn

CASE = Case(
    case_id="a.p0", prompt="a dog on a roof", subjects=("dog",), references=(), targets=(), category="c", prompt_index=0
)
SAMPLE = ImageContent("a" * 64, Path("a.png"))
JUDGED = ExtractorSpec(family="judge", model="served:j", preprocess="judge_long_512", text="natural_score")


def bound(metric: str, variant: str | None = None) -> Bound:
    card = load(METRICS, metric).card
    name = variant or card.default_variant
    return Bound(name, card.variant(name), card.variant(name).extractor)


def clip_of(frames: int) -> Item:
    shown = tuple(ImageContent(f"{n:064d}", Path("a.mp4"), n) for n in range(frames))
    return Item(CASE, 0, SAMPLE, (), clip=ClipContent("c" * 64, Path("a.mp4"), shown, 8.0))


def test_vqascore_asks_about_the_prompt_itself() -> None:
    for variant, output in (("qwen_2026_06", "probability"), ("qwen_2026_06_raw", "raw_probability")):
        (request,) = load(METRICS, "vqascore").requests(Item(CASE, 0, SAMPLE, ()), bound("vqascore", variant))
        assert request.content == PromptedContent(SAMPLE, CASE.prompt)
        assert request.output == output


def test_vqascore_is_the_probability_and_no_number_is_undefined() -> None:
    metric, item = load(METRICS, "vqascore"), Item(CASE, 0, SAMPLE, ())
    found = metric.score([item, item], bound("vqascore"), [[np.float32(0.25)], [np.float32(np.nan)]])
    assert [(o.state, o.value) for o in found] == [(State.SCORED, 0.25), (State.UNDEFINED, None)]


@pytest.mark.parametrize("variant", ["clip_flant5_xxl_frames", "qwen_2026_06_frames"])
def test_vqascore_of_a_clip_is_the_mean_over_eight_frames(variant: str) -> None:
    metric, one = load(METRICS, "vqascore"), bound("vqascore", variant)
    asked = [request.content for request in metric.requests(clip_of(15), one)]
    assert [content.image.frame for content in asked if isinstance(content, PromptedContent)] == [*range(0, 15, 2)]
    assert {content.text for content in asked if isinstance(content, PromptedContent)} == {CASE.prompt}
    answers = [np.float32(p) for p in (0.25, 0.75, 0, 0, 0, 0, 0, 1)]
    found = metric.score([clip_of(15)] * 2, one, [answers, [*answers[1:], np.float32(np.nan)]])
    assert [(o.state, o.value) for o in found] == [(State.SCORED, 0.25), (State.UNDEFINED, None)]


@pytest.mark.parametrize(
    ("levels", "rating"),
    [
        ([1, 0, 0, 0, 0], 1.0),
        ([0, 1, 0, 0, 0], 0.75),
        ([0, 0, 0, 0, 1], 0.0),
        ([0.2] * 5, 0.5),
        ([0, 0.5, 0, 0.5, 0], 0.5),
    ],
)
def test_q_align_weighs_its_words(levels: list[float], rating: float) -> None:
    assert q_align(levels).item() == pytest.approx(rating, abs=1e-12)
    assert q_align([levels, levels]).shape == (2,)


def test_q_align_of_a_clip_is_the_mean_over_the_frames_that_are_asked_for() -> None:
    metric, one = load(METRICS, "q_align"), bound("q_align", "quality_frames")
    requests = metric.requests(clip_of(100), one)
    assert len(requests) == 32
    assert {request.output for request in requests} == {"quality"}
    best, worst = np.eye(5, dtype=np.float32)[[0, 4]]
    assert metric.score([clip_of(2)], one, [[best, best, worst, worst]])[0].value == 0.5
    nothing = np.full(5, np.nan, np.float32)
    assert metric.score([clip_of(2)], one, [[best, nothing]])[0].state is State.UNDEFINED


def test_gme_score_of_a_clip_is_the_mean_over_thirty_two_frames() -> None:
    metric, one = load(METRICS, "gme_score"), bound("gme_score", "opens2v_video")
    assert len(metric.requests(clip_of(64), one)) == 33
    right, up = np.eye(2, dtype=np.float32)
    assert metric.score([clip_of(2)], one, [[right, up, right]])[0].value == 0.5


@pytest.mark.parametrize(
    ("count", "places"),
    [(16, range(16)), (17, range(16)), (32, range(0, 32, 2)), (47, range(0, 32, 2)), (5, range(5)), (1, [0])],
)
def test_frames_are_taken_in_whole_strides(count: int, places: Sequence[int]) -> None:
    assert strides(count, 16) == list(places)


def test_natural_score_shows_sixteen_frames_and_needs_a_clip() -> None:
    metric = load(METRICS, "natural_score")
    (request,) = metric.requests(clip_of(40), bound("natural_score"))
    content = request.content
    assert isinstance(content, QuestionContent)
    assert [part.frame for part in content.shown if isinstance(part, ImageContent)] == list(range(0, 32, 2))
    assert (content.bounds, content.runs, content.tries, content.need_all) == ((1, 5), 3, 1, True)
    with pytest.raises(Unscorable, match=r"^a\.p0: the sample is no video$") as raised:
        metric.requests(Item(CASE, 0, SAMPLE, ()), bound("natural_score"))
    assert raised.value.state is State.NOT_APPLICABLE


@dataclass
class Scripted:
    """Says the next of `replies`, whatever it is asked, and keeps the turns."""

    replies: list[str]
    parallel: int = 1
    turns: list[Sequence[Turn]] = field(default_factory=list)

    def ask(self, turns: Sequence[Turn], pictures: Mapping[str, bytes], *, temperature: float, seed: int) -> Reply:
        self.turns.append(turns)
        return Reply(text=self.replies.pop(0), answered_by="j", finish="stop", prompt_tokens=1, completion_tokens=1)


def asked(
    folder: Path, *replies: str, variant: str = "opens2v"
) -> tuple[dict[str, NDArray[np.float32]] | Missing, Scripted]:
    (request,) = load(METRICS, "natural_score").requests(clip_of(3), bound("natural_score", variant))
    assert isinstance(request.content, QuestionContent)
    model = Scripted([*replies])
    judge = Judge(
        JUDGED, Fingerprint("j", (("backbone", "j"), ("weights", "served"))), model,
        prompts=read_prompts("natural_score", None), rule=show_rule("judge_long_512"), store=ReplyStore(folder),
    )  # fmt: skip
    (answer,) = judge.answer([request.content], lambda _content: picture(1))
    return answer, model


def test_a_natural_score_is_a_bare_number_in_every_run(tmp_path: Path) -> None:
    answer, model = asked(tmp_path, "4", " 3.5\n", "5")
    assert isinstance(answer, dict)
    assert answer["scores"].tolist() == [4.0, 3.5, 5.0]
    one = bound("natural_score")
    outcome = load(METRICS, "natural_score").score([clip_of(3)], one, [[answer["scores"]]])[0]
    assert (outcome.value, outcome.reason) == (pytest.approx(12.5 / 3), "runs 4 3.5 5")
    (turn,) = model.turns[0]
    *frames, rubric = turn.parts
    assert (turn.role, [type(part) for part in frames]) == ("user", [ImageContent] * 3)
    assert isinstance(rubric, str)
    assert rubric.endswith("The number from 1 to 5 and nothing else.")


@pytest.mark.parametrize("reply", ["I would say 4", "0", "6", "Score: 4", ""])
def test_any_other_reply_is_unparsed(reply: str, tmp_path: Path) -> None:
    answer, _ = asked(tmp_path, "4", reply, "5")
    assert isinstance(answer, Missing)
    assert answer.state is State.JUDGE_UNPARSED
    assert repr(reply) in answer.reason


def test_a_variant_asks_again(tmp_path: Path) -> None:
    answer, model = asked(tmp_path, "4", "four", "4", "5", variant="asked_again")
    assert isinstance(answer, dict)
    assert (answer["scores"].tolist(), model.replies) == ([4.0, 4.0, 5.0], [])


def test_the_rubric_is_our_own_wherever_the_others_are_read_from(tmp_path: Path) -> None:
    assert read_prompts("natural_score", tmp_path) == read_prompts("natural_score", None)


@pytest.mark.parametrize(
    ("height", "width", "size"), [(100, 200, (512, 256)), (1024, 600, (300, 512)), (2000, 1, (1, 512))]
)
def test_a_frame_is_shown_at_its_own_shape(height: int, width: int, size: tuple[int, int]) -> None:
    pixels = np.full((height, width, 3), (250, 10, 60), np.uint8)
    shown = Image.open(io.BytesIO(show_rule("judge_long_512").encode(pixels)))
    assert (shown.size, shown.format) == (size, "JPEG")
    red, green, blue = np.asarray(shown).reshape(-1, 3).mean(0)
    assert (red, green, blue) == pytest.approx((250, 10, 60), abs=3)
    assert show_rule("judge_long_512").id == "judge_long_512_jpeg95_auto"


def test_every_question_of_the_package_has_a_variant() -> None:
    names = {v.extractor.text for v in load(METRICS, "vqascore").card.variants.values()}
    assert names == {"t2v_clip_t5", "t2v_2024_10", "t2v_2025_02", "t2v_2026_06", "asemconsist"}
