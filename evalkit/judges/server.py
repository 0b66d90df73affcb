"""A judge behind an OpenAI-compatible server: one POST a reply, asked again where the failure may pass.

Limits (429) hold back every thread for as long as the server says; server errors, broken connections and replies that
are no chat completion are tried again with doubling waits; a refused key or an unknown model ends it for all that
follows, so that a thousand questions do not fail one by one.
"""

from __future__ import annotations

import base64
import json
import time
import weakref
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from evalkit.errors import JudgeError
from evalkit.features.spec import ImageContent
from evalkit.judges.limit import RateLimit
from evalkit.judges.talk import Reply, Turn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import httpx2

    from evalkit.judges.settings import Key
    from evalkit.judges.shown import ShowRule

TRIES = 6
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 120.0
CONNECT_S = 10.0
LARGEST_REPLY = 4 * 2**20
"""Bytes: a rating is a few lines, and what is longer is no chat completion."""
_PASSING = {408, 409, 425, 429}
_LIMITED = 429
_FINAL = {401, 403, 404}
_OUT_OF_MONEY = "insufficient_quota"


class _Again(NamedTuple):
    """Why there is no reply yet, and how long the server says to wait."""

    why: str
    wait_s: float | None = None


class Server:
    """One model of one server."""

    def __init__(
        self,
        url: str,
        model: str,
        rule: ShowRule,
        *,
        key: Key | None,
        rate: float | None,
        workers: int,
        timeout_s: float,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        import httpx2

        self.parallel = workers
        self._url, self._model, self._rule, self._key = url, model, rule, key
        self._limit, self._sleep, self._timeout_s = RateLimit(rate, sleep=sleep), sleep, timeout_s
        limits = httpx2.Limits(max_connections=workers)
        timeout = httpx2.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s))
        self._client = httpx2.Client(timeout=timeout, limits=limits)
        weakref.finalize(self, self._client.close)  # connections are kept open between questions
        self._refused: str | None = None

    def ask(self, turns: Sequence[Turn], pictures: Mapping[str, bytes], *, temperature: float, seed: int) -> Reply:
        """The next message of a conversation. Raises JudgeError where none can be had."""
        body = {"model": self._model, "temperature": temperature, "seed": seed}
        data = json.dumps(body | {"messages": [self._message(turn, pictures) for turn in turns]}).encode()
        count = 0
        while True:
            if self._refused is not None:
                raise JudgeError(self._refused)
            count += 1
            self._limit.wait()
            outcome = self._post(data)
            if isinstance(outcome, Reply):
                return outcome
            wait_s = FIRST_WAIT_S * 2 ** (count - 1) if outcome.wait_s is None else outcome.wait_s
            if count == TRIES or wait_s > LONGEST_WAIT_S:
                raise self._given_up(count, outcome.why, wait_s)
            if outcome.wait_s is None:
                self._sleep(wait_s)
            else:
                self._limit.hold(wait_s)

    def _given_up(self, tries: int, why: str, wait_s: float) -> JudgeError:
        longer = f", and asks to wait {wait_s:.0f} s" if wait_s > LONGEST_WAIT_S else ""
        return JudgeError(
            f"the judge {self._model!r} at {self._url} gave no reply in {tries} {'try' if tries == 1 else 'tries'}, last: "
            f"{why}{longer}; replies that came are kept, the same command goes on from there"
        )

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def _message(self, turn: Turn, pictures: Mapping[str, bytes]) -> dict[str, Any]:
        if all(isinstance(part, str) for part in turn.parts) and len(turn.parts) == 1:
            return {"role": turn.role, "content": turn.parts[0]}
        return {"role": turn.role, "content": [self._part(part, pictures) for part in turn.parts]}

    def _part(self, part: str | ImageContent, pictures: Mapping[str, bytes]) -> dict[str, Any]:
        if isinstance(part, str):
            return {"type": "text", "text": part}
        encoded = base64.b64encode(pictures[part.sha256]).decode("ascii")
        shown = {"url": f"data:image/jpeg;base64,{encoded}", "detail": self._rule.detail}
        return {"type": "image_url", "image_url": shown}

    def _post(self, data: bytes) -> Reply | _Again:
        """One request. Raises JudgeError where asking again is of no use."""
        import httpx2

        headers = {"Content-Type": "application/json"} | (self._key.header if self._key is not None else {})
        deadline = time.monotonic() + self._timeout_s
        try:
            with self._client.stream(
                "POST", f"{self._url}/chat/completions", content=data, headers=headers
            ) as response:
                text = _body(response, deadline)
                return self._read(response.status_code, response.headers.get("retry-after"), text)
        except httpx2.TimeoutException:
            return _Again(f"no reply within {self._timeout_s:g} s")
        except httpx2.TransportError as error:
            return _Again(f"{type(error).__name__}: {self._clean(str(error))}")
        except httpx2.DecodingError:
            return _Again("a reply that cannot be unpacked")

    def _read(self, status: int, retry_after: str | None, text: str | None) -> Reply | _Again:
        if text is None:
            return _Again(f"a reply of more than {LARGEST_REPLY} bytes")
        if status == 200:
            reply = _reply(text, self._model)
            return reply if reply is not None else _Again(f"no chat completion but {self._clean(text)!r}")
        said = f"HTTP {status}: {self._clean(text)}"
        if status in _FINAL or (status == _LIMITED and _OUT_OF_MONEY in text):
            self._refused = (
                f"the judge {self._model!r} at {self._url} refuses ({said}); check EVALKIT_JUDGE_KEY, EVALKIT_JUDGE_URL, "
                "the model's name and your account"
            )
            raise JudgeError(self._refused)
        if status in _PASSING or status >= 500:
            return _Again(said, _seconds(retry_after) if retry_after is not None else None)
        raise JudgeError(f"the judge {self._model!r} at {self._url} does not take the question ({said})")

    def _clean(self, text: str) -> str:
        """A server's words on one short line, without the key."""
        line = " ".join(text.split())
        return (line if self._key is None else self._key.redacted(line))[:200]


def _body(response: httpx2.Response, deadline: float) -> str | None:
    """The whole body, None where it is too long. Raises httpx2.ReadTimeout past the deadline, however slowly it drips."""
    import httpx2

    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > LARGEST_REPLY:
            return None
        if time.monotonic() > deadline:
            raise httpx2.ReadTimeout("past the deadline")
    return body.decode("utf-8", errors="replace")


def _reply(text: str, asked: str) -> Reply | None:
    """The reply in a chat completion, None where the body is none."""
    try:
        told = json.loads(text)
        choice, usage = told["choices"][0], told.get("usage") or {}
        said = choice["message"].get("content") or ""
        return Reply(
            text=said,
            answered_by=str(told.get("model") or asked),
            finish=choice.get("finish_reason"),
            prompt_tokens=usage.get("prompt_tokens"),
            completion_tokens=usage.get("completion_tokens"),
        )
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def _seconds(text: str) -> float | None:
    """Retry-After, in seconds or as a date; None where it is neither."""
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None
