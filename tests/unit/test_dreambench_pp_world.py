from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from evalkit.benchmarks.base import Loaded
from evalkit.benchmarks.dreambench_pp import DREAMBENCH_PP
from evalkit.errors import DataError, ProblemsError
from evalkit.media import decode_image
from evalkit.sandbox.benchmark import write_dreambench_pp
from evalkit.sandbox.world import WORLD_VERSION

COUNTS = {"animal": 2, "human": 1, "object": 2, "style": 1}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world") / "world"
    write_dreambench_pp(root, subjects_per_category=COUNTS, size=48)
    return root


@pytest.fixture(scope="module")
def loaded(small: Path) -> Loaded:
    return DREAMBENCH_PP.load(small, "official")


@pytest.fixture
def copy(small: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small, tmp_path / "world"))


def test_counts_come_from_the_world(loaded: Loaded) -> None:
    assert loaded.world == WORLD_VERSION
    assert Counter(case.category for case in loaded.cases) == {name: 9 * count for name, count in COUNTS.items()}
    assert all(case.references[0].mask for case in loaded.cases)


def test_real_image_is_the_prompts_scene(loaded: Loaded) -> None:
    case = loaded.cases[9 + 5]
    first, again, other = (loaded.real_image(case, seed) for seed in (0, 0, 1))
    assert first is not None
    assert again is not None
    assert other is not None
    assert first.shape == (48, 48, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, decode_image(loaded.root / case.references[0].path).pixels)
    neighbour = loaded.real_image(loaded.cases[9 + 6], 0)
    assert neighbour is not None
    assert not np.array_equal(first, neighbour)


def test_a_missing_subject(copy: Path) -> None:
    for name in ("images/object/01.png", "captions/object/01.txt", "masks/object/01.png"):
        (copy / name).unlink()
    with pytest.raises(ProblemsError) as caught:
        DREAMBENCH_PP.load(copy, "official")
    assert caught.value.problems == ("images/object: wanted 2 pictures, found 1; fetch the data again",)


def test_a_prompt_that_is_not_the_worlds(copy: Path) -> None:
    caption = copy / "captions/object/01.txt"
    words, *prompts = caption.read_text("utf-8").splitlines()
    caption.write_text("\n".join([words, *prompts[:3], "a thing", *prompts[4:]]), "utf-8")
    with pytest.raises(ProblemsError) as caught:
        DREAMBENCH_PP.load(copy, "official")
    assert caught.value.problems == (
        f"captions/object/01.txt, prompt 3: wanted what world.json has ({prompts[3]!r}), found 'a thing'; "
        "write the world again",
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", r"world.json: damaged \(JSONDecodeError: .*\); delete its folder and write it again"),
        ("[]", r"world.json: damaged \(AttributeError: .*\); delete its folder and write it again"),
        (json.dumps({"world_version": WORLD_VERSION, "subjects": []}), r"world.json: damaged \(KeyError: 'size'\)"),
        (
            json.dumps({"world_version": "0"}),
            rf"wanted world version '{WORLD_VERSION}' in '.*'; found '0'; write it again",
        ),
    ],
)
def test_a_world_file_that_cannot_be_used(copy: Path, text: str, told: str) -> None:
    (copy / "world.json").write_text(text)
    with pytest.raises(DataError, match=told):
        DREAMBENCH_PP.load(copy, "official")


def test_embed_writes_once(tmp_path: Path) -> None:
    root = DREAMBENCH_PP.embed(tmp_path)
    assert root == tmp_path / f"world-{WORLD_VERSION}"
    written = (root / "images/object/00.png").stat().st_mtime_ns
    assert DREAMBENCH_PP.embed(tmp_path) == root
    assert (root / "images/object/00.png").stat().st_mtime_ns == written
    assert len(DREAMBENCH_PP.load(root, "official").subjects) == 50
