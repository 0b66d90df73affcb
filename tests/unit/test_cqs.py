"""CQS_har against its formula written out, its parameters' meaning, and what has no value."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from evalkit.errors import UsageError
from evalkit.metrics.cqs import cqs_har, mean_similarity

NAN = float("nan")


def samples(seed: int = 0, n: int = 40) -> tuple[list[float], list[float], list[float]]:
    rng = np.random.default_rng(seed)
    t = rng.uniform(size=n)
    return t.tolist(), np.clip(t + rng.normal(scale=0.2, size=n), 0, 1).tolist(), rng.uniform(size=n).tolist()


def written_out(t: list[float], a: list[float], d: list[float], mu: float, tau: float, lam: float) -> list[float]:
    """The paper's formula, one sample at a time."""
    gaps = [x - y for x, y in zip(a, t, strict=True)]
    below, above = [-gap for gap in gaps if gap < 0], [gap for gap in gaps if gap > 0]
    values = []
    for joint, similarity, gap in zip(t, d, gaps, strict=True):
        adjusted = similarity
        if gap < 0:
            adjusted -= mu * (lam * abs(gap) + (1 - lam) * sum(below) / len(below))
        elif gap > 0:
            adjusted += tau * (lam * abs(gap) + (1 - lam) * sum(above) / len(above))
        total = joint + adjusted
        values.append(2 * joint * adjusted / (total + 1e-8) if total > 1e-8 else 0.0)
    return values


@pytest.mark.parametrize(("mu", "tau", "lam"), [(0.5, 0.5, 1.0), (0.1, 0.9, 1.0), (1.0, 0.3, 0.25), (0.5, 0.5, 0.0)])
def test_it_is_the_formula_written_out(mu: float, tau: float, lam: float) -> None:
    t, a, d = samples()
    score, per_sample = cqs_har(t, a, d, mu=mu, tau=tau, lam=lam)
    wanted = written_out(t, a, d, mu, tau, lam)
    np.testing.assert_allclose(per_sample, wanted, rtol=0, atol=1e-12)
    assert score == pytest.approx(math.fsum(wanted) / len(wanted), abs=1e-12)


def test_by_hand() -> None:
    """The penalised picture: d* = .8 - .5 * .2 = .7, 2 * .7 * .7 / 1.4; the rewarded one: d* = .4 + .5 * .4 = .6."""
    score, per_sample = cqs_har([0.7, 0.2], [0.5, 0.6], [0.8, 0.4])
    assert per_sample.tolist() == pytest.approx([0.7, 0.3], abs=1e-7)
    assert score == pytest.approx(0.5, abs=1e-7)


def test_with_the_defaults_it_is_similarity_plus_half_the_gap() -> None:
    t, a, d = (np.array(values) for values in samples(1))
    adjusted = d + (a - t) / 2
    np.testing.assert_allclose(cqs_har(t, a, d).per_sample, 2 * t * adjusted / (t + adjusted), atol=1e-7)


def test_without_a_gap_it_is_the_harmonic_mean_whatever_the_weights() -> None:
    t, _, d = samples(2)
    wanted = [2 / (1 / x + 1 / y) for x, y in zip(t, d, strict=True)]
    for lam in (0.0, 1.0):
        np.testing.assert_allclose(cqs_har(t, t, d, mu=0.9, tau=0.1, lam=lam).per_sample, wanted, atol=1e-7)


def test_the_mean_gap_is_of_its_own_sign_and_nothing_where_there_is_none() -> None:
    t, a, d = [0.5, 0.5, 0.5], [0.3, 0.4, 0.5], [0.6, 0.6, 0.6]
    adjusted = [0.6 - 0.5 * 0.15, 0.6 - 0.5 * 0.15, 0.6]
    wanted = [2 * 0.5 * x / (0.5 + x) for x in adjusted]
    np.testing.assert_allclose(cqs_har(t, a, d, lam=0.0).per_sample, wanted, atol=1e-7)


def test_a_sum_of_nothing_is_zero_and_a_negative_similarity_counts_against() -> None:
    _, per_sample = cqs_har([0.0, 0.0, 0.9], [0.0, 0.0, 0.9], [0.0, -0.5, -0.2])
    assert per_sample[:2].tolist() == [0.0, 0.0]
    assert per_sample[2] == pytest.approx(2 * 0.9 * -0.2 / 0.7, abs=1e-6)


def test_clip_keeps_what_is_adjusted_in_range() -> None:
    t, a, d = [0.9, 0.2, 0.5], [0.1, 1.0, 0.5], [0.1, 0.9, 0.5]
    free, kept = cqs_har(t, a, d).per_sample, cqs_har(t, a, d, clip=True).per_sample
    assert free[0] < 0
    assert kept[0] == 0
    assert kept[1] == pytest.approx(2 * 0.2 / 1.2, abs=1e-7)
    assert kept[1] < free[1]
    assert kept[2] == free[2]


def test_the_empirical_scale_stretches_similarities_to_the_texts_extremes() -> None:
    t, a = [0.2, 0.5, 0.8], [0.2, 0.6, 0.9]
    stretched = cqs_har(t, a, [0.70, 0.75, 0.80], scale="empirical-global")
    np.testing.assert_allclose(stretched.per_sample, cqs_har(t, a, [0.2, 0.55, 0.9]).per_sample, atol=1e-12)
    assert math.isnan(cqs_har(t, a, [0.7, 0.7, 0.7], scale="empirical-global").score)


def test_a_sample_without_a_value_is_left_out_of_everything() -> None:
    t, a, d = samples(3)
    whole = cqs_har(t, a, d, lam=0.5)
    score, per_sample = cqs_har([NAN, *t, 0.1, 0.1], [0.5, *a, NAN, 0.9], [0.5, *d, 0.5, NAN], lam=0.5)
    assert np.isnan(per_sample[[0, -2, -1]]).all()
    assert per_sample[1:-2].tolist() == whole.per_sample.tolist()
    assert score == whole.score
    assert math.isnan(cqs_har([NAN], [0.5], [0.5]).score)
    assert math.isnan(cqs_har([], [], []).score)


def test_similarity_is_to_the_others_of_the_set() -> None:
    distances = np.array([[0.0, 0.1, 0.3], [0.1, 0.0, 0.5], [0.3, 0.5, 0.0]])
    wanted = [1 - np.mean([distances[i, j] for j in range(3) if j != i]) for i in range(3)]
    np.testing.assert_allclose(mean_similarity(distances), wanted, atol=1e-15)
    np.testing.assert_allclose(mean_similarity(np.where(np.eye(3), NAN, distances)), wanted, atol=1e-15)
    assert np.isnan(mean_similarity([[0.0]])).all()
    with pytest.raises(UsageError, match=r"wanted the distances of one set's pictures \[K, K\], found \[2, 3\]"):
        mean_similarity(np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([0.5], [0.5, 0.5], [0.5]), {}, r"wanted t, a and d \[N\], found \[\[1\], \[2\], \[1\]\]"),
        (([50.0], [0.5], [0.5]), {}, r"wanted t and a, the text scores, in \[0, 1\], found 0.5 to 50"),
        (([0.5], [-0.1], [0.5]), {}, r"found -0.1 to 0.5"),
        (([0.5], [0.5], [0.5]), {"lam": 2.0}, "wanted lam, the share of a sample's own gap"),
        (([], [], []), {"scale": "set"}, "wanted scale 'theoretical' or 'empirical-global', found 'set'"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: Any, options: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        cqs_har(*arguments, **options)
