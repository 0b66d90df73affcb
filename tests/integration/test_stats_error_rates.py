"""Error rates by simulation: what is called a difference where there is none, and what is found where there is one.

Seeds are fixed, so a result changes only with the code. With 2,000 replications a rate of .05 comes out between .040 and
.060 in nineteen of twenty tries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats

from evalkit.stats import Components, Size, compare, power_at
from evalkit.stats.design import NAMED
from evalkit.stats.rates import rates
from evalkit.stats.resampling import resample
from evalkit.stats.simulation import World, convention_rates, differences, measured
from perf import error_rates as simulated
from tests.unit.stats_samples import frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from evalkit.stats.rates import Rates

pytestmark = pytest.mark.slow
REPLICATIONS = 2000
RESAMPLES = 999
PROTOCOL = {
    "DreamBench": (0.70, 0.87, 0.85, 0.051),
    "DreamBench++": (0.28, 0.59, 0.54, 0.059),
    "UnifyBench": (0.70, 0.84, 0.83, 0.047),
}
"""False positives at .05 by another program: item-level paired t, Welch over runs, paired t over runs, t on subjects."""


def told(found: Rates, name: str) -> str:
    return f"{name}: rejected {found.rejected:.4f}, missed {found.missed:.4f}"


@pytest.mark.parametrize("world", simulated.WORLDS, ids=lambda w: w.name)
def test_the_conventions_error_rates_are_those_stored_and_those_known(world: World) -> None:
    found = convention_rates(world, replications=REPLICATIONS, seed=1)
    (stored,) = [one for one in measured() if one.world == world]
    known = PROTOCOL[world.name]
    for rate, other, wanted in zip(values(found), values(stored), known, strict=True):
        spread = np.sqrt(other * (1 - other) * (1 / REPLICATIONS + 1 / stored.replications))
        assert abs(rate - other) < 4 * spread
        assert abs(other - wanted) < 0.03


def values(found: object) -> list[float]:
    return [getattr(found, name) for name in ("item_paired_t", "welch_runs", "paired_t_runs", "subject_t")]


@pytest.mark.parametrize("draw", [simulated.nested, simulated.crossed, simulated.stratified, simulated.clusters],
                         ids=lambda d: d.__name__)  # fmt: skip
def test_the_default_test_and_interval_keep_their_level(
    draw: Callable[[int, np.random.Generator], list[simulated.Case]],
) -> None:
    for case in draw(REPLICATIONS, np.random.default_rng(1)):
        found = simulated.case_rates(case, n_resamples=RESAMPLES)
        assert 0.035 <= found.rejected <= 0.065, told(found, case.name)
        assert 0.03 <= found.missed <= 0.07, told(found, case.name)
        assert 0.035 <= found.passed <= 0.065, told(found, case.name)
        assert 0.035 <= found.failed <= 0.065, told(found, case.name)


def test_skewed_differences_are_the_intervals_case() -> None:
    """The sign-flip's null is symmetry: with exponential differences of 20 subjects it rejects a null mean too often, and
    the studentised interval does not miss it."""
    (case,) = simulated.skewed(REPLICATIONS, np.random.default_rng(1))
    found = simulated.case_rates(case, n_resamples=RESAMPLES)
    assert 0.06 <= found.rejected <= 0.095
    assert 0.035 <= found.missed <= 0.065


def test_prompts_effects_break_the_flip_of_subjects() -> None:
    """Why crossed prompts have a test of their own."""
    for case in simulated.crossed(500, np.random.default_rng(1))[2:4]:
        assert rates(NAMED["nested"], case.sums.sum(2), n_resamples=RESAMPLES).rejected > 0.12, case.name


@pytest.mark.parametrize(("subjects", "least"), [(10, 0.075), (20, 0.06), (30, 0.055)])
def test_percentile_and_bca_intervals_miss_too_often_below_60_subjects(subjects: int, least: float) -> None:
    drawn = np.random.default_rng(2).standard_normal((REPLICATIONS, subjects))
    assert simulated.percentile_missed(drawn, n_resamples=RESAMPLES) > least
    bca = stats.bootstrap((drawn,), np.mean, axis=1, n_resamples=RESAMPLES, batch=50, rng=np.random.default_rng(0))
    assert np.mean((bca.confidence_interval.low > 0) | (bca.confidence_interval.high < 0)) > least
    low, high, _ = resample(drawn, n_resamples=RESAMPLES).bounds(0.025)
    assert 0.035 <= np.mean((low > 0) | (high < 0)) <= 0.065


@pytest.mark.parametrize(("correlation", "real"), [(0.0, 0), (0.8, 0), (0.8, 20)])
def test_families_keep_their_error(correlation: float, real: int) -> None:
    found = simulated.family_rates(REPLICATIONS, subjects=30, correlation=correlation, real=real, seed=3)
    assert found.uncorrected > 0.25
    assert found.holm <= 0.06
    assert found.max_t <= 0.06
    assert found.bootstrap_max_t <= 0.06
    assert found.one_step <= found.max_t
    if correlation == 0:
        assert found.uncorrected == pytest.approx(1 - 0.95**60, abs=0.02)
    else:
        assert found.holm < found.max_t


def components(world: World, design: str) -> Components:
    return Components(
        design=design,  # type: ignore[arg-type]
        subject=2 * world.sd_subject**2,
        prompt=2 * world.sd_prompt**2 if design == "crossed" else None,
        interaction=None,
        seed=None,
        residual=2 * world.sd_residual**2,
        judge=None,
        truncated=(),
        merged={},
        n_subjects=world.subjects,
        n_values=world.subjects * world.prompts,
        n_missing=0,
    )


@pytest.mark.parametrize(
    ("subjects", "prompts", "sd_prompt", "detect"),
    [(20, 10, 0.0, 0.02), (30, 25, 0.0, 0.024), (60, 4, 0.0, 0.02), (150, 9, 0.0, 0.009), (30, 25, 0.03, 0.04),
     (40, 20, 0.01, 0.02)],
)  # fmt: skip
def test_power_is_that_of_theory(subjects: int, prompts: int, sd_prompt: float, detect: float) -> None:
    world = World(name="w", subjects=subjects, prompts=prompts, sd_prompt=sd_prompt)
    design = "crossed" if sd_prompt else "nested"
    drawn = differences(world, REPLICATIONS, np.random.default_rng(4)) + detect
    sums = drawn / prompts if sd_prompt else drawn.mean(2)
    found = rates(NAMED[design], sums, truth=detect, n_resamples=RESAMPLES)
    wanted = power_at(components(world, design), Size(subjects=subjects, prompts=prompts), detect)
    assert 0.2 < wanted < 0.95
    assert found.rejected == pytest.approx(wanted, abs=0.03)
    assert 0.03 <= found.missed <= 0.07


def test_a_gate_passes_and_fails_at_the_stated_rates() -> None:
    """Candidates worse by the margin pass and fail in a twentieth each; equal ones pass, and worse ones fail, as often
    as theory has it."""
    world, margin = World(name="w", subjects=40, prompts=9), 0.02
    drawn = differences(world, REPLICATIONS, np.random.default_rng(5)).mean(2)
    at_margin = rates(NAMED["nested"], drawn, n_resamples=RESAMPLES)
    assert 0.035 <= at_margin.passed <= 0.065
    assert 0.035 <= at_margin.failed <= 0.065
    error = np.sqrt(2 * (world.sd_subject**2 / 40 + world.sd_residual**2 / 360))
    one_sided = float(stats.nct.sf(stats.t.ppf(0.95, 39), 39, margin / error))
    equal = rates(NAMED["nested"], drawn + margin, n_resamples=RESAMPLES)
    assert equal.passed == pytest.approx(one_sided, abs=0.03)
    assert equal.failed < 0.001
    worse = rates(NAMED["nested"], drawn - margin, n_resamples=RESAMPLES)
    assert worse.failed == pytest.approx(one_sided, abs=0.03)
    assert worse.passed < 0.001


@pytest.mark.parametrize("design", ["nested", "crossed"])
def test_what_is_simulated_is_what_compare_does(design: str) -> None:
    drawn = differences(World(name="w", subjects=25, prompts=6), 40, np.random.default_rng(6))
    made = []
    for one in drawn:
        base = np.random.default_rng(7).standard_normal(one.shape)
        made.append(compare(frame(base + one), frame(base), design=design, n_resamples=RESAMPLES))
    sums = drawn / 6 if design == "crossed" else drawn.mean(2)
    found = rates(NAMED[design], sums, n_resamples=RESAMPLES)
    assert found.rejected == np.mean([c.p_value <= 0.05 for c in made])
    assert found.missed == np.mean([c.ci_low > 0 or c.ci_high < 0 for c in made])
