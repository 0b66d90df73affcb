"""Krippendorff's alpha, Kendall's tau and pairwise accuracy: published and hand-made cases, other implementations."""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from evalkit.errors import UsageError
from evalkit.metrics.agreement import kendall_tau, krippendorff_alpha, pairwise_accuracy

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAN = float("nan")
LEVELS: Any = ["nominal", "ordinal", "interval"]
PUBLISHED = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
    [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
]
"""The example of Krippendorff's own note on computing alpha: four observers, twelve units."""


def ratings(seed: int, raters: int = 4, items: int = 25) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 5, items)
    table: NDArray[np.float64] = np.clip(truth + rng.integers(-1, 2, (raters, items)), 0, 4).astype(float)
    table[rng.uniform(size=table.shape) < 0.25] = NAN
    return table


def by_coincidences(table: Any, level: str) -> float:
    """The textbook's way: a matrix of coincidences, its margins, and the level's own difference function."""
    units = [[v for v in column if not math.isnan(v)] for column in zip(*table, strict=True)]
    values = sorted({v for unit in units if len(unit) > 1 for v in unit})
    seen = {(c, k): 0.0 for c in values for k in values}
    for unit in units:
        for i, c in enumerate(unit):
            for j, k in enumerate(unit):
                if i != j:
                    seen[c, k] += 1 / (len(unit) - 1)
    margin = {c: sum(seen[c, k] for k in values) for c in values}

    def difference(c: float, k: float) -> float:
        if level == "nominal":
            return float(c != k)
        if level == "interval":
            return (c - k) ** 2
        low, high = min(c, k), max(c, k)
        return (sum(margin[g] for g in values if low <= g <= high) - (margin[c] + margin[k]) / 2) ** 2

    n = sum(margin.values())
    observed = sum(count * difference(*pair) for pair, count in seen.items())
    expected = sum(margin[c] * margin[k] * difference(c, k) for c in values for k in values) / (n - 1)
    return 1 - observed / expected


@pytest.mark.parametrize(("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_of_the_published_example(level: Any, alpha: float) -> None:
    assert krippendorff_alpha(PUBLISHED, level=level) == pytest.approx(alpha, abs=5e-4)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("seed", range(5))
def test_alpha_is_the_textbook_s_coincidences(level: Any, seed: int) -> None:
    table = ratings(seed)
    assert krippendorff_alpha(table, level=level) == pytest.approx(by_coincidences(table, level), abs=1e-12)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("seed", range(5))
def test_alpha_is_the_package_s(level: Any, seed: int) -> None:
    package = pytest.importorskip("krippendorff", reason="krippendorff is not installed")
    table = ratings(seed, raters=3)
    theirs = package.alpha(reliability_data=table, level_of_measurement=level)
    assert krippendorff_alpha(table, level=level) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("level", LEVELS)
def test_alpha_at_its_extremes(level: Any) -> None:
    assert krippendorff_alpha([[1, 2, 3], [1, 2, 3]], level=level) == 1
    assert krippendorff_alpha([[1, 2], [2, 1]], level=level) < 0
    without: list[list[list[float]]] = [[[2, 2], [2, 2]], [[1, NAN], [NAN, 2]], [[1, 2, 3]], [[], []]]
    for table in [*without, [[0.1, 0.1, 5], [0.1, 0.1, NAN]]]:
        assert math.isnan(krippendorff_alpha(table, level=level))


def test_an_item_with_one_rating_does_not_count() -> None:
    table = ratings(7)
    lonely = np.full((4, 1), NAN)
    lonely[2] = 400
    for level in LEVELS:
        assert krippendorff_alpha(np.hstack([table, lonely]), level=level) == krippendorff_alpha(table, level=level)


def tau_b(x: Any, y: Any) -> float:
    signs = [(np.sign(x[i] - x[j]), np.sign(y[i] - y[j])) for i, j in combinations(range(len(x)), 2)]
    untied = [sum(1 for pair in signs if pair[k]) for k in range(2)]
    return float(sum(a * b for a, b in signs) / math.sqrt(untied[0] * untied[1]))


def test_tau_is_tau_b_of_the_items_that_both_rated() -> None:
    rng = np.random.default_rng(0)
    human = rng.integers(0, 5, 40).astype(float)
    metric = np.round(human + rng.normal(scale=2, size=40), 0)
    wanted = tau_b(metric, human)
    assert kendall_tau(metric, human) == pytest.approx(wanted, abs=1e-12)
    with_gaps = kendall_tau([*metric, NAN, 1.0], [*human, 3.0, NAN])
    assert with_gaps == pytest.approx(wanted, abs=1e-12)
    for x, y in (([1.0], [2.0]), ([], []), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [2, 2, 2])):
        assert math.isnan(kendall_tau(x, y))


def test_pairwise_accuracy_counts_pairs_that_people_part() -> None:
    rng = np.random.default_rng(1)
    human, metric = rng.integers(0, 4, 30), rng.integers(0, 9, 30)
    points = [
        0.5 if metric[i] == metric[j] else float((metric[i] > metric[j]) == (human[i] > human[j]))
        for i, j in combinations(range(30), 2)
        if human[i] != human[j]
    ]
    accuracy, pairs = pairwise_accuracy(metric, human)
    assert pairs == len(points)
    assert accuracy == pytest.approx(sum(points) / len(points), abs=1e-12)


def test_pairwise_accuracy_at_its_extremes() -> None:
    assert pairwise_accuracy([1, 2, 3], [10, 20, 30]) == (1.0, 3)
    assert pairwise_accuracy([3, 2, 1], [10, 20, 30]) == (0.0, 3)
    assert pairwise_accuracy([5, 5, 5], [10, 20, 30]) == (0.5, 3)
    assert pairwise_accuracy([1, NAN, 3], [10, 20, 30]) == (1.0, 1)
    for metric, human in (([1, 2], [4, 4]), ([], []), ([1], [1])):
        accuracy, pairs = pairwise_accuracy(metric, human)
        assert math.isnan(accuracy)
        assert pairs == 0


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match=r"wanted ratings \[raters, items\], found \[3\]"):
        krippendorff_alpha([1, 2, 3])
    level: Any = "ratio"
    with pytest.raises(UsageError, match="wanted level 'nominal', 'ordinal' or 'interval', found 'ratio'"):
        krippendorff_alpha([[1, 2], [1, 2]], level=level)
    for measure in (kendall_tau, pairwise_accuracy):
        with pytest.raises(UsageError, match=r"values \[N\] of the same items, found \(2,\) and \(3,\)"):
            measure([1, 2], [1, 2, 3])
