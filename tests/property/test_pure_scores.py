"""Properties of the measures of faces, things in videos, ratings, judges, gates and perceptual distance, on any input."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evalkit.features.loading import load_extractor
from evalkit.features.spec import ExtractorSpec
from evalkit.metrics.base import Bound, Outcome
from evalkit.metrics.consistent import CONSISTENCY_RATIO, DIVERSITY_OVER_CONSISTENCY, LOST
from evalkit.metrics.facesim import face_similarity, mean_and_least, over_frames
from evalkit.metrics.judged import rated, runs_read, runs_told, spread
from evalkit.metrics.lpips import LPIPS
from evalkit.metrics.nexus import nexus_score
from evalkit.metrics.q_align import q_align
from evalkit.metrics.smoothness import motion_smoothness
from evalkit.nouns import State

if TYPE_CHECKING:
    from numpy.typing import NDArray

NO_DEADLINE = settings(deadline=None)
"""The first example of a measure also imports what it needs."""
FACES, REFERENCES, BOXES, BATCH = 4, 3, 6, 4
UNIT = st.floats(0, 1, allow_subnormal=False)
MAYBE = UNIT | st.just(math.nan)
NUMBERS = st.floats(-100, 100, allow_subnormal=False)
FLOORS = st.sampled_from([-0.5, 0.0, 0.5])
EIGHTHS = st.integers(0, 8).map(lambda n: n / 8)
MATCHINGS: Any = st.sampled_from(["largest", "best"])
VERSIONS: Any = st.sampled_from(["v1_0", "v1_1", "corrected"])
GATES = st.sampled_from([0.0, 0.25, 0.6, 0.75, 1.0])
STATES = [state for state in State if state is not State.SCORED]
SIDE = 32


def embeddings(count: int) -> st.SearchStrategy[NDArray[np.float64]]:
    """[count, 5], none of them zero."""
    return arrays(np.float64, (count, 5), elements=NUMBERS).filter(lambda rows: bool((np.abs(rows).max(1) > 0.1).all()))


def close(a: Any, b: Any) -> None:
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


@NO_DEADLINE
@given(embeddings(FACES), embeddings(REFERENCES), st.permutations(range(REFERENCES)), MATCHINGS, FLOORS)
def test_references_do_not_see_each_other(
    faces: Any, references: Any, order: list[int], matching: Any, floor: float
) -> None:
    together = face_similarity(faces, references, matching=matching, floor=floor)
    assert bool(((together >= 0) & (together <= 1)).all())
    close(face_similarity(faces, references[order], matching=matching, floor=floor), together[order])
    alone = [face_similarity(faces, one[None], matching=matching, floor=floor).item() for one in references]
    close(alone, together)
    assert bool((face_similarity(faces, references, matching=matching, floor=0.9) <= together + 1e-9).all())


@NO_DEADLINE
@given(embeddings(FACES), embeddings(REFERENCES), st.permutations(range(FACES)), st.floats(0.01, 100))
def test_the_best_face_is_the_same_in_any_order_and_the_largest_is_the_first(
    faces: Any, references: Any, order: list[int], scale: float
) -> None:
    largest, best = (face_similarity(faces, references, matching=how) for how in ("largest", "best"))
    assert bool((best >= largest).all())
    close(face_similarity(faces[order] * scale, references, matching="best"), best)
    close(face_similarity([faces[0], *faces[1:][::-1]], references), largest)
    close(face_similarity(faces, faces, matching="best"), np.ones(FACES))


@NO_DEADLINE
@given(embeddings(1), embeddings(1), FLOORS)
def test_two_faces_are_as_alike_one_way_as_the_other(one: Any, other: Any, floor: float) -> None:
    close(face_similarity(one, other, floor=floor), face_similarity(other, one, floor=floor))


@NO_DEADLINE
@given(st.lists(MAYBE, min_size=1, max_size=5), st.randoms(), UNIT)
def test_the_least_subject_pulls_the_mean_down(values: list[float], random: Any, share: float) -> None:
    found = mean_and_least(values, min_share=share).item()
    np.testing.assert_allclose(mean_and_least(random.sample(values, len(values)), min_share=share), found, atol=1e-12)
    assert math.isnan(found) == any(map(math.isnan, values))
    if not math.isnan(found):
        mean, least = (mean_and_least(values, min_share=own).item() for own in (0.0, 1.0))
        assert least == min(values)
        assert least - 1e-12 <= found <= mean + 1e-12


@NO_DEADLINE
@given(st.lists(EIGHTHS | st.just(math.nan), max_size=8), st.randoms(), st.integers(0, 3))
def test_a_video_s_faces_count_in_any_order_and_frames_without_one_not_at_all(
    frames: list[float], random: Any, faceless: int
) -> None:
    shuffled = random.sample([*frames, *[math.nan] * faceless], len(frames) + faceless)
    official, corrected = (over_frames(frames, variant=variant) for variant in ("official", "corrected"))
    assert over_frames(shuffled, variant="official") == official
    np.testing.assert_equal(over_frames(shuffled), corrected)
    assert 0 <= official <= 1
    assert math.isnan(corrected) == all(map(math.isnan, frames))
    assert math.isnan(corrected) or 0 <= corrected <= official


def boxes() -> st.SearchStrategy[list[tuple[float, float, float, int, int]]]:
    cosines = st.sampled_from([-1.0, -0.25, 0.0, 0.25, 0.5, 1.0, math.nan])
    box = st.tuples(st.sampled_from([0.5, 0.6, 0.7, 0.9]), cosines, cosines, st.integers(0, 2), st.integers(0, 1))
    return st.lists(box, min_size=1, max_size=BOXES)


@NO_DEADLINE
@given(boxes(), st.randoms(), VERSIONS)
def test_boxes_count_in_any_order_and_those_that_are_not_kept_by_their_place_alone(
    found: list[Any], random: Any, variant: Any
) -> None:
    value = nexus_score(*zip(*found, strict=True), variant=variant)
    np.testing.assert_allclose(
        nexus_score(*zip(*random.sample(found, len(found)), strict=True), variant=variant), value, atol=1e-12
    )
    kept = [box for box in found if box[0] > 0.6 and not box[2] <= 0.3 and box[1] != 0]
    assert math.isnan(value) == any(math.isnan(number) for box in kept for number in box[1:3])
    unsure = (0.55, 1.0, 1.0, *found[0][3:])
    np.testing.assert_equal(nexus_score(*zip(*found, unsure, strict=True), variant=variant), value)


@NO_DEADLINE
@given(boxes())
def test_the_official_versions_are_the_mean_made_smaller(found: list[Any]) -> None:
    columns = list(zip(*found, strict=True))
    mean, by_frame, by_pair = (nexus_score(*columns, variant=v) for v in ("corrected", "v1_1", "v1_0"))
    assume(not math.isnan(mean))
    assert -1 <= mean <= 1
    assert abs(by_pair) <= abs(by_frame) <= abs(mean)
    assert min(by_pair * mean, by_frame * mean) >= 0
    sure = ([1.0] * len(found), [1.0] * len(found), [1.0] * len(found))
    assert nexus_score(*sure, *columns[3:]) == 1


@NO_DEADLINE
@given(st.lists(EIGHTHS, min_size=1, max_size=12), EIGHTHS, EIGHTHS, st.integers(-4, 4).map(float))
def test_smoothness_knows_changes_alone(ratings: list[float], low: float, more: float, shift: float) -> None:
    value = motion_smoothness(ratings, threshold=low)
    assert 0 <= value <= 1
    assert value <= motion_smoothness(ratings, threshold=low + more)
    moved = [rating + shift for rating in ratings]
    assert motion_smoothness(moved, threshold=low) == value
    assert motion_smoothness([-rating for rating in ratings], threshold=low) == value
    assert motion_smoothness([ratings[0]] * len(ratings), threshold=0.0) == 1
    assert math.isnan(motion_smoothness([*ratings, math.nan], threshold=low))


@NO_DEADLINE
@given(
    arrays(np.float64, (BATCH, 5), elements=st.integers(0, 8).map(float)),
    st.permutations(range(BATCH)),
    st.integers(0, 4),
)
def test_ratings_rise_with_better_words_and_do_not_see_each_other(counts: Any, order: list[int], level: int) -> None:
    shares = (counts + 0.125) / (counts + 0.125).sum(1, keepdims=True)
    together = q_align(shares)
    assert bool(((together >= 0) & (together <= 1)).all())
    close(q_align(shares[order]), together[order])
    close([q_align(row).item() for row in shares], together)
    close(q_align(shares[:, ::-1]), 1 - together)
    assert q_align(np.eye(5)[level]) == (4 - level) / 4
    better = shares.copy()
    better[:, 0] += better[:, level]
    better[:, level] -= shares[:, level]
    assert bool((q_align(better) >= together - 1e-9).all())


SCORES = arrays(np.float64, (3, 4), elements=st.sampled_from([0.0, 1.0, 2.0, 3.0, 4.0, math.nan]))


@NO_DEADLINE
@given(SCORES, st.permutations(range(3)), st.permutations(range(4)))
@example(np.full((3, 4), np.nan), [0, 1, 2], [0, 1, 2, 3])
def test_a_judge_s_questions_and_runs_count_in_any_order(scores: Any, questions: list[int], runs: list[int]) -> None:
    value, weight = rated(scores, full_score=4)
    other = rated(scores[questions][:, runs], full_score=4)
    close(other, (value, weight))
    assert math.isnan(value) == bool(np.isnan(scores).all())
    assert math.isnan(value) or 0 <= value <= 1
    assert weight == (~np.isnan(scores)).sum() / 4
    assert math.isnan(value) or rated(np.where(np.isnan(scores), np.nan, 4.0), full_score=4).value == 1
    np.testing.assert_equal(runs_read(runs_told(scores)), scores.tolist())


@NO_DEADLINE
@given(SCORES, st.permutations(range(3)), st.permutations(range(4)))
def test_runs_are_spread_whatever_their_order(scores: Any, samples: list[int], runs: list[int]) -> None:
    means, sd = spread(scores, full_score=4)
    other = spread(scores[samples][:, runs], full_score=4)
    close(other.means, np.array(means)[runs])
    close(other.sd, sd)
    assert math.isnan(sd) == any(map(math.isnan, means))
    assert math.isnan(sd) or 0 <= sd <= 1
    again = spread(np.repeat(scores[:, :1], 4, 1), full_score=4).sd
    assert math.isnan(means[0]) or again == 0


@NO_DEADLINE
@given(st.floats(-1, 1) | st.sampled_from(STATES), GATES, GATES, st.floats(0, 2) | st.sampled_from(STATES))
def test_what_the_gate_lets_through_is_what_the_ratio_counts(
    identity: float | State, gate: float, other_gate: float, diversity: float | State
) -> None:
    ours, theirs = (Outcome(x) if isinstance(x, State) else Outcome.scored(x) for x in (identity, diversity))
    counted, kept = CONSISTENCY_RATIO.judged(ours, gate, None), DIVERSITY_OVER_CONSISTENCY.judged(ours, gate, theirs)
    if isinstance(identity, State) and identity not in LOST:
        assert counted == kept == ours
        return
    assert counted.value == float(not isinstance(identity, State) and identity > gate)
    assert kept == theirs if counted.value else kept.state is State.INCONSISTENT
    assert DIVERSITY_OVER_CONSISTENCY.judged(ours, gate, theirs) == kept
    low, high = sorted((gate, other_gate))
    at_low, at_high = (CONSISTENCY_RATIO.judged(ours, own, None).value for own in (low, high))
    assert at_low is not None
    assert at_high is not None
    assert at_high <= at_low


@cache
def lpips() -> Any:
    """The distance as the embedded backbone measures it."""
    spec = ExtractorSpec(family="lpips", model="sandbox:lpips", preprocess="lpips_96")
    return load_extractor(spec, device="cpu")


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.permutations(range(BATCH)))
def test_lpips_is_a_distance_of_each_pair_by_itself(seed: int, order: list[int]) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.uniform(-1, 1, (2, BATCH, 3, SIDE, SIDE)).astype(np.float32)
    together = lpips().encode_pairs(first, second)["distance"]
    assert bool((together > 0).all())
    assert not lpips().encode_pairs(first, first)["distance"].any()
    np.testing.assert_allclose(lpips().encode_pairs(second, first)["distance"], together, rtol=1e-5)
    np.testing.assert_allclose(
        lpips().encode_pairs(first[order], second[order])["distance"], together[order], rtol=1e-5
    )
    alone = [lpips().encode_pairs(first[i : i + 1], second[i : i + 1])["distance"].item() for i in range(BATCH)]
    np.testing.assert_allclose(alone, together, rtol=1e-5)


@NO_DEADLINE
@given(st.lists(st.floats(0, 4, width=32), min_size=1, max_size=6), st.randoms())
def test_lpips_of_several_targets_lies_between_them_in_any_order(distances: list[float], random: Any) -> None:
    card = LPIPS.card.variant(None)
    bound = Bound("", card, card.extractor)
    rows = [[np.full((), d, np.float32) for d in own] for own in (distances, random.sample(distances, len(distances)))]
    found, shuffled = LPIPS.score([], bound, rows)
    assert found.value is not None
    assert shuffled.value is not None
    assert min(distances) * card.scale - 1e-9 <= found.value <= max(distances) * card.scale + 1e-9
    assert math.isclose(found.value, shuffled.value, abs_tol=1e-9)
    assert found.weight == len(distances)
