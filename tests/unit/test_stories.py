"""Stories: the shipped prompts against the criteria they were written by, the loader, and the embedded counterpart."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml

from evalkit.benchmarks.stories import STORIES, read_stories
from evalkit.benchmarks.story_grammar import ACTIONS, PICTURES, PLACES, STYLES, SUBJECTS, stories
from evalkit.cli import main
from evalkit.content import content
from evalkit.errors import DataError, EvalkitError, ProblemsError
from evalkit.media import decode_image
from evalkit.sandbox.scenes import embed
from evalkit.sandbox.stories import world_stories
from evalkit.sandbox.world import WORLD_VERSION, words
from evalkit.sandbox.world.captions import STYLE_PHRASES

if TYPE_CHECKING:
    from pathlib import Path

SHIPPED = content("benchmarks", "stories", "evalkit_stories")
LONGEST_SUBJECT = 4
"""Words of an identity that is not detailed."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return embed(tmp_path_factory.mktemp("stories"), world_stories({"animal": 4, "human": 1}))


@pytest.fixture
def copy(world: Path, tmp_path: Path) -> Path:
    return shutil.copytree(world, tmp_path / "copy")


def test_the_shipped_file_is_what_the_grammar_gives() -> None:
    assert yaml.safe_load((SHIPPED / "prompts.yaml").read_text()) == stories()


def test_there_are_96_stories_of_which_a_fifth_has_a_broad_style() -> None:
    told = [story for listed in read_stories(SHIPPED / "prompts.yaml").values() for story in listed]
    assert len(told) == 96
    styled = [story.style for story in told if story.style]
    assert 0.15 < len(styled) / len(told) < 0.25
    assert set(styled) == set(STYLES)


def test_identities_are_not_detailed() -> None:
    for domain, listed in stories().items():
        subjects = [story["subject"] for story in listed]
        assert len(set(subjects)) == len(subjects) == len(SUBJECTS[domain])
        assert all(len(subject.split()) <= LONGEST_SUBJECT for subject in subjects)
        assert all(subject.startswith(("a ", "an ")) for subject in subjects)


def test_settings_vary_pose_and_place_within_a_story() -> None:
    seen = Counter(tuple(story["settings"]) for listed in stories().values() for story in listed)
    assert set(seen.values()) == {1}
    for domain, listed in stories().items():
        for story in listed:
            places = [next(p for p in PLACES if setting.endswith(f" {p}")) for setting in story["settings"]]
            actions = [s.removesuffix(f" {p}") for s, p in zip(story["settings"], places, strict=True)]
            assert set(actions) <= set(ACTIONS[domain])
            assert len(set(actions)) == len(set(places)) == len(story["settings"]) == PICTURES


def test_the_shipped_stories_are_taken_without_data(tmp_path: Path) -> None:
    spec = STORIES.spec
    loaded = STORIES.load(STORIES.fetch(tmp_path), "clip")
    assert len(loaded.cases) == spec.expected.cases["clip"] == 480
    assert len(loaded.subjects) == spec.expected.subjects
    case = loaded.cases[4 * PICTURES + 1]
    assert (case.case_id, case.set_id, case.subjects, case.tags) == (
        "animals_4.p1",
        "animals_4",
        ("animals_4",),
        ("styled",),
    )
    assert case.prompt == f"{case.texts['identity_prompt']} {case.texts['own_prompt']}"
    assert case.texts["identity_prompt"] == "a sketch of a bear"
    assert loaded.official_name(case, 0) == f"animals_4/{case.prompt}"
    assert loaded.official_name(case, 1) is None
    assert (case.references, loaded.world, loaded.real_image(case, 0)) == ((), None, None)


def test_a_method_that_needs_a_picture_is_refused_where_there_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(
        ["run", "--method", "copy_reference", "--bench", "stories", "--profile", "paper", "--out", str(tmp_path / "r")]
    )
    assert code == 1
    assert "wanted cases with a picture to look at, found some without; " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("animals: [{style: a, settings: [x, y]}]", "animals.0.subject: Field required"),
        ("animals: [{subject: a, settings: [x]}]", "animals.0.settings: Tuple should have at least 2 items"),
        ("animals: [{subject: a, settings: [x, y], age: 3}]", "animals.0.age: Extra inputs are not permitted"),
        ("animals: [{subject: ' ', settings: [x, '']}]", "animals.0.settings.1: Value error, a text must not be empty"),
        ("animals: [{subject: a, subject: b, settings: [x, y]}]", "found the key 'subject' twice in "),
        (f"{'a' * 101}: [{{subject: a, settings: [x, y]}}]", ".[key]: Value should have at most 100 items"),
        ("[" * 5000, "wanted YAML, found something else"),
        ("[]", "document: Input should be a valid dictionary"),
        ("{}", "wanted stories, found none"),
    ],
)
def test_a_prompt_file_that_is_not_of_the_form(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(EvalkitError) as raised:
        STORIES.load(tmp_path, "clip")
    assert told in str(raised.value)
    assert str(raised.value).startswith(str(tmp_path / "mine.yaml"))


def test_everything_that_a_prompt_file_has_wrong_is_in_one_report(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "animals: [{subject: a, settings: [x]}, {subject: '', settings: [x, y], age: 3}]"
    )
    with pytest.raises(ProblemsError) as raised:
        STORIES.load(tmp_path, "clip")
    assert [line.partition(":")[0] for line in raised.value.problems] == [
        "animals.0.settings", "animals.1.subject", "animals.1.age",
    ]  # fmt: skip


def test_a_mask_of_no_story_is_told(copy: Path) -> None:
    shutil.copy(copy / "masks" / "animal_0.png", copy / "masks" / "unicorn_0.png")
    with pytest.raises(ProblemsError) as raised:
        STORIES.load(copy, "clip")
    assert raised.value.problems == ("masks: found 'unicorn_0' beside the 5 wanted; take them out",)


def test_two_prompt_files_are_one_too_many(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("animals: []")
    with pytest.raises(DataError, match="wanted one prompt file .* found 'a.yaml', 'b.yaml'; "):
        STORIES.load(tmp_path, "clip")


def test_the_world_shows_each_subject_and_what_each_prompt_asks_for(world: Path) -> None:
    loaded = STORIES.load(world, "clip")
    assert loaded.world == WORLD_VERSION
    assert Counter(case.category for case in loaded.cases) == {"animal": 20, "human": 5}
    assert {case.tags for case in loaded.cases if case.set_id == "human_0"} == {("styled",)}
    case = loaded.cases[6]
    assert case.references == case.targets
    assert case.references[0].mask == "masks/animal_1.png"
    first, again, other = (loaded.real_image(case, seed) for seed in (0, 0, 1))
    assert first is not None
    assert again is not None
    assert other is not None
    assert first.shape == (96, 96, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, decode_image(world / case.references[0].path).pixels)


def test_the_world_speaks_its_own_language(world: Path) -> None:
    known = set(words())
    assert {word for case in STORIES.load(world, "clip").cases for word in case.prompt.split()} <= known
    styled = [case for case in STORIES.load(world, "clip").cases if case.tags == ("styled",)]
    assert all(case.prompt.startswith(tuple(STYLE_PHRASES.values())) for case in styled)


def test_a_world_is_drawn_once_and_mended(tmp_path: Path) -> None:
    drawn = world_stories({"animal": 1})
    root = embed(tmp_path, drawn)
    picture = root / "references" / "animal_0.png"
    before = picture.stat().st_mtime_ns
    assert embed(tmp_path, drawn) == root
    assert picture.stat().st_mtime_ns == before
    picture.unlink()
    assert embed(tmp_path, drawn) == root
    assert picture.is_file()
    assert [path.name for path in tmp_path.iterdir()] == [root.name]


def test_a_missing_reference_is_told(copy: Path) -> None:
    (copy / "references" / "animal_2.png").unlink()
    with pytest.raises(ProblemsError) as raised:
        STORIES.load(copy, "clip")
    assert raised.value.problems == ("references: missing 'animal_2'; fetch the data again",)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda r: r | {"world_version": "0.1"}, "wanted world version"),
        (lambda r: {k: v for k, v in r.items() if k != "cases"}, r"damaged \(KeyError: 'cases'\)"),
    ],
)
def test_a_world_of_another_version_or_damaged(copy: Path, change: object, told: str) -> None:
    assert callable(change)
    path = copy / "world.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(DataError, match=told):
        STORIES.load(copy, "clip")
