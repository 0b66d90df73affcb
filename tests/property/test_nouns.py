"""Nouns survive their JSON form, signatures their text, whatever is in them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import DataError
from evalkit.nouns import Case, MetricChoice, Sample, Score, Signature, State

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
NAME = st.from_regex(r"\A[a-z0-9][a-z0-9_]{0,20}\Z")
ID = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,40}\Z").filter(lambda text: ".." not in text)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def references() -> st.SearchStrategy[Any]:
    one = st.fixed_dictionaries(
        {"path": TEXT.filter(bool), "subject": TEXT, "label": TEXT}, optional={"mask": st.none() | TEXT}
    )
    return st.lists(one, max_size=3)


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "case_id": draw(ID), "prompt": draw(TEXT.filter(lambda text: bool(text.strip()))),
        "subjects": draw(st.lists(TEXT, max_size=3)), "references": draw(references()), "targets": draw(references()),
        "category": draw(TEXT), "tags": draw(st.lists(TEXT, max_size=3)), "prompt_index": draw(st.integers(0, 2**40)),
        "texts": draw(st.dictionaries(TEXT, TEXT, max_size=3)), "set_id": draw(st.none() | TEXT),
        "medium": draw(st.sampled_from(["image", "video", "text"])),
    }  # fmt: skip


@given(cases())
def test_cases_survive_json(data: dict[str, Any]) -> None:
    case = Case.read(data, where="x")
    again = Case.read(case.to_json(), where="x")
    assert again == case
    assert again.digest() == case.digest()


@given(ID, st.integers(0, 2**62), FINITE, TEXT, st.sampled_from(list(State)))
def test_scores_survive_json(case_id: str, seed: int, value: float, reason: str, state: State) -> None:
    score = Score(
        case_id=case_id, seed=seed, metric="a@b", signature="metric:a", inputs="0", state=state, reason=reason,
        value=value if state is State.SCORED else None,
    )  # fmt: skip
    again = Score.read(score.to_json(), where="x")
    assert again == score
    assert again.state is state
    assert again.value is None or math.copysign(1, again.value) == math.copysign(1, value)


@given(ID, TEXT.filter(bool), st.lists(TEXT, max_size=3).map(tuple))
def test_samples_survive_json(case_id: str, reason: str, notes: tuple[str, ...]) -> None:
    sample = Sample(
        case_id=case_id, seed=1, state="failed", case_sha256="0", method="m", method_version="1", reason=reason,
        notes=notes, rng_seed=2**63 - 1,
    )  # fmt: skip
    assert Sample.read(sample.to_json(), where="x") == sample


@given(
    NAME,
    NAME,
    st.sampled_from(["micro", "macro"]),
    st.dictionaries(st.sampled_from(["category", "tag"]), st.lists(TEXT).map(tuple)),
)
def test_metric_choices_survive_text_and_json(
    metric: str, variant: str, aggregation: str, where: dict[str, tuple[str, ...]]
) -> None:
    choice = MetricChoice.read(
        {"metric": metric, "variant": variant, "aggregation": aggregation, "where": where}, where="x"
    )
    assert MetricChoice.read(choice.to_json(), where="x") == choice
    assert MetricChoice.parse(str(choice)) == choice.model_copy(update={"where": {}})


@given(cases(), TEXT.filter(lambda key: key not in Case.model_fields))
def test_an_unknown_key_is_always_refused(data: dict[str, Any], key: str) -> None:
    with pytest.raises(DataError, match="is not a known key"):
        Case.read(data | {key: 1}, where="x")


@given(st.text(max_size=60))
def test_what_is_taken_as_an_id_is_one_plain_file_name(text: str) -> None:
    data = {"case_id": text, "prompt": "p", "subjects": [], "references": [], "targets": [], "category": "c",
            "prompt_index": 0}  # fmt: skip
    try:
        case_id = Case.read(data, where="x").case_id
    except DataError:
        return
    assert case_id.isascii()
    assert not set(case_id) & set('/\\\0:*?"<>|\n\r ')
    assert case_id[0].isalnum()
    assert ".." not in case_id


PARTS = st.dictionaries(NAME, st.text(max_size=20), min_size=1, max_size=5)


@given(PARTS)
def test_signatures_survive_their_text(parts: dict[str, str]) -> None:
    signature = Signature.of(**parts)
    assert Signature.parse(str(signature)) == signature
    assert str(Signature.parse(str(signature))) == str(signature)
    assert list(dict(signature.parts)) == list(parts)


@given(PARTS, NAME, st.text(max_size=20))
def test_the_difference_is_none_exactly_when_parts_are_equal(parts: dict[str, str], key: str, value: str) -> None:
    mine, theirs = Signature.of(**parts), Signature.of(**{**parts, key: value})
    difference = mine.first_difference(theirs)
    assert (difference is None) == (mine == theirs)
    if difference is not None:
        assert difference == (key, mine.get(key), theirs.get(key))
