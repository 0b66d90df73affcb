"""The embedded world in DreamBench's layout, and the scores of one subject of a pair."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from evalkit.benchmarks.dreambench import DREAMBENCH
from evalkit.cli import main
from evalkit.errors import DataError
from evalkit.features.spec import ImageContent
from evalkit.metrics.base import Bound, Item, Metric, Unscorable
from evalkit.nouns import Case, State
from evalkit.registry import METRICS, load
from evalkit.sandbox.dreambench import LIVE, OBJECTS, PAIRS, PHOTOGRAPHS, PROMPT_PLACES
from evalkit.sandbox.world import WORLD_VERSION, split_of
from evalkit.sandbox.world.types import Identity


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return DREAMBENCH.embed(tmp_path_factory.mktemp("dreambench"))


@pytest.mark.parametrize(("protocol", "shown"), [("uno_single", 1), ("dreambooth", PHOTOGRAPHS)])
def test_single_subjects(world: Path, protocol: str, shown: int) -> None:
    loaded = DREAMBENCH.load(world, protocol)
    assert loaded.world == WORLD_VERSION
    assert len(loaded.cases) == len((*LIVE, *OBJECTS)) * len(PROMPT_PLACES)
    assert {len(case.targets) for case in loaded.cases} == {shown}


def test_pairs_are_of_three_kinds_and_no_two_subjects_are_one(world: Path) -> None:
    loaded = DREAMBENCH.load(world, "uno_multi")
    count = len(PROMPT_PLACES)
    assert Counter(case.category for case in loaded.cases) == {
        "object_object": 3 * count, "live_live": 3 * count, "live_object": 3 * count
    }  # fmt: skip
    assert {case.subjects for case in loaded.cases} == set(PAIRS)
    case = next(case for case in loaded.cases if case.case_id == "cat.teapot.p02")
    assert case.prompt == "a cat and a teapot standing in the forest"
    assert [r.subject for r in case.references] == ["cat", "teapot"]
    record = json.loads((world / "world.json").read_text())
    scenes = record["cases"]
    identities = {name: Identity.from_json(scenes[f"{name}.p00"]["identities"][0]) for name in (*LIVE, *OBJECTS)}
    assert len({identity.combination for identity in identities.values()}) == len(identities)
    assert {split_of(identity) for identity in identities.values()} == {"bench"}
    for first, second in PAIRS:
        assert [Identity.from_json(i) for i in scenes[f"{first}.{second}.p00"]["identities"]] == [
            identities[first], identities[second]
        ]  # fmt: skip


def test_a_true_picture_of_a_pair_shows_both(world: Path) -> None:
    loaded = DREAMBENCH.load(world, "uno_multi")
    first, again, other = (loaded.real_image(loaded.cases[0], seed) for seed in (0, 0, 1))
    assert first is not None
    assert again is not None
    assert other is not None
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_world_without_facts_is_told(world: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(world, tmp_path / "copy"))
    record = json.loads((root / "world.json").read_text())
    (root / "world.json").write_text(json.dumps(record | {"facts": {}}))
    with pytest.raises(DataError, match=r"^world\.json, facts: not a dreambenchfacts: classes is missing"):
        DREAMBENCH.load(root, "uno_multi")


def pair(**changes: object) -> Item:
    case = Case(case_id="a.b", prompt="p", subjects=("a", "b"), references=(), targets=(), category="c", prompt_index=0)
    pictures = tuple(ImageContent(f"{n:064d}", Path(f"{n}.png")) for n in range(3))
    told = {"case": case, "seed": 0, "sample": ImageContent("f" * 64, Path("s.png")), "targets": pictures,
            "target_subjects": ("a", "b", "b")}  # fmt: skip
    return Item(**(told | changes))  # type: ignore[arg-type]


def bound(metric: Metric, variant: str) -> Bound:
    card = metric.card.variant(variant)
    return Bound(variant, card, card.extractor)


@pytest.mark.parametrize("name", ["dino_i", "clip_i"])
def test_each_subject_is_scored_against_its_own_pictures(name: str) -> None:
    metric: Metric = load(METRICS, name)
    asked = {
        v: [r.content for r in metric.requests(pair(), bound(metric, v))] for v in ("first_subject", "second_subject")
    }
    targets = pair().targets
    assert asked["first_subject"][1:] == [targets[0]]
    assert asked["second_subject"][1:] == [*targets[1:]]
    right, up = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    (second,) = metric.score([pair()], bound(metric, "second_subject"), [[right, right, up]])
    assert (second.value, second.weight) == (0.5, 2)


def test_a_case_of_one_subject_has_no_second() -> None:
    metric: Metric = load(METRICS, "dino_i")
    single = pair(case=pair().case.model_copy(update={"subjects": ("a",)}))
    with pytest.raises(Unscorable, match="^a.b is of 1, no subject 2$") as raised:
        metric.requests(single, bound(metric, "second_subject"))
    assert raised.value.state is State.NOT_APPLICABLE
    with pytest.raises(Unscorable, match="^a.b has no target picture of b$") as raised:
        metric.requests(pair(target_subjects=("a", "a", "a")), bound(metric, "second_subject"))
    assert raised.value.state is State.REFERENCE_MISSING


@pytest.mark.timeout(300)
def test_pairs_run_in_the_sandbox(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = {}
    for method in ("copy_reference", "real_images"):
        asked = [
            "run",
            "--method",
            method,
            "--bench",
            "dreambench/uno_multi",
            "--profile",
            "sandbox",
            "--limit",
            "18",
            "--json",
        ]
        capsys.readouterr()
        assert main([*asked, "--out", str(tmp_path / method)]) == 0
        told = json.loads(capsys.readouterr().out)["scores"]
        assert all((c["n_scored"], c["n_cases"]) == (18, 18) for c in told.values())
        values[method] = {name: cell["value"] for name, cell in told.items()}
        for metric in ("dino_i", "clip_i"):
            both = [values[method][f"{metric}@{which}_subject"] for which in ("first", "second")]
            assert values[method][metric] == pytest.approx(sum(both) / 2, abs=1e-6)
    assert values["real_images"]["clip_t"] > values["copy_reference"]["clip_t"]
