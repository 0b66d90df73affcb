"""UnifyBench and ++: the layout, the cases made of it, the embedded counterpart, and controls that answer."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from evalkit.benchmarks.unifybench import UNIFYBENCH, UNIFYBENCH_PP
from evalkit.benchmarks.unifybench_layout import local_path
from evalkit.cli import main
from evalkit.errors import EvalkitError, ProblemsError
from evalkit.runs.folder import RunFolder
from evalkit.sandbox.unifybench import NAMES, TEST, TRAIN
from evalkit.sandbox.world import WORLD_VERSION
from tests import fake_hub
from tests.judge_server import Answer, FakeServer, completion, fake_server

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE_1 = (
    "rec_weight", "rea_bleu", "dense_rea_gpt", "vqa_bleu", "vqa_gpt", "qa_bleu", "qa_gpt", "pure_clip_t", "pure_clip_i",
    "dense_gen_gpt", "dense_gen_clip_i", "rea_gen_clip_t", "rea_gen_clip_i", "dense_rea_gen_gpt", "dense_rea_gen_clip_i",
)  # fmt: skip
"""The columns of Sync-R1's table, from left to right."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return UNIFYBENCH_PP.embed(tmp_path_factory.mktemp("unifybench"))


@pytest.fixture
def copy(world: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(world, tmp_path / "copy"))


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def ask(root: Path, concept: str, number: int, question: str, answer: str) -> None:
    path = root / "test_data" / f"{concept}.json"
    told = json.loads(path.read_text())
    told[number]["conversations"] = [{"from": "human", "value": question}, {"from": "bot", "value": answer}]
    path.write_text(json.dumps(told))


def test_protocols_have_the_columns_of_the_table() -> None:
    spec = UNIFYBENCH_PP.spec
    for name in ("sync_r1", "corrected"):
        assert tuple(choice.label for choice in spec.protocol(name).metrics) == TABLE_1
    halves = [*spec.protocol("understanding").metrics, *spec.protocol("generation").metrics]
    assert tuple(halves) == spec.protocol("sync_r1").metrics


def test_every_column_has_its_cases(world: Path) -> None:
    for benchmark, whole in ((UNIFYBENCH, "official"), (UNIFYBENCH_PP, "sync_r1")):
        loaded = benchmark.load(world, whole)
        for choice in benchmark.spec.protocol(whole).metrics:
            assert any(choice.applies(case) for case in loaded.cases), choice.label


def test_protocols_of_one_medium_hold_its_cases_alone(world: Path) -> None:
    parts = [UNIFYBENCH_PP.load(world, name).cases for name in ("understanding", "generation", "sync_r1")]
    assert [{case.medium for case in cases} for cases in parts] == [{"text"}, {"image"}, {"text", "image"}]
    assert {case.case_id for case in parts[0]} | {case.case_id for case in parts[1]} == {c.case_id for c in parts[2]}


def test_a_question_has_its_answer_and_its_picture_last(world: Path) -> None:
    loaded = UNIFYBENCH.load(world, "understanding")
    assert loaded.world == WORLD_VERSION
    for case in loaded.cases:
        assert case.texts["expected_answer"]
        assert case.targets == ()
        assert "<image>" not in case.prompt
        seen = case.texts.get("question_picture")
        assert len(case.references) == TRAIN + (seen is not None)
        assert (seen is None) == (case.tags == ("qa",) or case.case_id.endswith("choice01"))
        assert seen in (None, case.references[-1].path)
    rec = [case for case in loaded.cases if case.tags == ("rec",) and case.subjects == ("bo",)]
    assert Counter(case.texts["expected_answer"] for case in rec) == {"Yes.": TEST, "No.": TEST}
    assert {case.texts["answers_alike"] for case in rec} == {str(TEST)}


def test_a_yes_counts_as_one_however_it_is_written(copy: Path) -> None:
    told = json.loads((copy / "test_data" / "bo.json").read_text())
    first = [item["conversations"][1]["value"] for item in told].index("Yes.")
    ask(copy, "bo", first, "Is it <bo>?", "Yes, it is.")
    asked = [case for case in UNIFYBENCH.load(copy, "understanding").cases if case.tags == ("rec",)]
    assert "Yes, it is." in {case.texts["expected_answer"] for case in asked}
    assert {case.texts["answers_alike"] for case in asked} == {str(TEST)}


def test_a_prompt_names_the_class_and_keeps_what_it_was(world: Path) -> None:
    loaded = UNIFYBENCH_PP.load(world, "generation")
    plain = next(case for case in loaded.cases if case.case_id == "tiko.pure_gen00")
    word = plain.references[0].label
    assert plain.prompt == f"a {word} standing on the beach"
    assert plain.texts["template"] == "a <sks> standing on the beach"
    assert "scored_prompt" not in plain.texts
    left = next(case for case in loaded.cases if case.case_id == "tiko.rea_gen00")
    assert left.prompt == f"a {word} standing in its favourite place"
    assert left.texts["scored_prompt"].startswith(f"a {word} standing ")
    assert left.texts["scored_prompt"] != left.prompt
    assert left.texts["scored_prompt"].removeprefix(f"a {word} standing ") in left.texts["concept_info"]
    assert left.targets == left.references
    picture = loaded.real_image(left, 0)
    assert picture is not None
    assert picture.shape == (96, 96, 3)


def test_knowledge_leaves_the_plain_condition_out(world: Path) -> None:
    loaded = UNIFYBENCH.load(world, "generation")
    conditions = json.loads((world / "concept" / "test" / "bo" / "t2i_conditions.json").read_text())
    asked = [c.texts["template"] for c in loaded.cases if c.tags == ("knowledge_gen",) and c.subjects == ("bo",)]
    assert asked == conditions[1:]


@pytest.mark.parametrize(
    ("image", "local"),
    [
        ("/data/UniCTokens_Dataset/concept/test/bo/0.png", "concept/test/bo/0.png"),
        ("D:\\data\\random_images\\3.png", "random_images/3.png"),
        ("/x/black_512x512.png", "black_512x512.png"),
    ],
)
def test_pictures_are_found_wherever_the_file_was_written(image: str, local: str) -> None:
    assert local_path(image) == local


def test_a_folder_above_is_taken(world: Path, tmp_path: Path) -> None:
    (tmp_path / "unictokens_data").symlink_to(world)
    assert len(UNIFYBENCH.load(tmp_path, "official").subjects) == len(NAMES)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda root: (root / "test_data" / "bo.json").unlink(), "or let its gen_test_data.py write it"),
        (lambda root: (root / "test_data" / "bo.json").write_text("{"), "bo.json: wanted JSON, found something else"),
        (lambda root: (root / "test_data" / "bo.json").write_text('[{"type": "rec"}]'), "not of the form that is wanted: 0.image"),
        (lambda root: edit(root / "concept/train/bo/info.json", generation_type="plant"), "found 'plant'"),
        (lambda root: edit(root / "concept/train/train_images.json", bo=[]), "wanted the pictures of 'bo', found none"),
        (lambda root: (root / "concept/train/bo/1.png").unlink(), "bo: 1 pictures are missing: 'concept/train/bo/1.png'"),
        (lambda root: edit(root / "unifybench_pp/bo.json", rea=[{"question": "?"}]), "form that is wanted: rea.0.answer"),
        (lambda root: (root / "unifybench_pp/bo.json").write_text('{"rea": [], "rea": []}'), "each key once, found 'rea' again"),
        (lambda root: edit(root / "unifybench_pp/bo.json", dense_gen=[" "]), "dense_gen.0: Value error, a text must not be"),
        (lambda root: (root / "concepts_list.json").write_text('["bo", "bo"]'), "wanted each concept once, found 'bo' again"),
        (lambda root: (root / "concepts_list.json").write_text('["../bo"]'), "concepts_list.json: not of the form"),
        (lambda root: (root / "prompts_to_eval.json").unlink(), "wanted 'prompts_to_eval.json', found No such file"),
        (lambda root: ask(root, "bo", 0, "?", "Perhaps."), "wanted 'No.' or a yes as the answer to a question of type 'rec'"),
        (lambda root: ask(root, "bo", 0, "?", "no"), "bo.json: 0: wanted 'No.' or a yes as the answer"),
        (lambda root: ask(root, "bo", 0, "?", "No, not yes."), "found 'No, not yes.'"),
        (lambda root: ask(root, "bo", 0, "<image>\n ", "No."), "bo.json: 0: wanted a question, found ' '"),
        (lambda root: edit(root / "unifybench_pp/bo.json", more=[]), "more: Extra inputs are not permitted"),
    ],
)  # fmt: skip
def test_what_is_not_of_the_layout_is_told(copy: Path, damage: Any, told: str) -> None:
    damage(copy)
    with pytest.raises(ProblemsError) as raised:
        UNIFYBENCH_PP.load(copy, "sync_r1")
    assert told in str(raised.value)


def test_everything_wrong_with_all_concepts_is_in_one_report(copy: Path) -> None:
    (copy / "test_data" / "bo.json").write_text("{")
    (copy / "concept/train/mina/info.json").unlink()
    edit(copy / "concept/train/train_images.json", tiko=[])
    for name in ("0.png", "1.png"):
        (copy / "concept/test/lulu" / name).unlink()
    ask(copy, "rolo", 0, "Is it <rolo>?", "")
    edit(copy / "unifybench_pp/zuzu.json", rea=[{"question": "?"}, {"answer": "!", "why": ""}])
    (copy / "concept/train/rolo/0.png").write_bytes(b"no picture")
    with pytest.raises(ProblemsError) as raised:
        UNIFYBENCH_PP.load(copy, "understanding")
    assert [line.partition(";")[0] for line in raised.value.problems] == [
        "test_data/bo.json: wanted JSON, found something else: Expecting property name enclosed in double quotes: line 1 "
        "column 2 (char 1)",
        "wanted 'concept/train/mina/info.json', found No such file or directory",
        "tiko: 1 pictures are missing: 'concept/test/lulu/0.png'",
        "lulu: 2 pictures are missing: 'concept/test/lulu/0.png', 'concept/test/lulu/1.png'",
        "test_data/rolo.json: 0: wanted 'No.' or a yes as the answer to a question of type 'rec', found ''",
        "unifybench_pp/zuzu.json: not of the form that is wanted: rea.0.answer: Field required",
        "unifybench_pp/zuzu.json: not of the form that is wanted: rea.1.question: Field required",
        "unifybench_pp/zuzu.json: not of the form that is wanted: rea.1.why: Extra inputs are not permitted",
        "concept/train/train_images.json: wanted the pictures of 'tiko', found none",
        "cannot decode 'concept/train/rolo/0.png': it is no picture that evalkit knows (it begins with b'no pictu')",
    ]


def test_published_data_have_the_published_numbers(copy: Path) -> None:
    (copy / "world.json").unlink()
    with pytest.raises(ProblemsError) as raised:
        UNIFYBENCH.load(copy, "generation")
    assert raised.value.problems == (
        "concepts_list.json: wanted 20 concepts that can be read, found 6; fetch the data again",
        "prompts_to_eval.json: wanted 25 prompts of 'live_subject', found 6; fetch the data again",
        "prompts_to_eval.json: wanted 25 prompts of 'object', found 6; fetch the data again",
    )


def test_a_question_of_an_unknown_type_is_told(copy: Path) -> None:
    path = copy / "test_data" / "mina.json"
    questions = json.loads(path.read_text())
    path.write_text(json.dumps([questions[0] | {"type": "riddle"}, *questions]))
    with pytest.raises(
        ProblemsError, match="0: wanted a type of rec, vqa, text_only or one with 'choice' in it, found 'riddle'"
    ):
        UNIFYBENCH.load(copy, "understanding")


def test_a_picture_that_does_not_decode_is_told(copy: Path) -> None:
    (copy / "concept" / "test" / "bo" / "0.png").write_bytes(b"no picture")
    with pytest.raises(ProblemsError, match="is not a whole copy of UnifyBench"):
        UNIFYBENCH.load(copy, "understanding")


def test_a_folder_of_something_else_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProblemsError, match=r"wanted 'concepts_list\.json' in it"):
        UNIFYBENCH.load(tmp_path, "understanding")


def test_everything_that_the_hub_has_is_fetched(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = fake_hub.install(monkeypatch, tmp_path / "hub")
    built = fake_hub.files_in(world)
    hub.publish("HankYang428/unictokens_data", {n: d for n, d in built.items() if not n.startswith("test_data/")})
    for _ in range(2):
        assert UNIFYBENCH.fetch(tmp_path / "data") == tmp_path / "data"
    assert [call.patterns for call in hub.calls] == [("**",)] * 2
    with pytest.raises(EvalkitError, match="or let its gen_test_data.py write it"):
        UNIFYBENCH.load(tmp_path / "data", "understanding")


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeServer]:
    """Gives 1 where the predicted answer is the expected one, else 0; every segment is valid but the last word's."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))

    def say(body: dict[str, Any]) -> Answer:
        content = body["messages"][-1]["content"]
        text = content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)
        if "Segment:" in text:
            return completion("invalid" if "by day" in text else "valid")
        expected, given = (text.split(f"{key}: ")[1].split("\n")[0] for key in ("\nAnswer", "\nPredicted answer"))
        return completion("1" if given.strip().startswith(expected.strip()) else "0")

    with fake_server() as made:
        made.always = say
        monkeypatch.setenv("EVALKIT_JUDGE_URL", made.url)
        yield made


def run(capsys: pytest.CaptureFixture[str], method: str, bench: str, out: Path) -> dict[str, Any]:
    capsys.readouterr()
    asked = ["run", "--method", method, "--bench", bench, "--profile", "sandbox", "--seeds", "1", "--json"]
    assert main([*asked, "--out", str(out)]) == 0
    scores: dict[str, Any] = json.loads(capsys.readouterr().out)["scores"]
    return scores


@pytest.mark.timeout(300)
def test_controls_of_answers(judge: FakeServer, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    methods = ("true_answers", "always_yes", "wrong_subject")
    told = {method: run(capsys, method, "unifybench_pp", tmp_path / method) for method in methods}
    values = {method: {label: cell["value"] for label, cell in table.items()} for method, table in told.items()}
    assert set(values["true_answers"].values()) == {1.0}
    assert values["always_yes"]["rec_weight"] == 0.5
    for label in TABLE_1[1:7]:
        assert values["always_yes"][label] < 0.1
        assert values["always_yes"][label] <= values["wrong_subject"][label] < 1
    counted = {label: (cell["n_scored"], cell["n_cases"]) for label, cell in told["true_answers"].items()}
    assert counted["rec_weight"] == (36, 36)
    assert all(scored == of for scored, of in counted.values())
    folder = RunFolder.read(tmp_path / "true_answers")
    assert folder.media_path("bo.qa00", 0, ".txt").read_text().strip()


@pytest.mark.timeout(300)
def test_pictures_of_concepts(judge: FakeServer, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    real, wrong = (
        run(capsys, method, "unifybench_pp/generation", tmp_path / method)
        for method in ("real_images", "wrong_subject")
    )
    for label in ("pure_clip_i", "rea_gen_clip_i", "dense_rea_gen_clip_i", "rea_gen_clip_t"):
        assert real[label]["value"] > wrong[label]["value"], label
    # "by day" is one of four segments in dense_gen, and one of three in dense_rea_gen
    assert real["dense_gen_gpt"]["value"] == pytest.approx(3 / 4)
    assert real["dense_rea_gen_gpt"]["value"] == pytest.approx(2 / 3)


def test_a_method_of_one_medium_is_refused_where_both_are_asked(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked = ["run", "--method", "true_answers", "--bench", "unifybench_pp/sync_r1", "--profile", "sandbox"]
    assert main([*asked, "--out", str(tmp_path / "r")]) == 1
    assert "wanted the medium 'image', found a method that makes text" in capsys.readouterr().err
