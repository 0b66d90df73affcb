"""The scoring engine on a tiny benchmark with a fake backbone: what is computed, when, and what a failure costs."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import inf, nan
from typing import TYPE_CHECKING, Any

import pytest

from evalkit.engine.contract import checked
from evalkit.engine.score import Scorer
from evalkit.errors import DataError
from evalkit.features.cache import FeatureCache
from evalkit.features.pictures import Pictures
from evalkit.features.spec import FeatureRequest
from evalkit.metrics.base import Outcome, Unscorable
from evalkit.nouns import Score, State
from tests.fakes import FakeExtractor, FakeMetric, World, column, targets_of, world, write_card, write_picture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from evalkit.engine.columns import Column


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, seeds=2, references=2) as made:
        yield made


@pytest.fixture
def metric(tmp_path: Path) -> FakeMetric:
    return FakeMetric(write_card(tmp_path, "fake"))


@pytest.fixture
def other(tmp_path: Path) -> FakeMetric:
    return FakeMetric(write_card(tmp_path, "other"))


def forwards(world: World) -> int:
    return sum(len(extractor.shapes) for extractor in world.backbones.loaded)


def test_every_sample_is_scored_once(tiny: World, metric: FakeMetric) -> None:
    assert tiny.score(column(metric)) == len(tiny.expected) == 8
    assert tiny.states() == {State.SCORED: 8}
    assert sorted(metric.scored) == sorted((case.case_id, seed) for case, seed in tiny.expected)
    assert len(tiny.run.scores) == 8


def test_a_score_says_what_it_is_of(tiny: World, metric: FakeMetric) -> None:
    tiny.score(column(metric))
    score = tiny.scores()["s0.p0", 1, "fake@plain"]
    assert score.signature == str(column(metric).signature)
    assert score.weight == 2
    assert score.reason is None


def test_resuming_computes_nothing(tiny: World, metric: FakeMetric) -> None:
    tiny.score(column(metric))
    before, done, loaded = tiny.scores(), len(metric.scored), len(tiny.backbones.loaded)
    assert tiny.score(column(metric)) == 0
    assert tiny.scores() == before
    assert len(metric.scored) == done
    assert len(tiny.backbones.loaded) == loaded
    assert len(tiny.run.scores) == 8


def test_adding_a_metric_computes_only_that(tiny: World, metric: FakeMetric, other: FakeMetric, tmp_path: Path) -> None:
    tiny.cache = FeatureCache(tmp_path / "cache")
    tiny.score(column(metric))
    done, before = forwards(tiny), len(metric.scored)
    assert tiny.score(column(metric), column(other)) == 8
    assert len(metric.scored) == before
    assert len(other.scored) == 8
    assert forwards(tiny) == done
    assert tiny.states() == {State.SCORED: 16}


def test_metrics_of_one_backbone_share_its_features(tiny: World, metric: FakeMetric, other: FakeMetric) -> None:
    tiny.score(column(metric), column(other))
    (extractor,) = tiny.backbones.loaded
    # 4 texts, 8 samples and 16 pairs, in batches of 4; samples and references are prepared once.
    assert sorted(extractor.shapes) == [(4,)] + [(4, 3, 2, 2)] * 6
    assert extractor.prepared == 8 + 4


def test_a_changed_sample_is_scored_again_and_no_other(tiny: World, metric: FakeMetric) -> None:
    tiny.score(column(metric))
    before = tiny.scores()
    metric.scored.clear()
    tiny.write_sample("s1.p0", 1, drawn=77)
    assert tiny.score(column(metric)) == 1
    assert metric.scored == [("s1.p0", 1)]
    changed = {key for key, score in tiny.scores().items() if score != before[key]}
    assert changed == {("s1.p0", 1, "fake@plain")}
    assert tiny.scores()["s1.p0", 1, "fake@plain"].inputs != before["s1.p0", 1, "fake@plain"].inputs


def test_a_changed_target_is_a_changed_input(tiny: World, metric: FakeMetric) -> None:
    tiny.score(column(metric))
    write_picture(tiny.benchmark.root / "s0" / "1.png", 555)
    assert tiny.score(column(metric)) == 4


def test_a_sample_made_again_with_the_same_pixels_is_not_scored_again(tiny: World, metric: FakeMetric) -> None:
    tiny.score(column(metric))
    tiny.write_sample("s1.p0", 1)
    assert tiny.score(column(metric)) == 0


STATES: list[tuple[dict[str, Any], State, str]] = [
    ({"state": "failed", "reason": "out of memory"}, State.SAMPLE_FAILED, "out of memory"),
    ({"state": "unreadable", "reason": "cut short"}, State.DECODE_ERROR, "cut short"),
]


@pytest.mark.parametrize(("changes", "state", "reason"), STATES)
def test_a_sample_that_is_none_is_a_state_with_its_reason(
    tiny: World, metric: FakeMetric, changes: dict[str, Any], state: State, reason: str
) -> None:
    tiny.write_sample("s0.p1", 0, **changes)
    assert tiny.score(column(metric)) == 8
    score = tiny.scores()["s0.p1", 0, "fake@plain"]
    assert (score.state, score.value, score.reason) == (state, None, reason)
    assert tiny.states() == {State.SCORED: 7, state: 1}


def test_no_sample_is_a_state(tmp_path: Path, metric: FakeMetric) -> None:
    with world(tmp_path, samples=False) as bare:
        bare.write_sample("s0.p0", 0)
        assert bare.score(column(metric)) == 4
        assert bare.states() == {State.SCORED: 1, State.SAMPLE_MISSING: 3}
        assert bare.scores()["s1.p1", 0, "fake@plain"].reason == "no sample for this case and seed"


def test_states_are_tried_again_and_the_store_does_not_grow(tmp_path: Path, metric: FakeMetric) -> None:
    with world(tmp_path, samples=False) as bare:
        bare.score(column(metric))
        for _ in range(3):
            assert bare.score(column(metric)) == 0
        assert len(bare.run.scores) == 4
        bare.write_sample("s0.p0", 0)
        assert bare.score(column(metric)) == 1
        assert bare.states() == {State.SCORED: 1, State.SAMPLE_MISSING: 3}
        assert len(bare.run.scores) == 5


def test_missing_weights_are_a_state_until_they_are_there(tiny: World, metric: FakeMetric) -> None:
    tiny.backbones.missing.add("fake/one")
    assert tiny.score(column(metric)) == 8
    assert tiny.states() == {State.WEIGHTS_MISSING: 8}
    assert tiny.scores()["s0.p0", 0, "fake@plain"].reason == "wanted the weights of 'fake/one', found none"
    assert tiny.score(column(metric)) == 0
    tiny.backbones.missing.clear()
    assert tiny.score(column(metric)) == 8
    assert tiny.states() == {State.SCORED: 8}


def test_a_metric_that_raises_costs_only_its_item(tiny: World, tmp_path: Path, other: FakeMetric) -> None:
    broken = FakeMetric(write_card(tmp_path, "broken"), raises=["s0.p1"])
    tiny.score(column(broken), column(other))
    scores = tiny.scores()
    failed = {key for key, score in scores.items() if score.state is State.METRIC_ERROR}
    assert failed == {("s0.p1", 0, "broken@plain"), ("s0.p1", 1, "broken@plain")}
    assert scores["s0.p1", 0, "broken@plain"].reason == "ZeroDivisionError: no way with s0.p1"
    assert tiny.states() == {State.SCORED: 14, State.METRIC_ERROR: 2}
    assert tiny.score(column(broken), column(other)) == 0
    broken.raises.clear()
    assert tiny.score(column(broken), column(other)) == 2
    assert tiny.states() == {State.SCORED: 16}


def test_a_metric_that_gives_too_few_outcomes_is_an_error_of_its_scores(tiny: World, metric: FakeMetric) -> None:
    def short(items: Any, bound: Any, features: Any) -> list[Any]:
        return FakeMetric.score(metric, items, bound, features)[1:]

    metric.score = short  # type: ignore[method-assign]
    tiny.score(column(metric))
    assert tiny.states() == {State.METRIC_ERROR: 8}
    assert tiny.scores()["s0.p0", 0, "fake@plain"].reason == "fake gave 7 outcomes for 8 items"


def test_a_case_without_targets_is_known_without_features(tmp_path: Path, metric: FakeMetric) -> None:
    with world(tmp_path) as bare:
        bare.expected = [(case.model_copy(update={"targets": ()}), seed) for case, seed in bare.expected]
        bare.score(column(metric))
        assert bare.states() == {State.REFERENCE_MISSING: 4}
        assert bare.backbones.loaded == []
        assert bare.scores()["s0.p0", 0, "fake@plain"].reason == "s0.p0 has no target picture"


def test_a_reference_that_cannot_be_decoded_is_a_state_of_its_cases(tiny: World, metric: FakeMetric) -> None:
    broken = tiny.benchmark.root / "s1" / "0.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:40])
    tiny.score(column(metric))
    assert tiny.states() == {State.SCORED: 4, State.REFERENCE_ERROR: 4}
    reason = tiny.scores()["s1.p0", 0, "fake@plain"].reason
    assert reason is not None
    assert str(broken) in reason
    broken.write_bytes(whole)
    assert tiny.score(column(metric)) == 4
    assert tiny.states() == {State.SCORED: 8}


def test_a_sample_file_that_changed_behind_the_store_is_a_decode_error(tiny: World, metric: FakeMetric) -> None:
    write_picture(tiny.run.media_path("s0.p0", 0, ".png"), 4242)
    tiny.score(column(metric))
    score = tiny.scores()["s0.p0", 0, "fake@plain"]
    assert score.state is State.DECODE_ERROR
    assert "changed while it was being scored" in str(score.reason)
    assert tiny.states() == {State.SCORED: 7, State.DECODE_ERROR: 1}


def test_a_text_that_is_too_long_is_a_state(tiny: World, metric: FakeMetric) -> None:
    long = {"prompt": "x" * 60}
    tiny.expected = [(c.model_copy(update=long) if c.case_id == "s0.p0" else c, s) for c, s in tiny.expected]
    tiny.score(column(metric))
    assert tiny.states() == {State.SCORED: 6, State.TEXT_TOO_LONG: 2}
    assert tiny.scores()["s0.p0", 0, "fake@plain"].reason == "wanted at most 40 characters, found 60"


def test_a_case_that_the_protocol_leaves_out_is_not_applicable(tiny: World, metric: FakeMetric) -> None:
    tiny.write_sample("s0.p0", 0, state="failed", reason="whatever")
    tiny.score(column(metric, where={"category": ["nothing"]}))
    assert tiny.states() == {State.NOT_APPLICABLE: 8}
    assert tiny.backbones.loaded == []
    score = tiny.scores()["s0.p0", 0, "fake@plain"]
    assert score.reason == "the protocol limits fake to {'category': ('nothing',)}"


def bits(world: World, *columns: Column, chunk: int) -> list[tuple[Any, ...]]:
    world.score(*columns, chunk=chunk)
    return sorted((*key, score.state, score.value, score.weight, score.inputs) for key, score in world.scores().items())


@pytest.mark.parametrize("chunk", [1, 3, 7])
def test_chunks_do_not_change_a_bit(tmp_path: Path, chunk: int) -> None:
    found = []
    for size in (64, chunk):
        metrics = [FakeMetric(write_card(tmp_path, name), raises=["s1.p0"] * (name == "b")) for name in "ab"]
        with world(tmp_path / str(size), seeds=2, references=2) as made:
            found.append(bits(made, *map(column, metrics), chunk=size))
    assert found[0] == found[1]
    assert Counter(row[3] for row in found[0]) == {State.SCORED: 14, State.METRIC_ERROR: 2}


def test_a_chunk_is_one_append(tiny: World, metric: FakeMetric) -> None:
    tiny.score(column(metric), chunk=3)
    assert len(list((tiny.run.path / "store" / "scores").glob("part-*.parquet"))) == 3


def test_what_was_stored_before_a_kill_is_kept(
    tiny: World, metric: FakeMetric, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode, count = Pictures.pixels, 0

    def dies(self: Pictures, content: Any) -> Any:
        nonlocal count
        count += 1
        if count > 8:
            raise KeyboardInterrupt
        return decode(self, content)

    monkeypatch.setattr(Pictures, "pixels", dies)
    with pytest.raises(KeyboardInterrupt):
        tiny.score(column(metric), chunk=2)
    monkeypatch.setattr(Pictures, "pixels", decode)
    kept = len(tiny.run.scores)
    assert 0 < kept < 8
    assert tiny.score(column(metric)) == 8 - kept
    assert tiny.states() == {State.SCORED: 8}


def test_one_metric_aggregated_in_two_ways_is_scored_once(tiny: World, metric: FakeMetric) -> None:
    micro, macro = column(metric), column(metric, aggregation="macro")
    assert tiny.score(micro, macro) == len(tiny.run.scores) == len(metric.scored) == 8
    assert tiny.score(micro, macro) == 0


def broken(metric: FakeMetric, outcome: Any) -> FakeMetric:
    """The metric giving `outcome` for the case s0.p1."""

    def score(items: Any, bound: Any, features: Any) -> list[Any]:
        sound = FakeMetric.score(metric, items, bound, features)
        return [outcome if item.case.case_id == "s0.p1" else one for item, one in zip(items, sound, strict=True)]

    metric.score = score  # type: ignore[method-assign]
    return metric


FINITE = "ValueError: wanted a finite value with state 'scored' and with no other, found Outcome("
WEIGHT = "ValueError: wanted a positive, finite weight, found "
OUTCOMES: list[tuple[Any, str]] = [
    (Outcome(State.SCORED, nan), FINITE),
    (Outcome(State.SCORED), FINITE),
    (Outcome(State.UNDEFINED, 0.5), FINITE),
    (0.5, "TypeError: wanted an Outcome from the metric, found 0.5"),
    (None, "TypeError: wanted an Outcome from the metric, found None"),
    *[(Outcome(State.SCORED, 0.5, weight), f"{WEIGHT}{weight}") for weight in (0, -1, inf, nan)],
]


@pytest.mark.parametrize(("outcome", "reason"), OUTCOMES, ids=[repr(outcome) for outcome, _ in OUTCOMES])
def test_an_outcome_that_breaks_the_contract_costs_only_itself(
    tiny: World, metric: FakeMetric, other: FakeMetric, outcome: Any, reason: str
) -> None:
    tiny.score(column(broken(metric, outcome)), column(other))
    assert tiny.states() == {State.SCORED: 14, State.METRIC_ERROR: 2}
    score = tiny.scores()["s0.p1", 1, "fake@plain"]
    assert (score.state, score.value) == (State.METRIC_ERROR, None)
    assert str(score.reason).startswith(reason)


def test_a_value_outside_the_cards_range_is_an_error_of_its_score(tiny: World, metric: FakeMetric) -> None:
    outcomes = [Outcome.scored(value) for value in (-100.0, -100.0 - 1e-5, -101.0)]
    assert [checked(outcome, column(metric)) for outcome in outcomes[:2]] == outcomes[:2]
    with pytest.raises(
        ValueError, match=r"^wanted a value within the card's range \(-100 to no upper bound\), found -101.0"
    ):
        checked(outcomes[2], column(metric))
    percent = column(metric, variant="percent")
    assert checked(Outcome.scored(-10_000.0), percent).value == -10_000.0
    with pytest.raises(ValueError, match=r"range \(-10000 to no upper bound\)"):
        checked(Outcome.scored(-10_001.0), percent)


def test_a_range_may_be_open_below(metric: FakeMetric) -> None:
    text = metric.card_path.read_text(encoding="utf-8").replace("range: [-100, null]", "range: [null, 1]")
    metric.card_path.write_text(text, encoding="utf-8")
    assert checked(Outcome.scored(-1e9), column(metric)).value == -1e9
    with pytest.raises(ValueError, match=r"range \(no lower bound to 1\), found 2.0"):
        checked(Outcome.scored(2.0), column(metric))


def test_a_true_picture_is_not_compared_with_itself(tiny: World, metric: FakeMetric) -> None:
    target = targets_of(tiny.benchmark, Pictures()).pixels()["s0/1.png"]
    tiny.write_sample("s0.p0", 0, drawn=1, true_picture=True)
    tiny.write_sample("s0.p1", 0, drawn=1)
    tiny.score(column(metric))
    samples = tiny.run.samples.latest()
    assert samples["s0.p0", 0].pixels_sha256 == samples["s0.p1", 0].pixels_sha256 == target
    weights = {key[:2]: score.weight for key, score in tiny.scores().items()}
    assert (weights["s0.p0", 0], weights["s0.p1", 0]) == (1, 2)


def test_a_true_picture_that_is_the_only_target_has_no_score(tmp_path: Path, metric: FakeMetric) -> None:
    with world(tmp_path, subjects=1, prompts=1) as tiny:
        tiny.write_sample("s0.p0", 0, drawn=0, true_picture=True)
        tiny.score(column(metric))
        assert tiny.states() == {State.REFERENCE_MISSING: 1}


def test_a_metric_whose_requests_fail_costs_only_its_item(tiny: World, metric: FakeMetric, other: FakeMetric) -> None:
    def requests(item: Any, bound: Any) -> Any:
        return {"s0.p0": FakeMetric.requests}[item.case.case_id](metric, item, bound)

    metric.requests = requests  # type: ignore[method-assign]
    tiny.score(column(metric), column(other))
    assert tiny.states() == {State.SCORED: 10, State.METRIC_ERROR: 6}
    assert tiny.scores()["s1.p0", 0, "fake@plain"].reason == "KeyError: 's1.p0'"


class Looking(FakeMetric):
    """Asks, of what it was told of the sample, about a part of it, and scores the difference; `why` is raised instead."""

    why: Exception | None = None

    def further(self, item: Any, bound: Any, features: Any) -> Any:
        """The embedding of the sample's left part."""
        assert len(features) == 2 + len(item.targets)
        if self.why is not None and item.case.case_id == "s0.p0":
            raise self.why
        return [FeatureRequest(bound.extractor, replace(item.sample, box=(0, 0, 3, 6)), "embedding")]

    def score(self, items: Any, bound: Any, features: Any) -> list[Outcome]:
        """How unlike the part is to the whole."""
        return [Outcome.scored(float(abs(row[-1] - row[1]).sum())) for row in features]


def test_what_a_metric_asks_for_after_its_first_features_comes_after_them(tiny: World, tmp_path: Path) -> None:
    looking = Looking(write_card(tmp_path, "fake"))
    tiny.score(column(looking))
    assert tiny.states() == {State.SCORED: 8}
    assert all((score.value or 0) > 0 for score in tiny.scores().values())
    before = forwards(tiny)
    assert tiny.score(column(looking)) == 0
    assert forwards(tiny) == before


@pytest.mark.parametrize(
    ("why", "state", "reason"),
    [
        (Unscorable(State.NO_FACE, "nobody there"), State.NO_FACE, "nobody there"),
        (KeyError("x"), State.METRIC_ERROR, "KeyError: 'x'"),
    ],
)
def test_one_that_cannot_ask_further_costs_only_its_item(
    tiny: World, tmp_path: Path, why: Exception, state: State, reason: str
) -> None:
    looking = Looking(write_card(tmp_path, "fake"))
    looking.why = why
    tiny.score(column(looking))
    assert tiny.states() == {State.SCORED: 6, state: 2}
    assert tiny.scores()["s0.p0", 0, "fake@plain"].reason == reason


@pytest.mark.parametrize("count", [0, 7, 9])
def test_a_generator_of_the_wrong_length_is_an_error_of_its_scores(
    tiny: World, metric: FakeMetric, other: FakeMetric, count: int
) -> None:
    def score(items: Any, bound: Any, features: Any) -> Any:
        return (Outcome.scored(0.5) for _ in range(count))

    metric.score = score  # type: ignore[method-assign]
    tiny.score(column(metric), column(other))
    assert tiny.states() == {State.SCORED: 8, State.METRIC_ERROR: 8}
    assert tiny.scores()["s0.p0", 0, "fake@plain"].reason == f"fake gave {count} outcomes for 8 items"


@pytest.mark.parametrize("weight", [0, -1, inf, nan])
def test_a_score_refuses_a_weight_that_counts_nothing(tiny: World, metric: FakeMetric, weight: float) -> None:
    tiny.score(column(metric))
    told = tiny.scores()["s0.p0", 0, "fake@plain"].model_dump() | {"weight": weight}
    with pytest.raises(DataError, match=r"^x: not a score: weight: Input should be "):
        Score.read(told, where="x")


@pytest.mark.parametrize(
    ("gone", "state"),
    [(("data", "s0", "0.png"), State.REFERENCE_ERROR), (("run", "samples", "s0.p0", "seed_0.png"), State.DECODE_ERROR)],
)
def test_a_picture_that_is_gone_after_it_was_hashed_is_told_by_whose_it_is(
    tmp_path: Path, metric: FakeMetric, gone: tuple[str, ...], state: State
) -> None:
    with world(tmp_path, prompts=1) as made:
        pictures = Pictures(memory_bytes=1)
        service, targets = made.backbones.service(pictures=pictures), targets_of(made.benchmark, pictures)
        tmp_path.joinpath(*gone).unlink()
        Scorer(made.run, [column(metric)], targets, service).score(made.expected)
        service.close()
        assert made.states() == {State.SCORED: 1, state: 1}
        score = made.scores()["s0.p0", 0, "fake@plain"]
        assert score.state is state
        assert str(tmp_path.joinpath(*gone)) in str(score.reason)


def test_a_backbone_that_fails_does_not_end_the_run(
    tiny: World, metric: FakeMetric, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_self: FakeExtractor, _texts: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(FakeExtractor, "encode_texts", fails)
    tiny.score(column(metric))
    assert tiny.states() == {State.EXTRACTOR_ERROR: 8}
    assert tiny.scores()["s0.p0", 0, "fake@plain"].reason == "fake/one: RuntimeError: out of memory"
    monkeypatch.undo()
    assert tiny.score(column(metric)) == 8
    assert tiny.states() == {State.SCORED: 8}


def test_prepared_pictures_do_not_pile_up(tmp_path: Path, metric: FakeMetric) -> None:
    with world(tmp_path, seeds=4, references=2) as made:
        pictures = Pictures()
        service, targets = made.backbones.service(pictures=pictures), targets_of(made.benchmark, pictures)
        Scorer(made.run, [column(metric)], targets, service, chunk=2).score(made.expected)
        service.close()
        assert made.states() == {State.SCORED: 16}
        assert set(service._prepared) <= {key for keys in service._ahead for key in keys}
        assert len(service._prepared) <= 2 * (2 + 2)
