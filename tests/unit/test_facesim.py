"""FaceSim's formulas against independent ones, its undefined cases, and how the plugin tells people apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from evalkit.errors import UsageError
from evalkit.features.spec import ClipContent, ImageContent
from evalkit.metrics.base import Bound, Item, Outcome, Unscorable
from evalkit.metrics.facesim import FACESIM, face_similarity, mean_and_least, over_frames
from evalkit.nouns import Case, State
from tests.fakes import FakeMetric, World, column, moved, world, write_card

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray


OF_PICTURES = [variant for variant in FACESIM.card.variants if "image" in FACESIM.card.reads(variant)]


def unit(*degrees: float) -> NDArray[np.float64]:
    """Unit vectors at these angles."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], -1)


@pytest.mark.parametrize("floor", [0.0, 0.5, -1.0])
@pytest.mark.parametrize("matching", ["largest", "best"])
def test_similarity_is_the_formula_written_out(matching: Any, floor: float) -> None:
    rng = np.random.default_rng(4)
    faces, references = rng.normal(size=(3, 6)), rng.normal(size=(5, 6))
    expected = []
    for reference in references:
        compared = faces if matching == "best" else faces[:1]
        cosines = [face @ reference / np.linalg.norm(face) / np.linalg.norm(reference) for face in compared]
        expected.append(max(0.0, (max(cosines) - floor) / (1 - floor)))
    found = face_similarity(faces, references, matching=matching, floor=floor)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_identity_range_and_monotone() -> None:
    assert face_similarity(unit(30), unit(30)).item() == pytest.approx(1.0)
    falling = face_similarity(unit(0), unit(0, 20, 50, 80, 100, 180)).tolist()
    assert falling == sorted(falling, reverse=True)
    assert falling[-2:] == [0.0, 0.0]
    assert face_similarity(unit(0), unit(60), floor=0.5).item() == pytest.approx(0.0)


def test_best_is_never_below_the_largest_and_sees_no_order() -> None:
    rng = np.random.default_rng(5)
    faces, references = rng.normal(size=(4, 8)), rng.normal(size=(6, 8))
    best = face_similarity(faces, references, matching="best")
    assert (best >= face_similarity(faces, references)).all()
    np.testing.assert_array_equal(best, face_similarity(faces[::-1], references, matching="best"))
    np.testing.assert_array_equal(best[::-1], face_similarity(faces, references[::-1], matching="best"))


def test_no_face_and_a_zero_embedding_have_no_value() -> None:
    assert np.isnan(face_similarity(np.zeros((0, 3)), np.ones((2, 3)))).tolist() == [True, True]
    assert np.isnan(face_similarity(np.zeros((1, 3)), np.ones((2, 3)))).all()
    assert face_similarity(np.ones((1, 3)), np.zeros((0, 3))).shape == (0,)


def test_mean_and_least() -> None:
    values = np.random.default_rng(6).random((7, 3))
    for share in (0.0, 0.25, 1.0):
        expected = [(1 - share) * sum(row) / 3 + share * min(row) for row in values.tolist()]
        np.testing.assert_allclose(mean_and_least(values, min_share=share), expected, rtol=1e-12)
    np.testing.assert_allclose(mean_and_least(values), mean_and_least(values[:, ::-1]), rtol=1e-12)
    assert np.isnan(mean_and_least([0.4, float("nan")]))
    assert np.isnan(mean_and_least([]))


@pytest.mark.parametrize(
    ("values", "official", "corrected"),
    [
        ([0.8, 0.4], 0.6, 0.6),
        ([0.8, 0.0], 0.8, 0.4),
        ([0.8, np.nan, 0.2], 0.5, 0.5),
        ([0.0, 0.0], 0.0, 0.0),
        ([np.nan, np.nan], 0.0, np.nan),
        ([], 0.0, np.nan),
    ],
)
def test_frames_without_a_face_and_faces_that_are_nothing_alike(
    values: list[float], official: float, corrected: float
) -> None:
    assert over_frames(values, variant="official") == pytest.approx(official)
    assert over_frames(values) == pytest.approx(corrected, nan_ok=True)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^wanted faces \[N, D\] and references \[R, D\], found \[2\] and \[1, 2\]$"):
        face_similarity([1.0, 0.0], [[1.0, 0.0]])
    with pytest.raises(UsageError, match=r"^wanted matching 'largest' or 'best', found 'nearest'$"):
        face_similarity(unit(0), unit(0), matching="nearest")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"^wanted a floor in \[-1, 1\), found 1$"):
        face_similarity(unit(0), unit(0), floor=1)
    with pytest.raises(UsageError, match=r"^wanted a share of the least subject in \[0, 1\], found 1\.5$"):
        mean_and_least([0.5], min_share=1.5)
    with pytest.raises(UsageError, match=r"^wanted one similarity a frame \[T\], found \[1, 2\]$"):
        over_frames([[0.5, 0.5]])
    with pytest.raises(UsageError, match=r"^wanted variant 'official' or 'corrected', found 'paper'$"):
        over_frames([0.5], variant="paper")  # type: ignore[arg-type]


def scored(variant: str, sample: Any, targets: Sequence[Any], subjects: tuple[str, ...] = ()) -> Outcome:
    """The plugin's outcome; each picture is the unit vectors of its faces, None for a picture without one."""
    case = Case(
        case_id="x.p0", prompt="x", subjects=("x",), references=(), targets=(), category="c", prompt_index=0
    )  # fmt: skip
    shown = tuple(ImageContent(f"{n:064d}", Path(f"{n}.png")) for n in range(len(targets)))
    one = Item(case, 0, ImageContent("f" * 64, Path("s.png")), shown, target_subjects=subjects)
    card = FACESIM.card.variant(variant)
    rows = [
        np.zeros((0, 7)) if f is None else np.pad(f, ((0, 0), (0, 5)), constant_values=9) for f in (sample, *targets)
    ]
    return FACESIM.score([one], Bound(variant, card, card.extractor), [[row.astype(np.float32) for row in rows]])[0]


def cos(degrees: float) -> float:
    return float(np.cos(np.radians(degrees)))


def test_subjects_count_alike_whatever_number_of_targets_they_have() -> None:
    sample, targets = unit(0, 90), [unit(10), unit(30), unit(110)]
    subjects = ("anna", "anna", "bela")
    anna, bela = (cos(10) + cos(30)) / 2, cos(20)
    assert scored("best", sample, targets, subjects).value == pytest.approx((2 * anna + bela) / 3, abs=1e-6)
    assert scored("subjects_mean", sample, targets, subjects).value == pytest.approx((anna + bela) / 2, abs=1e-6)
    mixed = scored("id_crafter", sample, targets, subjects)
    assert mixed.value == pytest.approx(((anna + bela) / 2 + min(anna, bela)) / 2, abs=1e-6)
    assert mixed.weight == 1
    alone = (cos(10) + cos(30) + cos(20)) / 3
    assert scored("id_crafter", sample, targets).value == pytest.approx(alone, abs=1e-6)


def test_the_largest_face_of_a_reference_is_its_subjects() -> None:
    assert scored("best", unit(0), [unit(60, 0)]).value == pytest.approx(0.5, abs=1e-6)
    assert scored("largest", unit(60, 0), [unit(0)]).value == pytest.approx(0.5, abs=1e-6)
    assert scored("sync_r1", unit(30, 0), [unit(0)]).value == pytest.approx(2 * (cos(30) - 0.5), abs=1e-6)


@pytest.mark.parametrize("variant", OF_PICTURES)
def test_a_target_without_a_face_is_left_out_where_there_are_others(variant: str) -> None:
    subjects = ("anna", "teapot", "anna")
    found = scored(variant, unit(10), [unit(0), None, unit(20)], subjects)
    over_subjects = variant in ("subjects_mean", "id_crafter")
    counted = "targets without a face: 1 of 3" + "; subjects with one: 1 of 2" * over_subjects
    whole = scored(variant, unit(10), [unit(0), unit(20)], ("anna", "anna"))
    assert whole.reason is None
    assert found == whole._replace(reason=counted)
    assert found.weight == (1 if over_subjects else 2)


@pytest.mark.parametrize("variant", OF_PICTURES)
def test_where_no_face_can_be_compared_the_state_says_in_which_picture(variant: str) -> None:
    for sample in (None, unit(0)):
        none = scored(variant, sample, [None, None])
        assert none == Outcome(State.NO_FACE, reason="x.p0: no face in its targets: 0.png, 1.png")
    lost = scored(variant, None, [unit(0)])
    expected = Outcome(State.NO_FACE, reason="no face in the sample s.png")
    counts = FACESIM.card.variant(variant).params["faceless_sample"] == "zero"
    assert lost == (Outcome.scored(0.0) if counts else expected)


@pytest.mark.parametrize("variant", OF_PICTURES)
def test_a_zero_embedding_is_undefined(variant: str) -> None:
    assert scored(variant, np.zeros((1, 2)), [unit(0)]).state is State.UNDEFINED


def of_clip(
    variant: str, frames: Sequence[NDArray[np.float64] | None], labels: Sequence[str], targets: int = 2
) -> tuple[Item, list[ImageContent]]:
    """An item of a clip with one number of faces a frame, and what the variant asks for, frames first."""
    shots = tuple(ImageContent(f"{n:064d}", Path("s.mp4"), n) for n in range(len(frames)))
    pictures = tuple(ImageContent(f"{100 + n:064d}", Path(f"{n}.png")) for n in range(targets))
    case = Case(
        case_id="x.p0",
        prompt="x",
        subjects=("x",),
        references=(),
        targets=(),
        category="c",
        prompt_index=0,
        medium="video",
    )
    clip = ClipContent("0" * 64, Path("s.mp4"), shots, 8.0)
    item = Item(case, 0, ImageContent("0" * 64, Path("s.mp4")), pictures, clip=clip, target_labels=tuple(labels))
    asked = [request.content for request in FACESIM.requests(item, bound_to(variant))]
    return item, [content for content in asked if isinstance(content, ImageContent)]


def bound_to(variant: str) -> Bound:
    card = FACESIM.card.variant(variant)
    return Bound(variant, card, card.extractor)


def faces_found(found: NDArray[np.float64] | None) -> NDArray[np.float32]:
    """As the extractor gives them: each embedding with where it is."""
    embeddings = np.zeros((0, 2)) if found is None else found
    return np.concatenate([embeddings, np.zeros((len(embeddings), 5))], axis=1).astype(np.float32)


def over_clip(variant: str, frames: Sequence[NDArray[np.float64] | None]) -> Outcome:
    """The outcome of a clip whose first target, the second of two things, is a woman at 0 degrees."""
    item, asked = of_clip(variant, frames, ("Dog", "Woman"))
    shots, (person,) = asked[:-1], asked[-1:]
    assert person == item.targets[1]
    row = [faces_found(frames[int(shot.frame or 0)]) for shot in shots] + [faces_found(unit(0))]
    return FACESIM.score([item], bound_to(variant), [row])[0]


def test_a_clip_is_seen_in_32_frames_and_compared_with_its_first_person() -> None:
    item, asked = of_clip("opens2v_video", [unit(0)] * 63, ("Dog", "Woman", "Man"), targets=3)
    assert [content.frame for content in asked[:-1]] == [2 * n for n in range(32)]
    assert asked[-1] == item.targets[1]
    with pytest.raises(Unscorable, match="x.p0: none of its targets is a Man or Woman"):
        of_clip("frames", [unit(0)], ("Dog", "Cup"))


def test_frames_without_a_face_are_left_out_and_of_exactly_0_in_the_official_way() -> None:
    frames = [unit(0), None, unit(120), unit(60)] * 8
    wanted = dict.fromkeys(("opens2v_video", "opens2v_cur"), (1 + cos(60)) / 2)
    wanted |= dict.fromkeys(("frames", "opens2v_arc"), (1 + 0 + cos(60)) / 3)
    for variant, value in wanted.items():
        found = over_clip(variant, frames)
        assert found.value == pytest.approx(value, abs=1e-6)
        assert found.weight == 1


def test_a_clip_without_a_face() -> None:
    assert over_clip("opens2v_video", [None] * 3) == Outcome.scored(0.0)
    assert over_clip("frames", [None] * 3) == Outcome(State.NO_FACE, reason="no face in any frame of s.mp4")
    assert over_clip("frames", [np.zeros((1, 2))] * 3).state is State.UNDEFINED


class WhoIsShown(FakeMetric):
    """How many of the targets show the case's second subject."""

    def score(
        self, items: Sequence[Item], bound: Bound, features: Sequence[Sequence[NDArray[np.float32]]]
    ) -> list[Outcome]:
        return [Outcome.scored(float(item.target_subjects.count("other"))) for item in items]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, prompts=1, references=2) as found:
        yield found


def test_a_target_comes_with_its_subject(made: World, tmp_path: Path) -> None:
    first = made.benchmark.cases[0]
    shown = (first.targets[0], first.targets[1].model_copy(update={"subject": "other"}))
    changed = first.model_copy(update={"targets": shown})
    made.benchmark = moved(made.benchmark, cases=(changed,))
    made.expected = [(changed, 0)]
    metric = WhoIsShown(write_card(tmp_path / "cards", "fake"))
    made.score(column(metric))
    assert [score.value for score in made.scores().values()] == [1.0]
    made.write_sample(first.case_id, 0, drawn=1, true_picture=True)
    made.score(column(metric))
    assert {score.value for score in made.scores().values()} == {0.0}
