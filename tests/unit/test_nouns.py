from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from evalkit.errors import DataError, UsageError
from evalkit.nouns import Case, MetricChoice, Noun, Protocol, Reference, Sample, Score, Signature, State, digest

CASE: dict[str, Any] = {
    "case_id": "dog.p00", "prompt": "a dog in the snow", "subjects": ["dog"], "category": "animal", "prompt_index": 0,
    "references": [{"path": "dog/0.png", "subject": "dog", "label": "dog"}], "targets": [],
}  # fmt: skip
SAMPLE: dict[str, Any] = {
    "case_id": "dog.p00", "seed": 0, "state": "made", "path": "dog.p00/seed_0.png", "pixels_sha256": "00",
    "case_sha256": "11", "method": "noise", "method_version": "1",
}  # fmt: skip
SCORE: dict[str, Any] = {
    "case_id": "dog.p00", "seed": 0, "metric": "clip_i@divrl", "signature": "metric:clip_i", "inputs": "22",
    "state": "scored", "value": 0.5,
}  # fmt: skip
CHOICE: dict[str, Any] = {"metric": "clip_i", "variant": "divrl"}
PROTOCOL: dict[str, Any] = {"name": "official", "title": "T", "source": "s", "seeds": 1, "metrics": [CHOICE]}
NOUNS: list[tuple[type[Noun], dict[str, Any]]] = [
    (Case, CASE), (Sample, SAMPLE), (Score, SCORE), (MetricChoice, CHOICE), (Protocol, PROTOCOL),
]  # fmt: skip


@pytest.mark.parametrize(("noun", "data"), NOUNS, ids=lambda v: getattr(v, "__name__", ""))
def test_json_round_trip(noun: type[Noun], data: dict[str, Any]) -> None:
    made = noun.read(data, where="test")
    assert noun.read(made.to_json(), where="test") == made
    assert noun.read(json.loads(made.to_json()), where="test").to_json() == made.to_json()
    assert "\n" not in made.to_json()


@pytest.mark.parametrize(("noun", "data"), NOUNS, ids=lambda v: getattr(v, "__name__", ""))
def test_an_unknown_key_is_an_error_that_names_it(noun: type[Noun], data: dict[str, Any]) -> None:
    with pytest.raises(DataError) as raised:
        noun.read(data | {"colour": 1}, where="spec.yaml")
    assert str(raised.value) == f"spec.yaml: not a {noun.__name__.lower()}: colour is not a known key"


@pytest.mark.parametrize(("noun", "data"), NOUNS, ids=lambda v: getattr(v, "__name__", ""))
def test_nouns_do_not_change(noun: type[Noun], data: dict[str, Any]) -> None:
    made = noun.read(data, where="test")
    with pytest.raises(ValidationError, match="frozen"):
        setattr(made, next(iter(data)), "other")


def test_an_unknown_key_deep_inside_is_named_by_its_path() -> None:
    reference = CASE["references"][0] | {"colour": 1}
    with pytest.raises(DataError, match=r"^x: not a case: references\.0\.colour is not a known key$"):
        Case.read(CASE | {"references": [reference]}, where="x")


def test_every_wrong_key_is_told_at_once() -> None:
    told = {key: value for key, value in SCORE.items() if key != "metric"}
    with pytest.raises(DataError) as raised:
        Score.read(told | {"seed": -1, "inputs": 3}, where="row 4")
    assert str(raised.value) == (
        "row 4: not a score: seed: Input should be greater than or equal to 0, found -1; metric is missing; "
        "inputs: Input should be a valid string, found 3"
    )


def test_text_that_is_no_json_is_an_error() -> None:
    with pytest.raises(DataError, match="^line 3: not a case: document: Invalid JSON: "):
        Case.read('{"case_id": ', where="line 3")


def test_a_long_wrong_value_is_cut() -> None:
    with pytest.raises(DataError) as raised:
        Case.read(CASE | {"prompt_index": "x" * 5000}, where="x")
    assert len(str(raised.value)) < 250


NO_FILE_NAMES = [
    "", "a/b", "/etc", "..", "a..b", "../a", ".hidden", "-rf", "a b", "a\nb", "a\n", "é", "a\\b", "a:b", "a" * 182,
    "a" * 300,
]  # fmt: skip


@pytest.mark.parametrize("bad", NO_FILE_NAMES)
@pytest.mark.parametrize(("noun", "data"), [(Case, CASE), (Sample, SAMPLE), (Score, SCORE)])
def test_ids_that_are_no_file_names_are_refused(noun: type[Noun], data: dict[str, Any], bad: str) -> None:
    with pytest.raises(DataError) as raised:
        noun.read(data | {"case_id": bad}, where="x")
    assert str(raised.value).startswith(
        f"x: not a {noun.__name__.lower()}: case_id: Value error, an id is letters, digits, '_', '-' and '.', at most "
        f"181 long and without '..', found {bad!r}"
    )


@pytest.mark.parametrize("good", ["a", "0", "Dog_2.p-03", "a" * 181, "a.b.c"])
def test_ids_that_are_file_names_are_taken(good: str) -> None:
    assert Case.read(CASE | {"case_id": good}, where="x").case_id == good


@pytest.mark.parametrize("bad", ["", "Clip", "clip-i", "_clip", "clip i", "clip_i\n"])
def test_names_are_lower_case_words(bad: str) -> None:
    with pytest.raises(DataError, match="a name is lower-case letters, digits and '_', found "):
        MetricChoice.read(CHOICE | {"metric": bad}, where="x")


@pytest.mark.parametrize("blank", ["", "  ", "\n\t"])
def test_a_case_has_a_prompt(blank: str) -> None:
    with pytest.raises(DataError, match="prompt: Value error, a prompt must not be empty"):
        Case.read(CASE | {"prompt": blank}, where="x")


def test_a_reference_has_a_path() -> None:
    with pytest.raises(DataError, match="path: String should have at least 1 character"):
        Reference.read({"path": "", "subject": "a", "label": "b"}, where="x")


def test_a_digest_depends_on_every_value_and_not_on_the_order_of_keys() -> None:
    case = Case.read(CASE, where="x")
    told = case.model_dump(mode="json", exclude_defaults=True)
    assert case.digest() == digest(dict(reversed(list(told.items()))))
    assert "texts" not in told  # a key that is at its default changes no digest, so that one may be added later
    assert case.digest() != case.model_copy(update={"prompt": "a dog in the rain"}).digest()
    assert digest([]) == "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"


def test_a_digest_has_no_nan() -> None:
    with pytest.raises(ValueError, match="JSON"):
        digest(float("nan"))


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), -float("inf")])
def test_scored_needs_a_finite_value(value: float | None) -> None:
    with pytest.raises(DataError) as raised:
        Score.read(SCORE | {"value": value}, where="x")
    wanted = (
        "state 'scored' does not go with value None" if value is None else f"a value must be finite, found {value!r}"
    )
    assert wanted in str(raised.value)


@pytest.mark.parametrize("state", [state for state in State if state is not State.SCORED])
def test_every_other_state_has_no_value(state: State) -> None:
    assert Score.read(SCORE | {"state": state.value, "value": None}, where="x").value is None
    with pytest.raises(DataError, match=f"state '{state.value}' does not go with value 0.0"):
        Score.read(SCORE | {"state": state.value, "value": 0.0}, where="x")


def test_states_say_what_they_mean() -> None:
    assert all(len(state.meaning) > 10 and state.meaning[0].islower() for state in State)
    assert len({state.meaning for state in State}) == len(State)
    assert all(state.value == state.name.lower() for state in State)


def test_what_may_pass_is_tried_again_and_leaves_the_run_not_whole() -> None:
    passing = {"extractor_error", "sample_missing", "sample_failed", "decode_error", "reference_error", "weights_missing",
               "judge_unparsed", "metric_error", "mate_missing", "component_missing"}  # fmt: skip
    assert {state.value for state in State if state.retried} == passing
    assert {state.value for state in State if not state.whole} == passing


def test_states_are_found_by_name() -> None:
    assert all(State.of(state.value) is state for state in State)
    with pytest.raises(ValueError, match=r"^wanted a state \(scored, not_applicable, .*\), found 'fine'$"):
        State.of("fine")


def test_a_state_comes_back_from_json_with_its_meaning() -> None:
    score = Score.read(SCORE | {"state": "no_face", "value": None}, where="x")
    again = Score.read(score.to_json(), where="x")
    assert again.state is State.NO_FACE
    assert json.loads(score.to_json())["state"] == "no_face"


@pytest.mark.parametrize("lacking", ["path", "pixels_sha256"])
def test_a_made_sample_has_a_file(lacking: str) -> None:
    with pytest.raises(DataError, match="a sample that was made needs path and pixels_sha256"):
        Sample.read(SAMPLE | {lacking: None}, where="x")


@pytest.mark.parametrize("state", ["failed", "unreadable"])
@pytest.mark.parametrize("reason", [None, ""])
def test_a_sample_that_is_none_says_why(state: str, reason: str | None) -> None:
    with pytest.raises(DataError, match=f"a sample that is {state} needs a reason"):
        Sample.read(SAMPLE | {"state": state, "reason": reason}, where="x")
    assert Sample.read(SAMPLE | {"state": state, "reason": "r"}, where="x").key == ("dog.p00", 0)


def test_keys() -> None:
    assert Score.read(SCORE, where="x").key == ("dog.p00", 0, "metric:clip_i")


@pytest.mark.parametrize(
    ("text", "column", "aggregation"),
    [("clip_i@divrl", "clip_i@divrl", "micro"), ("clip_i@divrl:macro", "clip_i@divrl", "macro"),
     ("a@b:micro", "a@b", "micro")],
)  # fmt: skip
def test_metric_choices_parse(text: str, column: str, aggregation: str) -> None:
    choice = MetricChoice.parse(text)
    assert (choice.column, choice.aggregation) == (column, aggregation)
    assert MetricChoice.parse(str(choice)) == choice


@pytest.mark.parametrize("bad", ["", "clip_i", "@divrl", "clip_i@", "clip_i@divrl:mean", "@", ":micro"])
def test_a_metric_choice_that_does_not_parse(bad: str) -> None:
    with pytest.raises(UsageError) as raised:
        MetricChoice.parse(bad)
    assert str(raised.value) == f"wanted METRIC@VARIANT or METRIC@VARIANT:micro|macro, found {bad!r}"


def test_a_metric_choice_with_bad_letters_names_them() -> None:
    with pytest.raises(DataError, match="^'CLIP@a': not a metricchoice: metric: Value error, a name is lower-case"):
        MetricChoice.parse("CLIP@a")


def test_a_protocol_has_each_metric_once() -> None:
    with pytest.raises(DataError, match="each metric once, found twice: clip_i@divrl:micro"):
        Protocol.read(PROTOCOL | {"metrics": [CHOICE, CHOICE]}, where="x")
    both = [CHOICE, CHOICE | {"aggregation": "macro"}]
    assert len(Protocol.read(PROTOCOL | {"metrics": both}, where="x").metrics) == 2


@pytest.mark.parametrize(("key", "value"), [("metrics", []), ("seeds", 0)])
def test_a_protocol_has_metrics_and_seeds(key: str, value: object) -> None:
    with pytest.raises(DataError, match=f"^x: not a protocol: {key}: "):
        Protocol.read(PROTOCOL | {key: value}, where="x")


def test_a_signature_says_its_parts_in_order() -> None:
    signature = Signature.of(metric="clip_i", variant="a|b:c\nd ")
    assert str(signature) == "metric:clip_i|variant:a/b=c d"
    assert signature.get("variant") == "a/b=c d"
    assert signature.get("agg") is None


@pytest.mark.parametrize("bad", ["", "metric", "metric:a|b", ":a", "a:b||c:d"])
def test_a_text_that_is_no_signature(bad: str) -> None:
    with pytest.raises(DataError) as raised:
        Signature.parse(bad)
    assert str(raised.value) == f"wanted a signature like 'metric:clip_i|variant:official', found {bad!r}"


def test_the_first_part_that_differs_is_named() -> None:
    mine = Signature.of(metric="clip_i", weights="aa", v="1")
    assert mine.first_difference(mine) is None
    assert mine.first_difference(Signature.of(metric="clip_i", weights="bb", v="2")) == ("weights", "aa", "bb")
    assert mine.first_difference(Signature.of(metric="clip_i", weights="aa")) == ("v", "1", None)
    assert Signature.of(metric="clip_i").first_difference(Signature.of(metric="clip_i", v="1")) == ("v", None, "1")


@pytest.mark.parametrize(
    ("name", "good"), [("v1.1", True), ("v1.1_human", True), ("v1..1", False), (".v1", False), ("V1.1", False)]
)
def test_a_protocol_may_be_named_after_a_version(name: str, good: bool) -> None:
    told = {"name": name, "title": "t", "source": "s", "seeds": 1, "metrics": [CHOICE]}
    if good:
        assert Protocol.read(told, where="x").name == name
    else:
        with pytest.raises(DataError, match="name: Value error, a name is lower-case letters, digits and '_', found "):
            Protocol.read(told, where="x")
