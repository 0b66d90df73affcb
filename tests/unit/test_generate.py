from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from evalkit.engine import generate as module
from evalkit.engine.generate import generate
from evalkit.errors import MethodError
from evalkit.media import decode_image
from evalkit.methods.base import Context, Method, rng_seed
from tests.fakes import FakeMethod, World, world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, seeds=2, samples=False) as made:
        yield made


def made(tiny: World, method: Method) -> int:
    context = Context(tiny.benchmark, "sandbox", tiny.run.path / "logs" / "fake")
    digests = {case_id: case.sha256 for case_id, case in tiny.run.cases.items()}
    return generate(method, context, tiny.run, tiny.expected, digests)


def asked(method: FakeMethod) -> list[tuple[str, int]]:
    return [(job.case.case_id, job.seed) for job in method.asked]


def test_a_sample_for_every_case_and_seed(tiny: World) -> None:
    method = FakeMethod()
    assert made(tiny, method) == 8
    assert asked(method) == [(case.case_id, seed) for case, seed in tiny.expected]
    assert len(tiny.run.samples) == 8


def test_a_sample_says_what_its_file_holds(tiny: World) -> None:
    made(tiny, FakeMethod())
    sample = tiny.run.samples.latest()["s1.p0", 1]
    path = tiny.run.path / "samples" / "s1.p0" / "seed_1.png"
    assert sample.path == "s1.p0/seed_1.png"
    decoded, stat = decode_image(path), path.stat()
    assert sample.pixels_sha256 == decoded.sha256
    assert (sample.height, sample.width) == decoded.pixels.shape[:2] == (6, 8)
    assert (sample.file_size, sample.file_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    assert (sample.method, sample.method_version) == ("fake", "1")
    assert sample.rng_seed == rng_seed("fake", "s1.p0", 1)
    assert sample.case_sha256 == tiny.run.cases["s1.p0"].sha256


def test_resuming_makes_nothing(tiny: World) -> None:
    made(tiny, FakeMethod())
    method, before = FakeMethod(), tiny.run.samples.rows()
    assert made(tiny, method) == 0
    assert method.asked == []
    assert tiny.run.samples.rows() == before


def test_deleted_media_are_made_again_with_the_same_bits(tiny: World) -> None:
    made(tiny, FakeMethod())
    before, method = tiny.run.samples.latest()["s0.p1", 0], FakeMethod()
    (tiny.run.path / "samples" / "s0.p1" / "seed_0.png").unlink()
    assert made(tiny, method) == 1
    assert asked(method) == [("s0.p1", 0)]
    assert tiny.run.samples.latest()["s0.p1", 0].pixels_sha256 == before.pixels_sha256


def test_a_failure_is_recorded_with_its_reason_and_tried_again(tiny: World) -> None:
    failing = FakeMethod({"s0.p0": "out of memory", "s1.p1": None})
    assert made(tiny, failing) == 8
    samples = tiny.run.samples.latest()
    assert [(s.state, s.reason, s.path) for s in (samples["s0.p0", 0], samples["s1.p1", 1])] == [
        ("failed", "out of memory", None), ("failed", "the method gave no reason", None),
    ]  # fmt: skip
    assert sum(sample.state == "made" for sample in samples.values()) == 4
    method = FakeMethod()
    assert made(tiny, method) == 4
    assert asked(method) == [("s0.p0", 0), ("s0.p0", 1), ("s1.p1", 0), ("s1.p1", 1)]
    assert {sample.state for sample in tiny.run.samples.latest().values()} == {"made"}


def test_samples_do_not_depend_on_which_are_made_together(tiny: World, tmp_path: Path) -> None:
    made(tiny, FakeMethod())
    together = {key: sample.pixels_sha256 for key, sample in tiny.run.samples.latest().items()}
    with world(tmp_path / "again", seeds=2, samples=False) as again:
        whole = again.expected
        for pair in reversed(whole):
            again.expected = [pair]
            assert made(again, FakeMethod()) == 1
        assert {key: s.pixels_sha256 for key, s in again.run.samples.latest().items()} == together
    assert len(set(together.values())) == 8


def test_what_was_made_before_a_failure_is_kept(tiny: World, monkeypatch: pytest.MonkeyPatch) -> None:
    class Dies(FakeMethod):
        def make(self, jobs: Any, context: Any) -> Any:
            for number, one in enumerate(super().make(jobs, context)):
                if number == 5:
                    raise RuntimeError("the device is gone")
                yield one

    monkeypatch.setattr(module, "FLUSH", 2)
    told = r"failed \(RuntimeError: the device is gone\); what it made before is kept, run again to go on"
    with pytest.raises(MethodError, match=told):
        made(tiny, Dies())
    assert len(tiny.run.samples) == 5
    assert made(tiny, FakeMethod()) == 3


def test_a_seed_depends_on_method_case_and_seed_alone() -> None:
    seeds = {rng_seed(m, c, s) for m in ("a", "b") for c in ("x", "y") for s in range(3)}
    assert len(seeds) == 12
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert rng_seed("ab", "c", 0) != rng_seed("a", "bc", 0)
    assert rng_seed("noise", "dog.p00", 0) == 8151998651563643403  # as in runs of version 0.1.0, which may be resumed


def test_a_sample_cut_short_is_made_again(tiny: World) -> None:
    made(tiny, FakeMethod())
    path = next(tiny.run.media_folder.rglob("*.png"))
    whole = path.read_bytes()
    path.write_bytes(whole[:50])
    assert made(tiny, FakeMethod()) == 1
    assert path.read_bytes() == whole


def test_a_picture_of_the_wrong_form_is_a_failed_sample_and_costs_no_other(tiny: World) -> None:
    class Grey(FakeMethod):
        def make(self, jobs: Any, context: Any) -> Any:
            for number, one in enumerate(super().make(jobs, context)):
                yield one._replace(pixels=np.asarray(one.pixels)[..., 0]) if number == 1 else one

    made(tiny, Grey())
    failed = [s for s in tiny.run.samples.latest().values() if s.state == "failed"]
    assert len(failed) == 1
    assert str(failed[0].reason).startswith("wanted pixels uint8 [H, W, 3] from the method, found uint8 [")
    assert made(tiny, FakeMethod()) == 1
