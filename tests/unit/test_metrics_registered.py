"""What every registered metric does with items and features, by the contract alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from evalkit.features.forward import pictures_of, text_of
from evalkit.features.spec import ImageContent, PairContent, QuestionContent
from evalkit.metrics.base import Bound, Item, Metric, Outcome, Unscorable
from evalkit.nouns import Case, State, digest
from evalkit.registry import METRICS, load, names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ALL = [(name, variant) for name in names(METRICS) for variant in load(METRICS, name).card.variants]
GATED = ("consistency_ratio", "diversity_over_consistency")
"""Metrics of samples, not of pairs, which have or lack a value by another measure's."""
PLAIN = [pair for pair in ALL if pair[0] not in GATED]
WITH_TARGETS = [(name, variant) for name, variant in ALL if "targets" in load(METRICS, name).card.needs]
MASK = np.arange(64) < 32 * np.ones((64, 1))
"""The left half of every target."""
MAPS = {"semantic": (24, 24, 8), "visual": (24, 24, 32), "patches": (576, 8), "faces": (3, 517)}
"""Outputs that are maps or lists, and their shapes."""
BY_SAMPLE = [("facesim", "subjects_mean"), ("facesim", "id_crafter")]
"""One value a sample, whatever number of targets it has."""
NUMBERS = ("rating", "reward")
"""Outputs that are one number."""
JUDGED = [(name, variant) for name, variant in ALL if load(METRICS, name).card.reward_family == "judge"]
UNLIKE = [("sdino", "divrl_unmasked"), ("vsm", "equation_3"), *JUDGED]
"""What a copy's background or a judge takes part in, so that it need not have the card's value."""
DIVERSITY = ("mtg_nssm", "dino_nssm")
"""Higher is better, and a copy is the worst."""
COSINES = [("clip_i", "divrl"), ("dino_i", "divrl"), ("dreamsim", "ensemble"), ("clip_t", "divrl")]


@pytest.fixture(autouse=True)
def _masks_without_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalkit.metrics.masks.decode_mask", lambda _path: MASK)


def item(case_id: str = "dog.p0", *, targets: int = 2) -> Item:
    case = Case(
        case_id=case_id, prompt=f"{case_id} in the snow", subjects=("dog",), references=(), targets=(), category="animal",
        prompt_index=0,
    )  # fmt: skip
    pictures = tuple(ImageContent(f"{n:064d}", Path(f"{n}.png")) for n in range(targets))
    masks = tuple(Path(f"{n}-mask.png") for n in range(targets))
    return Item(case, 0, ImageContent(digest(case_id), Path("s.png")), pictures, masks)


def bound(metric: Metric, variant: str) -> Bound:
    card = metric.card.variant(variant)
    return Bound(variant, card, card.extractor)


def features(
    metric: Metric, variant: str, items: Sequence[Item], *, same: bool = False
) -> list[list[NDArray[np.float32]]]:
    """Random features by content, in the order of the requests; all alike with `same`. All but visual maps share a direction."""

    def feature(request: Any) -> NDArray[np.float32]:
        if isinstance(request.content, PairContent):
            return np.float32(0.0 if same else 0.1 + len(request.content.key) % 7) * np.ones((), np.float32)
        rng = np.random.default_rng(0 if same else sum(request.content.key.encode()))
        if isinstance(request.content, QuestionContent):
            return rng.integers(0, 5, request.content.runs).astype(np.float32)
        if request.output in MAPS:
            shape = MAPS[request.output]
            shared = np.eye(shape[-1])[0] * (request.output != "visual")
            return np.asarray(shared + 0.5 * rng.normal(size=shape), np.float32)
        return rng.normal(size=() if request.output in NUMBERS else 8).astype(np.float32)

    return [[feature(r) for r in metric.requests(i, bound(metric, variant))] for i in items]


def scored(name: str, variant: str, items: Sequence[Item], **options: Any) -> list[Outcome]:
    metric: Metric = load(METRICS, name)
    return metric.score(items, bound(metric, variant), features(metric, variant, items, **options))


@pytest.mark.parametrize(("name", "variant"), ALL)
def test_requests_name_the_bound_backbone(name: str, variant: str) -> None:
    metric: Metric = load(METRICS, name)
    elsewhere = replace(
        bound(metric, variant),
        extractor=metric.card.variant(variant).extractor.model_copy(update={"model": "sandbox:x"}),
    )
    requests = metric.requests(item(), elsewhere)
    assert requests
    assert {request.spec for request in requests} == {elsewhere.extractor}


@pytest.mark.parametrize(("name", "variant"), ALL)
def test_requests_ask_for_what_the_card_says_is_needed(name: str, variant: str) -> None:
    metric: Metric = load(METRICS, name)
    one = item(targets=3)
    contents = {request.content for request in metric.requests(one, bound(metric, variant))}
    shown = [part for content in contents if isinstance(content, QuestionContent) for part in content.shown]
    pictures = {picture for content in contents for picture in pictures_of(content)}
    pictures |= {part for part in shown if isinstance(part, ImageContent)}
    assert one.sample in pictures
    assert set(one.targets) <= pictures or "targets" not in metric.card.needs
    texts = {text_of(content) for content in contents} - {None} | {part for part in shown if isinstance(part, str)}
    assert texts == ({one.case.prompt} if "prompt" in metric.card.needs else set())
    assert not (set(one.targets) & pictures) or "targets" in metric.card.needs


@pytest.mark.parametrize(("name", "variant"), WITH_TARGETS)
def test_no_target_is_known_without_features(name: str, variant: str) -> None:
    metric: Metric = load(METRICS, name)
    with pytest.raises(Unscorable, match=r"^dog\.p0 has no target picture$") as raised:
        metric.requests(item(targets=0), bound(metric, variant))
    assert raised.value.state is State.REFERENCE_MISSING


@pytest.mark.parametrize(("name", "variant"), PLAIN)
def test_one_outcome_an_item_in_order_whatever_is_beside_it(name: str, variant: str) -> None:
    items = [item(f"case{n}", targets=1 + n % 3) for n in range(7)]
    together = scored(name, variant, items)
    assert len(together) == len(items)
    assert together == [scored(name, variant, [one])[0] for one in items]
    assert scored(name, variant, items[::-1]) == together[::-1]
    assert all(outcome.state is State.SCORED for outcome in together)


@pytest.mark.parametrize(("name", "variant"), PLAIN)
def test_weights_are_the_number_of_targets(name: str, variant: str) -> None:
    pairs = "targets" in load(METRICS, name).card.needs and (name, variant) not in BY_SAMPLE
    assert [o.weight for o in scored(name, variant, [item("a", targets=1), item("b", targets=4)])] == (
        [1, 4] if pairs else [1, 1]
    )


@pytest.mark.parametrize(("name", "variant"), PLAIN)
def test_values_are_in_the_range_of_the_card(name: str, variant: str) -> None:
    card = load(METRICS, name).card
    low, high = card.range
    for outcome in scored(name, variant, [item(f"case{n}") for n in range(20)]):
        assert outcome.value is not None
        value = outcome.value / card.variant(variant).scale
        assert (-np.inf if low is None else low - 1e-12) <= value <= (np.inf if high is None else high + 1e-12)


@pytest.mark.parametrize(("name", "variant"), [p for p in WITH_TARGETS if p in PLAIN and p not in UNLIKE])
def test_a_copy_scores_what_the_card_says_and_nothing_is_beyond(name: str, variant: str) -> None:
    card = load(METRICS, name).card
    assert card.identical is not None
    (copy,), others = (scored(name, variant, [item()], same=True), scored(name, variant, [item("x"), item("y")]))
    room = 1e-4 if (name, variant) == ("mtg_nssm", "official") else 1e-9  # the code's factor (n - 1)/n for n pairs
    assert copy.value == pytest.approx(card.identical * card.variant(variant).scale, abs=room)
    for other in others:
        assert other.value is not None
        assert copy.value is not None
        above = card.direction == "lower" or name in DIVERSITY
        assert other.value > copy.value if above else other.value < copy.value


@pytest.mark.parametrize(("name", "variant"), [pair for pair in ALL if pair not in PLAIN])
def test_a_gated_metric_judges_each_item_by_itself(name: str, variant: str) -> None:
    items = [item(f"case{n}", targets=1 + n % 3) for n in range(7)]
    together = scored(name, variant, items)
    assert together == [scored(name, variant, [one])[0] for one in items]
    assert {outcome.state for outcome in together} <= {State.SCORED, State.INCONSISTENT}
    assert {outcome.value for outcome in together if name == "consistency_ratio"} <= {0.0, 1.0}


@pytest.mark.parametrize("name", names(METRICS))
def test_variants_differ_by_their_scale_alone_on_equal_features(name: str) -> None:
    card = load(METRICS, name).card
    plain = [v for v in card.variants if not card.variants[v].params]
    values = {v: scored(name, v, [item()])[0].value for v in plain}
    assert all(values[v] is not None for v in plain)
    assert len({round((values[v] or 0.0) / card.variants[v].scale, 12) for v in plain}) <= 1


@pytest.mark.parametrize(("name", "variant"), COSINES)
def test_a_zero_embedding_is_undefined(name: str, variant: str) -> None:
    metric: Metric = load(METRICS, name)
    row = features(metric, variant, [item()])[0]
    outcome = metric.score([item()], bound(metric, variant), [[np.zeros_like(row[0]), *row[1:]]])[0]
    assert outcome == Outcome(State.UNDEFINED, reason="the formula gave nan")


def test_lpips_is_the_mean_distance() -> None:
    metric: Metric = load(METRICS, "lpips")
    rows = [[np.full((), d, np.float32) for d in row] for row in ([0.25, 0.75], [0.1])]
    found = metric.score([item("a", targets=2), item("b", targets=1)], bound(metric, "alex_256"), rows)
    assert [(o.value, o.weight) for o in found] == [(0.5, 2), (float(np.float32(0.1)), 1)]


def test_lpips_measures_the_sample_against_each_target() -> None:
    metric: Metric = load(METRICS, "lpips")
    one = item(targets=2)
    asked = [request.content for request in metric.requests(one, bound(metric, "alex_256"))]
    assert asked == [PairContent(one.sample, target) for target in one.targets]


def test_clip_t_floors_in_the_variant_that_says_so() -> None:
    metric: Metric = load(METRICS, "clip_t")
    right, left = np.array([1, 0], np.float32), np.array([-1, 0], np.float32)
    values = {
        v: metric.score([item()], bound(metric, v), [[right, left]])[0].value for v in ("mip_adapter", "dreambench_pp")
    }
    assert values == {"mip_adapter": 0.0, "dreambench_pp": -100.0}
    assert metric.score([item()], bound(metric, "mip_adapter"), [[right, right]])[0].value == 2.5


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_an_outcome_that_is_no_number_is_undefined(value: float) -> None:
    assert Outcome.scored(value) == Outcome(State.UNDEFINED, reason=f"the formula gave {value}")


def test_an_outcome_is_a_plain_float() -> None:
    assert type(Outcome.scored(np.float32(0.5)).value) is float  # type: ignore[arg-type]
