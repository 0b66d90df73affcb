"""A judge with a scripted model: runs, tries, the store, and nothing paid twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import pytest

from evalkit.errors import EvalkitError, JudgeError, MediaError, UsageError
from evalkit.features.base import Fingerprint
from evalkit.features.service import Missing
from evalkit.features.spec import ExtractorSpec, ImageContent, QuestionContent
from evalkit.judges.judge import Judge
from evalkit.judges.prompts import read_prompts
from evalkit.judges.shown import show_rule
from evalkit.judges.store import ReplyStore
from evalkit.judges.talk import Reply
from evalkit.nouns import State
from tests.fakes import picture
from tests.judge_server import completion, fake_server

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from evalkit.judges.talk import Turn

ROOT = Path(__file__).resolve().parents[2]
SPEC = ExtractorSpec(family="judge", model="served:judge-1", preprocess="judge_512", text="prompt_following")
SAMPLE = ImageContent("a" * 64, Path("a.png"))
QUESTION = QuestionContent("text", ("a cat", SAMPLE), runs=3, tries=3, temperature=1.0, bounds=(0, 4), need_all=True)


@dataclass
class Scripted:
    """A model that says what `says` makes of how often it was asked; several threads may ask."""

    says: Callable[[int], str] = lambda _count: "Score: 3"
    parallel: int = 4
    seeds: list[int] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def ask(self, turns: Sequence[Turn], pictures: Mapping[str, bytes], *, temperature: float, seed: int) -> Reply:
        assert set(pictures) == {SAMPLE.sha256}
        with self.lock:
            self.seeds.append(seed)
            count = len(self.seeds)
        time.sleep(0.01)
        return Reply(text=self.says(count), answered_by="m", finish="stop", prompt_tokens=10, completion_tokens=2)


def judge(folder: Path, model: Scripted, *, name: str = "judge-1@h") -> Judge:
    parts = (("backbone", name), ("weights", "served"))
    return Judge(
        SPEC, Fingerprint(name, parts), model, prompts=read_prompts("prompt_following", None),
        rule=show_rule("judge_512"), store=ReplyStore(folder / "judges"),
    )  # fmt: skip


def pixels(_content: ImageContent) -> NDArray[np.uint8]:
    return picture(3)


def scores(answer: object) -> list[float]:
    assert isinstance(answer, dict)
    found: list[float] = answer["scores"].tolist()
    return found


def test_each_run_is_asked_once_with_a_seed_of_its_own(tmp_path: Path) -> None:
    model = Scripted()
    (answer,) = judge(tmp_path, model).answer([QUESTION], pixels)
    assert scores(answer) == [3.0, 3.0, 3.0]
    assert len(set(model.seeds)) == 3


def test_what_is_stored_is_never_asked_again_and_no_picture_is_read_for_it(tmp_path: Path) -> None:
    first, second = Scripted(), Scripted()

    def gone(_content: ImageContent) -> NDArray[np.uint8]:
        raise AssertionError

    (one,) = judge(tmp_path, first).answer([QUESTION], pixels)
    (two,) = judge(tmp_path, second).answer([QUESTION], gone)
    assert scores(one) == scores(two)
    assert (len(first.seeds), len(second.seeds)) == (3, 0)


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        ({"bounds": None}, 0),
        ({"need_all": False}, 0),
        ({"tries": 5}, 0),
        ({"runs": 2}, 0),
        ({"runs": 4}, 1),
        ({"temperature": 0.5}, 3),
        ({"shown": ("a dog", SAMPLE)}, 3),
        ({"shown": (SAMPLE, "a cat")}, 3),
    ],
)
def test_only_what_can_change_a_reply_is_paid_again(tmp_path: Path, change: dict[str, object], asked: int) -> None:
    again = Scripted()
    judge(tmp_path, Scripted()).answer([QUESTION], pixels)
    judge(tmp_path, again).answer([replace(QUESTION, **change)], pixels)  # type: ignore[arg-type]
    assert len(again.seeds) == asked
    assert len({QUESTION.key, replace(QUESTION, **change).key}) == 2  # type: ignore[arg-type]


def test_another_judge_is_another_reply(tmp_path: Path) -> None:
    again = Scripted()
    judge(tmp_path, Scripted()).answer([QUESTION], pixels)
    judge(tmp_path, again, name="judge-2@h").answer([QUESTION], pixels)
    assert len(again.seeds) == 3


def test_equal_questions_of_two_variants_at_once_are_paid_once(tmp_path: Path) -> None:
    model = Scripted(parallel=8)
    both = [QUESTION, replace(QUESTION, bounds=None, need_all=False)]
    answers = judge(tmp_path, model).answer(both, pixels)
    assert [scores(answer) for answer in answers] == [[3.0] * 3] * 2
    assert len(model.seeds) == 3


def test_a_reply_that_cannot_be_read_is_asked_again_with_another_seed(tmp_path: Path) -> None:
    said = {1: "hm", 2: "Score: 1 and score: 2", 3: "Score: 4"}
    model = Scripted(said.__getitem__)
    (answer,) = judge(tmp_path, model).answer([replace(QUESTION, runs=1)], pixels)
    assert scores(answer) == [4.0]
    assert len(set(model.seeds)) == 3


def test_a_judge_that_cannot_be_read_is_a_state_with_its_reply_kept(tmp_path: Path) -> None:
    model = Scripted(lambda _count: "I would rather not.")
    asked = judge(tmp_path, model)
    (answer,) = asked.answer([QUESTION], pixels)
    told = "3 of 3 runs without exactly one score in 3 tries, said: 'I would rather not.'"
    assert answer == Missing(State.JUDGE_UNPARSED, told)
    assert asked.answer([QUESTION], pixels) == [answer]
    assert len(model.seeds) == 9
    stored = [one.reply.text for one in ReplyStore(tmp_path / "judges").replies()]
    assert stored == ["I would rather not."] * 9


def test_one_run_that_cannot_be_read_is_missing_or_left_out_as_the_variant_says(tmp_path: Path) -> None:
    model = Scripted(lambda count: "no" if count <= 3 else "Score: 2", parallel=1)
    asked = judge(tmp_path, model)
    strict, lenient = asked.answer([QUESTION, replace(QUESTION, need_all=False)], pixels)
    assert strict == Missing(State.JUDGE_UNPARSED, "1 of 3 runs without exactly one score in 3 tries, said: 'no'")
    assert np.array_equal(scores(lenient), [np.nan, 2, 2], equal_nan=True)


def test_a_score_out_of_range_counts_only_where_the_range_is_not_checked(tmp_path: Path) -> None:
    asked = judge(tmp_path, Scripted(lambda _count: "Score: 9"))
    checked, unchecked = asked.answer([QUESTION, replace(QUESTION, bounds=None)], pixels)
    assert isinstance(checked, Missing)
    assert scores(unchecked) == [9.0] * 3


def test_no_reply_and_no_picture_cost_their_question_alone(tmp_path: Path) -> None:
    lost = replace(QUESTION, shown=("lost", SAMPLE))

    class Failing(Scripted):
        def ask(self, turns: Sequence[Turn], pictures: Mapping[str, bytes], *, temperature: float, seed: int) -> Reply:
            if turns[-1].parts[0] == "lost":
                raise JudgeError("nobody there")
            return super().ask(turns, pictures, temperature=temperature, seed=seed)

    def broken(_content: ImageContent) -> NDArray[np.uint8]:
        raise MediaError("cannot decode it", reason="unreadable")

    failed, fine = judge(tmp_path, Failing()).answer([lost, QUESTION], pixels)
    assert failed == Missing(State.EXTRACTOR_ERROR, "nobody there")
    assert scores(fine) == [3.0] * 3
    unread = judge(tmp_path, Scripted()).answer([replace(QUESTION, temperature=0.0)], broken)
    assert unread == [Missing(State.DECODE_ERROR, "cannot decode it", SAMPLE)]


def test_a_damaged_reply_is_said_and_asked_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judge(tmp_path, Scripted()).answer([QUESTION], pixels)
    one, *_ = sorted((tmp_path / "judges").rglob("*.json"))
    one.write_bytes(one.read_bytes()[:50])
    again = Scripted()
    judge(tmp_path, again).answer([QUESTION], pixels)
    assert len(again.seeds) == 1
    assert capsys.readouterr().err == f"evalkit: the judge's reply {one} is damaged and counts as not given\n"


def test_a_reply_that_may_not_be_read_ends_the_run(tmp_path: Path) -> None:
    store = ReplyStore(tmp_path)
    (tmp_path / "ab" / "abc.json").mkdir(parents=True)
    with pytest.raises(EvalkitError, match=r"abc\.json cannot be read: .*; mend its rights$"):
        store.reply("abc", lambda: pytest.fail("not to be asked"))


def test_a_judge_is_asked_nothing_but_questions(tmp_path: Path) -> None:
    asked = judge(tmp_path, Scripted())
    array = np.zeros((1, 3, 2, 2), np.float32)
    for refused in (
        lambda: asked.prepare(picture(1)), lambda: asked.encode_images(array), lambda: asked.encode_texts(["a"]),
        lambda: asked.encode_pairs(array, array), lambda: asked.text_problem("a"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=r"^wanted a QuestionContent for the judge 'served:judge-1', found"):
            refused()
    with pytest.raises(UsageError, match=r"^wanted a rubric of 'prompt_following' \(text\), found 'style'$"):
        asked.answer([replace(QUESTION, rubric="style")], pixels)


ASKING = """
import sys
from pathlib import Path
from evalkit.engine.backbones import Backbones
from evalkit.features.spec import ExtractorSpec, ImageContent, QuestionContent
from tests.fakes import picture
spec = ExtractorSpec(family="judge", model="served:judge-1", preprocess="judge_512", text="prompt_following")
shown = ImageContent("a" * 64, Path("a.png"))
asked = [QuestionContent("text", (f"thing {n}", shown), runs=2, tries=1, temperature=1.0, bounds=None, need_all=True)
         for n in range(40)]
answers = Backbones(device="cpu").load(spec).answer(asked, lambda _content: picture(1))
print(sum(float(answer["scores"].sum()) for answer in answers))
"""


def test_a_killed_process_pays_again_only_for_what_was_on_its_way(tmp_path: Path) -> None:
    workers = 3
    with fake_server() as server:
        server.always = lambda _body: replace(completion("Score: 3"), hang_s=0.05)
        env = os.environ | {
            "EVALKIT_JUDGE_URL": server.url, "EVALKIT_JUDGE_WORKERS": str(workers), "NO_PROXY": "127.0.0.1",
            "EVALKIT_CACHE": str(tmp_path), "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        command = [sys.executable, "-c", ASKING]
        first = subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.DEVNULL)
        try:
            until = time.monotonic() + 60
            while len(server.asked) < 20 and time.monotonic() < until:
                time.sleep(0.005)
        finally:
            os.kill(first.pid, signal.SIGKILL)
            first.wait()
        killed_at = len(server.asked)
        done = subprocess.run(command, env=env, cwd=ROOT, check=True, capture_output=True, text=True)
    asked = Counter((body["messages"][-1]["content"][0]["text"], body["seed"]) for body in server.asked)
    assert 20 <= killed_at < 80
    assert done.stdout.strip() == "240.0"
    assert len(asked) == 80
    assert sum(count - 1 for count in asked.values()) <= workers
