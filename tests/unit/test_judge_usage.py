"""What judges cost: summed from the stored replies, at a price that is given."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from evalkit.cli import main
from evalkit.errors import UsageError
from evalkit.judges.store import ReplyStore, StoredReply
from evalkit.judges.talk import Reply
from evalkit.judges.usage import Price, usage

if TYPE_CHECKING:
    from pathlib import Path


def stored(judge: str, tokens: tuple[int, int] | None, by: str = "m-1") -> StoredReply:
    prompt, completion = tokens or (None, None)
    reply = Reply(text="Score: 3", answered_by=by, finish="stop", prompt_tokens=prompt, completion_tokens=completion)
    return StoredReply(judge=judge, prompt="p-1", about={}, reply=reply)


REPLIES = [stored("b", (1000, 10)), stored("a", (500, 5)), stored("b", None), stored("b", (3000, 30), by="m-2")]


def test_sums_are_by_judge_and_say_what_was_not_counted() -> None:
    a, b = usage(REPLIES)
    assert (a.judge, a.replies, a.uncounted, a.prompt_tokens, a.completion_tokens, a.cost) == ("a", 1, 0, 500, 5, None)
    assert (b.judge, b.replies, b.uncounted, b.prompt_tokens, b.completion_tokens) == ("b", 3, 1, 4000, 40)
    assert b.answered_by == ("m-1", "m-2")


def test_cost_is_at_the_price_given() -> None:
    a, b = usage(REPLIES, Price.parse("2.5,10"))
    assert a.cost == pytest.approx(500 * 2.5e-6 + 5 * 10e-6)
    assert b.cost == pytest.approx(4000 * 2.5e-6 + 40 * 10e-6)


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "a,b", "-1,2", "1,inf", "nan,1"])
def test_a_price_that_is_none(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        Price.parse(text)
    assert str(raised.value) == (
        f"wanted --price IN,OUT, what a million prompt and completion tokens cost, found {text!r}"
    )


def test_the_command_shows_what_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path))
    store = ReplyStore(tmp_path / "judges")
    for number, one in enumerate(REPLIES):
        store.reply(f"{number:02d}abc", lambda one=one: one)  # type: ignore[misc]
    assert main(["judge", "--price", "2.5,10", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["store"] == str(tmp_path / "judges")
    assert [one["replies"] for one in told["usage"]] == [1, 3]
    assert told["spread"] == []
    assert main(["judge"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"replies in {tmp_path / 'judges'}"
    assert lines[2].split() == ["a", "p-1", "m-1", "1", "500", "5", "0", "-"]
    assert main(["judge", "--price", "cheap"]) == 2
    assert main(["judge", str(tmp_path)]) == 1
    assert "wanted scores.csv in" in capsys.readouterr().err
