"""Replies to scores, and replies that are none."""

from __future__ import annotations

import pytest

from evalkit.errors import UsageError
from evalkit.judges.parse import gpt_score, labelled_score, natural_score


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("Score: 3", 3),
        ("score:0", 0),
        ("Analysis: it is close.\nScore: Good 3", 3),
        ("**Score:** 3", None),
        ("SCORE: 3", None),
        ("Score: (3)", None),
        ("Score: very good 3", None),
        ("Score: 3. Overall score: 4", None),
        ("Score: 3\nScore: 3", None),
        ("Score 3", None),
        ("I cannot help with that.", None),
        ("", None),
        ("Score: -1", None),
        ("Score: 3.5", 3),
    ],
)
def test_a_labelled_score_is_there_exactly_once(reply: str, score: int | None) -> None:
    assert labelled_score(reply, bounds=None) == score
    assert labelled_score(reply, bounds=(0, 4)) == score


def test_the_range_is_checked_only_where_it_is_given() -> None:
    assert [labelled_score(f"Score: {n}", bounds=(1, 3)) for n in range(6)] == [None, 1, 2, 3, None, None]
    assert [labelled_score(f"Score: {n}", bounds=None) for n in (5, 10, 400)] == [5, 10, 400]


@pytest.mark.parametrize(
    ("reply", "official", "corrected"),
    [
        ("0.5", 0.5, 0.5),
        ("Score:: 1", 1.0, 1.0),
        ("Score::0.0\n", 0.0, 0.0),
        ("It is partly right. Score:: 0.5", 0.5, 0.5),
        ("Score:: 0.25", 0.25, None),
        ("Score:: 1.5", None, None),
        ("-0.5", None, None),
        ("Score: 0.5", None, None),
        ("nan", None, None),
        ("Score:: ", None, None),
        ("half", None, None),
    ],
)
def test_the_score_of_an_answer(reply: str, official: float | None, corrected: float | None) -> None:
    assert gpt_score(reply, variant="official") == official
    assert gpt_score(reply, variant="corrected") == corrected


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^wanted variant 'official' or 'corrected', found 'paper'$"):
        gpt_score("1", variant="paper")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reply", "score"),
    [("1", 1.0), ("5", 5.0), (" 3 \n", 3.0), ("4.5", 4.5), ("0", None), ("6", None), ("error", None), ("4/5", None),
     ("Score: 4", None), ("inf", None), ("", None)],
)  # fmt: skip
def test_a_natural_score_is_a_number_from_1_to_5_alone(reply: str, score: float | None) -> None:
    assert natural_score(reply) == score
