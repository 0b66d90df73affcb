from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from evalkit.engine.generate import generate
from evalkit.methods.base import Context, Job, Made, Method, rng_seed
from evalkit.methods.controls import COPY_REFERENCE, NOISE, REAL_IMAGES, WRONG_SUBJECT
from evalkit.nouns import Case, Reference
from tests.fakes import moved, picture, tiny_benchmark, world, write_picture

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.benchmarks.base import Loaded

ALL = (COPY_REFERENCE, NOISE, REAL_IMAGES, WRONG_SUBJECT)
IDS = [method.info.name for method in ALL]


@pytest.fixture
def benchmark(tmp_path: Path) -> Loaded:
    drawn = tiny_benchmark(tmp_path / "data", subjects=3, references=2)
    return moved(drawn, real_image=lambda case, seed: picture(5000 + seed + sum(case.case_id.encode())))


def context(benchmark: Loaded) -> Context:
    return Context(benchmark, "sandbox", benchmark.root / "work")


def made(method: Method, benchmark: Loaded, *, seeds: int = 2, reverse: bool = False) -> dict[tuple[str, int], Made]:
    jobs = [Job(c, s, rng_seed(method.info.name, c.case_id, s)) for c in benchmark.cases for s in range(seeds)]
    found = method.make(jobs[::-1] if reverse else jobs, context(benchmark))
    return {(one.job.case.case_id, one.job.seed): one for one in found}


@pytest.mark.parametrize("method", ALL, ids=IDS)
def test_a_control_says_what_it_calibrates(method: Method) -> None:
    assert method.info.kind == "control"
    assert method.info.rewards == ()
    assert len(method.info.meaning) > 30
    assert method.info.stochastic == (method is not COPY_REFERENCE)


@pytest.mark.parametrize("method", ALL, ids=IDS)
def test_one_picture_a_job(method: Method, benchmark: Loaded) -> None:
    found = made(method, benchmark)
    assert len(found) == 12
    for one in found.values():
        assert one.pixels is not None
        assert one.pixels.dtype == np.uint8
        assert one.pixels.shape == (6, 8, 3)


@pytest.mark.parametrize("method", ALL, ids=IDS)
def test_a_sample_does_not_depend_on_the_jobs_beside_it(method: Method, benchmark: Loaded) -> None:
    forth, back = made(method, benchmark), made(method, benchmark, reverse=True)
    assert all(np.array_equal(forth[key].pixels, back[key].pixels) for key in forth)  # type: ignore[arg-type]
    one = next(method.make([forth["s1.p0", 1].job], context(benchmark)))
    assert np.array_equal(one.pixels, forth["s1.p0", 1].pixels)  # type: ignore[arg-type]


def references(subject: int) -> list[bytes]:
    return [picture(100 * subject + r).tobytes() for r in range(2)]


def test_copy_reference_takes_turns_by_prompt_and_seed(benchmark: Loaded) -> None:
    found = {
        key: one.pixels.tobytes() for key, one in made(COPY_REFERENCE, benchmark).items() if one.pixels is not None
    }
    for subject in range(3):
        first, second = references(subject)
        turns = [found[f"s{subject}.p{prompt}", seed] for prompt in range(2) for seed in range(2)]
        assert turns == [first, second, second, first]


@pytest.fixture
def bare(benchmark: Loaded) -> Loaded:
    """The benchmark without true pictures beside its references."""
    return moved(benchmark, real_image=lambda _case, _seed: None)


def test_wrong_subject_is_never_the_subject(bare: Loaded) -> None:
    found = made(WRONG_SUBJECT, bare, seeds=8)
    drawn = {key: one.pixels.tobytes() for key, one in found.items() if one.pixels is not None}
    for subject in range(3):
        others = {r for s in range(3) if s != subject for r in references(s)}
        mine = {pixels for key, pixels in drawn.items() if key[0].startswith(f"s{subject}.")}
        assert mine <= others
        assert len(mine) > 1


def test_wrong_subject_shows_the_other_subject_as_real_images_would(benchmark: Loaded) -> None:
    """On the same prompt and seed, so that the two controls differ in the subject alone."""
    real = {key: one.pixels.tobytes() for key, one in made(REAL_IMAGES, benchmark).items() if one.pixels is not None}
    for (case_id, seed), one in made(WRONG_SUBJECT, benchmark).items():
        subject, _, prompt = case_id.partition(".")
        others = {real[f"s{s}.{prompt}", seed] for s in range(3) if f"s{s}" != subject}
        assert one.pixels is not None
        assert one.pixels.tobytes() in others


def test_wrong_subject_keeps_to_the_category(bare: Loaded) -> None:
    cases = tuple(c.model_copy(update={"category": "even" if c.subjects[0] != "s1" else "odd"}) for c in bare.cases)
    mixed = moved(bare, cases=cases)
    found = made(WRONG_SUBJECT, mixed, seeds=4)
    pixels = {one.pixels.tobytes() for key, one in found.items() if key[0] == "s0.p0" and one.pixels is not None}
    assert pixels
    assert pixels <= set(references(2))
    assert found["s1.p0", 0].pixels is None
    assert found["s1.p0", 0].reason == "no subject of category 'odd' is wholly another"
    assert WRONG_SUBJECT.check(context(mixed)) == [
        "wrong_subject needs two subjects in category 'odd', found 's1' alone"
    ]


def test_wrong_subject_shares_no_subject_of_a_pair(bare: Loaded, tmp_path: Path) -> None:
    def pair(*subjects: str) -> Case:
        case = bare.cases[0]
        drawn = Reference(path=f"{'-'.join(subjects)}.png", subject=subjects[0], label="thing")
        write_picture(tmp_path / "data" / drawn.path, sum("".join(subjects).encode()))
        return case.model_copy(update={"case_id": ".".join(subjects), "subjects": subjects, "references": (drawn,)})

    pairs = moved(bare, cases=(pair("a", "b"), pair("b", "c"), pair("c", "d")))
    found = made(WRONG_SUBJECT, pairs)
    wanted = picture(sum(b"cd")).tobytes()
    assert {found["a.b", seed].pixels.tobytes() for seed in range(2)} == {wanted}  # type: ignore[union-attr]
    assert found["b.c", 0].pixels is None


def test_wrong_subject_can_be_made_where_every_category_has_two(benchmark: Loaded) -> None:
    assert WRONG_SUBJECT.check(context(benchmark)) == []


def test_noise_is_uniform_and_its_jobs_own(benchmark: Loaded) -> None:
    found = [one.pixels for one in made(NOISE, benchmark).values()]
    assert len({pixels.tobytes() for pixels in found if pixels is not None}) == 12
    values = np.concatenate([pixels.ravel() for pixels in found if pixels is not None])
    assert abs(values.mean() - 127.5) < 4 * 73.9 / len(values) ** 0.5
    assert (values.min(), values.max()) == (0, 255)


def test_real_images_are_the_benchmarks_own(benchmark: Loaded) -> None:
    assert REAL_IMAGES.check(context(benchmark)) == []
    found = made(REAL_IMAGES, benchmark)
    for case in benchmark.cases:
        assert np.array_equal(found[case.case_id, 1].pixels, benchmark.real_image(case, 1))  # type: ignore[arg-type]


def test_real_images_where_there_are_none(bare: Loaded) -> None:
    (told,) = REAL_IMAGES.check(context(bare))
    assert told == (
        "tiny with protocol plain holds no picture of a subject beside its reference; real_images needs the embedded "
        "world (--profile sandbox without --data) or a benchmark that has them"
    )
    found = made(REAL_IMAGES, bare)
    assert {one.pixels is None for one in found.values()} == {True}
    assert {one.reason for one in found.values()} == {"the data holds no other picture of this subject"}


@pytest.mark.parametrize("method", [COPY_REFERENCE, NOISE], ids=["copy_reference", "noise"])
def test_other_controls_can_always_be_made(method: Method, benchmark: Loaded) -> None:
    assert method.check(context(benchmark)) == []


def spoilt(benchmark: Loaded, *, gone: bool) -> str:
    """The benchmark's first reference of s0 made unreadable; its path."""
    path = benchmark.root / "s0" / "0.png"
    path.unlink()
    if not gone:
        path.write_bytes(b"no picture")
    return str(path)


@pytest.mark.parametrize("gone", [True, False], ids=["gone", "broken"])
@pytest.mark.parametrize(
    "method", [COPY_REFERENCE, NOISE, WRONG_SUBJECT], ids=["copy_reference", "noise", "wrong_subject"]
)
def test_a_reference_that_cannot_be_read_is_a_failed_sample(method: Method, gone: bool, tmp_path: Path) -> None:
    with world(tmp_path, samples=False) as tiny:
        path = spoilt(tiny.benchmark, gone=gone)
        digests = {case_id: case.sha256 for case_id, case in tiny.run.cases.items()}
        assert generate(method, context(tiny.benchmark), tiny.run, tiny.expected, digests) == 4
        samples = tiny.run.samples.latest().values()
    failed = {sample.case_id: str(sample.reason) for sample in samples if sample.state == "failed"}
    other = "s1" if method is WRONG_SUBJECT else "s0"
    assert set(failed) == {f"{other}.p0", f"{other}.p1"}
    assert all(reason.startswith("the reference cannot be read: ") and path in reason for reason in failed.values())
    assert sum(sample.state == "made" for sample in samples) == 2
