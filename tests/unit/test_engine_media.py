"""Samples of clips and answers from a method's hand to their scores, and how often a video is decoded on the way."""

from __future__ import annotations

import dataclasses
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from evalkit.engine import shown as shown_module
from evalkit.engine.columns import check_media
from evalkit.engine.generate import generate
from evalkit.engine.intake import find_samples, read_samples
from evalkit.engine.made import problem
from evalkit.engine.score import Scorer
from evalkit.engine.shown import chunks, is_heavy
from evalkit.engine.standing import fallen
from evalkit.errors import MediaError, UsageError
from evalkit.features.pictures import Pictures
from evalkit.features.spec import ClipContent, FeatureRequest, ImageContent
from evalkit.media import clip_of, decode_video, encode_mp4, text_sha256
from evalkit.methods.base import Context, Job, Made, Method
from evalkit.metrics.base import Item, Metric, Outcome
from evalkit.nouns import Case, Medium, MetricChoice, Sample, State
from tests.fakes import (
    FakeExtractor,
    FakeMethod,
    World,
    column,
    moved,
    open_run,
    targets_of,
    tiny_benchmark,
    write_card,
)
from tests.unit.video_samples import encoded, moving, write

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from evalkit.features.spec import ExtractorSpec
    from evalkit.metrics.base import Bound

T, H, W = 5, 12, 16


def drawn(number: int, frames: int = T) -> NDArray[np.uint8]:
    """uint8 [frames, H, W, 3] that no other number gives."""
    return np.random.default_rng(number).integers(0, 256, (frames, H, W, 3), dtype=np.uint8)


class OfMedium(FakeMethod):
    """A clip or an answer for each job, from its own seed."""

    def __init__(self, medium: Medium) -> None:
        super().__init__()
        self.medium = medium
        self.info = self.info.model_copy(update={"media": (medium,)})

    def make(self, jobs: Sequence[Job], context: Any) -> Iterator[Made]:
        """One of the method's medium a job."""
        for job in jobs:
            self.asked.append(job)
            if self.medium == "video":
                yield Made(job, clip=drawn(job.rng_seed % 2**32), fps=8)
            else:
                yield Made(job, text=f" answer {job.rng_seed}\n")


@contextmanager
def world_of(folder: Path, medium: Medium) -> Iterator[World]:
    """A run folder on a tiny benchmark of that medium, without samples."""
    plain = tiny_benchmark(folder / "data")
    cases = tuple(case.model_copy(update={"medium": medium}) for case in plain.cases)
    benchmark = moved(plain, cases=cases, spec=plain.spec.model_copy(update={"medium": medium}))
    with open_run(folder / "run", benchmark) as run:
        yield World(benchmark, run, [(case, 0) for case in cases])


def made(world: World, method: Method) -> int:
    digests = {case_id: case.sha256 for case_id, case in world.run.cases.items()}
    return generate(
        method, Context(world.benchmark, "sandbox", world.run.path / "logs"), world.run, world.expected, digests
    )


def test_a_clip_that_a_method_made(tmp_path: Path) -> None:
    with world_of(tmp_path, "video") as world:
        method = OfMedium("video")
        assert made(world, method) == 4
        job, sample = method.asked[0], world.run.samples.latest()[method.asked[0].case.case_id, 0]
        clip = decode_video(world.run.media_folder / str(sample.path))
        assert np.array_equal(np.stack(clip.frames), drawn(job.rng_seed % 2**32))
        assert sample.path == f"{job.case.case_id}/seed_0.mp4"
        assert sample.pixels_sha256 == clip_of(drawn(job.rng_seed % 2**32)).sha256
        assert (sample.frames, sample.fps, sample.height, sample.width) == (T, 8.0, H, W)
        assert sample.frame_sha256 == clip.frame_sha256
        assert made(world, OfMedium("video")) == 0


def test_an_answer_that_no_file_can_hold_is_a_failed_sample_and_costs_no_other(tmp_path: Path) -> None:
    class Halved(OfMedium):
        def make(self, jobs: Sequence[Job], context: Any) -> Iterator[Made]:
            for number, one in enumerate(super().make(jobs, context)):
                yield one._replace(text="a \ud800 b") if number == 1 else one

    with world_of(tmp_path, "text") as world:
        assert made(world, Halved("text")) == 4
        failed = [sample for sample in world.run.samples.latest().values() if sample.state == "failed"]
        told = r"wanted text that UTF-8 can hold, found \ud800, half a character"
        assert [sample.reason for sample in failed] == [told]
        assert made(world, OfMedium("text")) == 1


def test_an_answer_that_a_method_made(tmp_path: Path) -> None:
    with world_of(tmp_path, "text") as world:
        method = OfMedium("text")
        made(world, method)
        sample = world.run.samples.latest()["s0.p0", 0]
        answer = f"answer {method.asked[0].rng_seed}"
        assert (world.run.media_folder / "s0.p0" / "seed_0.txt").read_text(encoding="utf-8") == answer
        assert (sample.pixels_sha256, sample.frames, sample.width) == (text_sha256(answer), None, None)
        (world.run.media_folder / "s0.p0" / "seed_0.txt").write_text("another answer", encoding="utf-8")
        (found,) = fallen(world.run, world.expected).values()
        assert (found.state, "holds something else than was made" in str(found.reason)) == (State.SAMPLE_MISSING, True)


CASE = Case(
    case_id="a", prompt="a", subjects=("a",), references=(), targets=(), category="c", prompt_index=0, medium="video"
)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"clip": drawn(0), "fps": 8}, None),
        ({"reason": "no memory"}, "no memory"),
        ({}, "the method gave no reason"),
        ({"pixels": drawn(0)[0]}, "wanted clip for a case of medium 'video', found pixels"),
        ({"clip": drawn(0), "text": "a", "fps": 8}, "wanted clip for a case of medium 'video', found clip and text"),
        ({"clip": drawn(0)}, "wanted the frames a second of a clip, found None"),
        ({"clip": drawn(0), "fps": 0}, "wanted the frames a second of a clip, found 0"),
        ({"clip": drawn(0)[0], "fps": 8}, "wanted a clip uint8 [T, H, W, 3] from the method, found uint8 [12, 16, 3]"),
        ({"clip": drawn(0, 0), "fps": 8}, "wanted a clip uint8 [T, H, W, 3] from the method, found uint8 [0, 12, 16, 3]"),
        ({"clip": drawn(0) / 255, "fps": 8}, "wanted a clip uint8 [T, H, W, 3] from the method, found float64 [5, 12, 16, 3]"),
    ],
)  # fmt: skip
def test_what_a_method_yields_is_of_its_case_s_medium(given: dict[str, Any], told: str | None) -> None:
    assert problem(Made(Job(CASE, 0, 0), **given)) == told


def test_clips_are_written_before_they_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalkit.engine.generate.FLUSH_BYTES", drawn(0).nbytes)
    with world_of(tmp_path, "video") as world:
        counts = []

        class Watched(OfMedium):
            def make(self, jobs: Sequence[Job], context: Any) -> Iterator[Made]:
                for one in super().make(jobs, context):
                    counts.append(len(world.run.samples))
                    yield one

        made(world, Watched("video"))
        assert counts == [0, 0, 2, 2]


def taken_in(world: World, folder: Path, pictures: Pictures) -> Mapping[tuple[str, int], Sample]:
    intake = find_samples(folder, world.benchmark, world.expected)
    digests = {case_id: case.sha256 for case_id, case in world.run.cases.items()}
    known = world.run.samples.latest()
    fresh = read_samples(intake, method="mine", case_sha256=digests, known=known, pictures=pictures)
    if rows := list(fresh):
        world.run.samples.append(rows)
    return world.run.samples.latest()


def test_somebody_s_folder_of_videos(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    write(folder, "s0.p0.mp4", encode_mp4(drawn(0), 8))
    write(
        folder, "s0.p1_0.webm", encoded(moving(), container="webm", codec="libvpx-vp9", pix_fmt="yuv420p", options={})
    )
    write(folder, "s1.p0.mp4", encode_mp4(drawn(1), 8)[:-30])
    write(folder, "s1.p1.png", b"a picture is no sample of a video case")
    with world_of(tmp_path, "video") as world:
        pictures = Pictures()
        found = taken_in(world, folder, pictures)
        assert {key: sample.state for key, sample in found.items()} == {
            ("s0.p0", 0): "made", ("s0.p1", 0): "made", ("s1.p0", 0): "unreadable",
        }  # fmt: skip
        assert found["s0.p0", 0].pixels_sha256 == clip_of(drawn(0)).sha256
        assert "that should have" in str(found["s1.p0", 0].reason)
        assert pictures.decoded == 2
        taken_in(world, folder, again := Pictures())
        assert again.decoded == 0


def test_somebody_s_folder_of_answers(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    write(folder, "s0.p0.txt", b"yes\n")
    write(folder, "s0.p1.json", b'{"answer": "no"}')
    write(folder, "s1.p0.json", b"[]")
    with world_of(tmp_path, "text") as world:
        found = taken_in(world, folder, Pictures())
        assert found["s0.p0", 0].pixels_sha256 == text_sha256("yes")
        assert found["s0.p1", 0].pixels_sha256 == text_sha256("no")
        assert found["s1.p0", 0].state == "unreadable"
        score = ByAnswer(write_card(tmp_path / "cards", "fake"))
        of_text(score, "text")
        assert world.score(column(score)) == 4
        assert {s.case_id: s.value for s in world.scores().values()} == {
            "s0.p0": 3,
            "s0.p1": 2,
            "s1.p0": None,
            "s1.p1": None,
        }
        assert world.states() == {State.SCORED: 2, State.DECODE_ERROR: 1, State.SAMPLE_MISSING: 1}


class ByAnswer(Metric):
    """How long the answer is."""

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        assert item.frames == ()
        return []

    def score(self, items: Sequence[Item], bound: Bound, features: Sequence[Sequence[Any]]) -> list[Outcome]:
        return [Outcome.scored(float(len(str(item.answer)))) for item in items]


class ByFrames(Metric):
    """The mean over frames of the fake backbone's mean, and as many whole clips as there are frames."""

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        assert item.clip is not None
        return [
            FeatureRequest(bound.extractor, item.clip, "count"),
            *(FeatureRequest(bound.extractor, frame, "mean") for frame in item.frames),
        ]

    def score(self, items: Sequence[Item], bound: Bound, features: Sequence[Sequence[Any]]) -> list[Outcome]:
        return [Outcome.scored(float(row[0]) + float(np.mean(row[1:]))) for row in features]


def of_text(metric: Metric, medium: Medium) -> None:
    """Lets the fake card read that medium."""
    metric.__dict__["card"] = metric.card.model_copy(update={"media": (medium,)})


class ClipExtractor(FakeExtractor):
    """The fake backbone, which also counts a clip's frames."""

    def watch(self, frames: Sequence[NDArray[np.uint8]]) -> dict[str, NDArray[np.float32]]:
        return {"count": np.float32(len(frames)) * np.ones((), np.float32)}


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with world_of(tmp_path, "video") as world:

        def load(spec: ExtractorSpec) -> FakeExtractor:
            return ClipExtractor(spec, forward_batch=3)

        monkeypatch.setattr(world.backbones, "load", load)
        yield world


def scored(world: World, metrics: Sequence[Metric], pictures: Pictures) -> int:
    service = world.backbones.service(world.cache, pictures)
    targets = targets_of(world.benchmark, Pictures())
    for metric in metrics:
        of_text(metric, "video")
    try:
        return Scorer(world.run, [column(metric) for metric in metrics], targets, service).score(world.expected)
    finally:
        service.close()


def test_every_metric_of_a_clip_shares_one_decode(clips: World, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for number, (case, _) in enumerate(clips.expected):
        write(folder, f"{case.case_id}.mp4", encode_mp4(drawn(number), 8))
    pictures = Pictures()
    taken_in(clips, folder, pictures)
    assert pictures.decoded == 4
    metrics = [ByFrames(write_card(tmp_path / "cards", name)) for name in ("fake", "other")]
    assert scored(clips, metrics, pictures) == 8
    assert pictures.decoded == 4, "intake's decode serves scoring"
    assert all(score.value is not None and score.value > T for score in clips.scores().values())


def test_a_video_is_decoded_no_more_than_once_for_scoring_where_memory_is_short(clips: World, tmp_path: Path) -> None:
    made(clips, OfMedium("video"))
    pictures = Pictures(memory_bytes=drawn(0).nbytes)
    scored(clips, [ByFrames(write_card(tmp_path / "cards", name)) for name in ("fake", "other")], pictures)
    assert pictures.decoded == 4


def test_what_is_cached_needs_no_decode(clips: World, tmp_path: Path) -> None:
    made(clips, OfMedium("video"))
    scored(clips, [ByFrames(write_card(tmp_path / "cards", "fake"))], Pictures())
    pictures = Pictures()
    assert scored(clips, [ByFrames(write_card(tmp_path / "cards", "other"))], pictures) == 4
    assert pictures.decoded == 0


def test_frames_of_the_same_pixels_are_one_feature(clips: World, tmp_path: Path) -> None:
    """A still: five frames, one row through the backbone."""
    folder = tmp_path / "mine"
    folder.mkdir()
    write(folder, "s0.p0.mp4", encode_mp4(np.repeat(drawn(3, 1), T, axis=0), 8))
    pictures = Pictures()
    taken_in(clips, folder, pictures)
    service = clips.backbones.service(clips.cache, pictures)
    metric = ByFrames(write_card(tmp_path / "cards", "fake"))
    of_text(metric, "video")
    Scorer(clips.run, [column(metric)], targets_of(clips.benchmark, pictures), service).score(clips.expected[:1])
    service.close()
    assert service.extracted == {"fake/one": 2}, "one frame and the clip"


def test_a_video_that_changes_while_it_is_scored_is_a_state(clips: World, tmp_path: Path) -> None:
    made(clips, OfMedium("video"))
    sample = clips.run.samples.latest()["s0.p0", 0]
    (clips.run.media_folder / str(sample.path)).write_bytes(encode_mp4(drawn(99), 8))
    scored(clips, [ByFrames(write_card(tmp_path / "cards", "fake"))], Pictures())
    changed = clips.scores()["s0.p0", 0, "fake@plain"]
    assert changed.state is State.DECODE_ERROR
    assert "changed while it was being scored" in str(changed.reason)
    assert clips.states() == {State.SCORED: 3, State.DECODE_ERROR: 1}


def test_a_backbone_of_pictures_says_that_it_cannot_look_at_clips(tmp_path: Path) -> None:
    with world_of(tmp_path, "video") as world:
        made(world, OfMedium("video"))
        scored(world, [ByFrames(write_card(tmp_path / "cards", "fake"))], Pictures())
        assert world.states() == {State.EXTRACTOR_ERROR: 4}
        reason = next(iter(world.scores().values())).reason
        assert (
            reason == "fake/one: TypeError: wanted a backbone that looks at clips, found one that reads single pictures"
        )


def test_a_metric_of_another_medium_does_not_apply(clips: World, tmp_path: Path) -> None:
    made(clips, OfMedium("video"))
    clips.score(column(ByFrames(write_card(tmp_path / "cards", "fake"))))
    assert clips.states() == {State.NOT_APPLICABLE: 4}
    reason = next(iter(clips.scores().values())).reason
    assert reason == "it reads image, and the case is video"


def test_metrics_that_can_say_nothing_of_a_benchmark_are_refused() -> None:
    chosen = [
        MetricChoice.parse(text) for text in ("clip_i@consis_gcpo", "lpips@alex_256", "motion_amplitude@official")
    ]
    check_media(chosen[::2], [CASE], "opens2v")
    with pytest.raises(UsageError) as raised:
        check_media(chosen, [CASE], "opens2v")
    assert str(raised.value) == (
        "wanted metrics that read the medium of opens2v (video), found lpips@alex_256 (image); `evalkit describe metric "
        "NAME` lists what each variant reads"
    )


def sample_of(frames: int | None, side: int) -> Sample:
    return Sample(
        case_id="a", seed=0, state="made", path="a.mp4", pixels_sha256="0" * 64, case_sha256="0", method="m",
        method_version="1", width=side, height=side, frames=frames, frame_sha256=("0" * 64,) * (frames or 0),
    )  # fmt: skip


def test_chunks_of_clips_are_small_and_of_pictures_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [(CASE, seed) for seed in range(10)]
    for sample, sizes in (
        (sample_of(None, 4000), [4, 4, 2]),
        (sample_of(40, 96), [3, 3, 3, 1]),
        (sample_of(129, 96), [1] * 10),
        (sample_of(20, 1000), [2] * 5),
        (None, [4, 4, 2]),
    ):
        assert [len(chunk) for chunk in chunks(pairs, 4, lambda _pair, sample=sample: sample)] == sizes  # type: ignore[misc]
    assert is_heavy(pairs[:1], lambda _pair: sample_of(129, 96))
    assert not is_heavy(pairs[:4], lambda _pair: sample_of(32, 96))
    monkeypatch.setattr(shown_module, "CHUNK_BYTES", 32 * 96 * 96 * 3 - 1)
    assert is_heavy(pairs[:1], lambda _pair: sample_of(32, 96))


def test_a_sample_has_a_hash_for_each_frame() -> None:
    with pytest.raises(ValueError, match="wanted a hash for each of 3 frames, found 0"):
        Sample(**(sample_of(None, 8).model_dump() | {"frames": 3}))


def test_frames_and_pictures_in_one_memory(tmp_path: Path) -> None:
    frames = drawn(0)
    path = write(tmp_path, "a.mp4", encode_mp4(frames, 8))
    clip = decode_video(path)
    contents = [ImageContent(sha256, path, number) for number, sha256 in enumerate(clip.frame_sha256)]
    whole = ClipContent(clip.sha256, path, tuple(contents), 8.0)
    pictures = Pictures()
    assert np.array_equal(pictures.pixels(contents[3]), frames[3])
    assert np.array_equal(np.stack(pictures.frames(whole)), frames)
    assert pictures.decoded == 1
    with pytest.raises(MediaError, match="changed while it was being scored: wanted pixels 000000"):
        pictures.frames(dataclasses.replace(whole, sha256="0" * 64))
    with pytest.raises(MediaError, match="found 5 frames; run again"):
        pictures.pixels(dataclasses.replace(contents[0], frame=7, sha256="0" * 64))
    assert whole.key == f"c{clip.sha256}"
    assert contents[0].key == clip.frame_sha256[0]
