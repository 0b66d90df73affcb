"""The small Qwen2.5-VL: its words, concepts and questions, how it reads them, its training, and the shipped one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from evalkit.benchmarks.unifybench import UNIFYBENCH_PP
from evalkit.errors import DataError
from evalkit.methods.qwen2_5_vl import inquiry
from evalkit.sandbox.concept_words import LETTERS, Told, colour_choice, place_choice
from evalkit.sandbox.training.loop import Budget
from evalkit.sandbox.training.vlm import HELD_OUT_CONCEPTS, SHARES, TOLD_ASKED, drawn_visit, train_vlm
from evalkit.sandbox.vlm.assemble import PLACEHOLDER, SHIPPED, TOKENS, UNKNOWN, load, new_model, new_processor
from evalkit.sandbox.vlm.concepts import FAMILY, PICTURES, ConceptPlan, ConceptSet, identity_of, render_concepts
from evalkit.sandbox.vlm.conversation import Inquiry, messages
from evalkit.sandbox.vlm.evaluate import CONDITIONS, evaluate, visits_of
from evalkit.sandbox.vlm.questions import RECOGNITION, REFERENCES, TOLD, visit
from evalkit.sandbox.vlm.reading import Reader
from evalkit.sandbox.world import WORLD_VERSION, render, split_of

pytestmark = pytest.mark.slow

TINY = ConceptPlan(families=4, split="train", seed=9)
LIMIT = 4 * 1024 * 1024


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ConceptSet:
    return render_concepts(tmp_path_factory.mktemp("concepts") / "tiny", TINY)


@pytest.fixture(scope="module")
def processor() -> Any:
    return new_processor()


# --- words ----------------------------------------------------------------------------------------------------------------


def test_every_word_of_the_embedded_benchmark_is_known(processor: Any, tmp_path: Path) -> None:
    loaded = UNIFYBENCH_PP.load(UNIFYBENCH_PP.embed(tmp_path), "understanding")
    for case in loaded.cases:
        text = processor.apply_chat_template(messages(inquiry(case, tmp_path)), tokenize=False)
        said = f"{text} {case.texts['expected_answer']}"
        assert UNKNOWN not in processor.tokenizer.tokenize(said), said


def test_words_come_back_as_they_were_and_names_as_one_name(processor: Any) -> None:
    tokenizer = processor.tokenizer
    for text in ("On the beach.", "Yes.", "A", "<sks> likes to be by a lake. <sks> likes looking up."):
        assert tokenizer.decode(tokenizer(text).input_ids) == text
    named = [tokenizer(f"Is {name} in this picture?").input_ids for name in ("<bo>", "<Mr-X_9>", PLACEHOLDER)]
    assert named[0] == named[1] == named[2]
    assert tokenizer.decode(named[0]) == f"Is {PLACEHOLDER} in this picture?"


@pytest.mark.parametrize("asked", [colour_choice, place_choice])
def test_choices_hold_the_true_one_at_its_letter(asked: Any) -> None:
    told = Told("<bo>", "teal", "cat", "lake", "running")
    letters = set()
    for turn in range(60):
        one = asked(told, turn)
        offered = dict(zip(LETTERS, re.split(r" [ABC]\. ", one.question)[1:], strict=True))
        assert offered[one.answer] in {"teal", "by a lake"}
        assert len(set(offered.values())) == 3
        letters.add(one.answer)
    assert letters == set(LETTERS)


# --- concepts and questions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["train", "bench"])
def test_families_are_of_the_split_and_look_alike(split: str) -> None:
    plan = ConceptPlan(families=12, split=split, seed=5)
    for family in range(12):
        first, other, twin = (identity_of(plan, FAMILY * family + member) for member in range(FAMILY))
        assert {split_of(one) for one in (first, other, twin)} == {split}
        assert first.plan == other.plan == twin.plan
        assert other.palette != first.palette
        assert (twin.palette, twin.main) == (first.palette, first.main)
        assert (twin.pattern, twin.accessory) != (first.pattern, first.accessory)


def test_concepts_do_not_depend_on_the_workers_and_belong_to_their_scenes(data: ConceptSet, tmp_path: Path) -> None:
    again = render_concepts(tmp_path / "two", TINY, workers=2)
    assert np.array_equal(again.pictures, data.pictures)
    assert data.pictures.shape == (12, PICTURES, 96, 96, 3)
    assert np.array_equal(data.pictures[4, 3], render(data.scenes[4][3], size=96).image)
    with pytest.raises(DataError, match="wanted concepts of"):
        render_concepts(tmp_path / "two", ConceptPlan(families=4, split="train", seed=10))


def test_a_visit_asks_about_other_pictures_than_its_references(data: ConceptSet) -> None:
    kinds = set()
    for number in range(9):
        one = visit(data, number, rng=np.random.default_rng(number))
        assert len(set(one.references)) == REFERENCES
        assert {concept for concept, _ in one.references} == {number}
        for question in one.questions:
            kinds.add(question.kind)
            assert question.shown not in one.references
            if question.kind in RECOGNITION and question.shown is not None:
                same = question.shown[0] == number
                assert question.asked.answer == ("Yes." if same else "No.")
                family = question.shown[0] // FAMILY == number // FAMILY
                assert family == (question.kind != "rec_no_other")
        assert one.facts.splitlines()[1].endswith(f"{data.identity(number).plan}.")
    assert kinds >= {*RECOGNITION, *TOLD, "where", "doing", "colour_choice", "caption", "describe"}


def test_what_is_told_is_drawn_anew_each_time(data: ConceptSet) -> None:
    assert len({visit(data, 0, rng=np.random.default_rng(seed)).facts for seed in range(8)}) > 4


def test_nothing_is_asked_in_training_that_was_not_told(data: ConceptSet) -> None:
    rng, untold = np.random.default_rng(0), 0
    for _ in range(60):
        one = drawn_visit(data, 1, rng)
        asked = [q.kind for q in one.questions if q.kind in TOLD]
        assert len(asked) == (TOLD_ASKED if one.facts else 0)
        answers = [q.asked.answer for q in one.questions if q.kind in RECOGNITION]
        assert answers.count("Yes.") == answers.count("No.") == 2
        untold += not one.facts
    assert 2 <= untold <= 30


def test_conditions_ask_the_same_questions(data: ConceptSet) -> None:
    own, others, untold = (visits_of(data, condition) for condition in CONDITIONS)
    assert [v.questions for v in own] == [v.questions for v in others] == [v.questions for v in untold]
    assert all({c for c, _ in v.references}.isdisjoint({number}) for number, v in enumerate(others))
    assert {v.facts for v in untold} == {""}


# --- reading --------------------------------------------------------------------------------------------------------------


def test_a_question_is_read_in_a_batch_as_in_a_conversation_of_its_own(data: ConceptSet, processor: Any) -> None:
    import torch
    from PIL import Image

    torch.manual_seed(0)
    model = new_model().eval()
    visits = [visit(data, number, rng=np.random.default_rng(number)) for number in (0, 4)]
    visits[1] = visits[1]._replace(facts="")
    with torch.no_grad():
        said = Reader(model, processor, data).answers(visits)
    for row, (number, question) in enumerate(said.order):
        shots = [*visits[number].references, *([question.shown] if question.shown else [])]
        pictures = [Image.fromarray(data.pictures[shot]) for shot in shots]
        asked = Inquiry(
            question.asked.question, PLACEHOLDER, visits[number].facts, tuple(pictures[:REFERENCES]),
            pictures[-1] if question.shown else None,
        )  # fmt: skip
        text = processor.apply_chat_template(messages(asked), add_generation_prompt=True, tokenize=False)
        inputs = processor(text=[f"{text}{question.asked.answer}<|im_end|>"], images=pictures, return_tensors="pt")
        assert (inputs["input_ids"] == processor.image_token_id).sum() == TOKENS * len(pictures)
        mine = said.logits[said.row == row]
        with torch.no_grad():
            whole = model(**inputs).logits[0, -len(mine) - 1 : -1]
        assert torch.equal(inputs["input_ids"][0, -len(mine) :], said.labels[said.row == row])
        assert torch.allclose(mine, whole, atol=1e-5)


# --- training -------------------------------------------------------------------------------------------------------------


def test_a_short_training_is_repeatable_and_saves_what_loads(data: ConceptSet, tmp_path: Path) -> None:
    first, again = (train_vlm(tmp_path / name, data, seed=1, budget=Budget(steps=4)) for name in ("first", "again"))
    assert {name: one.steps for name, one in first.items()} == {"see": 1, "answer": 3}
    assert [one.last_loss for one in first.values()] == [one.last_loss for one in again.values()]
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("first", "again")]
    assert weights[0] == weights[1]
    figures = evaluate(tmp_path / "first", data)
    assert figures["rec_weighted"]["chance"] == figures["rec_weighted"]["commonest"] == 0.5
    assert all(set(one) == {"chance", "commonest", *CONDITIONS} for one in figures.values())


def test_stages_share_the_budget() -> None:
    assert sum(SHARES.values()) == pytest.approx(1)
    assert Budget(steps=100).part(SHARES["see"]).steps == 15
    assert Budget(minutes=40).part(SHARES["answer"]).minutes == pytest.approx(34)


# --- the shipped one ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def card() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((SHIPPED / "card.yaml").read_text(encoding="utf-8"))
    return loaded


def test_the_shipped_model_is_small_and_in_half_precision(card: dict[str, Any]) -> None:
    from safetensors import safe_open

    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) <= LIMIT
    assert card["bytes"] == sum(file.stat().st_size for file in SHIPPED.iterdir() if file.name != "card.yaml")
    with safe_open(SHIPPED / "model.safetensors", framework="pt") as stored:
        assert {str(stored.get_tensor(name).dtype) for name in stored.keys()} == {"torch.float16"}  # noqa: SIM118
    assert json.loads((SHIPPED / "config.json").read_text())["architectures"] == ["Qwen2_5_VLForConditionalGeneration"]


@pytest.mark.usefixtures("card")
def test_its_files_are_those_that_the_code_makes(processor: Any) -> None:
    model, shipped = load()
    assert shipped.tokenizer.get_vocab() == processor.tokenizer.get_vocab()
    assert shipped.chat_template == processor.chat_template
    assert {k: v.shape for k, v in model.state_dict().items()} == {
        k: v.shape for k, v in new_model().state_dict().items()
    }


def test_the_card_is_of_this_world_and_of_concepts_that_it_never_saw(card: dict[str, Any]) -> None:
    assert card["world_version"] == WORLD_VERSION
    assert card["held_out_set"] == vars(HELD_OUT_CONCEPTS)
    assert (card["training_set"]["split"], card["held_out_set"]["split"]) == ("train", "bench")


def test_it_recognises_by_the_references_and_reads_what_it_is_told(card: dict[str, Any]) -> None:
    """Kinds that it did not learn, such as choices, are left out, as the card says."""
    found = card["held_out"]
    assert found["rec_weighted"]["own"] > 0.7
    assert found["rec_weighted"]["no_facts"] > 0.7
    assert abs(found["rec_weighted"]["other_references"] - 0.5) < 0.1
    assert found["where"]["own"] > 0.9
    for kind in ("likes_where", "rea_where"):
        assert found[kind]["own"] > found[kind]["commonest"] + 0.2
        assert found[kind]["no_facts"] < found[kind]["commonest"] + 0.05


def test_the_figures_of_the_card_are_found_again(card: dict[str, Any], tmp_path: Path) -> None:
    figures = evaluate(SHIPPED, render_concepts(tmp_path / "held", HELD_OUT_CONCEPTS, workers=2))
    assert set(figures) == set(card["held_out"])
    for kind, said in card["held_out"].items():
        assert figures[kind] == pytest.approx(said, abs=0.02), kind
