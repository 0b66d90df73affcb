"""A local judge with a stand-in for processor and model, which record what they are given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from evalkit.errors import JudgeError, WeightsError
from evalkit.features.service import Missing
from evalkit.features.spec import ExtractorSpec, ImageContent, QuestionContent
from evalkit.features.weights import find_weights
from evalkit.judges.family import describe, load
from evalkit.judges.local import LONGEST_REPLY, LocalModel
from evalkit.judges.shown import show_rule
from evalkit.judges.store import ReplyStore
from evalkit.judges.talk import Turn
from evalkit.nouns import State
from tests.fakes import picture
from tests.tiny_vlm import write_vlm

SPEC = ExtractorSpec(family="judge", model="served:judge-1", preprocess="judge_512", text="prompt_following")
PICTURE = ImageContent("a" * 64, Path("a.png"))
TURNS = (Turn("user", ("Rate.",)), Turn("assistant", ("Yes.",)), Turn("user", ("A cat.", PICTURE)))


class Inputs(dict[str, Any]):
    def to(self, _device: Any) -> Inputs:
        return self


class FakeProcessor:
    def __init__(self) -> None:
        self.messages: list[Any] = []

    def apply_chat_template(self, messages: Any, **_options: Any) -> Inputs:
        self.messages.append(messages)
        return Inputs(input_ids=torch.arange(5)[None])

    def batch_decode(self, ids: torch.Tensor, *, skip_special_tokens: bool) -> list[str]:
        assert skip_special_tokens
        return [f"Score: {int(row[0])}" for row in ids]


class FakeModel:
    device = torch.device("cpu")

    def __init__(self, length: int = 2) -> None:
        self.options: list[dict[str, Any]] = []
        self._length = length

    def generate(self, *, input_ids: torch.Tensor, **options: Any) -> torch.Tensor:
        self.options.append(options)
        return torch.cat([input_ids, torch.randint(0, 10**6, (1, self._length))], 1)


def ask(model: LocalModel, *, temperature: float = 1.0, seed: int = 7) -> Any:
    return model.ask(
        TURNS, {PICTURE.sha256: show_rule("judge_512").encode(picture(1))}, temperature=temperature, seed=seed
    )


def test_the_conversation_is_given_with_the_same_picture_that_a_server_gets() -> None:
    processor, model = FakeProcessor(), FakeModel()
    reply = ask(LocalModel("local/m", processor, model))
    (messages,) = processor.messages
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert messages[0]["content"] == [{"type": "text", "text": "Rate."}]
    text, image = messages[2]["content"]
    assert text == {"type": "text", "text": "A cat."}
    assert (image["type"], image["image"].size, image["image"].mode) == ("image", (512, 512), "RGB")
    assert (reply.answered_by, reply.prompt_tokens, reply.completion_tokens, reply.finish) == ("local/m", 5, 2, "stop")


def test_the_seed_decides_and_the_process_s_own_generator_stays() -> None:
    model = LocalModel("m", FakeProcessor(), FakeModel())
    state = torch.random.get_rng_state()
    texts = [ask(model, seed=seed).text for seed in (1, 2, 1)]
    assert texts[0] == texts[2] != texts[1]
    assert torch.equal(torch.random.get_rng_state(), state)


def test_temperature_zero_takes_the_likeliest_words() -> None:
    fake = FakeModel()
    model = LocalModel("m", FakeProcessor(), fake)
    ask(model, temperature=0.0)
    ask(model, temperature=0.5)
    assert fake.options == [
        {"max_new_tokens": LONGEST_REPLY, "do_sample": False},
        {"max_new_tokens": LONGEST_REPLY, "do_sample": True, "temperature": 0.5},
    ]


def test_a_reply_that_is_cut_says_so() -> None:
    assert ask(LocalModel("m", FakeProcessor(), FakeModel(LONGEST_REPLY))).finish == "length"


def test_a_model_that_fails_is_a_judge_error() -> None:
    class Failing(FakeModel):
        def generate(self, **_options: Any) -> torch.Tensor:
            raise RuntimeError("out of memory")

    with pytest.raises(JudgeError, match=r"^the judge 'm' failed \(RuntimeError: out of memory\)$"):
        ask(LocalModel("m", FakeProcessor(), Failing()))


def test_a_folder_that_holds_no_such_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "vlm"
    folder.mkdir()
    monkeypatch.setenv("EVALKIT_JUDGE_MODEL", f"local:{folder}")
    with pytest.raises(WeightsError):
        describe(SPEC, find_weights(SPEC.model))
    (folder / "model.safetensors").write_bytes(b"none")
    parts = dict(describe(SPEC, find_weights(SPEC.model)).parts)
    assert parts["backbone"] == "local/vlm"
    assert (len(parts["weights"]), parts["dtype"]) == (12, f"float32_{LONGEST_REPLY}")
    with pytest.raises(JudgeError, match=r"^wanted a vision-language model that transformers knows in '.*vlm', found "):
        load(SPEC, find_weights(SPEC.model), device="cpu")


def test_a_model_in_the_published_format_is_loaded_and_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_vlm(tmp_path / "vlm")
    monkeypatch.setenv("EVALKIT_JUDGE_MODEL", f"local:{folder}")
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    question = QuestionContent("text", ("cat", PICTURE), runs=2, tries=1, temperature=1.0, bounds=(0, 4), need_all=True)
    judge = load(SPEC, find_weights(SPEC.model), device="cpu")
    first = judge.answer([question], lambda _content: picture(1))
    (answer,) = first
    assert isinstance(answer, Missing)
    assert answer.state is State.JUDGE_UNPARSED
    stored = [*ReplyStore(tmp_path / "cache" / "judges").replies()]
    assert len({one.reply.text for one in stored}) == 2
    assert {one.judge for one in stored} == {"local/vlm"}
    assert all(one.reply.prompt_tokens and one.reply.completion_tokens for one in stored)
    assert judge.answer([question], lambda _content: pytest.fail("no picture is needed again")) == first


def test_what_lies_beside_the_weights_is_part_of_the_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "vlm"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"none")
    monkeypatch.setenv("EVALKIT_JUDGE_MODEL", f"local:{folder}")
    before = describe(SPEC, find_weights(SPEC.model))
    (folder / "chat_template.jinja").write_text("{{ messages }}", encoding="utf-8")
    after = describe(SPEC, find_weights(SPEC.model))
    assert before.digest != after.digest
    assert dict(before.parts)["weights"] != dict(after.parts)["weights"]
