from __future__ import annotations

import pytest

from evalkit.benchmarks.dreambench_prompts import Phrase, parse_prompt_file
from tests.unit.benchmark_samples import prompt_file

CLASSES = {"cat": "cat", "rc_car": "toy"}
HEAD = ["Classes", "subject_name,class", "cat,cat", "Prompts", "Object Prompts"]


def test_the_whole_file() -> None:
    parsed = parse_prompt_file(prompt_file(CLASSES).splitlines())
    assert parsed.problems == []
    assert parsed.classes == CLASSES
    assert [len(parsed.phrases[kind]) for kind in ("object", "live")] == [25, 25]
    assert parsed.phrases["live"][10] == Phrase("a ", " wearing a red hat")
    assert parsed.phrases["object"][20] == Phrase("a red ", "")


def test_notation_may_differ() -> None:
    odd = [
        *HEAD,
        "",
        "prompt_list=[",
        '"a  {0} {1} in\tsnow",',
        "'a {0} {1}\\'s bed'.format(unique_token,class_token)",
        "]",
    ]
    odd += ["LIVE SUBJECT PROMPTS:", "'a wet {1}'"]
    parsed = parse_prompt_file(odd)
    assert parsed.problems == []
    assert parsed.phrases == {
        "object": [Phrase("a ", " in snow"), Phrase("a ", "\\'s bed")],
        "live": [Phrase("a wet ", "")],
    }


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("''.format(unique_token, class_token),", "line 6: wanted a prompt, found an empty one"),
        ("'a {0} thing',", "line 6: wanted one '{0} {1}' (token, class) in the prompt, found 'a {0} thing'"),
        (
            "'a {0} {1} and {1}',",
            "line 6: wanted one '{0} {1}' (token, class) in the prompt, found 'a {0} {1} and {1}'",
        ),
        ("'a {1}, {0}',", "line 6: wanted one '{0} {1}' (token, class) in the prompt, found 'a {1}, {0}'"),
        ("a {0} {1} in the snow", "line 6: wanted a quoted object prompt, found 'a {0} {1} in the snow'"),
    ],
)
def test_a_prompt_that_is_none(line: str, told: str) -> None:
    assert parse_prompt_file([*HEAD, line]).problems == [told]


def test_a_prompt_twice() -> None:
    problems = parse_prompt_file([*HEAD, "'a {0} {1} in snow',", "'a {1} in snow'"]).problems
    assert problems == ["line 7: wanted each object prompt once, found 'a {1} in snow' again"]


def test_rows_of_the_class_table() -> None:
    problems = parse_prompt_file(
        ["Classes", "subject_name,class", "cat,cat", "cat,dog", "dog", "dog,", "a,b,c"]
    ).problems
    assert problems == [
        "line 4: wanted each subject once, found 'cat' again; remove one",
        "line 5: wanted 'subject,class', found 'dog'",
        "line 6: wanted 'subject,class', found 'dog,'",
        "line 7: wanted 'subject,class', found 'a,b,c'",
    ]


def test_a_line_before_any_header() -> None:
    told = "line 1: wanted one of the headers ['classes', 'prompts', 'object prompts', 'live subject prompts'], found 'cat,cat'"
    assert parse_prompt_file(["cat,cat", "Classes", "dog,dog"]).problems == [told]
