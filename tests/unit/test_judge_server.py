"""A served judge against a local server that misbehaves in every way that servers do."""

from __future__ import annotations

import base64
import io
import time
from contextlib import ExitStack, contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from evalkit.errors import JudgeError
from evalkit.features.spec import ImageContent
from evalkit.judges.server import LARGEST_REPLY, LONGEST_WAIT_S, TRIES, Server
from evalkit.judges.settings import Key
from evalkit.judges.shown import show_rule
from evalkit.judges.talk import Turn
from tests.fakes import picture
from tests.judge_server import GOOD, Answer, FakeServer, completion, fake_server

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "sk-very-secret-0123456789"
RULE = show_rule("judge_512")
PICTURE = ImageContent("a" * 64, Path("a.png"))
TURNS = (Turn("user", ("Rate it.",)), Turn("assistant", ("Yes.",)), Turn("user", ("A cat.", PICTURE)))


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@contextmanager
def client(server: FakeServer, **changes: Any) -> Iterator[tuple[Server, list[float]]]:
    """A client of that server and the waits that it would have made."""
    waits: list[float] = []
    settings = {"key": Key(SECRET), "rate": None, "workers": 2, "timeout_s": 5.0, "sleep": waits.append}
    made = Server(server.url, "judge-1", RULE, **(settings | changes))
    try:
        yield made, waits
    finally:
        made.close()


def ask(judge: Server) -> str:
    jpeg = RULE.encode(picture(1))
    return judge.ask(TURNS, {PICTURE.sha256: jpeg}, temperature=1.0, seed=7).text


def test_what_is_sent_is_the_three_message_form_with_the_picture_at_512() -> None:
    with fake_server() as server, client(server) as (judge, _):
        assert ask(judge) == GOOD
    (body,) = server.asked
    assert server.paths == ["/v1/chat/completions"]
    assert {name: body[name] for name in ("model", "temperature", "seed")} == {
        "model": "judge-1", "temperature": 1.0, "seed": 7,
    }  # fmt: skip
    rubric, acknowledged, shown = body["messages"]
    assert (rubric, acknowledged) == (
        {"role": "user", "content": "Rate it."},
        {"role": "assistant", "content": "Yes."},
    )
    text, image = shown["content"]
    assert text == {"type": "text", "text": "A cat."}
    assert image["image_url"]["detail"] == "high"
    head, _, data = image["image_url"]["url"].partition(",")
    assert head == "data:image/jpeg;base64"
    sent = Image.open(io.BytesIO(base64.b64decode(data)))
    assert (sent.format, sent.size) == ("JPEG", (512, 512))


def test_the_reply_carries_tokens_and_who_answered() -> None:
    said = completion("Score: 1", tokens=(90, 5), model="judge-1-dated")
    with fake_server(said) as server, client(server) as (judge, _):
        reply = judge.ask(TURNS[:2], {}, temperature=0.0, seed=1)
    assert (reply.text, reply.answered_by, reply.finish) == ("Score: 1", "judge-1-dated", "stop")
    assert (reply.prompt_tokens, reply.completion_tokens) == (90, 5)


def test_a_server_that_counts_nothing_and_a_judge_that_says_nothing() -> None:
    with fake_server(completion(None, tokens=None)) as server, client(server) as (judge, _):
        reply = judge.ask(TURNS[:2], {}, temperature=0.0, seed=1)
    assert (reply.text, reply.prompt_tokens, reply.completion_tokens) == ("", None, None)


@pytest.mark.parametrize(
    "bad",
    [
        Answer(500, b"oops"),
        Answer(503, b"{}"),
        Answer(200, b"<html>busy</html>"),
        Answer(200, b"\xff\xfe\x00garbage"),
        Answer(200, b'{"choices": []}'),
        Answer(200, b'{"choices": [{"message": "no"}]}'),
        Answer(200, completion(GOOD).body[:40], promised=len(completion(GOOD).body)),
        Answer(200, b"x" * (LARGEST_REPLY + 1)),
        Answer(200, b"\x00\x01", {"Content-Encoding": "gzip"}),
    ],
    ids=["500", "503", "page", "bytes", "no choice", "no message", "half", "endless", "not gzip"],
)
def test_what_may_pass_is_asked_again_with_doubling_waits(bad: Answer) -> None:
    with fake_server(bad, bad) as server, client(server) as (judge, waits):
        assert ask(judge) == GOOD
    assert len(server.asked) == 3
    assert waits == [1.0, 2.0]


def test_a_limit_holds_for_as_long_as_the_server_says() -> None:
    with fake_server(Answer(429, b"slow down", {"Retry-After": "17"})) as server, client(server) as (judge, waits):
        assert ask(judge) == GOOD
    assert len(server.asked) == 2
    assert waits == [pytest.approx(17, abs=0.5)]


def test_a_limit_may_be_a_date_or_nothing() -> None:
    until = formatdate(time.time() + 30, usegmt=True)
    script = (Answer(429, b"", {"Retry-After": until}), Answer(429, b"", {"Retry-After": "soon"}), Answer(429, b""))
    with fake_server(*script) as server, client(server) as (judge, waits):
        assert ask(judge) == GOOD
    date, *plain = waits
    assert date == pytest.approx(30, abs=2)
    # The first hold is still on while the others wait, since no time passes here.
    assert [wait for wait in plain if wait in (2.0, 4.0)] == [2.0, 4.0]


def test_a_wait_beyond_all_measure_ends_the_question() -> None:
    hours = Answer(429, b"tomorrow", {"Retry-After": str(int(LONGEST_WAIT_S) * 60)})
    told = r"gave no reply in 1 try, last: HTTP 429: tomorrow, and asks to wait 7200 s"
    with fake_server(hours) as server, client(server) as (judge, _), pytest.raises(JudgeError, match=told):
        ask(judge)
    assert len(server.asked) == 1


def test_a_server_that_never_recovers_is_given_up() -> None:
    bad = [Answer(502, b"bad gateway")] * TRIES
    with fake_server(*bad) as server, client(server) as (judge, waits), pytest.raises(JudgeError) as raised:
        ask(judge)
    assert str(raised.value) == (
        f"the judge 'judge-1' at {server.url} gave no reply in {TRIES} tries, last: HTTP 502: bad gateway; replies that "
        "came are kept, the same command goes on from there"
    )
    assert len(server.asked) == TRIES
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0]


def test_a_server_that_hangs_is_left() -> None:
    with fake_server(Answer(hang_s=30)) as server, client(server, timeout_s=0.3) as (judge, waits):
        started = time.monotonic()
        assert ask(judge) == GOOD
    assert time.monotonic() - started < 10
    assert waits == [1.0]


def test_a_reply_that_drips_past_the_deadline_is_left() -> None:
    body = completion(GOOD).body
    with fake_server(Answer(200, body, pause_s=0.05)) as server, client(server, timeout_s=0.5) as (judge, waits):
        started = time.monotonic()
        assert ask(judge) == GOOD
    assert time.monotonic() - started < len(body) * 0.05
    assert waits == [1.0]


def test_nobody_listening_is_said() -> None:
    with fake_server() as server:
        pass
    with client(server) as (judge, waits), pytest.raises(JudgeError, match=r"last: ConnectError: "):
        ask(judge)
    assert len(waits) == TRIES - 1


@pytest.mark.parametrize(
    "refusal",
    [Answer(401, b"bad key"), Answer(403, b"no"), Answer(404, b"no such model"), Answer(429, b'{"code": "insufficient_quota"}')],
    ids=["401", "403", "404", "quota"],
)  # fmt: skip
def test_a_refusal_ends_it_for_all_that_follows(refusal: Answer) -> None:
    with fake_server(refusal) as server, client(server) as (judge, _):
        for _ in range(3):
            with pytest.raises(JudgeError, match=rf"refuses \(HTTP {refusal.status}: .*check EVALKIT_JUDGE_KEY"):
                ask(judge)
    assert len(server.asked) == 1


def test_a_question_that_is_not_taken_costs_the_next_nothing() -> None:
    with fake_server(Answer(400, b"against the policy")) as server, client(server) as (judge, _):
        with pytest.raises(JudgeError, match=r"does not take the question \(HTTP 400: against the policy\)"):
            ask(judge)
        assert ask(judge) == GOOD


def test_the_key_is_in_the_header_and_in_no_message() -> None:
    echo = f"Incorrect key: {SECRET}".encode()
    for answers in ([Answer(401, echo)], [Answer(500, echo)] * TRIES, [Answer(200, echo)] * TRIES, [Answer(400, echo)]):
        with fake_server(*answers) as server, client(server) as (judge, _), pytest.raises(JudgeError) as raised:
            ask(judge)
        assert server.headers[0]["Authorization"] == f"Bearer {SECRET}"
        assert SECRET not in str(raised.value)
        assert "<key>" in str(raised.value)
        assert SECRET not in repr(vars(judge))


def test_without_a_key_no_header_is_sent() -> None:
    with fake_server() as server, client(server, key=None) as (judge, _):
        ask(judge)
    assert "Authorization" not in server.headers[0]


def test_a_redirect_takes_the_key_nowhere() -> None:
    with ExitStack() as stack:
        other = stack.enter_context(fake_server())
        away = Answer(307, b"", {"Location": f"{other.url}/chat/completions"})
        server = stack.enter_context(fake_server(away))
        judge, _ = stack.enter_context(client(server))
        with pytest.raises(JudgeError, match="HTTP 307"):
            ask(judge)
    assert len(server.asked) == 1
    assert other.asked == []


def test_requests_keep_the_rate() -> None:
    with fake_server() as server, client(server, rate=60) as (judge, waits):
        for _ in range(3):
            ask(judge)
    assert [round(wait) for wait in waits] == [1, 2]
