"""Every first-party card says something that the code can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from evalkit.content import content
from evalkit.errors import DataError, UsageError
from evalkit.features.backbones import backbones
from evalkit.features.gme import INSTRUCTIONS
from evalkit.features.preprocess import PREPROCESSES
from evalkit.features.questions import QUESTIONS
from evalkit.features.text import TEXTS
from evalkit.features.weights import NO_WEIGHTS, SERVED
from evalkit.judges.prompts import read_prompts
from evalkit.judges.shown import SHOW_RULES
from evalkit.metrics.card import SIGNATURE_KEYS, MetricCard, VariantCard, read_card
from evalkit.registry import BENCHMARKS, EXTRACTORS, METRICS, load, names
from tests.fakes import CARD, FakeMetric, write_card

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.features.spec import ExtractorSpec

CARDS: dict[str, MetricCard] = {
    path.parent.name: read_card(path) for path in sorted(content("metrics").glob("*/card.yaml"))
}
VARIANTS: list[tuple[str, VariantCard]] = [
    (f"{name}@{variant}", card.variants[variant]) for name, card in CARDS.items() for variant in card.variants
]
IDS = [name for name, _ in VARIANTS]
DIVERSITY = ("mtg_nssm", "dino_nssm")
"""A copy is the worst."""
UNMASKED = ("sdino", "consistency_ratio", "diversity_over_consistency", "concept_preservation", "nexus_score", "si_iou")
"""The sample's background counts, another score decides, a judge, a detector, or what finds the sample's mask, which need not
draw it as the data do, so a copy has no value of its own."""
LABELLED = ("nexus_score",)
"""Metrics that compare with a target's class word."""
JUDGE = "judge"


def test_there_are_cards() -> None:
    assert len(CARDS) >= 5
    assert {name: card.name for name, card in CARDS.items()} == {name: name for name in CARDS}


@pytest.mark.parametrize(("_name", "variant"), VARIANTS, ids=IDS)
def test_a_variant_names_what_there_is(_name: str, variant: VariantCard) -> None:
    for extractor in (variant.extractor, *variant.beside.values()):
        _names_what_there_is(extractor)


def _names_what_there_is(extractor: ExtractorSpec) -> None:
    assert extractor.family in names(EXTRACTORS)
    if extractor.model == NO_WEIGHTS:  # a family that loads nothing prepares pictures in its own way
        return
    if extractor.family == JUDGE:
        assert extractor.model.startswith(SERVED)
        assert extractor.preprocess in SHOW_RULES
        assert read_prompts(extractor.text, None).texts
        return
    assert extractor.preprocess in PREPROCESSES
    assert extractor.text is None or extractor.text in (*TEXTS, *QUESTIONS, *INSTRUCTIONS)
    assert backbones()[extractor.model].family == extractor.family


@pytest.mark.parametrize(("_name", "variant"), VARIANTS, ids=IDS)
def test_a_variant_states_a_positive_tolerance_and_scale(_name: str, variant: VariantCard) -> None:
    assert 0 < variant.tolerance <= 1e-3 * variant.scale
    assert variant.scale > 0


@pytest.mark.parametrize(("_name", "variant"), VARIANTS, ids=IDS)
def test_a_variant_says_where_it_comes_from(_name: str, variant: VariantCard) -> None:
    assert len(variant.source) > 10
    assert len(variant.meaning) > 15


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
def test_text_preprocessing_is_where_text_is_read(card: MetricCard) -> None:
    if card.reward_family == JUDGE:  # a judge reads its rubric whatever it rates
        assert all(variant.extractor.text is not None for variant in card.variants.values())
        return
    read = {variant.extractor.text is not None for variant in card.variants.values()}
    by_word = "sample_mask" in card.needs or card.name in LABELLED  # what is looked for is told by its class word
    assert read == {"prompt" in card.needs} or by_word


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
def test_a_card_agrees_with_itself(card: MetricCard) -> None:
    low, high = card.range
    assert low is None or high is None or low < high
    if card.identical is not None:
        assert card.identical == (high if (card.direction == "higher") != (card.name in DIVERSITY) else low)
    assert (card.identical is not None) == ("targets" in card.needs and card.name not in UNMASKED)
    assert "sample" in card.needs
    assert any(
        f"({state})" in card.undefined
        for state in ("undefined", "reference_missing", "judge_unparsed", "not_applicable")
    )
    assert ("(judge_unparsed)" in card.undefined) == (card.reward_family == JUDGE)
    encoders = [variant.extractor for variant in card.variants.values() if variant.extractor.family != JUDGE]
    read = [encoder.text for encoder in encoders if encoder.text is not None]
    assert ("(text_too_long)" in card.undefined) == any(not name.endswith("_truncate") for name in read)
    assert ("(mask_missing)" in card.undefined) == ("target_masks" in card.needs)
    assert card.sources


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
def test_no_two_variants_say_the_same(card: MetricCard) -> None:
    told = [
        variant.model_dump_json(exclude={"meaning", "source", "kind", "tolerance"})
        for variant in card.variants.values()
    ]
    named = [variant.meaning for variant in card.variants.values()]
    assert len(set(named)) == len(named)
    assert len(set(told)) == len(told)


def test_protocols_name_metrics_and_variants_that_there_are() -> None:
    for bench in names(BENCHMARKS):
        for protocol in load(BENCHMARKS, bench).spec.protocols:
            for choice in protocol.metrics:
                assert load(METRICS, choice.metric).card.variant(choice.variant), f"{bench}/{protocol.name} {choice}"


def test_default_protocols_are_protocols() -> None:
    for bench in names(BENCHMARKS):
        spec = load(BENCHMARKS, bench).spec
        assert spec.protocol(None).name == spec.default_protocol


def test_a_variant_is_found_by_name_or_by_default(tmp_path: Path) -> None:
    card = FakeMetric(write_card(tmp_path, "fake")).card
    assert card.variant(None) is card.variants["plain"]
    assert card.variant("percent").scale == 100


def test_an_unknown_variant_gives_the_nearest() -> None:
    with pytest.raises(UsageError) as raised:
        CARDS["clip_i"].variant("divr")
    assert str(raised.value) == "wanted a variant of clip_i, found 'divr', which is none; did you mean 'divrl'?"
    with pytest.raises(
        UsageError, match=rf"; `evalkit describe metric clip_i` shows the {len(CARDS['clip_i'].variants)} there are$"
    ):
        CARDS["clip_i"].variant("zzz")


def read(tmp_path: Path, **changes: Any) -> MetricCard:
    path = tmp_path / "card.yaml"
    told = yaml.safe_load(CARD.format(name="fake")) | changes
    path.write_text(yaml.safe_dump({key: value for key, value in told.items() if value is not ...}), encoding="utf-8")
    return read_card(path)


def test_a_card_with_an_unknown_key_names_file_and_key(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        read(tmp_path, colour="red")
    assert str(raised.value) == f"{tmp_path / 'card.yaml'}: not a metriccard: colour is not a known key"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"default_variant": "other"}, "default_variant 'other' is none of ['percent', 'plain']"),
        ({"direction": "up"}, "direction: Input should be 'higher' or 'lower', found 'up'"),
        ({"version": 0}, "version: Input should be greater than or equal to 1, found 0"),
        ({"name": "Clip-I"}, "name: Value error, a name is lower-case letters, digits and '_', found 'Clip-I'"),
        ({"variants": {}}, "variants: Dictionary should have at least 1 item"),
        ({"needs": ["luck"]}, "needs.0: Input should be 'sample', 'targets', 'prompt', 'target_masks', 'sample_mask' or 'mates'"),
    ],
)  # fmt: skip
def test_a_card_that_does_not_hold_together(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError) as raised:
        read(tmp_path, **changes)
    assert told in str(raised.value)


def test_a_tolerance_of_nothing_is_refused(tmp_path: Path) -> None:
    variants = yaml.safe_load(CARD.format(name="fake"))["variants"]
    variants["plain"]["tolerance"] = 0
    with pytest.raises(DataError, match=r"variants\.plain\.tolerance: Input should be greater than 0, found 0"):
        read(tmp_path, variants=variants)


def test_a_card_that_is_no_yaml_or_no_file(tmp_path: Path) -> None:
    path = tmp_path / "card.yaml"
    with pytest.raises(DataError) as raised:
        read_card(path)
    assert str(raised.value) == f"cannot read '{path}': No such file or directory; check the path"
    path.write_text("a: [1", encoding="utf-8")
    with pytest.raises(DataError) as raised:
        read_card(path)
    assert str(raised.value).startswith(f"{path}: wanted YAML, found something else: ")
    assert len(str(raised.value).splitlines()) == 1
    path.write_text("just a line\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"card\.yaml: not a metriccard: document: "):
        read_card(path)


def changed(tmp_path: Path, **changes: Any) -> MetricCard:
    """The fake's card with its plain variant changed."""
    variants = yaml.safe_load(CARD.format(name="fake"))["variants"]
    return read(tmp_path, variants=variants | {"plain": variants["plain"] | changes})


def test_parameters_named_like_parts_of_the_signature_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        changed(tmp_path, params={"weights": 1, "alpha": 2, "dtype": "x"})
    assert (
        "variants.plain.params: Value error, the signature has parts of these names already: dtype, weights; "
        "rename the parameters"
    ) in str(raised.value)


@pytest.mark.parametrize("key", sorted(SIGNATURE_KEYS))
def test_every_part_of_the_signature_is_taken(tmp_path: Path, key: str) -> None:
    with pytest.raises(DataError, match=f"the signature has parts of these names already: {key}; rename"):
        changed(tmp_path, params={key: 1})


@pytest.mark.parametrize("scale", [0, -100])
def test_a_scale_that_is_not_positive_is_refused(tmp_path: Path, scale: float) -> None:
    with pytest.raises(DataError, match=rf"variants\.plain\.scale: Input should be greater than 0, found {scale}"):
        changed(tmp_path, scale=scale)
