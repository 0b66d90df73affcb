"""Adjusted p-values against scipy, statsmodels and definitions."""

from __future__ import annotations

from itertools import combinations
from typing import Literal

import numpy as np
import pytest
from scipy import stats

from evalkit.errors import UsageError
from evalkit.stats import adjust, max_t

RNG = np.random.default_rng(3)
SETS = [RNG.random(n) ** 3 for n in (1, 2, 7, 40)] + [np.array([0.01, 0.01, 0.5, 1.0, 0.0])]


@pytest.mark.parametrize("p", SETS)
def test_benjamini_hochberg_is_scipys(p: np.ndarray) -> None:
    np.testing.assert_allclose(adjust(p, "bh"), stats.false_discovery_control(p), rtol=1e-12)


@pytest.mark.parametrize("p", SETS)
def test_holm_is_the_closed_test_of_bonferroni(p: np.ndarray) -> None:
    """The adjusted p of one is the largest Bonferroni p of the sets that hold it (the first five: there are 2^n sets)."""
    p = p[:5]
    n = len(p)
    sets = [s for size in range(1, n + 1) for s in combinations(range(n), size)]
    wanted = [max(min(1.0, len(s) * p[list(s)].min()) for s in sets if i in s) for i in range(n)]
    np.testing.assert_allclose(adjust(p, "holm"), wanted, rtol=1e-12)


@pytest.mark.parametrize(("method", "theirs"), [("holm", "holm"), ("bh", "fdr_bh")])
@pytest.mark.parametrize("p", SETS)
def test_both_are_statsmodels(p: np.ndarray, method: Literal["holm", "bh"], theirs: str) -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest", reason="statsmodels is not installed")
    np.testing.assert_allclose(adjust(p, method), multitest.multipletests(p, method=theirs)[1], rtol=1e-12)


@pytest.mark.parametrize("method", ["holm", "bh"])
def test_a_test_that_was_not_made_does_not_count(method: Literal["holm", "bh"]) -> None:
    p = np.array([0.01, np.nan, 0.04, 0.03, np.nan])
    found = adjust(p, method)
    assert np.isnan(found[[1, 4]]).all()
    np.testing.assert_array_equal(found[[0, 2, 3]], adjust(p[[0, 2, 3]], method))


def test_shape_and_input_stay() -> None:
    p = np.array([[0.01, 0.02], [0.5, np.nan]])
    kept = p.copy()
    assert adjust(p).shape == (2, 2)
    np.testing.assert_array_equal(p, kept)
    assert adjust([]).shape == (0,)


def test_what_is_no_p_value_is_refused() -> None:
    with pytest.raises(UsageError, match="wanted p-values from 0 to 1, found -0.1 to 1.5"):
        adjust([-0.1, 1.5])
    with pytest.raises(UsageError, match="wanted the method 'holm' or 'bh', found 'bonferroni'"):
        adjust([0.1], "bonferroni")  # type: ignore[arg-type]


def by_definition(t: np.ndarray, null: np.ndarray) -> list[float]:
    order = np.argsort(-np.abs(t))
    p, worst = np.empty(len(t)), 0.0
    for place, k in enumerate(order):
        left = order[place:]
        worst = max(worst, (1 + np.sum(np.abs(null[left]).max(0) >= abs(t[k]))) / (null.shape[1] + 1))
        p[k] = worst
    return p.tolist()


def test_max_t_steps_down() -> None:
    t, null = RNG.standard_normal(6) * 2, RNG.standard_normal((6, 500))
    assert max_t(t, null).tolist() == by_definition(t, null)
    one_step = [(1 + np.sum(np.abs(null).max(0) >= abs(x))) / 501 for x in t]
    assert max_t(t, null, step_down=False).tolist() == pytest.approx(one_step)


def test_one_hypothesis_is_not_adjusted() -> None:
    null = RNG.standard_normal((1, 500))
    assert max_t([2.0], null)[0] == (1 + (np.abs(null) >= 2).sum()) / 501


def test_equal_measures_cost_nothing() -> None:
    one = RNG.standard_normal((1, 500))
    assert max_t([2.0, 2.0, 2.0], np.repeat(one, 3, axis=0)).tolist() == [max_t([2.0], one)[0]] * 3


def test_what_was_not_tested_does_not_count() -> None:
    t, null = np.array([2.0, np.nan, 1.0]), RNG.standard_normal((3, 500))
    found = max_t(t, null)
    assert np.isnan(found[1])
    assert found[[0, 2]].tolist() == max_t(t[[0, 2]], null[[0, 2]]).tolist()
    null[0, :250] = np.nan
    assert 0 < max_t(t, null)[0] <= found[0]


def test_an_infinite_statistic_is_only_met_by_infinite_replicates() -> None:
    null = RNG.standard_normal((2, 99))
    assert max_t([np.inf, 0.0], null).tolist() == [0.01, 1.0]
    null[1, 0] = np.inf
    assert max_t([np.inf, 0.0], null)[0] == 0.02


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(
        UsageError, match=r"wanted \[K\] statistics and \[K, B\] of the null, found \(2,\) and \(3, 5\)"
    ):
        max_t([1.0, 2.0], np.zeros((3, 5)))
