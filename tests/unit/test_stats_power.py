"""Power, sizes, plans and the seeds convention, against closed forms, statsmodels and simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from evalkit.errors import DataError, UsageError
from evalkit.stats import (
    Components,
    Size,
    detectable,
    plan,
    power_at,
    seeds_ttest,
    standard_error,
    subjects_needed,
    variance_components,
)
from evalkit.stats.pilot import Pilot
from evalkit.stats.simulation import measured
from tests.unit.stats_samples import frame, scores

PARTS: dict[str, Any] = {
    "design": "nested", "subject": 0.03**2, "prompt": None, "interaction": None, "seed": None, "residual": 0.05**2,
    "judge": None, "truncated": (), "merged": {}, "n_subjects": 30, "n_values": 750, "n_missing": 0,
}  # fmt: skip


def components(**parts: Any) -> Components:
    return Components(**{**PARTS, **parts})


@pytest.mark.parametrize(
    ("subjects", "prompts", "seeds", "wanted"),
    [(30, 25, 4, 0.0155), (30, 25, 20, 0.0154), (150, 9, 1, 0.0078), (150, 9, 5, 0.0071), (180, 1, 1, 0.0122),
     (180, 1, 5, 0.0078)],
)  # fmt: skip
def test_more_seeds_hardly_help(subjects: int, prompts: int, seeds: int, wanted: float) -> None:
    """Smallest differences at 80 % power for subjects' sd .03 and samples' .05, by the normal approximation; Student's t
    asks for more of few subjects."""
    size = Size(subjects=subjects, prompts=prompts, seeds=seeds)
    normal = (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * standard_error(components(), size)
    assert normal == pytest.approx(wanted, abs=0.00006)
    found = detectable(components(), size)
    assert found is not None
    assert normal < found < normal * (1.05 if subjects == 30 else 1.01)


def test_each_variance_is_divided_by_the_number_of_its_draws() -> None:
    size = Size(subjects=10, prompts=4, seeds=3, judge_runs=2)
    nested = components(subject=1.0, prompt=2.0, residual=3.0, judge=4.0, seed=9.0)
    assert standard_error(nested, size) ** 2 == pytest.approx(1 / 10 + 2 / 40 + 3 / 120 + 4 / 240)
    crossed = components(design="crossed", subject=1.0, prompt=2.0, interaction=5.0, residual=3.0, judge=4.0)
    assert standard_error(crossed, size) ** 2 == pytest.approx(1 / 10 + 2 / 4 + 5 / 40 + 3 / 120 + 4 / 240)
    assert size.samples == 120


@pytest.mark.parametrize(("subjects", "detect"), [(8, 0.05), (30, 0.015), (150, 0.008), (30, 1e-9)])
def test_power_is_statsmodels(subjects: int, detect: float) -> None:
    power = pytest.importorskip("statsmodels.stats.power", reason="statsmodels is not installed")
    size = Size(subjects=subjects, prompts=9)
    d = detect / standard_error(components(), size) / np.sqrt(subjects)
    theirs = power.TTestPower().power(d, subjects, 0.05, alternative="larger" if detect < 1e-6 else "two-sided")
    ours = power_at(components(), size, detect)
    assert ours == pytest.approx(theirs / 2 if detect < 1e-6 else theirs, abs=1e-3)


def test_power_goes_from_half_of_alpha_to_1() -> None:
    size = Size(subjects=30, prompts=9)
    found = [power_at(components(), size, d) for d in (1e-9, 0.005, 0.01, 0.02, 1.0, 1e6)]
    assert found == sorted(found)
    assert found[0] == pytest.approx(0.025, abs=1e-6)
    assert found[-2:] == [1.0, 1.0]


@pytest.mark.parametrize("subjects", [2, 5])
def test_subjects_too_few_for_any_flip_have_no_power(subjects: int) -> None:
    size = Size(subjects=subjects)
    assert power_at(components(), size, 100.0) == 0.0
    assert detectable(components(), size) is None
    assert power_at(components(), Size(subjects=6), 100.0) == 1.0


@pytest.mark.parametrize("detect", [0.004, 0.01, 0.03, 1.0])
def test_the_fewest_subjects_are_enough_and_one_less_is_not(detect: float) -> None:
    n = subjects_needed(components(), detect, prompts=9)
    assert n is not None
    assert power_at(components(), Size(subjects=n, prompts=9), detect) >= 0.8
    assert power_at(components(), Size(subjects=n - 1, prompts=9), detect) < 0.8


def test_crossed_prompts_limit_what_subjects_can_show() -> None:
    crossed = components(design="crossed", prompt=0.02**2)
    assert subjects_needed(crossed, 0.01, prompts=10) is None
    more = subjects_needed(crossed, 0.01, prompts=100)
    assert more is not None
    assert power_at(crossed, Size(subjects=more, prompts=100), 0.01) >= 0.8


def test_without_variance_every_difference_shows() -> None:
    none = components(subject=0.0, residual=0.0)
    assert power_at(none, Size(subjects=6), 1e-9) == 1.0
    assert detectable(none, Size(subjects=6)) == 0.0
    assert subjects_needed(none, 1e-9) == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"detect": 0.0}, "wanted a difference above 0 to detect, found 0.0; give its size in the metric's unit"),
        ({"detect": -1.0}, "wanted a difference above 0 to detect, found -1.0"),
        ({"detect": 0.1, "power": 0.04}, "wanted 0 < alpha < power < 1, found alpha 0.05 and power 0.04"),
        ({"detect": 0.1, "power": 1.0}, "wanted 0 < alpha < power < 1"),
        ({"detect": 0.1, "prompts": 0}, "wanted one prompt, seed and judge run or more, found 0, 1 and 1"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        subjects_needed(components(), **arguments)
    assert message in str(error.value)


def test_an_alpha_is_a_probability() -> None:
    with pytest.raises(UsageError, match="wanted alpha between 0 and 1, found 5"):
        power_at(components(), Size(subjects=6), 1.0, alpha=5)


@pytest.mark.parametrize("design", ["nested", "crossed"])
def test_a_plan_is_checked_by_drawing_from_the_pilot(design: Any) -> None:
    a, b = scores(25, 4, 2, sd_prompt=0.2, seed=1), scores(25, 4, 2, seed=2)
    found = plan(a, b, 0.6, design=design, prompts=[4, 8], seeds=[1, 2], replications=400, n_resamples=499)
    assert [c.samples for c in found.choices] == sorted(c.samples for c in found.choices if c.samples is not None)
    assert {(c.prompts, c.seeds) for c in found.choices} == {(4, 1), (4, 2), (8, 1), (8, 2)}
    for choice in found.choices:
        assert choice.power is not None
        assert choice.simulated is not None
        assert choice.subjects is not None
        assert 0.8 <= choice.power < 0.84
        assert choice.simulated == pytest.approx(choice.power, abs=0.08)
        assert choice.samples == choice.judgements == choice.subjects * choice.prompts * choice.seeds
    assert (found.pilot.subjects, found.pilot.prompts, found.pilot.seeds) == (25, 4, 2)
    assert found.detectable == detectable(found.components, found.pilot)
    again = plan(a, b, 0.6, design=design, prompts=[4, 8], seeds=[1, 2], replications=400, n_resamples=499)
    assert again == found


def test_a_plan_says_where_no_number_of_subjects_is_enough() -> None:
    a, b = scores(25, 4, 1, sd_prompt=2, seed=1), scores(25, 4, 1, seed=2)
    found = plan(a, b, 0.05, design="crossed", replications=10)
    assert {c.prompts for c in found.choices} == {2, 4, 8, 16}
    assert all(c.subjects is c.samples is c.power is c.simulated is None for c in found.choices)


def test_judge_reruns_are_planned_where_the_pilot_has_them() -> None:
    rng = np.random.default_rng(0)
    shape = (30, 3, 2, 2)
    a, b = (frame(rng.standard_normal((30, 1, 1, 1)) + 3 * rng.standard_normal(shape)) for _ in range(2))
    found = plan(a, b, 1.0, prompts=[3], seeds=[1], judge_runs=[1, 4], replications=100)
    once, often = sorted(found.choices, key=lambda c: c.judge_runs)
    assert found.components.judge == pytest.approx(18, rel=0.2)
    assert once.subjects is not None
    assert often.subjects is not None
    assert often.subjects < once.subjects
    assert often.judgements == 4 * often.subjects * 3
    with pytest.raises(UsageError, match="wanted the same judge_runs in both pilots"):
        plan(a, b[(b["judge_run"] == 0) | (b["seed"] == 0)], 1.0)


def test_a_pilots_effects_have_the_components_variance() -> None:
    a = scores(20, 5, 3, seed=1)
    found = variance_components(a)
    pilot = Pilot.of(a, found)
    for part, pool in pilot.pools.items():
        assert pool.mean() == pytest.approx(0, abs=1e-12)
        assert pool.var() == pytest.approx(found.of(part))


def test_a_plan_needs_a_replication() -> None:
    with pytest.raises(UsageError, match="wanted one replication or more, found 0"):
        plan(scores(5, seed=1), scores(5, seed=2), 1.0, replications=0)


def test_the_seeds_convention_is_scipys_paired_t() -> None:
    a, b = scores(12, 3, 5, seed=1), scores(12, 3, 5, seed=2)
    found = seeds_ttest(a, b)
    theirs = stats.ttest_rel(a.groupby("seed")["value"].mean(), b.groupby("seed")["value"].mean())
    assert [found.t, found.p_value] == pytest.approx([theirs.statistic, theirs.pvalue])
    assert (found.n_seeds, found.degrees_of_freedom) == (5, 4)


def test_it_is_labelled_with_what_was_measured() -> None:
    found = seeds_ttest(scores(12, 3, 5, seed=1), scores(12, 3, 5, seed=2))
    assert found.measured == measured()
    for one in measured():
        assert f"{one.paired_t_runs:.0%} on {one.world.subjects} subjects x {one.world.prompts} prompts" in found.label


def test_the_label_holds_what_theory_says() -> None:
    """The runs' t is a t of too small an error; its inflation follows from the variances."""
    for found in measured():
        w = found.world
        samples = w.subjects * w.prompts * w.images * w.runs
        ratio = np.sqrt(1 + w.sd_subject**2 / w.subjects / (w.sd_residual**2 / samples))
        wanted = 2 * stats.t.sf(stats.t.ppf(0.975, w.runs - 1) / ratio, w.runs - 1)
        assert found.paired_t_runs == pytest.approx(wanted, abs=4 * np.sqrt(wanted * (1 - wanted) / found.replications))


def test_seeds_that_do_not_vary_give_no_t() -> None:
    one = scores(6, 2, 1, seed=1)
    a = frame(np.repeat(one["value"].to_numpy().reshape(6, 2, 1), 3, axis=2))
    same = seeds_ttest(a, a)
    assert (same.difference, same.t, same.p_value) == (0.0, 0.0, 1.0)
    with pytest.raises(DataError, match="wanted seeds that vary, found the difference 0.5 in all 3; are they copies"):
        seeds_ttest(a.assign(value=a["value"] + 0.5), a)
    with pytest.raises(UsageError, match="wanted two seeds or more, found one"):
        seeds_ttest(one, one)
