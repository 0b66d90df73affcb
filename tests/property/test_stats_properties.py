"""What holds of any comparison: of any scores, in any order, in any unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evalkit.errors import EvalkitError
from evalkit.stats import adjust, compare, gate, max_t, paired, ranks, sign_flip
from tests.unit.stats_samples import frame

if TYPE_CHECKING:
    from evalkit.stats import Comparison

DESIGNS = ["nested", "crossed", "stratified", "clusters"]
VALUES = st.one_of(st.integers(-8, 8).map(lambda v: v / 8), st.floats(-1, 1, width=32))
QUICK = settings(max_examples=20, deadline=None)


@st.composite
def two_runs(draw: st.DrawFn, *, missing: bool = True) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two runs on the same 4 to 24 subjects, two to a cluster and four or more to a stratum, some values missing."""
    subjects = 2 * draw(st.integers(2, 12))
    shape = subjects, draw(st.integers(2, 3)), 1
    elements = st.one_of(VALUES, st.just(float("nan"))) if missing else VALUES
    a, b = (frame(draw(arrays(np.float64, shape, elements=elements))) for _ in range(2))
    number = a["subject"].str[1:].astype(int)
    strata = max(1, subjects // 8)
    groups = {"cluster": [f"c{n // 2}" for n in number], "stratum": [f"h{(n // 2) % strata}" for n in number]}
    return a.assign(**groups), b.assign(**groups)


def compared(a: pd.DataFrame, b: pd.DataFrame, design: str, **more: Any) -> Comparison:
    """The comparison; scores that cannot be compared are another test's."""
    try:
        return compare(a, b, design=design, n_resamples=199, **more)
    except EvalkitError:
        assume(False)
        raise


def moved(f: pd.DataFrame, by: float = 0.0, times: float = 1.0) -> pd.DataFrame:
    return f.assign(value=f["value"] * times + by)


@pytest.mark.parametrize("design", DESIGNS)
@QUICK
@given(two_runs())
def test_a_comparison_is_finite_and_holds_together(design: str, runs: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    found = compared(*runs, design, value_range=(-1, 1))
    assert found.worst_low is not None
    assert found.worst_high is not None
    assert all(np.isfinite(v) for v in found.model_dump().values() if isinstance(v, float))
    assert 0 < found.smallest_p <= 1
    assert 0 < found.p_value <= 1
    assert found.ci_low <= found.difference <= found.ci_high
    assert found.difference == pytest.approx(found.mean_a - found.mean_b, abs=1e-12)
    assert 0 <= found.win_probability <= 1
    assert found.n_units <= found.n_subjects <= found.n_pairs == len(runs[0]) - found.n_missing
    assert found.worst_low <= found.worst_high
    if found.n_missing == 0:
        assert found.worst_low == pytest.approx(found.difference, abs=1e-12)


@pytest.mark.parametrize("design", DESIGNS)
@QUICK
@given(two_runs())
def test_swapping_the_runs_mirrors_everything(design: str, runs: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    a, b = runs
    one, other = compared(a, b, design, value_range=(-1, 1)), compared(b, a, design, value_range=(-1, 1))
    assert other.difference == -one.difference
    assert (other.ci_low, other.ci_high) == pytest.approx((-one.ci_high, -one.ci_low), rel=1e-12)
    assert (other.p_value, other.test, other.interval) == (one.p_value, one.test, one.interval)
    assert other.win_probability == pytest.approx(1 - one.win_probability)
    assert (other.mean_a, other.coverage_a, other.n_pairs) == (one.mean_b, one.coverage_b, one.n_pairs)
    assert (other.effect_size is None) == (one.effect_size is None)
    assert (other.effect_size or 0.0) == pytest.approx(-(one.effect_size or 0.0))


@pytest.mark.parametrize("design", DESIGNS)
@QUICK
@given(two_runs(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_bit(design: str, runs: tuple[pd.DataFrame, pd.DataFrame], random: Any) -> None:
    a, b = runs
    order_a, order_b = list(range(len(a))), list(range(len(b)))
    random.shuffle(order_a)
    random.shuffle(order_b)
    assert compared(a.iloc[order_a], b.iloc[order_b], design) == compared(a, b, design)


@pytest.mark.parametrize("design", DESIGNS)
@QUICK
@given(two_runs(), st.integers(-64, 64).map(lambda v: v / 64))
def test_a_shift_of_one_run_shifts_the_interval(
    design: str, runs: tuple[pd.DataFrame, pd.DataFrame], by: float
) -> None:
    a, b = runs
    base, shifted = compared(a, b, design), compared(moved(a, by), b, design)
    assert shifted.difference == pytest.approx(base.difference + by, abs=1e-9)
    if base.interval == shifted.interval:
        assert shifted.ci_low == pytest.approx(base.ci_low + by, abs=1e-7 * (1 + abs(base.ci_low)))
        assert shifted.ci_high == pytest.approx(base.ci_high + by, abs=1e-7 * (1 + abs(base.ci_high)))
    both = compared(moved(a, by), moved(b, by), design)
    assert both.difference == pytest.approx(base.difference, abs=1e-9)


@pytest.mark.parametrize("design", DESIGNS)
@QUICK
@given(two_runs(), st.sampled_from([2.0**-30, 2.0**-3, 2.0, 2.0**30]))
def test_another_unit_changes_the_unit_alone(
    design: str, runs: tuple[pd.DataFrame, pd.DataFrame], times: float
) -> None:
    """A power of two is exact in floating point, so the bits are the same but for the unit."""
    a, b = runs
    base, scaled = compared(a, b, design), compared(moved(a, times=times), moved(b, times=times), design)
    for field in ("difference", "ci_low", "ci_high", "mean_a", "mean_b"):
        assert getattr(scaled, field) == times * getattr(base, field)
    for field in ("p_value", "effect_size", "win_probability", "test", "interval", "n_units"):
        assert getattr(scaled, field) == getattr(base, field)


@QUICK
@given(two_runs())
def test_pairs_keep_every_value_at_its_key(runs: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    a, b = runs
    found = paired(a.iloc[::-1], b)
    keys = ["subject", "prompt", "seed"]
    wanted = a.merge(b, on=keys, suffixes=("_a", "_b")).sort_values(keys)
    for column in ("value_a", "value_b"):
        np.testing.assert_array_equal(found[column], wanted[column])


@QUICK
@given(two_runs(missing=False), st.floats(0, 1), st.floats(0, 1))
def test_a_wider_margin_never_turns_a_pass_into_less(
    runs: tuple[pd.DataFrame, pd.DataFrame], one: float, other: float
) -> None:
    order = {"fail": 0, "inconclusive": 1, "pass": 2}
    try:
        narrow, wide = (gate(*runs, margin, n_resamples=199) for margin in sorted((one, other)))
    except EvalkitError:
        assume(False)
    assert order[narrow] <= order[wide]


P_VALUES = st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), min_size=1, max_size=12)


@given(P_VALUES, st.randoms(use_true_random=False))
def test_adjusted_values_are_larger_keep_their_order_and_go_with_their_test(p: list[float], random: Any) -> None:
    order = list(range(len(p)))
    random.shuffle(order)
    raw = np.array(p)
    holm, bh = adjust(p, "holm"), adjust(p, "bh")
    for found, method in ((holm, "holm"), (bh, "bh")):
        np.testing.assert_array_equal(adjust(raw[order], method), found[order])  # type: ignore[arg-type]
        counted = ~np.isnan(raw)
        np.testing.assert_array_equal(np.isnan(found), ~counted)
        assert (found[counted] >= raw[counted]).all()
        assert (found[counted] <= 1).all()
        ranked = found[counted][np.argsort(raw[counted], kind="stable")]
        assert (np.diff(ranked) >= 0).all()
    assert (holm[~np.isnan(raw)] >= bh[~np.isnan(raw)] - 1e-15).all()


@QUICK
@given(arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(2, 12)), elements=VALUES))
def test_max_t_is_between_its_own_test_and_one_step(sums: Any) -> None:
    flips = sign_flip(sums, n_resamples=199)
    down, step = max_t(flips.observed, flips.null), max_t(flips.observed, flips.null, step_down=False)
    own = np.array([max_t(flips.observed[[k]], flips.null[[k]])[0] for k in range(len(sums))])
    assert (own <= down).all()
    assert (down <= step).all()
    assert ((flips.p_values >= flips.smallest) & (flips.p_values <= 1)).all()


@settings(max_examples=20, deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(2, 4), st.integers(4, 10), st.just(2)), elements=VALUES))
def test_rank_sets_hold_ranks_and_groups_hold_everybody(values: Any) -> None:
    methods = {f"m{i}": frame(v) for i, v in enumerate(values)}
    try:
        found = ranks(methods, n_resamples=199)
    except EvalkitError:
        assume(False)
    k = len(methods)
    assert {name for group in found.groups for name in group} == set(methods)
    for entry in found.entries:
        assert 1 <= entry.lowest <= entry.rank <= entry.highest <= k
    assert [e.mean for e in found.entries] == sorted((e.mean for e in found.entries), reverse=True)
