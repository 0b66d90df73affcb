from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from evalkit.engine import columns as module
from evalkit.engine.columns import choices, columns, variant_specs
from evalkit.errors import DataError, UsageError, WeightsError
from evalkit.features.base import Fingerprint
from evalkit.nouns import Case, MetricChoice, State
from tests.fakes import FakeMetric, column, tiny_cases, world, write_card

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.engine.columns import Column
    from evalkit.features.spec import ExtractorSpec

PROTOCOL = (MetricChoice.parse("clip_i@divrl"), MetricChoice.parse("dino_i@divrl:macro"))


class Described:
    """Backbones that are described and never loaded; those in `missing` have no weights."""

    def __init__(self, *missing: str) -> None:
        self.missing = missing

    def describe(self, spec: ExtractorSpec) -> Fingerprint:
        if spec.model in self.missing:
            raise WeightsError(f"wanted the weights of {spec.model!r}, found none")
        parts = (("backbone", spec.model), ("weights", "abcdef012345"), ("dtype", spec.dtype))
        return Fingerprint("0" * 64, parts)


def made(*texts: str, profile: Any = "paper", missing: tuple[str, ...] = ()) -> list[Column]:
    return columns([MetricChoice.parse(text) for text in texts], profile, Described(*missing))  # type: ignore[arg-type]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeMetric:
    metric = FakeMetric(write_card(tmp_path, "fake"))
    monkeypatch.setattr(module, "load", lambda _group, _name: metric)
    return metric


def test_metrics_asked_for_come_after_the_protocols() -> None:
    found = choices(PROTOCOL, ["lpips", "clip_t@divrl:macro"])
    assert [str(choice) for choice in found] == [
        "clip_i@divrl:micro", "dino_i@divrl:macro", "lpips@alex_256:micro", "clip_t@divrl:macro",
    ]  # fmt: skip


def test_what_the_protocol_has_is_not_added_again() -> None:
    assert choices(PROTOCOL, ["clip_i@divrl", "clip_i@divrl:micro", "lpips", "lpips"]) == choices(PROTOCOL, ["lpips"])
    assert len(choices(PROTOCOL, ["clip_i@divrl:macro"])) == 3


def test_every_metric_that_does_not_exist_is_told() -> None:
    with pytest.raises(UsageError) as raised:
        choices(PROTOCOL, ["clipp_i", "clip_i@divrll", "lpips", "dino_i:mean"])
    assert str(raised.value) == (
        "--metric (3 problems):\n"
        "  - wanted a metric, found 'clipp_i', which is none; did you mean 'clip_i' or 'clip_t' or 'lpips'?\n"
        "  - wanted a variant of clip_i, found 'divrll', which is none; did you mean 'divrl'?\n"
        "  - wanted METRIC@VARIANT or METRIC@VARIANT:micro|macro, found 'dino_i@dreambench_pp:mean'"
    )


def test_specs_are_the_published_backbones_each_once() -> None:
    found = variant_specs([*PROTOCOL, MetricChoice.parse("clip_i@divrl:macro")])
    assert [spec.model for spec in found] == ["openai/clip-vit-large-patch14", "facebook/dinov2-base"]


def test_a_column_is_bound_to_the_profiles_backbone() -> None:
    (paper,), (sandbox,) = made("clip_i@divrl"), made("clip_i@divrl", profile="sandbox")
    assert paper.bound.extractor.model == "openai/clip-vit-large-patch14"
    assert sandbox.bound.extractor.model == "sandbox:clip"
    assert sandbox.bound.card.extractor.model == "openai/clip-vit-large-patch14"
    assert sandbox.signature != paper.signature


def test_a_signature_says_everything_that_can_change_a_number(fake: FakeMetric) -> None:
    (found,) = made("fake@percent:macro")
    assert str(found.signature) == (
        "metric:fake|variant:percent|backbone:fake/one|weights:abcdef012345|dtype:float32|features:000000000000|"
        "scale:100|alpha:0.5|floor:true|v:1"
    )
    assert str(found.full_signature) == f"{found.signature}|agg:macro"


def test_the_first_variant_of_a_metric_has_its_plain_name() -> None:
    found = made("clip_i@divrl", "dino_i@dreambooth", "clip_i@dreambooth")
    assert [c.label for c in found] == ["clip_i", "dino_i", "clip_i@dreambooth"]


def test_two_aggregations_of_one_column_have_two_labels() -> None:
    found = made("clip_i@divrl", "clip_i@dreambooth", "clip_i@dreambooth:macro")
    assert [c.label for c in found] == ["clip_i", "clip_i@dreambooth", "clip_i@dreambooth:macro"]
    assert len({c.label for c in made("clip_i@divrl", "clip_i@divrl:macro")}) == 2


def test_missing_weights_are_told_and_stay_in_the_signature() -> None:
    lacking, there = made("clip_i@divrl", "dino_i@divrl", missing=("openai/clip-vit-large-patch14",))
    assert lacking.lacking == "wanted the weights of 'openai/clip-vit-large-patch14', found none"
    assert lacking.signature.get("weights") == "missing"
    assert there.lacking is None


def cases(tmp_path: Path) -> Case:
    return tiny_cases(tmp_path, subjects=1, prompts=1)[0].model_copy(update={"category": "animal", "tags": ("a", "b")})


@pytest.mark.parametrize(
    ("where", "applies"),
    [
        ({}, True),
        ({"category": ("animal", "human")}, True),
        ({"category": ("human",)}, False),
        ({"tag": ("b",)}, True),
        ({"tag": ("c",)}, False),
        ({"category": ("animal",), "tag": ("c",)}, False),
        ({"category": ()}, False),
    ],
)
def test_a_protocol_limits_a_metric_to_cases(tmp_path: Path, where: dict[str, tuple[str, ...]], applies: bool) -> None:
    limited = column(FakeMetric(write_card(tmp_path, "fake")), where=where)
    assert limited.applies(cases(tmp_path)) is applies


def test_a_limited_column_has_a_signature_of_its_own_and_alone_leaves_cases_out(
    tmp_path: Path, fake: FakeMetric
) -> None:
    nothing = MetricChoice.read({"metric": "fake", "variant": "plain", "where": {"category": ["x"]}}, where="test")
    everything = MetricChoice.parse("fake@plain")
    limited, whole = columns([nothing, everything], "paper", Described())  # type: ignore[arg-type]
    assert limited.signature.first_difference(whole.signature) == ("where", '{"category"=["x"]}', None)
    with world(tmp_path) as made:
        assert made.score(limited, whole) == 8
        found = Counter((s.signature, s.state) for s in made.run.scores.latest().values())
    assert found == {(str(limited.signature), State.NOT_APPLICABLE): 4, (str(whole.signature), State.SCORED): 4}
    assert len(fake.scored) == 4


def test_a_limit_by_what_no_case_has_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"^spec: not a metricchoice: where\.colour.*: Input should be 'category' or 'tag'"
    ):
        MetricChoice.read({"metric": "fake", "variant": "plain", "where": {"colour": ["red"]}}, where="spec")
