"""Means with intervals: against direct formulas, and what is left out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from evalkit.errors import UsageError
from evalkit.stats import Design, lay, means


def frame(values: np.ndarray) -> pd.DataFrame:
    """[subjects, prompts] as a tidy frame."""
    rows = [(f"s{i:02d}", str(j), 0, v) for (i, j), v in np.ndenumerate(values)]
    return pd.DataFrame(rows, columns=["subject", "prompt", "seed", "value"])


def made(seed: int, subjects: int = 30, prompts: int = 4) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(0.5, 0.1, (subjects, 1)) + rng.normal(0, 0.05, (subjects, prompts))


def test_the_mean_is_the_plain_mean_and_the_interval_is_about_student_s() -> None:
    values = made(1)
    found = means({"m": frame(values)}).means["m"]
    by_subject = values.mean(1)
    error = by_subject.std(ddof=1) / np.sqrt(len(values))
    assert found.value == pytest.approx(values.mean())
    assert found.n_units == 30
    assert found.low < found.value < found.high
    assert 0.8 < (found.high - found.low) / (2 * 2.045 * error) < 1.3


def test_the_covariance_is_that_of_the_subject_means() -> None:
    a, b = made(1), made(2)
    b = 0.5 * a + b
    found = means({"a": frame(a), "b": frame(b)}).covariance
    wanted = np.cov(a.mean(1), b.mean(1)) / len(a)
    assert found == pytest.approx(wanted)


def test_the_covariance_is_as_wide_as_the_intervals_where_prompts_are_drawn_too() -> None:
    rng = np.random.default_rng(5)
    prompts = rng.normal(0, 0.3, (1, 4))
    a, b = made(5) + prompts, made(6) + prompts
    nested, crossed = (means({"a": frame(a), "b": frame(b)}, design=d).covariance for d in ("nested", "crossed"))
    assert crossed[0, 0] > 4 * nested[0, 0]
    assert crossed[0, 1] / np.sqrt(crossed[0, 0] * crossed[1, 1]) > 0.9
    assert (np.linalg.eigvalsh(crossed) > -1e-12).all()


def test_what_has_no_interval_has_no_covariance() -> None:
    told = frame(made(6)).assign(stratum=np.repeat(["a", "b"], (116, 4)))
    found = means({"a": told, "b": told}, design=Design(strata=True))
    assert np.isnan(found.means["a"].low)
    assert np.isnan(found.covariance).all()


def test_missing_values_weigh_by_what_is_there() -> None:
    values = made(3)
    values[0, 1:] = np.nan
    told = {"m": frame(values)}
    assert means(told).means["m"].value == pytest.approx(np.nanmean(values))
    assert means(told, average="subjects").means["m"].value == pytest.approx(np.nanmean(values, axis=1).mean())


def test_weights_count_as_often_as_they_say() -> None:
    values = made(4, prompts=1)
    weight = np.arange(1, 31, dtype=float)
    told = frame(values).assign(weight=weight)
    assert means({"m": told}).means["m"].value == pytest.approx(np.average(values[:, 0], weights=weight))


def test_a_series_without_values_is_left_out_and_one_subject_has_no_interval() -> None:
    none = frame(np.full((5, 2), np.nan))
    alone = frame(made(1, subjects=1))
    found = means({"none": none, "alone": alone}).means
    assert set(found) == {"alone"}
    assert np.isnan(found["alone"].low)
    assert np.isnan(found["alone"].high)


def test_crossed_prompts_widen_the_interval_where_prompts_have_effects() -> None:
    rng = np.random.default_rng(5)
    values = made(5) + rng.normal(0, 0.3, (1, 4))
    nested, crossed = (means({"m": frame(values)}, design=d).means["m"] for d in ("nested", "crossed"))
    assert crossed.high - crossed.low > 2 * (nested.high - nested.low)


def test_strata_narrow_it_where_they_differ() -> None:
    values = made(6) + np.repeat([0.0, 1.0], 15)[:, None]
    told = frame(values).assign(stratum=np.repeat(["a", "b"], 60))
    nested, stratified = (means({"m": told}, design=d).means["m"] for d in (Design(), Design(strata=True)))
    assert stratified.high - stratified.low < 0.5 * (nested.high - nested.low)
    assert stratified.value == pytest.approx(nested.value)


def test_equal_seeds_give_equal_bits_and_others_do_not() -> None:
    told = {"m": frame(made(7))}
    one, again, other = (means(told, seed=seed).means["m"] for seed in (0, 0, 1))
    assert one == again
    assert one.low != other.low


def test_the_interval_covers_as_often_as_it_says() -> None:
    inside = 0
    for seed in range(400):
        found = means({"m": frame(made(1000 + seed, prompts=2))}, n_resamples=499).means["m"]
        inside += found.low <= 0.5 <= found.high
    assert 0.91 <= inside / 400 <= 0.985


def test_means_of_some_subjects_are_those_of_a_frame_of_them_alone() -> None:
    values = made(8)
    some = {f"s{i:02d}" for i in range(10)}
    found = lay({"m": frame(values)}).only(some).means().means["m"]
    assert found == means({"m": frame(values[:10])}).means["m"]


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_level_out_of_range_is_refused(level: float) -> None:
    with pytest.raises(UsageError, match="wanted a level between 0 and 1, found"):
        means({"m": frame(made(1))}, level=level)
