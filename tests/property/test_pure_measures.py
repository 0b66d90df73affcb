"""Properties of the measures of masks, sets, texts, totals, videos and ratings, on any input."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evalkit.metrics.agreement import kendall_tau, krippendorff_alpha, pairwise_accuracy
from evalkit.metrics.cqs import cqs_har, mean_similarity
from evalkit.metrics.motion import motion_amplitude
from evalkit.metrics.opens2v import SCALES, component_weights, mapped, total, unmapped, video_mean
from evalkit.metrics.si_iou import si_iou
from evalkit.metrics.temporal import temporal_consistency
from evalkit.metrics.text import char_bleu, choice_accuracy, recognised, recognition, segments

if TYPE_CHECKING:
    from evalkit.metrics.opens2v import Domain, Version

NO_DEADLINE = settings(deadline=None)
"""The first example of a measure also imports what it needs."""
BATCH, ITEMS = 4, 6
UNIT = st.floats(0, 1, allow_subnormal=False)
MAYBE = UNIT | st.just(math.nan)
ORDERS = st.permutations(range(BATCH))
WORDS = st.text(st.sampled_from("ab cé帽,."), max_size=12)
ANSWERS = st.sampled_from(["Yes.", "No."])
PREDICTIONS = st.sampled_from(["yes", "No", "I know", "his eyes", "no, yes", ""])
VERSIONS: Any = st.sampled_from(["v1.0", "v1.1"])
DOMAINS: Any = st.sampled_from(["open", "single", "human"])
RATINGS = arrays(np.float64, (3, ITEMS), elements=st.sampled_from([1.0, 2.0, 3.0, 4.0, math.nan]))
LEVELS: Any = st.sampled_from(["nominal", "ordinal", "interval"])
GRADES = arrays(np.float64, ITEMS, elements=st.integers(-3, 3).map(float) | st.just(math.nan))


def masks(height: int, width: int) -> st.SearchStrategy[torch.Tensor]:
    return arrays(np.bool_, (BATCH, height, width)).map(torch.from_numpy)


def same(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)


@NO_DEADLINE
@given(masks(5, 7), masks(6, 3), ORDERS)
def test_si_iou_rows_do_not_see_each_other(gen: torch.Tensor, ref: torch.Tensor, order: list[int]) -> None:
    together = si_iou(gen, ref)
    filled = gen.flatten(1).any(1) & ref.flatten(1).any(1)
    assert torch.equal(together.isnan(), ~filled)
    assert bool(((together[filled] >= 0) & (together[filled] <= 1)).all())
    torch.testing.assert_close(si_iou(gen[order], ref[order]), together[order], atol=0, rtol=0, equal_nan=True)
    alone = torch.cat([si_iou(gen[i : i + 1], ref[i : i + 1]) for i in range(BATCH)])
    torch.testing.assert_close(alone, together, atol=0, rtol=0, equal_nan=True)


@NO_DEADLINE
@given(masks(4, 5), st.tuples(*[st.integers(0, 3)] * 4), st.integers(1, 3), st.integers(1, 3))
def test_si_iou_of_a_moved_and_enlarged_copy_is_one(
    mask: torch.Tensor, margins: tuple[int, ...], rows: int, columns: int
) -> None:
    copy = torch.nn.functional.pad(mask.repeat_interleave(rows, 1).repeat_interleave(columns, 2), margins)
    wanted = torch.where(mask.flatten(1).any(1), 1.0, torch.nan).double()
    torch.testing.assert_close(si_iou(mask, copy), wanted, equal_nan=True)
    torch.testing.assert_close(si_iou(copy, mask), wanted, equal_nan=True)


@NO_DEADLINE
@given(masks(5, 4), masks(5, 4))
def test_si_iou_is_symmetric_where_no_crop_is_resized(gen: torch.Tensor, ref: torch.Tensor) -> None:
    for mask in (gen, ref):
        mask[:, 0, 0] = mask[:, -1, -1] = True
    torch.testing.assert_close(si_iou(gen, ref), si_iou(ref, gen))
    torch.testing.assert_close(si_iou(gen.flip(1), ref.flip(1)), si_iou(gen, ref))


@NO_DEADLINE
@given(st.lists(st.tuples(MAYBE, MAYBE, MAYBE), min_size=1, max_size=8), st.randoms(), UNIT)
def test_cqs_does_not_depend_on_order(rows: list[tuple[float, float, float]], random: Any, lam: float) -> None:
    shuffled = list(enumerate(rows))
    random.shuffle(shuffled)
    score, per_sample = cqs_har(*zip(*rows, strict=True), lam=lam)
    other, permuted = cqs_har(*zip(*(row for _, row in shuffled), strict=True), lam=lam)
    assert same(score, other)
    np.testing.assert_allclose(permuted, per_sample[[i for i, _ in shuffled]], rtol=1e-9, atol=1e-12)
    assert np.isnan(per_sample).tolist() == [any(map(math.isnan, row)) for row in rows]


@NO_DEADLINE
@given(st.lists(st.tuples(UNIT, UNIT, UNIT), min_size=1, max_size=8))
def test_cqs_samples_do_not_see_each_other_where_gaps_are_their_own(rows: list[tuple[float, float, float]]) -> None:
    _, together = cqs_har(*zip(*rows, strict=True))
    assert together.tolist() == [cqs_har([t], [a], [d]).score for t, a, d in rows]
    within = [0 <= d + (a - t) / 2 <= 1 for t, a, d in rows]
    assert bool(((together[within] >= 0) & (together[within] <= 1)).all())
    clipped = cqs_har(*zip(*rows, strict=True), clip=True).per_sample
    assert bool(((clipped >= 0) & (clipped <= 1)).all())


@NO_DEADLINE
@given(UNIT, UNIT, UNIT, UNIT)
def test_cqs_rises_with_similarity_and_with_the_own_prompts_score(t: float, a: float, d: float, more: float) -> None:
    value = cqs_har([t], [a], [d]).score
    assert cqs_har([t], [a], [d + more]).score >= value - 1e-6
    assert cqs_har([t], [max(a, more)], [d]).score >= value - 1e-6
    assert math.isclose(cqs_har([t], [t], [t]).score, t, abs_tol=1e-7)


@NO_DEADLINE
@given(arrays(np.float64, (BATCH, BATCH), elements=UNIT), ORDERS)
def test_similarity_in_a_set_does_not_depend_on_order(distances: Any, order: list[int]) -> None:
    found = mean_similarity(distances)
    np.testing.assert_allclose(mean_similarity(distances[np.ix_(order, order)]), found[order], atol=1e-12)
    assert bool(((found >= -1e-12) & (found <= 1)).all())


@NO_DEADLINE
@given(WORDS, WORDS)
def test_bleu_is_in_its_range_and_one_for_copies_alone(reference: str, candidate: str) -> None:
    value = char_bleu(reference, candidate)
    assert 0 <= value <= 1
    assert (value == 0) == (not set(reference) & set(candidate))
    if len(reference) > 1:
        assert char_bleu(reference, reference) == 1
        assert char_bleu(reference, reference[:-1]) < 1


@NO_DEADLINE
@given(st.lists(st.tuples(ANSWERS, PREDICTIONS), max_size=8), st.randoms(), st.sampled_from(["official", "corrected"]))
def test_recognition_does_not_depend_on_order(rows: list[tuple[str, str]], random: Any, variant: Any) -> None:
    answers, predictions = [row[0] for row in rows], [row[1] for row in rows]
    found = recognition(answers, predictions, variant=variant)
    shuffled = random.sample(rows, len(rows))
    other = recognition([row[0] for row in shuffled], [row[1] for row in shuffled], variant=variant)
    assert all(same(x, y) for x, y in zip(found, other, strict=True))
    right = sum(recognised(*row, variant=variant) for row in rows)
    assert same(found.accuracy, right / len(rows) if rows else math.nan)
    recalls = [recall for recall in found[:2] if not math.isnan(recall)]
    assert not recalls or min(recalls) <= found.weighted <= max(recalls)


@NO_DEADLINE
@given(st.lists(st.tuples(st.sampled_from("ABC"), st.text("ABC ", max_size=4)), min_size=1))
def test_a_choice_is_right_of_itself(rows: list[tuple[str, str]]) -> None:
    answers, predictions = zip(*rows, strict=True)
    assert choice_accuracy(answers, answers) == 1
    assert choice_accuracy(answers, predictions) <= choice_accuracy(answers, [f"A B C {p}" for p in predictions]) == 1


@NO_DEADLINE
@given(st.text(st.sampled_from("ab1 .,;:!?，。；"), max_size=20))
def test_segments_keep_every_letter_in_order(prompt: str) -> None:
    parts = segments(prompt)
    letters = [c for c in prompt if c in "ab1"]
    assert [c for part in parts for c in part if c in "ab1"] == letters
    assert all(part == part.strip() != "" for part in parts)
    assert [segments(part) for part in parts] == [[part] for part in parts]


@NO_DEADLINE
@given(st.fixed_dictionaries(dict.fromkeys(SCALES, UNIT)), VERSIONS, DOMAINS)
def test_a_total_lies_between_its_components_fractions(
    fractions: dict[str, float], version: Version, domain: Domain
) -> None:
    raw = {name: unmapped(name, fraction) for name, fraction in fractions.items()}
    value = total(raw, version=version, domain=domain)
    counted = [fractions[name] for name in component_weights(version=version, domain=domain)]
    assert min(counted) - 1e-12 <= value <= max(counted) + 1e-12
    assert math.isclose(total(dict(reversed(raw.items())), version=version, domain=domain), value, abs_tol=1e-15)


@NO_DEADLINE
@given(st.sampled_from(sorted(SCALES)), st.lists(st.floats(-10, 10) | st.none(), max_size=6), st.randoms())
def test_a_mean_over_videos_is_the_mean_of_their_fractions(name: str, values: list[Any], random: Any) -> None:
    mean = video_mean(name, values)
    present = [v for v in values if v is not None and (name != "nexus" or v != 0)]
    if not present:
        assert mean is None
        return
    assert mean is not None
    assert math.isclose(
        mapped(name, mean), math.fsum(mapped(name, v) for v in present) / len(present), rel_tol=1e-9, abs_tol=1e-9
    )
    assert video_mean(name, random.sample(values, len(values))) == mean


@settings(max_examples=15, deadline=None)
@given(arrays(np.uint8, (3, 24, 20, 3)), st.integers(0, 2), st.sampled_from(["official", "corrected"]))
def test_motion_is_diluted_by_frames_that_stand_still(frames: Any, still: int, variant: Any) -> None:
    value = motion_amplitude(frames, variant=variant)
    assert value >= 0
    longer = np.concatenate([frames, np.repeat(frames[-1:], still, 0)])
    rest = motion_amplitude(np.repeat(frames[-1:], 2, 0), variant=variant)
    assert math.isclose(motion_amplitude(longer, variant=variant), value * 2 / (2 + still), abs_tol=rest + 1e-6)
    assert motion_amplitude(frames, variant="official") <= motion_amplitude(frames, variant="corrected") + 1e-6


@NO_DEADLINE
@given(arrays(np.float64, (5, 3), elements=st.floats(-4, 4, allow_subnormal=False)), st.floats(0.1, 10))
def test_temporal_consistency_knows_neither_length_nor_direction_of_time(frames: Any, scale: float) -> None:
    assume((np.abs(frames).max(1) > 1e-3).all())
    value, pooled = temporal_consistency(frames), temporal_consistency(frames, variant="vbench")
    assert -1 <= value <= 1
    assert 0 <= pooled <= 1
    for variant, wanted in (("paper", value), ("vbench", pooled)):
        found: Any = temporal_consistency(frames * scale, variant=variant)  # type: ignore[arg-type]
        assert same(found, wanted)
    assert same(temporal_consistency(frames[::-1]), value)
    doubled = np.repeat(frames, 2, axis=0)
    assert same(temporal_consistency(doubled), (4 * value + 5) / 9)


@NO_DEADLINE
@given(RATINGS, LEVELS, st.permutations(range(ITEMS)), st.permutations(range(3)), st.floats(-3, 3))
def test_alpha_knows_neither_who_rated_nor_what_nor_where_the_scale_begins(
    table: Any, level: Any, items: list[int], raters: list[int], shift: float
) -> None:
    value = krippendorff_alpha(table, level=level)
    assert same(krippendorff_alpha(table[raters][:, items], level=level), value)
    assert math.isnan(value) or value <= 1
    moved = krippendorff_alpha(2 * table + round(shift), level=level)
    assert same(moved, value)
    agreed = np.vstack([table[0], table[0]])
    copy = krippendorff_alpha(agreed, level=level)
    assert math.isnan(copy) or copy == 1


@NO_DEADLINE
@given(RATINGS)
def test_ordinal_alpha_knows_only_the_order(table: Any) -> None:
    value = krippendorff_alpha(table, level="ordinal")
    assert same(krippendorff_alpha(np.exp(table), level="ordinal"), value)


@NO_DEADLINE
@given(GRADES, GRADES, st.permutations(range(ITEMS)))
def test_agreement_with_people_turns_with_the_sign_and_not_with_the_order(x: Any, y: Any, order: list[int]) -> None:
    tau, (accuracy, pairs) = kendall_tau(x, y), pairwise_accuracy(x, y)
    assert same(kendall_tau(x[order], y[order]), tau)
    assert same(kendall_tau(y, x), tau)
    assert same(kendall_tau(-x, y), -tau)
    assert math.isnan(tau) or -1 - 1e-12 <= tau <= 1 + 1e-12
    other = pairwise_accuracy(x[order], y[order])
    assert other.pairs == pairs
    assert same(other.accuracy, accuracy)
    assert math.isnan(accuracy) == (pairs == 0)
    if pairs:
        assert 0 <= accuracy <= 1
        assert same(pairwise_accuracy(-x, y).accuracy, 1 - accuracy)
        both = np.where(np.isnan(x), np.nan, y)
        assert pairwise_accuracy(both, y).accuracy == 1
