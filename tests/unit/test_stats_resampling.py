"""Joint resampling against loops over resamples that are drawn out in full."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats

from evalkit.errors import UsageError
from evalkit.stats.crossed import resample_crossed
from evalkit.stats.resamples import Resamples
from evalkit.stats.resampling import draws, resample
from evalkit.stats.signflip import sign_flip

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RNG = np.random.default_rng(7)
X = RNG.standard_normal((3, 12)) + 1.0
ONE = np.zeros(12, dtype=np.intp)


def ratio(x: Floats, c: Floats) -> tuple[float, float]:
    """The ratio of two sums and its linearised error, over the units that have a count; the factor is left out."""
    estimate = x.sum() / c.sum()
    return float(estimate), float(np.sqrt(((x - estimate * c) ** 2).sum()) / c.sum())


def test_draws_are_counts_within_strata() -> None:
    labels = np.array([0, 1, 0, 1, 1, 2, 2])
    weights = draws(labels, 200, 3)
    assert weights.shape == (7, 200)
    for stratum, size in ((0, 2), (1, 3), (2, 2)):
        assert (weights[labels == stratum].sum(0) == size).all()
    spread = draws(np.zeros(50, dtype=np.intp), 4000, 0).var(1)
    assert np.abs(spread - (1 - 1 / 50)).max() < 0.15


def test_replicates_are_those_of_a_loop() -> None:
    found = resample(X, n_resamples=150, seed=4)
    weights = draws(ONE, 150, 4).astype(int)
    for k, x in enumerate(X):
        assert found.estimate[k] == pytest.approx(x.mean())
        assert found.error[k] == pytest.approx(stats.sem(x))
        for b in range(150):
            drawn = np.repeat(x, weights[:, b])
            wanted = (drawn.mean() - x.mean()) / (drawn.std(ddof=0) / np.sqrt(11))
            assert found.t[k, b] == pytest.approx(wanted, rel=1e-9)


def test_counts_make_it_a_ratio() -> None:
    counts = RNG.integers(0, 5, (2, 12)).astype(float)
    sums = RNG.standard_normal((2, 12)) * counts
    found = resample(sums, counts, n_resamples=150, seed=1)
    weights = draws(ONE, 150, 1).astype(int)
    for k in range(2):
        estimate, error = ratio(sums[k], counts[k])
        units = int((counts[k] > 0).sum())
        assert found.estimate[k] == pytest.approx(estimate)
        assert found.error[k] == pytest.approx(error * np.sqrt(units / (units - 1)))
        for b in range(150):
            x, c = np.repeat(sums[k], weights[:, b]), np.repeat(counts[k], weights[:, b])
            moved, own = ratio(x, c)
            assert found.t[k, b] == pytest.approx((moved - estimate) / own / np.sqrt(units / (units - 1)), rel=1e-8)


def test_a_unit_without_count_is_not_there_whatever_its_sum() -> None:
    counts = np.ones((1, 12))
    counts[0, [2, 5]] = 0
    spoilt = X[:1].copy()
    spoilt[0, [2, 5]] = np.nan
    found = resample(spoilt, counts)
    kept = np.delete(X[0], [2, 5])
    assert found.estimate[0] == pytest.approx(kept.mean())
    assert found.error[0] == pytest.approx(stats.sem(kept))


def test_strata_are_weighted_by_their_counts() -> None:
    labels = np.array([*"aaaabbbbbbbb"])
    found = resample(X, strata=labels, n_resamples=100, seed=2)
    codes = (labels == "b").astype(np.intp)
    weights = draws(codes, 100, 2).astype(int)
    for k, x in enumerate(X):
        a, b = x[:4], x[4:]
        error = np.sqrt((4 / 12) ** 2 * a.var(ddof=1) / 4 + (8 / 12) ** 2 * b.var(ddof=1) / 8)
        assert found.estimate[k] == pytest.approx(x.mean())
        assert found.error[k] == pytest.approx(error)
        for r in range(100):
            da, db = np.repeat(a, weights[:4, r]), np.repeat(b, weights[4:, r])
            moved = (da.mean() - a.mean()) * 4 / 12 + (db.mean() - b.mean()) * 8 / 12
            own = np.sqrt((4 / 12) ** 2 * da.var() / 3 + (8 / 12) ** 2 * db.var() / 7)
            if own > 1e-9:
                assert found.t[k, r] == pytest.approx(moved / own, rel=1e-8)


def two_way(d: Floats) -> tuple[float, float]:
    """Mean and error of a whole table of subjects x prompts, by mean squares."""
    n, m = d.shape
    rows, columns, mean = d.mean(1), d.mean(0), d.mean()
    of_rows = m * ((rows - mean) ** 2).sum() / (n - 1)
    of_columns = n * ((columns - mean) ** 2).sum() / (m - 1)
    left = ((d - rows[:, None] - columns + mean) ** 2).sum() / ((n - 1) * (m - 1))
    return float(mean), float(np.sqrt(max(of_rows + of_columns - left, of_rows, of_columns) / (n * m)))


def test_the_two_way_bootstrap_is_that_of_a_loop() -> None:
    table = RNG.standard_normal((9, 1)) + RNG.standard_normal((1, 7)) + RNG.standard_normal((9, 7))
    found = resample_crossed(table[None] / 7, np.full((1, 9, 7), 1 / 7), n_resamples=200, seed=6)
    mean, error = two_way(table)
    assert found.estimate[0] == pytest.approx(mean)
    assert found.error[0] == pytest.approx(error)
    by_unit = draws(np.zeros(9, dtype=np.intp), 200, 6).astype(int)
    by_prompt = draws(np.zeros(7, dtype=np.intp), 200, (6, 1)).astype(int)
    for b in range(200):
        drawn = np.repeat(np.repeat(table, by_unit[:, b], axis=0), by_prompt[:, b], axis=1)
        moved, own = two_way(drawn)
        assert found.t[0, b] == pytest.approx((moved - mean) / own, rel=1e-8)


def test_cells_that_are_missing_leave_the_two_way_error_sensible() -> None:
    table = RNG.standard_normal((40, 1)) + RNG.standard_normal((1, 20)) + RNG.standard_normal((40, 20))
    counts = (RNG.random((40, 20)) < 0.8) / 20.0
    whole = resample_crossed(table[None] / 20, np.full((1, 40, 20), 1 / 20))
    part = resample_crossed(table[None] * counts, counts[None])
    assert part.error[0] == pytest.approx(whole.error[0], rel=0.1)
    assert part.estimate[0] == pytest.approx(whole.estimate[0], abs=0.5 * whole.error[0])


def test_quantiles_are_scipys_of_weibull() -> None:
    t = RNG.standard_normal((4, 99))
    found = Resamples(np.zeros(4), np.ones(4), t, np.full(4, 9.0))
    for share in (0.025, 0.05, 0.31, 0.5, 0.975):
        np.testing.assert_allclose(found.quantile(share), np.quantile(t, share, axis=1, method="weibull"), rtol=1e-12)


def test_bounds_and_p_values_say_the_same() -> None:
    """A hundred series: the interval at 1 - alpha leaves 0 out where p <= alpha."""
    found = resample(RNG.standard_normal((100, 25)) + 0.4, n_resamples=999)
    p = found.p_values()
    assert (p > 0).all()
    assert (p <= 1).all()
    for alpha in (0.05, 0.2):
        low, high, _ = found.bounds(alpha / 2)
        assert (((low > 0) | (high < 0)) == (p < alpha)).mean() > 0.98


def test_few_units_leave_infinite_replicates_and_students_bounds() -> None:
    found = resample([[0.1, 0.4, 0.2]])
    assert np.isinf(found.t).mean() == pytest.approx(1 / 9, abs=0.02)
    low, high, studentised = found.bounds(0.025)
    theirs = stats.ttest_1samp([0.1, 0.4, 0.2], 0).confidence_interval()
    assert studentised == [False]
    assert [low[0], high[0]] == pytest.approx([theirs.low, theirs.high])


def test_a_series_without_any_unit_or_with_one_has_no_error() -> None:
    counts = np.zeros((2, 12))
    counts[1, 3] = 1
    found = resample(X[:2], counts, n_resamples=99)
    assert np.isnan(found.estimate[0])
    assert found.estimate[1] == X[1, 3]
    assert np.isnan(found.error).all()


@pytest.mark.parametrize("place", [0, 7, 8, 19])
def test_a_series_has_the_same_bits_alone_and_in_company(place: int) -> None:
    values = RNG.standard_normal((20, 31))
    alone, together = resample(values[[place]], n_resamples=500), resample(values, n_resamples=500)
    assert alone.t.tobytes() == together.t[[place]].tobytes()
    assert alone.error.tobytes() == together.error[[place]].tobytes()
    flips, many = sign_flip(values[[place]], n_resamples=500), sign_flip(values, n_resamples=500)
    assert flips.null.tobytes() == many.null[[place]].tobytes()


HASH = """
import hashlib, numpy as np
from evalkit.stats.crossed import resample_crossed
from evalkit.stats.resampling import resample
from evalkit.stats.signflip import sign_flip
x = np.random.default_rng(0).standard_normal((20, 150))
told = [resample(x).t, sign_flip(x).null, resample_crossed(x.reshape(4, 50, 15), n_resamples=999).t]
print([hashlib.sha256(part.tobytes()).hexdigest() for part in told])
"""


def test_the_number_of_threads_changes_no_bit() -> None:
    told = set()
    for threads in ("1", "2"):
        env = os.environ | {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        told.add(subprocess.run([sys.executable, "-c", HASH], env=env, capture_output=True, check=True).stdout)
    assert len(told) == 1


@pytest.mark.parametrize("make", [resample, sign_flip])
def test_another_seed_gives_other_replicates(make: object) -> None:
    first, again, other = (getattr(make(X, seed=s), "t" if make is resample else "null") for s in (1, 1, 2))  # type: ignore[operator]
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


@pytest.mark.parametrize("units", [1, 2, 9, 14])
def test_exact_flips_are_all_patterns(units: int) -> None:
    x = RNG.standard_normal(units) + 0.3
    signs = np.array(np.meshgrid(*[[-1, 1]] * units)).reshape(units, -1)
    wanted = np.mean(np.abs(signs.T @ x) >= abs(x.sum()) - 1e-12)
    assert sign_flip([x]).p_values[0] == pytest.approx(wanted, abs=1e-12)


def test_ties_count_as_far() -> None:
    """Sums that are equal in decimals and not in floating point."""
    assert sign_flip([[0.1, 0.2, -0.3, 0.3]]).p_values[0] == pytest.approx(12 / 16)


def test_a_unit_that_is_zero_changes_nothing() -> None:
    x = [0.4, -0.1, 0.3, 0.2]
    assert sign_flip([x]).p_values[0] == sign_flip([[*x, *[0.0] * 30]]).p_values[0]
    assert sign_flip([[0.0, 0.0]]).p_values[0] == 1.0


@pytest.mark.parametrize(
    ("sums", "counts", "message"),
    [
        (np.zeros(3), None, "wanted sums and counts of one shape in 2 dimensions, found (3,) and (3,)"),
        (np.zeros((1, 3)), np.ones((1, 2)), "found (1, 3) and (1, 2)"),
        (np.array([[1.0, np.nan]]), None, "wanted finite sums and counts of 0 or more, found others"),
        (np.zeros((1, 2)), np.array([[1.0, -1.0]]), "give a missing value the count 0"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(sums: Floats, counts: Floats | None, message: str) -> None:
    with pytest.raises(UsageError) as error:
        resample(sums, counts)
    assert message in str(error.value)


def test_strata_need_a_label_for_each_unit() -> None:
    with pytest.raises(UsageError, match="wanted a stratum for each of 12 units, found"):
        resample(X, strata=[0, 1])


def test_a_series_without_gaps_has_the_same_bits_beside_one_with_gaps() -> None:
    gaps = np.ones((4, 12))
    gaps[3, [2, 5]] = 0.0
    x = RNG.standard_normal((4, 12))
    alone, beside = resample(x[:3], n_resamples=199), resample(x, gaps, n_resamples=199)
    np.testing.assert_array_equal(beside.t[:3], alone.t)
    np.testing.assert_array_equal(beside.estimate[:3], alone.estimate)
    np.testing.assert_array_equal(beside.error[:3], alone.error)
