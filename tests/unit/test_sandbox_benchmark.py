"""The world's benchmark on disk: the official layout, whole or not at all, and scenes that realise its prompts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from evalkit.benchmarks.dreambench_pp import DREAMBENCH_PP
from evalkit.errors import DataError, RunError, UsageError
from evalkit.sandbox import benchmark as module
from evalkit.sandbox.benchmark import (
    DEFAULT_COUNTS,
    KINDS,
    load_world,
    true_scene,
    world_record,
    write_dreambench_pp,
)
from evalkit.sandbox.world import Identity, Scene, render, split_of
from evalkit.sandbox.world.captions import PLACE_PHRASES, STYLE_PHRASES, TWIST_PHRASES

SMALL = {"animal": 2, "human": 1, "object": 1, "style": 1}
NAMES = ("live_subject/animal/00", "live_subject/animal/01", "live_subject/human/00", "object/00", "style/00")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "bench"
    write_dreambench_pp(folder, subjects_per_category=SMALL)
    return folder


def test_the_layout_is_that_of_dreambench_plus_plus(root: Path) -> None:
    files = {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()}
    made = {
        f"{kind}/{name}.{end}"
        for name in NAMES
        for kind, end in (("images", "png"), ("captions", "txt"), ("masks", "png"))
    }
    assert files == made | {"world.json"}
    lines = (root / "captions" / f"{NAMES[0]}.txt").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "cat"
    assert len(lines) == 10
    assert not list(root.parent.glob(".world-*"))


def test_prompts_are_four_photorealistic_three_stylised_two_imaginative(root: Path) -> None:
    for case in load_world(root)[: 9 * 4]:
        styled = any(case.prompt.startswith(p) for k, p in STYLE_PHRASES.items() if k != "photo")
        twisted = any(p in case.prompt for p in TWIST_PHRASES.values())
        kind = "stylised" if styled else "imaginative" if twisted else "photorealistic"
        assert kind == KINDS[case.prompt_index], case.prompt
        assert twisted or any(p in case.prompt for p in PLACE_PHRASES.values())


def test_prompts_of_a_subject_are_distinct_and_shaped_by_the_scene(root: Path) -> None:
    cases = load_world(root)
    assert len(cases) == 45
    assert all(len({c.prompt for c in cases[k : k + 9]}) == 9 for k in range(0, 45, 9))
    assert all(c.scene.poses[0].action in c.prompt for c in cases)


def test_masks_are_the_subjects(root: Path) -> None:
    record = json.loads((root / "world.json").read_text(encoding="utf-8"))
    for subject in record["subjects"]:
        mask = np.asarray(Image.open(root / "masks" / f"{subject['subject']}.png")) > 0
        picture = render(Scene.from_json(subject["reference"]))
        style = subject["identity"]["category"] == "style"
        assert np.array_equal(mask, np.ones_like(mask) if style else picture.mask)
        assert np.array_equal(np.asarray(Image.open(root / "images" / f"{subject['subject']}.png")), picture.image)
        assert split_of(Identity.from_json(subject["identity"])) == "bench"


def test_the_default_benchmark_has_fifty_subjects_and_450_prompts() -> None:
    record = world_record()
    assert len(record["subjects"]) == sum(DEFAULT_COUNTS.values()) == 50
    assert sum(len(s["prompts"]) for s in record["subjects"]) == 450
    identities = [json.dumps(s["identity"]) for s in record["subjects"]]
    assert len(set(identities)) == 50


def test_writing_again_changes_nothing(root: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*")}
    write_dreambench_pp(root, subjects_per_category=SMALL)
    assert before == {p: p.stat().st_mtime_ns for p in root.rglob("*")}


def test_other_files_are_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep", encoding="utf-8")
    with pytest.raises(DataError, match="wanted an empty place or this same world benchmark"):
        write_dreambench_pp(tmp_path, subjects_per_category={"animal": 1})
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalkit.sandbox.benchmark.render", lambda *_a, **_k: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(MemoryError):
        write_dreambench_pp(tmp_path / "world", subjects_per_category={"animal": 1})
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(RunError, match=r"^cannot write .*: one of its parents is a file"):
        write_dreambench_pp(tmp_path / "file" / "world", subjects_per_category={"animal": 1})


def test_whoever_is_second_to_draw_the_same_keeps_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = tmp_path / "world"

    def overtaken(root: Path, subject: Any, size: int) -> None:
        monkeypatch.setattr("evalkit.sandbox.benchmark._write_subject", write_subject)
        write_dreambench_pp(world, subjects_per_category={"animal": 1})
        write_subject(root, subject, size)

    write_subject = module._write_subject
    monkeypatch.setattr(module, "_write_subject", overtaken)
    write_dreambench_pp(world, subjects_per_category={"animal": 1})
    assert [p.name for p in tmp_path.iterdir()] == ["world"]


def test_a_damaged_world_in_the_cache_is_drawn_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "DEFAULT_COUNTS", {"animal": 1})
    root = DREAMBENCH_PP.embed(tmp_path)
    (root / "images" / "live_subject" / "animal" / "00.png").unlink()
    assert DREAMBENCH_PP.embed(tmp_path) == root
    assert "is damaged; drawing it again" in capsys.readouterr().err
    assert (root / "images" / "live_subject" / "animal" / "00.png").is_file()
    (root / "world.json").write_text("{", encoding="utf-8")
    DREAMBENCH_PP.embed(tmp_path)
    assert len(load_world(root)) == 9


def test_bad_counts_and_missing_worlds_are_refused(tmp_path: Path, root: Path) -> None:
    with pytest.raises(UsageError, match=r"found \{'plant': 1\}"):
        write_dreambench_pp(tmp_path / "x", subjects_per_category={"plant": 1})
    with pytest.raises(DataError, match=r"wanted world\.json in"):
        load_world(tmp_path)
    record = json.loads((root / "world.json").read_text(encoding="utf-8"))
    (tmp_path / "world.json").write_text(json.dumps({**record, "world_version": "0.0.1"}), encoding="utf-8")
    with pytest.raises(DataError, match=r"found '0\.0\.1'; write it again"):
        load_world(tmp_path)


def test_true_scenes_vary_with_the_seed_and_keep_the_prompt(root: Path) -> None:
    case = load_world(root)[0]
    first, again, other = (true_scene(case, seed=s) for s in (1, 1, 2))
    assert first == again
    assert first != other
    for scene in (first, other):
        assert scene.identities == case.scene.identities
        assert (scene.place, scene.style, scene.twist) == (case.scene.place, case.scene.style, case.scene.twist)
        assert scene.poses[0].action == case.scene.poses[0].action
