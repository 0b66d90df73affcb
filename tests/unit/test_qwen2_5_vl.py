"""Qwen2.5-VL as a method: what it declares and lacks, what it is told, and answers of a small model in the published files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evalkit.benchmarks.base import Loaded
from evalkit.benchmarks.unifybench import UNIFYBENCH_PP
from evalkit.errors import UsageError, WeightsError
from evalkit.media import decode_image
from evalkit.methods import published as published_module
from evalkit.methods import qwen2_5_vl
from evalkit.methods.base import Context, Job, Made
from evalkit.methods.qwen2_5_vl import HUB, PUBLISHED, QWEN2_5_VL, inquiry
from evalkit.nouns import Case, Profile
from evalkit.sandbox.concept_words import sentence
from evalkit.sandbox.vlm import assemble
from evalkit.sandbox.vlm.conversation import TEMPLATE, Inquiry, messages
from evalkit.sandbox.world.captions import PLACE_PHRASES
from evalkit.sandbox.world.vocabulary import PLACES
from tests.tiny_vlms import write_qwen_vqa

CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SHORT = 6
"""Tokens of an answer in tests of the small random model, which never ends one."""


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return UNIFYBENCH_PP.load(UNIFYBENCH_PP.embed(tmp_path_factory.mktemp("unifybench")), "understanding")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random model in the published files."""
    found = write_qwen_vqa(tmp_path_factory.mktemp("qwen") / HUB.replace("/", "--"))
    (found / "chat_template.jinja").write_text(CHAT, encoding="utf-8")
    return found


@pytest.fixture
def small_published(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """The published model's place taken by the small random one, with short answers."""
    loaded = assemble.load(folder)
    monkeypatch.setattr(qwen2_5_vl, "published", lambda: loaded)
    monkeypatch.setattr(qwen2_5_vl, "LONGEST_ANSWER", SHORT)
    return loaded


def context(benchmark: Loaded, profile: Profile = "paper") -> Context:
    return Context(benchmark, profile, benchmark.root / "work")


def jobs(benchmark: Loaded, *ids: str) -> list[Job]:
    cases = {case.case_id: case for case in benchmark.cases}
    return [Job(cases[case_id], 0, 0) for case_id in ids]


def made(benchmark: Loaded, *ids: str) -> dict[str, Made]:
    return {one.job.case.case_id: one for one in QWEN2_5_VL.make(jobs(benchmark, *ids), context(benchmark))}


def test_it_declares_what_it_is() -> None:
    info = QWEN2_5_VL.info
    assert (info.name, info.kind, info.media, info.max_references) == ("qwen2_5_vl", "baseline", ("text",), None)
    assert not info.stochastic
    assert not info.gated
    assert info.rewards == ()
    assert info.licence.startswith("Apache-2.0")
    assert "2502.13923" in info.source


# --- what it is told ------------------------------------------------------------------------------------------------------


def test_the_wording_is_pinned() -> None:
    asked = Inquiry("Is <bo> in this picture?", "<bo>", "name: <bo>\ninfo: <bo> is red.", ("one", "two"), "three")
    (message,) = messages(asked)
    assert message["role"] == "user"
    assert [part.get("image") or part["text"] for part in message["content"]] == [
        "one",
        "two",
        "These pictures show <bo>.\n",
        "What is known of <bo>:\nname: <bo>\ninfo: <bo> is red.\n",
        "Now look at this picture:\n",
        "three",
        "Is <bo> in this picture?\nAnswer briefly.\n",
    ]
    assert TEMPLATE == "351b2c3b673a9f05"
    assert QWEN2_5_VL.config["template"] == TEMPLATE


def test_what_is_not_there_is_not_spoken_of() -> None:
    (message,) = messages(Inquiry("Who is it?"))
    assert message["content"] == [{"type": "text", "text": "Who is it?\nAnswer briefly.\n"}]


def test_a_case_is_told_with_its_references_its_facts_and_its_picture(benchmark: Loaded) -> None:
    (seen, told) = (job.case for job in jobs(benchmark, "bo.vqa00", "bo.qa00"))
    about, root = inquiry(seen, benchmark.root), benchmark.root
    assert about.pictures == tuple(root / f"concept/train/bo/{shot}.png" for shot in range(4))
    assert about.picture == root / "concept/test/bo/0.png"
    assert about.name == "<bo>"
    assert about.facts == seen.texts["concept_info"]
    assert about.question == seen.prompt
    assert inquiry(told, root).picture is None
    assert inquiry(told, root).pictures == about.pictures


def test_the_expected_answer_is_not_told(benchmark: Loaded) -> None:
    for case in benchmark.cases:
        other = case.model_copy(update={"texts": case.texts | {"expected_answer": "another", "answers_alike": "9"}})
        assert inquiry(other, benchmark.root) == inquiry(case, benchmark.root)


def test_a_question_without_facts_or_picture_is_asked_as_it_is(benchmark: Loaded) -> None:
    bare = Case(case_id="a", prompt="Who?", subjects=("bo",), references=(), targets=(), category="c", prompt_index=0)
    assert inquiry(bare, benchmark.root) == Inquiry("Who?", "<bo>")


def test_what_is_given_can_be_set_and_is_part_of_the_runs_identity(benchmark: Loaded) -> None:
    (case,) = (job.case for job in jobs(benchmark, "bo.vqa00"))
    whole = inquiry(case, benchmark.root)
    assert inquiry(case, benchmark.root, given="pictures") == whole._replace(facts="")
    assert inquiry(case, benchmark.root, given="facts") == whole._replace(pictures=())
    assert QWEN2_5_VL.configured({}).config == QWEN2_5_VL.config
    assert QWEN2_5_VL.configured({"given": "facts"}).config == {**QWEN2_5_VL.config, "given": "facts"}
    with pytest.raises(UsageError) as error:
        QWEN2_5_VL.configured({"given": "text"})
    assert str(error.value) == "wanted given=all|pictures|facts, found given=text; name one of them"
    with pytest.raises(UsageError, match="it has given"):
        QWEN2_5_VL.configured({"size": "3b"})


# --- paper ----------------------------------------------------------------------------------------------------------------


def test_missing_weights_and_device_are_told_in_a_line_each(benchmark: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published_module, "cuda_gib", lambda: 0.0)
    weights, device = QWEN2_5_VL.check(context(benchmark))
    assert weights == (
        "wanted the weights of 'Qwen/Qwen2.5-VL-7B-Instruct' (about 17 GB, licence Apache-2.0), found none complete in "
        "EVALKIT_WEIGHTS (not set), the hub cache; get them with `hf download Qwen/Qwen2.5-VL-7B-Instruct`, or put the files into "
        "$EVALKIT_WEIGHTS/Qwen--Qwen2.5-VL-7B-Instruct"
    )
    assert device == (
        "Qwen/Qwen2.5-VL-7B-Instruct wants a CUDA device with 20 GiB or more, found none; run on such a machine, or use "
        "--profile sandbox"
    )


def test_weights_are_found_below_the_named_folder(
    benchmark: Loaded, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published_module, "cuda_gib", lambda: 80.0)
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(folder.parent))
    assert QWEN2_5_VL.check(context(benchmark)) == []
    assert PUBLISHED.need() == folder


@pytest.mark.parametrize("lost", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_folder_that_lacks_something_is_not_whole(tmp_path: Path, lost: str) -> None:
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (tmp_path / name).touch()
    assert PUBLISHED.whole(tmp_path)
    (tmp_path / lost).unlink()
    assert not PUBLISHED.whole(tmp_path)


def test_another_models_files_are_refused(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    with pytest.raises(WeightsError, match=r"wanted a Qwen2\.5-VL in '.*nothing', found \w+"):
        assemble.load(tmp_path / "nothing")
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    state = load_file(tmp_path / "model.safetensors")
    left = sorted(state)[0]
    save_file({k: v for k, v in state.items() if k != left}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"found 1 missing or of another model \(.*\); get its files again"):
        assemble.load(tmp_path)


def test_answers_are_those_of_the_processor_and_generate(benchmark: Loaded, small_published: tuple[Any, Any]) -> None:
    """One picture of its own size beside the four of the world; the plain way encodes all of them at once."""
    import torch
    from PIL import Image

    model, processor = small_published
    (job,) = jobs(benchmark, "tiko.vqa01")
    asked = inquiry(job.case, benchmark.root)
    paths = [*asked.pictures, asked.picture]
    text = processor.apply_chat_template(messages(asked), add_generation_prompt=True, tokenize=False)
    pictures = [Image.fromarray(decode_image(path).pixels) for path in paths]
    inputs = processor(text=[text], images=pictures, return_tensors="pt")
    with torch.inference_mode():
        output = model.generate(**inputs, max_new_tokens=SHORT, do_sample=False, repetition_penalty=1.0)
    (expected,) = processor.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert made(benchmark, "tiko.vqa01")["tiko.vqa01"].text == expected
    assert expected


def test_an_answer_depends_on_its_case_alone(
    benchmark: Loaded, small_published: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit of every word's logits, since the words of a random model hardly differ."""
    model, logits = small_published[0], list[Any]()
    whole = model.lm_head.forward

    def kept(hidden: Any) -> Any:
        logits.append(whole(hidden))
        return logits[-1]

    monkeypatch.setattr(model.lm_head, "forward", kept)
    ids = ("bo.qa00", "bo.rec00", "tiko.vqa00", "bo.rec01")
    found: dict[str, list[str]] = {case_id: [] for case_id in ids}
    for order in (ids, ids[::-1], *((case_id,) for case_id in ids)):
        for case_id, one in zip(order, QWEN2_5_VL.make(jobs(benchmark, *order), context(benchmark)), strict=True):
            assert one.text
            found[case_id].append(str([part.tolist() for part in logits]))
            logits.clear()
    assert all(len(set(runs)) == 1 and len(runs) == 3 for runs in found.values())
    assert len({runs[0] for runs in found.values()}) == len(ids)


def test_a_picture_is_encoded_once(
    benchmark: Loaded, small_published: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, encoded = small_published[0], Counter[str]()
    whole = model.model.visual.forward

    def counted(pixels: Any, *args: Any, **options: Any) -> Any:
        encoded[str(pixels.double().sum().item())] += 1
        return whole(pixels, *args, **options)

    monkeypatch.setattr(model.model.visual, "forward", counted)
    made(benchmark, "bo.rec00", "bo.vqa00", "bo.vqa01", "bo.qa00")
    shown = {r.path for job in jobs(benchmark, "bo.rec00", "bo.vqa00", "bo.qa00") for r in job.case.references}
    assert sum(encoded.values()) == len(encoded) == len(shown)


def test_more_than_the_model_reads_is_told_with_its_length(
    benchmark: Loaded, small_published: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small_published[0].config.get_text_config(), "max_position_embeddings", 40)
    one = made(benchmark, "bo.qa00")["bo.qa00"]
    assert one.text is None
    assert str(one.reason).startswith("the question with its pictures has ")
    assert str(one.reason).endswith(" tokens, more than the model reads (40 with the answer)")


def test_large_pictures_are_shrunk(small_published: tuple[Any, Any], tmp_path: Path) -> None:
    from PIL import Image

    model, processor = small_published
    Image.new("RGB", (2000, 1500), "red").save(tmp_path / "large.png")
    tokens, _ = qwen2_5_vl._seen(model, processor, tmp_path / "large.png")
    assert 1000 < len(tokens) <= 1280


def test_nothing_is_loaded_for_no_jobs(benchmark: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemble, "load", lambda *_, **__: pytest.fail("loaded"))
    assert list(QWEN2_5_VL.make([], context(benchmark))) == []
    assert list(QWEN2_5_VL.make([], context(benchmark, "sandbox"))) == []


# --- sandbox --------------------------------------------------------------------------------------------------------------


def test_the_sandbox_needs_nothing_but_the_shipped_weights(benchmark: Loaded) -> None:
    assert QWEN2_5_VL.check(context(benchmark, "sandbox")) == []


def test_small_weights_that_are_not_there_are_told_in_a_line(
    benchmark: Loaded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(assemble.lacking, "__defaults__", (tmp_path,))
    (problem,) = QWEN2_5_VL.check(context(benchmark, "sandbox"))
    assert problem.startswith(f"wanted the small Qwen2.5-VL in {str(tmp_path)!r}, found no config.json, ")
    assert problem.endswith(f"train it with `evalkit sandbox train --model vlm --out {tmp_path}`")


def test_the_small_model_answers_under_a_name_that_it_never_saw(benchmark: Loaded) -> None:
    """It says which concept it speaks of, not the word that all names are to it."""
    asked = jobs(benchmark, "bo.vqa00", "zuzu.rea00")
    seen, told = (str(one.text) for one in QWEN2_5_VL.make(asked, context(benchmark, "sandbox")))
    assert seen in {sentence(PLACE_PHRASES[place]) for place in PLACES}
    assert told.startswith("<zuzu> likes ")
    assert assemble.PLACEHOLDER not in told
