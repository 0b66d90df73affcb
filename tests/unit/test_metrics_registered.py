"""What every registered metric does with items and features, by the contract alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from evalkit.features.forward import pictures_of, text_of
from evalkit.features.spec import ClipContent, ImageContent, PairContent, QuestionContent
from evalkit.metrics.base import Bound, Item, Mate, Metric, Outcome, Unscorable
from evalkit.metrics.derived import DerivedMetric
from evalkit.metrics.text import segments
from evalkit.nouns import Case, State, digest
from evalkit.registry import METRICS, load, names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

DERIVED = [name for name in names(METRICS) if isinstance(load(METRICS, name), DerivedMetric)]
"""Of a whole table, and asked by another contract: see test_derived.py."""
ALL = [
    (name, variant) for name in names(METRICS) if name not in DERIVED for variant in load(METRICS, name).card.variants
]
GATED = ("consistency_ratio", "diversity_over_consistency")
"""Metrics of samples, not of pairs, which have or lack a value by another measure's."""
PLAIN = [pair for pair in ALL if pair[0] not in GATED]
WITH_TARGETS = [(name, variant) for name, variant in ALL if "targets" in load(METRICS, name).card.needs]
MASK = np.arange(64) < 32 * np.ones((64, 1))
"""The left half of every target."""
OWN_MASK = ImageContent("m" * 64, Path("s-mask.png"))
MAPS = {"semantic": (24, 24, 8), "visual": (24, 24, 32), "patches": (576, 8), "faces": (3, 517)}
"""Outputs that are maps or lists, and their shapes."""
OF_BOXES = [pair for pair in ALL if pair[0] == "nexus_score"]
"""What a detector finds counts, and how sure it is."""
COUNT_SAMPLES = [*(("clip_i", name) for name in ("unictokens", "sync_r1", "consis_gcpo")), ("dino_i", "consis_gcpo")]
BY_SAMPLE = [("facesim", "subjects_mean"), ("facesim", "id_crafter"), *OF_BOXES, *COUNT_SAMPLES]
"""One value a sample, whatever number of targets it has."""
PROBABILITIES = ("probability", "raw_probability")
"""Outputs that are one number from 0 to 1."""
LEVELS = ("quality", "aesthetics")
"""Outputs that are five shares."""
NUMBERS = ("rating", "reward")
"""Outputs that are one number."""
FIRST_PERSON = [("facesim", name) for name in ("opens2v_video", "frames", "opens2v_arc", "opens2v_cur")]
"""One target is compared, whatever others there are."""
BY_MATE = ("dreamsim_pairwise",)
"""Weighted by the number of mates."""
STORY_TEXTS = {
    (name, variant): {"prompt", "own_prompt"} if name == "cqs_har" else {"own_prompt" if variant.endswith("_own") else "prompt"}
    for name, variant in ALL if name in ("cqs_har", "text_alignment")
}  # fmt: skip
"""Which texts of a story's case are read, where it is not the prompt alone."""
JUDGED = [(name, variant) for name, variant in ALL if load(METRICS, name).card.reward_family == "judge"]
REWORDED = ("gpt_score", "dense_segment_score")
"""Judged metrics that show the prompt with other words around it."""
OF_WORDS = [(n, v) for n, v in ALL if load(METRICS, n).card.variant(v).extractor.family == "words"]
"""Metrics of words alone, which need no feature."""
BY_STEP = [("temporal_consistency", "vbench")]
"""Weighted by the number of a clip's steps."""
BY_MASK = ("sdino", "si_iou")
"""Of the sample's background, or of its mask as something finds it."""
UNLIKE = [*((name, variant) for name, variant in ALL if name in BY_MASK), ("vsm", "equation_3"), *JUDGED, *OF_BOXES]
"""What a copy's background, a mask, a judge or a detector takes part in, so that it need not have the card's value."""
DIVERSITY = ("mtg_nssm", "dino_nssm")
"""A copy is the worst."""
ASKED = {"expected_answer": "Yes.", "concept_info": "a toy"}
"""What a case has to have besides for metrics of answers, and of what is known of a concept."""
COSINES = [("clip_i", "divrl"), ("dino_i", "divrl"), ("dreamsim", "ensemble"), ("clip_t", "divrl")]


@pytest.fixture(autouse=True)
def _masks_without_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalkit.metrics.masks.decode_mask", lambda _path: MASK)


def item(case_id: str = "dog.p0", *, targets: int = 2) -> Item:
    case = Case(
        case_id=case_id, prompt=f"{case_id} in the snow", subjects=("dog", "cat"), references=(), targets=(), category="animal",
        prompt_index=0, set_id="story", texts={"own_prompt": f"{case_id} asleep"} | ASKED,
    )  # fmt: skip
    pictures = tuple(ImageContent(f"{n:064d}", Path(f"{n}.png")) for n in range(targets))
    masks = tuple(Path(f"{n}-mask.png") for n in range(targets))
    mates = tuple(Mate(case, ImageContent(digest([case_id, n]), Path(f"mate{n}.png"))) for n in range(3))
    sample = ImageContent(digest(case_id), Path("s.png"))
    labels = ("toy dog",) * targets
    return Item(case, 0, sample, pictures, masks, mates=mates, sample_mask=OWN_MASK, target_labels=labels)


def fitting(name: str, variant: str, case_id: str = "dog.p0", *, targets: int = 2) -> Item:
    """An item whose sample is of a medium that the variant reads: a picture where it can be, else three frames or a text."""
    one, reads = item(case_id, targets=targets), load(METRICS, name).card.reads(variant)
    if "image" in reads:
        return one
    if "text" in reads:
        return replace(one, answer=f"Yes, {case_id}.")
    frames = tuple(ImageContent(digest([case_id, "frame", n]), Path("s.mp4"), n) for n in range(3))
    clip = ClipContent(one.sample.sha256, Path("s.mp4"), frames, 8.0)
    return replace(one, clip=clip, target_labels=("Man",) * targets)


def bound(metric: Metric, variant: str) -> Bound:
    card = metric.card.variant(variant)
    return Bound(variant, card, card.extractor, card.beside)


def features(
    metric: Metric, variant: str, items: Sequence[Item], *, same: bool = False
) -> list[list[NDArray[np.float32]]]:
    """Random features by content, in the order of the requests; all alike with `same`. All but visual maps share a direction."""

    def feature(request: Any) -> NDArray[np.float32]:  # noqa: PLR0911 - one line an output
        if request.output == "boxes":
            return np.asarray([[1, 2, 30, 40, 0.9], [5, 5, 20, 20, 0.7], [0, 0, 9, 9, 0.55]], np.float32)
        if isinstance(request.content, PairContent):
            return np.float32(0.0 if same else 0.1 + len(request.content.key) % 7) * np.ones((), np.float32)
        rng = np.random.default_rng(0 if same else sum(request.content.key.encode()))
        if request.output == "windows":
            return rng.dirichlet(np.ones(5), len(request.content.frames)).astype(np.float32)
        if isinstance(request.content, ClipContent):
            return np.abs(rng.normal(size=len(request.content.frames) - 1)).astype(np.float32)
        if isinstance(request.content, QuestionContent):
            low, high = request.content.bounds or (0, 1 if request.content.rubric in ("answer", "knowledge") else 4)
            return rng.integers(low, high + 1, request.content.runs).astype(np.float32)
        if request.output == "mask":
            return (MASK if same else rng.uniform(size=MASK.shape) < 0.6).astype(np.float32)
        if request.output in PROBABILITIES:
            return np.asarray(rng.uniform(), np.float32)
        if request.output in LEVELS:
            return rng.dirichlet(np.ones(5)).astype(np.float32)
        if request.output in MAPS:
            shape = MAPS[request.output]
            shared = np.eye(shape[-1])[0] * (request.output != "visual")
            return np.asarray(shared + 0.5 * rng.normal(size=shape), np.float32)
        return rng.normal(size=() if request.output in NUMBERS else 8).astype(np.float32)

    def row(item: Item) -> list[NDArray[np.float32]]:
        first = [feature(request) for request in metric.requests(item, bound(metric, variant))]
        return [*first, *(feature(request) for request in metric.further(item, bound(metric, variant), first))]

    return [row(item) for item in items]


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
    requests = metric.requests(fitting(name, variant), elsewhere)
    assert bool(requests) == ((name, variant) not in OF_WORDS)
    if not requests:
        return
    assert {request.spec for request in requests} == set(elsewhere.extractors)


@pytest.mark.parametrize(("name", "variant"), ALL)
def test_requests_ask_for_what_the_card_says_is_needed(name: str, variant: str) -> None:
    metric: Metric = load(METRICS, name)
    one = fitting(name, variant, targets=3)
    contents = {request.content for request in metric.requests(one, bound(metric, variant))}
    shown = [part for content in contents if isinstance(content, QuestionContent) for part in content.shown]
    pictures = {picture for content in contents for picture in pictures_of(content)}
    pictures |= {part for part in shown if isinstance(part, ImageContent)}
    if (name, variant) in OF_WORDS:
        assert not contents
        return
    by_outline = "sample_mask" in metric.card.needs  # of targets their masks alone
    given = any(spec.family == "given_mask" for spec in bound(metric, variant).extractors)
    assert (one.sample_mask in pictures) == given
    assert pictures.issuperset(one.frames) or one.clip in contents or (given and by_outline)
    compared = one.targets[:1] if (name, variant) in FIRST_PERSON else one.targets
    assert set(compared) <= pictures or by_outline or "targets" not in metric.card.needs
    texts = {text_of(content) for content in contents} - {None} | {part for part in shown if isinstance(part, str)}
    told = STORY_TEXTS.get((name, variant), {"prompt"} if "prompt" in metric.card.needs else set())
    by_word = any(spec.family in ("grounded_sam", "yolo_world") for spec in bound(metric, variant).extractors)
    if name in REWORDED:
        shown_texts = " ".join(sorted(map(str, texts)))
        assert all(part in shown_texts for part in segments(one.case.prompt))
        return
    said = {one.case.prompt if part == "prompt" else one.case.texts[part] for part in told}
    assert texts == said | set(one.target_labels if by_word else ())
    assert not (set(one.targets) & pictures) or "targets" in metric.card.needs
    assert pictures.issuperset(mate.sample for mate in one.mates) == ("mates" in metric.card.needs)


@pytest.mark.parametrize(("name", "variant"), WITH_TARGETS)
def test_no_target_is_known_without_features(name: str, variant: str) -> None:
    metric: Metric = load(METRICS, name)
    with pytest.raises(Unscorable, match=r"^dog\.p0 has no target picture$") as raised:
        metric.requests(fitting(name, variant, targets=0), bound(metric, variant))
    assert raised.value.state is State.REFERENCE_MISSING


@pytest.mark.parametrize(("name", "variant"), PLAIN)
def test_one_outcome_an_item_in_order_whatever_is_beside_it(name: str, variant: str) -> None:
    items = [fitting(name, variant, f"case{n}", targets=1 + n % 3) for n in range(7)]
    together = scored(name, variant, items)
    assert len(together) == len(items)
    assert together == [scored(name, variant, [one])[0] for one in items]
    assert scored(name, variant, items[::-1]) == together[::-1]
    assert all(outcome.state is State.SCORED for outcome in together)


@pytest.mark.parametrize(("name", "variant"), PLAIN)
def test_weights_are_the_number_of_targets(name: str, variant: str) -> None:
    if name in BY_MATE:
        assert scored(name, variant, [item()])[0].weight == len(item().mates)
        return
    pairs = "targets" in load(METRICS, name).card.needs and (name, variant) not in BY_SAMPLE + FIRST_PERSON
    items = [fitting(name, variant, "a", targets=1), fitting(name, variant, "b", targets=4)]
    wanted = [1, 4] if pairs else [2, 2] if (name, variant) in BY_STEP else [1, 1]
    assert [o.weight for o in scored(name, variant, items)] == wanted


@pytest.mark.parametrize(("name", "variant"), PLAIN)
def test_values_are_in_the_range_of_the_card(name: str, variant: str) -> None:
    card = load(METRICS, name).card
    low, high = card.range
    for outcome in scored(name, variant, [fitting(name, variant, f"case{n}") for n in range(20)]):
        assert outcome.value is not None
        value = outcome.value / card.variant(variant).scale
        assert (-np.inf if low is None else low - 1e-12) <= value <= (np.inf if high is None else high + 1e-12)


@pytest.mark.parametrize(("name", "variant"), [p for p in WITH_TARGETS if p in PLAIN and p not in UNLIKE])
def test_a_copy_scores_what_the_card_says_and_nothing_is_beyond(name: str, variant: str) -> None:
    card = load(METRICS, name).card
    assert card.identical is not None
    (copy,) = scored(name, variant, [fitting(name, variant)], same=True)
    others = scored(name, variant, [fitting(name, variant, "x"), fitting(name, variant, "y")])
    room = 1e-4 if (name, variant) == ("mtg_nssm", "official") else 1e-9  # the code's factor (n - 1)/n for n pairs
    assert copy.value == pytest.approx(card.identical * card.variant(variant).scale, abs=room)
    for other in others:
        assert other.value is not None
        assert copy.value is not None
        above = (card.direction == "lower") != (name in DIVERSITY)
        assert other.value > copy.value if above else other.value < copy.value


@pytest.mark.parametrize(("name", "variant"), [pair for pair in ALL if pair not in PLAIN])
def test_a_gated_metric_judges_each_item_by_itself(name: str, variant: str) -> None:
    items = [fitting(name, variant, f"case{n}", targets=1 + n % 3) for n in range(7)]
    together = scored(name, variant, items)
    assert together == [scored(name, variant, [one])[0] for one in items]
    assert {outcome.state for outcome in together} <= {State.SCORED, State.INCONSISTENT}
    assert {outcome.value for outcome in together if name == "consistency_ratio"} <= {0.0, 1.0}


@pytest.mark.parametrize("name", [name for name in names(METRICS) if name not in DERIVED])
def test_variants_differ_by_their_scale_alone_on_equal_features(name: str) -> None:
    card = load(METRICS, name).card
    plain = [v for v, one in card.variants.items() if not one.params and not one.beside]
    values = {v: scored(name, v, [fitting(name, v)])[0].value for v in plain}
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
