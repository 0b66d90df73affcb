"""What judges were asked so far and what it came to: replies, tokens and, at a price that the user gives, cost."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from evalkit.errors import UsageError
from evalkit.nouns import Noun

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evalkit.judges.store import StoredReply
    from evalkit.judges.talk import Reply

MILLION = 1_000_000


class Price(NamedTuple):
    """What a million tokens cost, in any currency."""

    prompt: float
    completion: float

    @classmethod
    def parse(cls, text: str) -> Price:
        """`IN,OUT`, both numbers of at least 0. Raises UsageError.

        Example:
            >>> Price.parse("2.5,10").completion
            10.0
        """
        try:
            prompt, completion = (float(part) for part in text.split(","))
        except ValueError:
            prompt = completion = -1.0
        if not (0 <= prompt < float("inf") and 0 <= completion < float("inf")):
            raise UsageError(f"wanted --price IN,OUT, what a million prompt and completion tokens cost, found {text!r}")
        return cls(prompt, completion)


class Usage(Noun):
    """What one judge was asked under one set of rubrics."""

    judge: str
    prompt: str
    answered_by: tuple[str, ...]
    """Every model that said it answered: a name without a date can come to mean another."""
    replies: int
    uncounted: int
    """Replies whose tokens the server did not count; they are in no sum."""
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    """At the price given, None without one."""


def usage(stored: Iterable[StoredReply], price: Price | None = None) -> list[Usage]:
    """The sums over stored replies, by judge and rubrics, in that order."""
    by_judge: dict[tuple[str, str], list[Reply]] = defaultdict(list)
    for one in stored:
        by_judge[one.judge, one.prompt].append(one.reply)
    return [_usage(judge, prompt, replies, price) for (judge, prompt), replies in sorted(by_judge.items())]


def _usage(judge: str, prompt: str, replies: list[Reply], price: Price | None) -> Usage:
    said = sum(reply.prompt_tokens or 0 for reply in replies)
    answered = sum(reply.completion_tokens or 0 for reply in replies)
    return Usage(
        judge=judge,
        prompt=prompt,
        answered_by=tuple(sorted({reply.answered_by for reply in replies})),
        replies=len(replies),
        uncounted=sum(reply.prompt_tokens is None or reply.completion_tokens is None for reply in replies),
        prompt_tokens=said,
        completion_tokens=answered,
        cost=None if price is None else (said * price.prompt + answered * price.completion) / MILLION,
    )
