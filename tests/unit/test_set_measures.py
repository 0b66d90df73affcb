"""Temporal consistency, consistency ratio and diversity over consistency: written out, by hand, and without a value."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from evalkit.errors import UsageError
from evalkit.metrics.gating import consistency_ratio, diversity_over_consistency
from evalkit.metrics.temporal import temporal_consistency

NAN = float("nan")


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


def test_the_threshold_is_strict_and_what_is_missing_is_inconsistent() -> None:
    assert consistency_ratio([0.6, 0.6000001, 0.9, NAN], 0.6) == (0.5, 4)
    assert consistency_ratio([NAN, NAN], 0.6) == (0.0, 2)
    empty = consistency_ratio([], 0.6)
    assert math.isnan(empty.ratio)
    assert empty.n == 0


def test_diversity_is_the_mean_over_consistent_samples_alone() -> None:
    diversity, gate = [0.1, 0.2, 0.4, 0.8, NAN, 0.9], [0.76, 0.75, 0.9, NAN, 0.99, 0.1]
    mean, n = diversity_over_consistency(diversity, gate, 0.75)
    assert mean == pytest.approx((0.1 + 0.4) / 2, abs=1e-15)
    assert n == 2


def test_without_a_consistent_sample_there_is_no_diversity() -> None:
    for diversity, gate in (([0.5], [0.75]), ([0.5], [NAN]), ([NAN], [0.9]), ([], [])):
        mean, n = diversity_over_consistency(diversity, gate, 0.75)
        assert math.isnan(mean)
        assert n == 0


def test_gates_refuse_what_does_not_fit() -> None:
    with pytest.raises(UsageError, match=r"wanted values \[N\], one a sample, found \[1, 2\]"):
        consistency_ratio([[0.1, 0.2]], 0.5)
    with pytest.raises(UsageError, match="wanted a gate for each of 2 samples, found 1"):
        diversity_over_consistency([0.1, 0.2], [0.1], 0.5)
