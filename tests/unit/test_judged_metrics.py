"""Judged metrics: their arithmetic, and a whole scoring against a local server."""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from evalkit.engine.backbones import Backbones
from evalkit.engine.columns import columns
from evalkit.engine.judged import judge_spreads
from evalkit.engine.score import Scorer
from evalkit.errors import RunError, UsageError
from evalkit.features.cache import FeatureCache
from evalkit.features.pictures import Pictures
from evalkit.features.service import FeatureService, Missing
from evalkit.features.spec import FeatureRequest, ImageContent, QuestionContent
from evalkit.metrics.base import Bound
from evalkit.metrics.judged import (
    CONCEPT_PRESERVATION,
    PROMPT_FOLLOWING,
    rated,
    runs_read,
    runs_told,
    spread,
)
from evalkit.nouns import MetricChoice, State
from evalkit.runs.results import scores_text
from tests.fakes import SPEC, FakeBackbones, World, targets_of, world
from tests.judge_server import Answer, FakeServer, completion, fake_server

if TYPE_CHECKING:
    from collections.abc import Iterator

NAN = float("nan")
METRICS = (
    "concept_preservation@official", "concept_preservation@corrected", "prompt_following@official",
    "prompt_following@corrected",
)  # fmt: skip


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    with fake_server() as made:
        monkeypatch.setenv("EVALKIT_JUDGE_URL", made.url)
        yield made


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as there:
        yield there


def score(made: World, *names: str) -> int:
    """Scores with backbones and a service of its own, as a new process would."""
    backbones, pictures = Backbones(device="cpu"), Pictures()
    asked = columns([MetricChoice.parse(name) for name in names], "sandbox", backbones)
    with ExitStack() as stack:
        service = FeatureService(FeatureCache(None), pictures, fingerprint=backbones.fingerprint, load=backbones.load)
        stack.callback(service.close)
        return Scorer(made.run, asked, targets_of(made.benchmark, pictures), service).score(made.expected)


@pytest.mark.parametrize(
    ("scores", "value", "weight"),
    [
        ([[4, 4, 4]], 1.0, 1.0),
        ([[0, 0, 0]], 0.0, 1.0),
        ([[4, NAN, 1]], 0.625, 2 / 3),
        ([[4, 2], [0, 2], [1, 3]], 0.5, 3.0),
        ([[8]], 2.0, 1.0),
    ],
)
def test_a_sample_is_worth_the_mean_of_the_runs_there_are(
    scores: list[list[float]], value: float, weight: float
) -> None:
    assert tuple(rated(scores, full_score=4)) == pytest.approx((value, weight))


def test_no_run_at_all_is_no_number() -> None:
    value, weight = rated([[NAN, NAN]], full_score=4)
    assert math.isnan(value)
    assert weight == 0
    with pytest.raises(UsageError, match=r"^wanted scores \[questions, runs\], found \[3\]$"):
        rated([1, 2, 3], full_score=4)


def test_weighed_values_add_up_to_the_mean_over_all_runs_that_could_be_read() -> None:
    tables = [[[4.0, 1.0, NAN]], [[2.0, 2.0, 2.0]], [[0.0, NAN, NAN]]]
    found = [rated(table, full_score=4) for table in tables]
    pooled = sum(one.value * one.weight for one in found) / sum(one.weight for one in found)
    assert pooled == pytest.approx(np.nanmean(np.concatenate(tables)) / 4)


def test_the_spread_is_of_the_runs_means() -> None:
    found = spread([[4.0, 2.0, 3.0], [0.0, 2.0, NAN]], full_score=4)
    assert found.means == (0.5, 0.5, 0.75)
    assert found.sd == pytest.approx(np.std([0.5, 0.5, 0.75], ddof=1))
    alone = spread([[2.0]], full_score=4)
    assert alone.means == (0.5,)
    assert math.isnan(alone.sd)
    assert math.isnan(spread([[NAN, 1.0]], full_score=4).means[0])
    with pytest.raises(UsageError, match=r"^wanted scores \[samples, runs\], found \[\]$"):
        spread(3, full_score=4)


def test_the_runs_of_a_reason_are_read_back() -> None:
    told = runs_told([[3.0, 2.0, NAN], [4.0, 4.0, 0.0]])
    assert told == "runs 3 2 -; 4 4 0"
    assert np.array_equal(runs_read(told), [[3.0, 2.0, NAN], [4.0, 4.0, 0.0]], equal_nan=True)
    for wrong in ("", "3 2", "runs three"):
        with pytest.raises(UsageError, match=r"^wanted a judge's runs like 'runs 3 2 -', found "):
            runs_read(wrong)


def test_styles_have_a_rubric_of_their_own(made: World) -> None:
    from evalkit.metrics.base import Item

    card = CONCEPT_PRESERVATION.card.variant("corrected")
    picture = ImageContent("a" * 64, Path("a.png"))
    for category, rubric in (("style", "style"), ("animal", "subject")):
        case = made.benchmark.cases[0].model_copy(update={"category": category})
        (asked,) = CONCEPT_PRESERVATION.requests(
            Item(case, 0, picture, (ImageContent("b" * 64, Path("b.png")),)), Bound("corrected", card, card.extractor)
        )
        assert isinstance(asked.content, QuestionContent)
        assert asked.content.rubric == rubric
        assert [part.sha256[0] for part in asked.content.shown if isinstance(part, ImageContent)] == ["b", "a"]
        assert (asked.content.bounds, asked.content.need_all) == ((0, 4), True)


def test_a_run_is_scored_and_nothing_is_paid_twice(server: FakeServer, made: World) -> None:
    assert score(made, *METRICS) == 16
    # Four samples, two metrics, three runs; the variants share their replies.
    assert len(server.asked) == 24
    assert made.states() == {State.SCORED: 16}
    assert {(s.value, s.weight, s.reason) for s in made.scores().values()} == {(0.75, 1.0, "runs 3 3 3")}
    assert score(made, *METRICS) == 0
    assert len(server.asked) == 24


def test_another_run_with_the_same_samples_pays_nothing(server: FakeServer, made: World, tmp_path: Path) -> None:
    score(made, "prompt_following@official")
    paid = len(server.asked)
    with world(tmp_path / "other") as other:
        assert score(other, "prompt_following@official") == 4
    assert (paid, len(server.asked)) == (12, 12)


def test_the_signature_names_judge_rubrics_and_how_it_is_asked(server: FakeServer, made: World) -> None:
    score(made, "prompt_following@official")
    (signature,) = {s.signature for s in made.scores().values()}
    host = server.url.split("/")[2].replace(":", "=")
    assert (
        f"|backbone:gpt-4o-2024-05-13@{host}|weights:served|pre:judge_512_jpeg75_high|text:prompt_following-"
        in signature
    )
    assert "|check_range:false|full_score:4|runs:3|temperature:1.0|tries:3|" in signature


def test_what_the_prompt_asks_is_what_the_judge_is_shown(server: FakeServer, made: World) -> None:
    score(made, "prompt_following@official")
    texts = {body["messages"][2]["content"][0]["text"] for body in server.asked}
    assert texts == {case.prompt for case in made.benchmark.cases}
    assert {len(body["messages"]) for body in server.asked} == {3}
    assert {body["temperature"] for body in server.asked} == {1.0}


def test_unreadable_replies_are_states_and_the_variants_differ(server: FakeServer, made: World) -> None:
    server.always = lambda _body: completion("Score: 7")
    score(made, "prompt_following@official", "prompt_following@corrected")
    found = made.scores()
    for case in made.benchmark.cases:
        official = found[case.case_id, 0, "prompt_following@official"]
        corrected = found[case.case_id, 0, "prompt_following@corrected"]
        assert (official.state, official.value) == (State.SCORED, 1.75)
        assert corrected.state is State.JUDGE_UNPARSED
        assert corrected.reason == "3 of 3 runs without exactly one score in 3 tries, said: 'Score: 7'"
    assert len(server.asked) == 4 * 3 * 3


def test_resuming_goes_on_where_the_server_failed(server: FakeServer, made: World) -> None:
    server.script = [Answer(400, b"against the policy")] * 6
    score(made, "prompt_following@official")
    failed = made.states()[State.EXTRACTOR_ERROR]
    assert 2 <= failed <= 4
    assert score(made, "prompt_following@official") == failed
    assert made.states() == {State.SCORED: 4}
    assert len(server.asked) == 6 + 12


def test_without_a_judge_the_scores_say_so(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVALKIT_JUDGE_URL", raising=False)
    score(made, "prompt_following@official")
    assert made.states() == {State.WEIGHTS_MISSING: 4}
    assert all("found none set up; EVALKIT_JUDGE_URL" in str(s.reason) for s in made.scores().values())


def test_a_backbone_that_is_no_judge_is_asked_in_vain() -> None:
    card = PROMPT_FOLLOWING.card.variant("official")
    question = QuestionContent("text", ("a cat",), runs=1, tries=1, temperature=0.0, bounds=None, need_all=True)
    service = FakeBackbones().service()
    try:
        request = FeatureRequest(SPEC, question, "scores")
        (found,) = service.features([request]).values()
    finally:
        service.close()
    told = "fake/one: TypeError: wanted a judge to ask, found a backbone that answers no questions"
    assert found == Missing(State.EXTRACTOR_ERROR, told)
    assert card.extractor.family == "judge"


def test_the_spread_of_a_run_is_told(server: FakeServer, made: World) -> None:
    server.always = lambda body: completion(f"Score: {body['seed'] % 5}")
    score(made, "prompt_following@corrected", "concept_preservation@official")
    with pytest.raises(RunError, match=r"^wanted scores\.csv in '.*', found none; `evalkit score "):
        judge_spreads(made.run.path)
    scores = list(made.run.scores.latest().values())
    (made.run.path / "scores.csv").write_text(scores_text(scores), encoding="utf-8")
    found = {one.metric: one for one in judge_spreads(made.run.path)}
    assert set(found) == {"prompt_following@corrected", "concept_preservation@official"}
    for name, one in found.items():
        values = [s.value for s in scores if s.metric == name and s.value is not None]
        assert (one.samples, len(one.means)) == (4, 3)
        assert np.mean([mean for mean in one.means if mean is not None]) == pytest.approx(np.mean(values))
        assert one.sd is not None
