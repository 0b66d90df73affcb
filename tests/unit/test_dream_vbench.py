"""Dream-VBench: the shipped prompts against the criteria they were written by, the loader, and the embedded counterpart."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from evalkit.benchmarks.action_grammar import LIVE, LIVE_AFTER, PROMPTS, THINGS, THINGS_AFTER, action_prompts
from evalkit.benchmarks.dream_vbench import DREAM_VBENCH, read_actions
from evalkit.cli import main
from evalkit.content import content
from evalkit.errors import EvalkitError, PluginError, ProblemsError
from evalkit.sandbox.world import WORLD_VERSION, words
from tests import fake_hub
from tests.unit.benchmark_samples import dreambench_facts, write_dreambench

SHIPPED = content("benchmarks", "dream_vbench", "evalkit_actions", "prompts.json")
MOTION = {
    "run", "trot", "climb", "walk", "dash", "jump", "crawl", "wade", "chase", "hop", "turn", "leap", "roll", "spin", "slide",
    "float", "drop", "swing", "tumble", "bounce", "drift", "glide", "circle", "push", "pull", "nudge", "fly", "shake",
}  # fmt: skip
"""Verbs of motion, without their endings; what the camera and the weather do is not looked at."""
NOT_OF_THINGS = {
    "run",
    "trot",
    "climb",
    "walk",
    "dash",
    "jump",
    "crawl",
    "wade",
    "chase",
    "hop",
    "leap",
    "push",
    "pull",
    "head",
}


def verbs(text: str) -> set[str]:
    """The words of what the subjects do, with the endings of the third person taken off."""
    doing = text.partition(" that ")[2].partition(", while ")[0]
    found = set(re.findall(r"[a-z]+", doing.lower()))
    return found | {word.removesuffix("s") for word in found} | {word.removesuffix("es") for word in found}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return DREAM_VBENCH.embed(tmp_path_factory.mktemp("dream_vbench"))


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dreambench(tmp_path_factory.mktemp("photographs"))


def test_the_shipped_file_is_what_the_grammar_gives() -> None:
    assert json.loads(SHIPPED.read_text()) == action_prompts(dreambench_facts())


def test_there_are_500_different_prompts() -> None:
    actions = read_actions(SHIPPED)
    assert len({action.prompt for action in actions}) == len(actions) == 500
    counted = Counter(action.subjects for action in actions)
    assert set(counted.values()) == {PROMPTS}
    assert Counter(len(subjects) for subjects in counted) == {1: 30, 2: 20}
    assert {subjects for subjects in counted if len(subjects) == 2} <= set(dreambench_facts().pairs)


def test_each_prompt_has_20_to_50_words_and_a_verb_of_motion() -> None:
    for action in read_actions(SHIPPED):
        assert 20 <= len(action.prompt.split()) <= 50
        assert verbs(action.prompt) & MOTION, action.prompt


def test_each_prompt_is_consistent_with_the_classes() -> None:
    facts = dreambench_facts()
    for action in read_actions(SHIPPED):
        assert all(facts.classes[subject] in action.prompt for subject in action.subjects)
        others = set(facts.classes.values()) - {facts.classes[subject] for subject in action.subjects}
        named = action.prompt.partition(" that ")[0]
        assert not {word for word in others if re.search(rf"\ba {word}\b", named)}
        if {facts.kind(subject) for subject in action.subjects} == {"object"}:
            assert not verbs(action.prompt) & NOT_OF_THINGS, action.prompt


def test_two_subjects_do_things_in_the_plural() -> None:
    moves = [*LIVE, *LIVE_AFTER, *THINGS, *THINGS_AFTER]
    assert all(move.one.split()[0] in (f"{move.two.split()[0]}s", f"{move.two.split()[0]}es") for move in moves)
    for action in read_actions(SHIPPED):
        doing = action.prompt.partition(" that ")[2].split()[0]
        assert doing.endswith("s") == (" and a" not in action.prompt.partition(" that ")[0]), action.prompt


def test_cases_of_photographs(photographs: Path) -> None:
    loaded = DREAM_VBENCH.load(photographs, "consis_gcpo")
    assert len(loaded.cases) == DREAM_VBENCH.spec.expected.cases["consis_gcpo"]
    assert {case.medium for case in loaded.cases} == {"video"}
    assert Counter(case.tags for case in loaded.cases) == {("single",): 300, ("multi",): 200}
    case = next(case for case in loaded.cases if case.case_id == "cat.backpack.a03")
    assert (case.category, case.prompt_index, case.subjects) == ("live_object", 3, ("cat", "backpack"))
    assert [r.path for r in case.targets] == ["cat/04.jpg", "backpack/02.jpg"]
    assert (loaded.world, loaded.real_clip(case, 0)) == (None, None)
    for name, count in (("single", 300), ("multi", 200)):
        part = DREAM_VBENCH.load(photographs, name)
        assert len(part.cases) == count
        assert {case.case_id for case in part.cases} < {case.case_id for case in loaded.cases}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[{"subjects": ["lion"], "prompt": "x"}]', "wanted subjects of DreamBench, found 'lion'"),
        ('[{"subjects": [], "prompt": "x"}]', "form that is wanted: 0.subjects"),
        ('[{"subjects": ["cat"]}]', "form that is wanted: 0.prompt"),
        ('[{"subjects": ["cat"], "prompt": " "}]', "0.prompt: Value error, a text must not be empty"),
        ('[{"subjects": ["cat", "cat"], "prompt": "x"}]', "0: wanted two subjects, found 'cat' twice"),
        ('[{"subjects": ["cat"], "prompt": "x", "prompt": "y"}]', "wanted each key once, found 'prompt' again"),
        ('[{"subjects": ["cat"], "prompt": "x", "fps": 8}]', "0.fps: Extra inputs are not permitted"),
        ("[" * 100_000, "wanted JSON, found something else"),
        ("[]", "wanted prompts, found none"),
        ("[", "wanted JSON, found something else"),
    ],
)
def test_a_prompt_file_of_ones_own(photographs: Path, tmp_path: Path, text: str, told: str) -> None:
    root = Path(shutil.copytree(photographs, tmp_path / "copy"))
    (root / "prompts.json").write_text('[{"subjects": ["dog"], "prompt": "a dog running"}]')
    (case,) = DREAM_VBENCH.load(root, "consis_gcpo").cases
    assert (case.case_id, case.prompt) == ("dog.a00", "a dog running")
    (root / "prompts.json").write_text(text)
    with pytest.raises(EvalkitError) as raised:
        DREAM_VBENCH.load(root, "consis_gcpo")
    assert not isinstance(raised.value, PluginError)
    assert told in str(raised.value)


def test_everything_that_prompts_of_ones_own_have_wrong_is_in_one_report(photographs: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(photographs, tmp_path / "copy"))
    told = [["lion"], ["cat", "teapot"], ["dog", "dog"], ["sofa", "hat"]]
    (root / "prompts.json").write_text(json.dumps([{"subjects": names, "prompt": "x"} for names in told]))
    with pytest.raises(ProblemsError) as raised:
        DREAM_VBENCH.load(root, "single")
    assert raised.value.problems == (
        "0: wanted subjects of DreamBench, found 'lion'; 'backpack' is one",
        "2: wanted two subjects, found 'dog' twice; name it once or another beside it",
        "3: wanted subjects of DreamBench, found 'sofa', 'hat'; 'backpack' is one",
    )


def test_the_world_moves(world: Path) -> None:
    loaded = DREAM_VBENCH.load(world, "consis_gcpo")
    assert loaded.world == WORLD_VERSION
    assert Counter(case.tags for case in loaded.cases) == {("single",): 24, ("multi",): 18}
    assert {word for case in loaded.cases for word in case.prompt.split()} <= set(words())
    found = loaded.real_clip(loaded.cases[-1], 0)
    assert found is not None
    clip, fps = found
    assert clip.dtype == np.uint8
    assert (clip.ndim, fps > 0) == (4, True)
    assert not np.array_equal(clip[0], clip[-1])


def test_its_photographs_are_fetched_as_dreambench_s(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = fake_hub.install(monkeypatch, tmp_path / "hub")
    hub.publish("google/dreambooth", {f"dataset/{name}": d for name, d in fake_hub.files_in(photographs).items()})
    assert len(DREAM_VBENCH.load(DREAM_VBENCH.fetch(tmp_path / "data"), "single").cases) == 300


@pytest.mark.timeout(300)
def test_controls_of_videos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value = {}
    for method in ("copy_reference", "real_images", "wrong_subject"):
        capsys.readouterr()
        asked = [
            "run",
            "--method",
            method,
            "--bench",
            "dream_vbench/single",
            "--profile",
            "sandbox",
            "--limit",
            "8",
            "--json",
        ]
        assert main([*asked, "--out", str(tmp_path / method)]) == 0
        told = json.loads(capsys.readouterr().out)["scores"]
        assert all((cell["n_scored"], cell["n_cases"]) == (8, 8) for cell in told.values())
        value[method] = {label: cell["value"] for label, cell in told.items()}
    assert value["copy_reference"]["temporal_consistency"] == pytest.approx(1, abs=1e-5)
    assert value["real_images"]["temporal_consistency"] < 1
    assert value["real_images"]["clip_t"] > max(value["copy_reference"]["clip_t"], value["wrong_subject"]["clip_t"])
    assert value["copy_reference"]["dino_i"] > value["real_images"]["dino_i"] > value["wrong_subject"]["dino_i"]
