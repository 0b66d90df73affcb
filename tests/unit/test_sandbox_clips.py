"""The embedded world's videos: what moves in them, and the benchmark that is drawn of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from evalkit.benchmarks.opens2v import OPENS2V
from evalkit.features.farneback import flow_means
from evalkit.media import decode_image
from evalkit.methods.base import Context, Job, Made, Method, rng_seed
from evalkit.methods.controls import COPY_REFERENCE, NOISE, REAL_IMAGES, WRONG_SUBJECT
from evalkit.sandbox.clips import FPS, FRAMES, draw_clip, moving
from evalkit.sandbox.opens2v import CASES, COUNTS, world_opens2v
from evalkit.sandbox.scenes import embed
from evalkit.sandbox.world import Pose, Scene, render, sample_identity

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.benchmarks.base import Loaded

FEW = dict.fromkeys(CASES, 2)
SCENE = Scene((sample_identity("animal", 3, split="bench"),), (Pose("sitting"),), place="beach")


def test_a_clip_is_of_its_case_and_seed_alone() -> None:
    one = draw_clip(SCENE, "a", 0, size=48, frames=9)
    assert one.shape == (9, 48, 48, 3)
    assert one.dtype == np.uint8
    assert np.array_equal(one, draw_clip(SCENE, "a", 0, size=48, frames=9))
    for other in (draw_clip(SCENE, "a", 1, size=48, frames=9), draw_clip(SCENE, "b", 0, size=48, frames=9)):
        assert not np.array_equal(one, other)


def test_the_subject_walks_one_way_and_comes_into_its_pose() -> None:
    scenes = moving(SCENE, "a", 0)
    assert len(scenes) == FRAMES >= 9
    steps = np.diff([scene.position[0] for scene in scenes])
    assert (steps > 0).all() or (steps < 0).all()
    assert steps == pytest.approx(steps[0])
    strengths = [scene.poses[0].strength for scene in scenes]
    assert strengths == sorted(strengths)
    assert strengths[-1] == 1.0
    assert len({(scene.place, scene.place_seed, scene.identities, scene.scale) for scene in scenes}) == 1


def test_the_world_moves_and_its_ground_does_not() -> None:
    clip = draw_clip(SCENE, "a", 0, size=96)
    _, length = flow_means([*clip])
    assert (length > 0.1).all()
    masks = [render(scene, size=96).mask for scene in moving(SCENE, "a", 0)]
    changed = (np.ptp(clip.astype(int), axis=0) > 0).any(-1)
    beyond = ~np.any(masks, axis=0)
    assert changed[~beyond].mean() > 5 * changed[beyond].mean()


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    root = embed(tmp_path_factory.mktemp("world"), world_opens2v(FEW))
    return OPENS2V.load(root, "extended")


def test_the_drawn_benchmark_has_every_category_and_its_references(benchmark: Loaded) -> None:
    assert benchmark.world is not None
    assert {case.category for case in benchmark.cases} == set(COUNTS)
    assert all(len(case.references) == len(COUNTS[case.category]) for case in benchmark.cases)
    people = {r.label for case in benchmark.cases for r in case.references if "man/" in r.path}
    assert people <= {"Man", "Woman"}
    assert len(benchmark.subjects) == len(benchmark.cases)
    assert len(OPENS2V.load(benchmark.root, "v1.1_human").cases) == 4


def test_a_picture_is_the_same_person_in_every_clip(benchmark: Loaded) -> None:
    case = benchmark.cases[0]
    first, second = benchmark.real_clip(case, 0), benchmark.real_clip(case, 1)
    assert first is not None
    assert second is not None
    assert first[1] == FPS
    assert first[0].shape == (FRAMES, 96, 96, 3)
    assert not np.array_equal(first[0], second[0])
    assert benchmark.real_image(case, 0) is None


def test_a_changed_count_is_told(tmp_path: Path) -> None:
    root = embed(tmp_path, world_opens2v(FEW))
    file = root / "Open-Domain_Eval.json"
    told = json.loads(file.read_text(encoding="utf-8"))
    told.pop("singleobj_1")
    file.write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(Exception, match="wanted 2 entries of 'singleobj', found 1"):
        OPENS2V.load(root, "extended")


def made(method: Method, benchmark: Loaded, seed: int = 0) -> dict[str, Made]:
    jobs = [Job(case, seed, rng_seed(method.info.name, case.case_id, seed)) for case in benchmark.cases]
    found = method.make(jobs, Context(benchmark, "sandbox", benchmark.root / "work"))
    return {one.job.case.case_id: one for one in found}


@pytest.mark.parametrize("method", [COPY_REFERENCE, NOISE, REAL_IMAGES, WRONG_SUBJECT], ids=lambda m: m.info.name)
def test_controls_make_clips(method: Method, benchmark: Loaded) -> None:
    assert method.check(Context(benchmark, "sandbox", benchmark.root)) == []
    found = made(method, benchmark)
    assert len(found) == len(benchmark.cases)
    for one in found.values():
        assert one.pixels is None
        assert one.clip is not None
        assert (one.clip.shape, one.fps) == ((FRAMES, 96, 96, 3), FPS)
        assert one.clip.dtype == np.uint8
        assert one.true_picture == (method is REAL_IMAGES)


def test_a_copy_is_a_still_and_noise_is_new_in_every_frame(benchmark: Loaded) -> None:
    case = benchmark.cases[0]
    copied, noisy = made(COPY_REFERENCE, benchmark)[case.case_id].clip, made(NOISE, benchmark)[case.case_id].clip
    assert copied is not None
    assert noisy is not None
    reference = decode_image(benchmark.root / case.references[0].path).pixels
    assert all(np.array_equal(frame, reference) for frame in copied)
    assert len({frame.tobytes() for frame in noisy}) == FRAMES


def test_the_wrong_subject_is_another_s_true_clip(benchmark: Loaded) -> None:
    wrong = made(WRONG_SUBJECT, benchmark)
    for case in benchmark.cases:
        (other,) = (o for o in benchmark.cases if o.category == case.category and o != case)
        true = benchmark.real_clip(other, 0)
        assert true is not None
        assert np.array_equal(wrong[case.case_id].clip, true[0])  # type: ignore[arg-type]
