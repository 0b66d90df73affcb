"""A judge as a backbone: whole questions to scores, every reply stored before it is read.

A question is asked `runs` times, each with a seed of its own. A reply without exactly one score is asked again, up to
`tries` times; what was said the last time is then kept in the reason of the state `judge_unparsed`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from evalkit.errors import JudgeError, MediaError, UsageError
from evalkit.features.service import Missing
from evalkit.features.spec import ImageContent
from evalkit.judges.store import ReplyStore, StoredReply
from evalkit.nouns import State, digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from evalkit.features.base import Fingerprint
    from evalkit.features.spec import ExtractorSpec, QuestionContent
    from evalkit.judges.prompts import Prompts
    from evalkit.judges.shown import ShowRule
    from evalkit.judges.talk import JudgeModel, Reply, Turn

    Array = NDArray[np.float32]
    Pixels = Callable[[ImageContent], NDArray[np.uint8]]
    Encode = Callable[[ImageContent], bytes]

QUOTED = 300
"""Characters of a reply that go into a reason; all of it is in the store."""


class Judge:
    """`scores` [runs] of a question, NaN for a run whose replies could not be read."""

    forward_batch = 1
    preprocess_key = "judge"

    def __init__(
        self,
        spec: ExtractorSpec,
        described: Fingerprint,
        model: JudgeModel,
        *,
        prompts: Prompts,
        rule: ShowRule,
        store: ReplyStore,
    ) -> None:
        self.spec, self.fingerprint = spec, described.digest
        self._described, self._model, self._prompts, self._rule, self._store = described, model, prompts, rule, store

    def signature_parts(self) -> Mapping[str, str]:
        """What the signature says of this judge."""
        return dict(self._described.parts)

    def answer(self, questions: Sequence[QuestionContent], pixels: Pixels) -> list[dict[str, Array] | Missing]:
        """One answer a question, in order; a question that cannot be answered costs the others nothing.

        Pictures are read by `pixels` only for replies that are not stored.
        """

        @cache
        def encode(picture: ImageContent) -> bytes:
            return self._rule.encode(pixels(picture))

        pool = ThreadPoolExecutor(self._model.parallel, thread_name_prefix="evalkit-judge")
        try:
            asked = [
                [pool.submit(self._run, question, run, encode) for run in range(question.runs)]
                for question in questions
            ]
            return [
                _answer(question, [run.result() for run in runs])
                for question, runs in zip(questions, asked, strict=True)
            ]
        finally:  # on an interrupt what is under way is waited for: it is paid
            pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, question: QuestionContent, run: int, encode: Encode) -> float | str | Missing:
        """The score of one run, the last reply where none could be read, or why there is no reply."""
        turns = self._prompts.conversation(question)
        said = ""
        for count in range(question.tries):
            try:
                reply = self._reply(question, turns, run, count, encode)
            except JudgeError as error:
                return Missing(State.EXTRACTOR_ERROR, str(error))
            except _Undecodable as error:
                return Missing(State.DECODE_ERROR, str(error), error.picture)
            said = reply.text
            if (score := self._prompts.score(question, said)) is not None:
                return score
        return said

    def _reply(self, question: QuestionContent, turns: Sequence[Turn], run: int, count: int, encode: Encode) -> Reply:
        parts = dict(self._described.parts)
        told = {
            "judge": [parts["backbone"], parts["weights"], parts.get("dtype")],
            "shown": self._rule.id,
            "turns": [turn.told() for turn in turns],
            "temperature": question.temperature,
            "run": run,
            "try": count,
        }
        key = digest(told)
        seed = int(key[:7], 16)

        def ask() -> StoredReply:
            pictures = {
                part.sha256: _jpeg(part, encode)
                for turn in turns
                for part in turn.parts
                if isinstance(part, ImageContent)
            }
            reply = self._model.ask(turns, pictures, temperature=question.temperature, seed=seed)
            about = {"rubric": question.rubric, "shown": turns[-1].told()[1], "seed": seed}
            about |= {name: told[name] for name in ("temperature", "run", "try")}
            return StoredReply(judge=parts["backbone"], prompt=self._prompts.id, about=about, reply=reply)

        return self._store.reply(key, ask)

    def prepare(self, pixels: NDArray[np.uint8]) -> Array:
        """Refused: a judge is asked whole questions."""
        self._refuse()

    def encode_images(self, batch: Array) -> dict[str, Array]:
        """Refused: a judge is asked whole questions."""
        self._refuse()

    def text_problem(self, text: str) -> str | None:
        """Refused: a judge is asked whole questions."""
        self._refuse()

    def encode_texts(self, texts: Sequence[str]) -> dict[str, Array]:
        """Refused: a judge is asked whole questions."""
        self._refuse()

    def encode_pairs(self, first: Array, second: Array) -> dict[str, Array]:
        """Refused: a judge is asked whole questions."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise UsageError(f"wanted a QuestionContent for the judge {self.spec.model!r}, found a picture, text or pair")


class _Undecodable(Exception):  # noqa: N818 - carries a MediaError with the picture that it is about
    def __init__(self, picture: ImageContent, error: MediaError) -> None:
        super().__init__(str(error))
        self.picture = picture


def _jpeg(picture: ImageContent, encode: Encode) -> bytes:
    try:
        return encode(picture)
    except MediaError as error:
        raise _Undecodable(picture, error) from error


def _answer(question: QuestionContent, runs: Sequence[float | str | Missing]) -> dict[str, Array] | Missing:
    for run in runs:
        if isinstance(run, Missing):
            return run
    unread = [run for run in runs if isinstance(run, str)]
    if len(unread) == len(runs) or (unread and question.need_all):
        return Missing(
            State.JUDGE_UNPARSED,
            f"{len(unread)} of {len(runs)} runs without exactly one score in {question.tries} tries, said: {unread[-1][:QUOTED]!r}",
        )
    return {"scores": np.array([np.nan if isinstance(run, str) else run for run in runs], np.float32)}
