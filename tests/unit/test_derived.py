"""Columns made of other columns: OpenS2V's total over the components of a table."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from evalkit.engine.backbones import Backbones
from evalkit.engine.columns import columns
from evalkit.engine.compare import why_not_metric
from evalkit.engine.derived import derivation, with_components
from evalkit.engine.summary import summarise
from evalkit.features.spec import ImageContent
from evalkit.metrics.base import Bound, Item, Unscorable
from evalkit.metrics.opens2v import OPENS2V_TOTAL, component_weights, total
from evalkit.nouns import Case, MetricChoice, Score, Signature, State
from tests.fakes import FakeMetric, column

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.engine.columns import Column

VALUES = {
    "aesthetic": 5.5, "motion_smoothness": 0.9, "motion_amplitude": 0.2, "facesim": 0.6, "gme": 0.7, "nexus": 0.02, "natural": 4.0,
}  # fmt: skip
CASES = [
    Case(case_id=f"v{n}", prompt="p", subjects=(f"v{n}",), references=(), targets=(), category="c", prompt_index=0, medium="video")
    for n in range(3)
]  # fmt: skip
EXPECTED = [(case, 0) for case in CASES]


def bound(variant: str) -> Bound:
    card = OPENS2V_TOTAL.card.variant(variant)
    return Bound(variant, card, card.extractor)


def total_column(variant: str = "v1_1") -> Column:
    chosen = MetricChoice.parse(f"opens2v_total@{variant}")
    base = column(FakeLike("opens2v_total"))
    return replace(base, label="opens2v_total", choice=chosen, metric=OPENS2V_TOTAL, bound=bound(variant))


class FakeLike(FakeMetric):
    """A metric under another column's name, without a file of its own."""

    def __init__(self, name: str) -> None:
        super().__init__(OPENS2V_TOTAL.card_path)
        variants = {"plain": OPENS2V_TOTAL.card.variants["v1_1"]}
        self.__dict__["card"] = OPENS2V_TOTAL.card.model_copy(
            update={"name": name, "variants": variants, "default_variant": "plain"}
        )


def table(variant: str = "v1_1", *, without: tuple[str, ...] = ()) -> tuple[dict[str, Column], Column]:
    """A column for each component, under the names that the total looks for, and the total's."""
    found = {}
    for name, told in OPENS2V_TOTAL.components(bound(variant)).items():
        if name not in without:
            chosen = MetricChoice.parse(told)
            signature = Signature.of(metric=chosen.metric, variant=chosen.variant)
            found[name] = replace(column(FakeLike(chosen.metric)), label=name, choice=chosen, signature=signature)
    return found, total_column(variant)


def scores(
    parts: dict[str, Column], *, only: int = 3, states: dict[str, str] | None = None
) -> dict[tuple[str, int, str], Score]:
    """A score of every component for the first `only` videos; `states` of all videos where a component has none."""
    found = {}
    for name, part in parts.items():
        for case, seed in EXPECTED[:only]:
            state = (states or {}).get(name)
            one = Score(
                case_id=case.case_id, seed=seed, metric=part.choice.column, signature=str(part.signature), inputs="0",
                state=State.SCORED if state is None else State.of(state), value=VALUES[name] if state is None else None,
            )  # fmt: skip
            found[one.key] = one
    return found


@pytest.mark.parametrize(
    ("variant", "release", "domain"),
    [
        ("v1_1", "v1.1", "open"),
        ("v1_1_human", "v1.1", "human"),
        ("v1_0", "v1.0", "open"),
        ("v1_0_human", "v1.0", "human"),
    ],
)
def test_the_total_is_that_of_its_components(variant: str, release: str, domain: str) -> None:
    parts, whole = table(variant)
    assert set(parts) == set(component_weights(version=release, domain=domain))  # type: ignore[arg-type]
    found = derivation(whole, [*parts.values(), whole], EXPECTED, scores(parts))
    wanted = total({name: VALUES[name] for name in parts}, version=release, domain=domain)  # type: ignore[arg-type]
    assert found.value == pytest.approx(wanted, abs=1e-12)
    assert found[1:] == (3, 3, {}, ())


def test_what_few_videos_have_weighs_as_much() -> None:
    parts, whole = table()
    some = scores(parts)
    for case in CASES[1:]:
        key = (case.case_id, 0, str(parts["facesim"].signature))
        some[key] = some[key].model_copy(update={"state": State.NOT_APPLICABLE, "value": None})
    found = derivation(whole, [*parts.values(), whole], EXPECTED, some)
    assert found.value == pytest.approx(total(VALUES), abs=1e-12)
    assert found[1:] == (3, 3, {}, ())


def test_a_component_without_any_value_leaves_no_total() -> None:
    parts, whole = table()
    found = derivation(
        whole,
        [*parts.values(), whole],
        EXPECTED,
        scores(parts, states={"gme": "weights_missing", "natural": "judge_unparsed"}),
    )
    assert found == (None, 0, 3, {State.COMPONENT_MISSING: 3}, ("gme", "natural"))
    parts, whole = table(without=("nexus",))
    assert derivation(whole, [*parts.values(), whole], EXPECTED, scores(parts)).lacking == ("nexus",)


def test_the_summary_says_what_is_missing_and_how_much_is_covered() -> None:
    parts, whole = table()
    told = summarise([*parts.values(), whole], EXPECTED, scores(parts, only=2))["opens2v_total"]
    assert told.value == pytest.approx(total(VALUES), abs=1e-12)
    assert (told.n_scored, told.n_cases, told.states) == (2, 3, {"component_missing": 1})
    none = summarise([*parts.values(), whole], EXPECTED, {})["opens2v_total"]
    assert (none.value, none.n_scored, none.states) == (None, 0, {"component_missing": 3})


def in_state(part: Column, case: Case, state: str) -> Score:
    return Score(
        case_id=case.case_id, seed=0, metric=part.choice.column, signature=str(part.signature), inputs="0", state=State.of(state)
    )  # fmt: skip


def test_a_video_without_a_face_or_a_thing_keeps_the_run_whole() -> None:
    """What a component finds nothing in is ordinary, and counts against the coverage alone."""
    parts, whole = table()
    some = scores(parts)
    told = (("nexus", 0, "undefined"), ("facesim", 0, "no_face"), ("facesim", 1, "no_face"))
    some |= {one.key: one for one in (in_state(parts[name], CASES[n], state) for name, n, state in told)}
    found = summarise([*parts.values(), whole], EXPECTED, some)["opens2v_total"]
    assert found.value == pytest.approx(total(VALUES), abs=1e-12)
    assert (found.n_scored, found.n_cases, found.states) == (1, 3, {"no_face": 2})
    assert all(State.of(state).whole for state in found.states)


@pytest.mark.parametrize("order", [("undefined", "judge_unparsed"), ("judge_unparsed", "undefined")])
def test_what_could_have_been_there_is_told_before_what_could_not(order: tuple[str, str]) -> None:
    parts, whole = table()
    some = scores(parts)
    for name, state in zip(("nexus", "natural"), order, strict=True):
        one = in_state(parts[name], CASES[0], state)
        some[one.key] = one
    found = summarise([*parts.values(), whole], EXPECTED, some)["opens2v_total"]
    assert (found.n_scored, found.states) == (2, {"component_missing": 1})


def test_a_column_asked_for_besides_is_not_the_protocol_s() -> None:
    """The same metric and variant over other cases stands in the table after the one that the total is made of."""
    parts, whole = table()
    beside = replace(parts["facesim"], label="more", signature=parts["facesim"].signature.with_part("where", "none"))
    both = scores(parts) | scores({"facesim": beside}, states={"facesim": "no_face"})
    used = [*parts.values(), whole, beside]
    assert derivation(whole, used, EXPECTED, both) == derivation(whole, used[:-1], EXPECTED, scores(parts))
    assert with_components(used)[-2].signature == with_components(used[:-1])[-1].signature


def test_a_total_of_no_video_lacks_nothing() -> None:
    parts, whole = table()
    told = summarise([*parts.values(), whole], [], {})["opens2v_total"]
    assert (told.value, told.n_cases, told.states) == (None, 0, {})


def test_subject_scores_that_are_all_0_are_no_mean() -> None:
    parts, whole = table()
    zero = {
        key: one.model_copy(update={"value": 0.0}) if one.metric.startswith("nexus") else one
        for key, one in scores(parts).items()
    }
    told = summarise([*parts.values(), whole], EXPECTED, zero)["opens2v_total"]
    assert (told.value, told.states) == (None, {"undefined": 3})


def test_the_signature_changes_with_a_component_s() -> None:
    parts, whole = table()
    signed = with_components([*parts.values(), whole])[-1].signature
    parts["gme"] = replace(parts["gme"], signature=parts["gme"].signature.with_part("dtype", "float16"))
    changed = with_components([*parts.values(), whole])[-1].signature
    assert signed != changed
    assert [part for part in signed.parts if part not in changed.parts] == [signed.parts[-1]]


def test_a_sample_has_no_total(tmp_path: Path) -> None:
    item = Item(CASES[0], 0, ImageContent("0" * 64, tmp_path), ())
    with pytest.raises(Unscorable, match="opens2v_total is of a whole table, not of a sample"):
        OPENS2V_TOTAL.requests(item, bound("v1_1"))
    assert [o.state for o in OPENS2V_TOTAL.score([item], bound("v1_1"), [[]])] == [State.NOT_APPLICABLE]


def test_columns_of_a_table_are_signed_as_they_are_bound() -> None:
    """Through the registry: the total's own column carries the digest of its neighbours."""
    chosen = [MetricChoice.parse(text) for text in ("motion_amplitude@official", "opens2v_total@v1_1")]
    alone = columns(chosen[1:], "sandbox", Backbones(device="cpu"))
    beside = columns(chosen, "sandbox", Backbones(device="cpu"))
    assert alone[0].signature != beside[1].signature
    assert dict(alone[0].signature.parts)["backbone"] == "none"


def test_two_totals_are_not_compared_as_samples_are() -> None:
    run: Any = SimpleNamespace(
        result=SimpleNamespace(scores={"opens2v_total": None}),
        choice=lambda _: MetricChoice.parse("opens2v_total@v1_1"),
    )
    assert why_not_metric(run, run, "opens2v_total") == (
        "it is of a whole table and has no values of samples to compare; compare the columns that it is made of"
    )
