"""Temporal consistency, consistency ratio and diversity over consistency: written out, by hand, and without a value."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from evalkit.engine.columns import Column
from evalkit.engine.summary import summarise
from evalkit.errors import UsageError
from evalkit.metrics.base import Outcome
from evalkit.metrics.consistent import CONSISTENCY_RATIO, DIVERSITY_OVER_CONSISTENCY
from evalkit.metrics.temporal import temporal_consistency
from evalkit.nouns import MetricChoice, Score, Signature, State
from tests.unit.scored_runs import case


def test_temporal_consistency_is_its_formulas_written_out() -> None:
    frames = np.random.default_rng(0).normal(size=(9, 5)) + 0.3

    def cos(a: Any, b: Any) -> float:
        return float(np.dot(a, b) / math.sqrt(np.dot(a, a) * np.dot(b, b)))

    adjacent = [cos(frames[i], frames[i + 1]) for i in range(8)]
    first = [cos(frames[0], frames[i + 1]) for i in range(8)]
    assert min(adjacent) < 0
    assert temporal_consistency(frames) == pytest.approx(sum(adjacent) / 8, abs=1e-12)
    pooled = sum(max(0.0, a) + max(0.0, b) for a, b in zip(adjacent, first, strict=True)) / 16
    assert temporal_consistency(frames, variant="vbench") == pytest.approx(pooled, abs=1e-12)


def test_temporal_consistency_at_its_extremes() -> None:
    still, flicker = np.ones((4, 3)), np.array([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0]])
    assert temporal_consistency(still) == temporal_consistency(still, variant="vbench") == pytest.approx(1, abs=1e-12)
    assert temporal_consistency(flicker) == -1
    assert temporal_consistency(flicker, variant="vbench") == 0.25
    for frames in (still[:1], still[:0], np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])):
        assert math.isnan(temporal_consistency(frames))
        assert math.isnan(temporal_consistency(frames, variant="vbench"))


def test_temporal_consistency_refuses_what_does_not_fit() -> None:
    with pytest.raises(UsageError, match=r"wanted the embeddings of a video's frames \[T, C\], found \[3\]"):
        temporal_consistency([1.0, 2.0, 3.0])
    variant: Any = "clip"
    with pytest.raises(UsageError, match="wanted variant 'paper' or 'vbench', found 'clip'"):
        temporal_consistency(np.ones((2, 2)), variant=variant)


def test_the_gate_is_strict_and_a_sample_in_which_nothing_of_the_subject_is_found_counts_as_inconsistent() -> None:
    for value, ratio in ((0.6, 0.0), (0.6000001, 1.0), (0.9, 1.0)):
        assert CONSISTENCY_RATIO.judged(Outcome.scored(value), 0.6, None) == Outcome.scored(ratio)
    for lost in (State.NO_SURVIVORS, State.NO_SUBJECT):
        assert CONSISTENCY_RATIO.judged(Outcome(lost), 0.6, None) == Outcome.scored(0.0)
    for state in (State.UNDEFINED, State.EMPTY_MASK, State.MASK_MISSING):
        assert CONSISTENCY_RATIO.judged(Outcome(state), 0.6, None) == Outcome(state)


def test_diversity_counts_for_a_consistent_sample_alone() -> None:
    diversity = Outcome.scored(0.3, weight=2)
    judged = DIVERSITY_OVER_CONSISTENCY.judged
    assert judged(Outcome.scored(0.76), 0.75, diversity) == diversity
    assert judged(Outcome.scored(0.76), 0.75, Outcome(State.UNDEFINED)) == Outcome(State.UNDEFINED)
    for lost in (Outcome.scored(0.75), Outcome(State.NO_SURVIVORS), Outcome(State.NO_SUBJECT)):
        assert judged(lost, 0.75, diversity).state is State.INCONSISTENT
    assert judged(Outcome(State.MASK_MISSING), 0.75, diversity) == Outcome(State.MASK_MISSING)


def test_an_inconsistent_sample_is_counted_and_has_no_number() -> None:
    states = [State.SCORED, State.INCONSISTENT, State.NOT_APPLICABLE]
    metric = "diversity_over_consistency"
    signature = Signature.of(metric=metric)
    cases = [case(0, prompt) for prompt in range(3)]
    scores = {}
    for one, state in zip(cases, states, strict=True):
        value = 0.3 if state is State.SCORED else None
        told = Score(
            case_id=one.case_id, seed=0, metric=f"{metric}@vsm_06", signature=str(signature), inputs="i", state=state,
            value=value,
        )  # fmt: skip
        scores[told.key] = told
    bound: Any = None
    column = Column(metric, MetricChoice.parse(f"{metric}@vsm_06"), DIVERSITY_OVER_CONSISTENCY, bound, signature, None)
    found = summarise([column], [(one, 0) for one in cases], scores)[metric]
    assert (found.value, found.n_scored, found.n_cases) == (0.3, 1, 2)
    assert found.states == {"inconsistent": 1, "not_applicable": 1}
