"""run.json: what it holds, what it refuses, and what tells two runs apart."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from evalkit.errors import RunError, UsageError
from evalkit.runs.cases import RunCase, merged
from evalkit.runs.record import Backbone, Hardware, Invocation, RunRecord
from tests.unit.run_rows import PIXELS, case, identity, request, run_case


def _record() -> RunRecord:
    hardware = Hardware(cpu="c", cores=2, memory_bytes=None)
    started = datetime(2025, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    once = Invocation(
        command=("evalkit", "run"), started=started, hostname="h", versions={"python": "3"}, hardware=hardware
    )
    backbones = {"f0": Backbone(parts={"backbone": "clip"})}
    return RunRecord(
        identity=identity(), request=request(), backbones=backbones, invocations=(once,), rewards=("clip_i",)
    )


def test_the_text_comes_back_as_the_record() -> None:
    record = _record()
    assert RunRecord.parse(record.text(), where="run.json") == record
    assert json.loads(record.text())["schema_version"] == 1


def _parse(**changes: Any) -> RunRecord:
    return RunRecord.parse(json.dumps({**json.loads(_record().text()), **changes}), where="runs/a/run.json")


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(
        RunError, match=r"^runs/a/run.json: not a runrecord: colour is not a known key; use the version of evalkit"
    ):
        _parse(colour="red")


def test_an_unknown_key_inside_is_named() -> None:
    with pytest.raises(RunError, match=r"request\.budget is not a known key"):
        _parse(request={**json.loads(request().to_json()), "budget": 3})


def test_a_newer_schema_is_told_as_such() -> None:
    with pytest.raises(
        RunError, match=r"^runs/a/run.json: wanted schema_version 1, found 2; .*newer evalkit, use that"
    ):
        _parse(schema_version=2, colour="red")


@pytest.mark.parametrize(("text", "told"), [("{", "wanted JSON, found none"), ("[]", "not a runrecord: document")])
def test_what_is_no_record_is_told(text: str, told: str) -> None:
    with pytest.raises(RunError, match=rf"^r: {told}"):
        RunRecord.parse(text, where="r")


def test_equal_identities_do_not_differ() -> None:
    mine = identity(method_config={"a": 1, "b": {"x": [1, 2], "y": 0.1}})
    theirs = identity(method_config={"b": {"y": 0.1, "x": [1, 2]}, "a": 1})
    assert mine.first_difference(theirs) is None


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"method": "copy_reference"}, ("method", '"noise"', '"copy_reference"')),
        ({"method_version": "2", "benchmark": "other"}, ("method_version", '"1"', '"2"')),
        ({"benchmark": "opens2v"}, ("benchmark", '"dreambench"', '"opens2v"')),
        ({"world": "3"}, ("world", "null", '"3"')),
        ({"profile": "paper"}, ("profile", '"sandbox"', '"paper"')),
        ({"method_config": {"steps": 50}}, ("method_config.steps", "20", "50")),
        ({"method_config": {"steps": 20.0}}, ("method_config.steps", "20", "20.0")),
        ({"method_config": {}}, ("method_config.steps", "20", "nothing")),
        ({"method_config": {"steps": 20, "lora": None}}, ("method_config.lora", "nothing", "null")),
    ],
)
def test_the_first_difference_is_told(changes: dict[str, Any], difference: tuple[str, str, str]) -> None:
    assert identity().first_difference(identity(**changes)) == difference


@pytest.mark.parametrize("value", [math.nan, [math.inf], {"a": -math.inf}])
def test_a_configuration_that_json_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError, match="holds finite numbers only"):
        identity(method_config={"scale": value})


@pytest.mark.parametrize("changes", [{"seeds": ()}, {"seeds": (-1,)}, {"metrics": ()}, {"limit": 0}])
def test_a_request_for_nothing_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        request(**changes)


def test_the_digest_follows_the_prompt_and_the_pixels_seen() -> None:
    base = run_case().sha256
    assert RunCase.of(case(), {**PIXELS, "elsewhere.jpg": "ff"}).sha256 == base
    assert RunCase.of(case(prompt="a cat"), PIXELS).sha256 != base
    assert RunCase.of(case(), {**PIXELS, "dog/00.jpg": "ff"}).sha256 != base
    assert RunCase.of(case(), {**PIXELS, "dog/00.png": None}).sha256 != base


def test_the_digest_leaves_out_what_protocols_choose() -> None:
    assert RunCase.of(case(targets=()), PIXELS).sha256 == run_case().sha256
    assert RunCase.of(case(), {**PIXELS, "dog/01.jpg": "ff"}).sha256 == run_case().sha256


def test_the_pixels_of_every_picture_are_kept_and_needed() -> None:
    assert RunCase.of(case(), {**PIXELS, "elsewhere.jpg": "ff"}).pixels == PIXELS
    with pytest.raises(UsageError, match=r"^case 'dog_00': wanted the pixel hash of 'dog/01.jpg', found none$"):
        RunCase.of(case(), {"dog/00.jpg": "aa", "dog/00.png": "bb"})


def test_the_newest_request_comes_first_and_earlier_cases_stay() -> None:
    known = merged({}, [run_case("a"), run_case("b"), run_case("c")])
    both = merged(known, [run_case("d"), run_case("b", "another prompt")])
    assert [(name, c.requested) for name, c in both.items()] == [("d", True), ("b", True), ("a", False), ("c", False)]
    assert both["b"].case.prompt == "another prompt"
    again = merged(both, [run_case("a")])
    assert [name for name, c in again.items() if c.requested] == ["a"]


def test_a_case_asked_for_twice_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^wanted each case once, found 'b' twice$"):
        merged({}, [run_case("a"), run_case("b"), run_case("b")])
