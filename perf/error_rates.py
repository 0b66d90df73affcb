"""How often tests and intervals are wrong, by simulation, and how fast joint resampling is.

    python perf/error_rates.py [--replications N] [--part conventions|designs|families|speed] [--write]

Prints the error rates of the field's conventions, those of evalkit's own tests and intervals in every design, the chance
of any false claim in a family of comparisons, and the time of joint resampling against a loop over series. `--write`
stores the conventions' rates where `evalkit.stats.seeds_ttest` reads them.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from evalkit.stats.correction import adjust, max_t
from evalkit.stats.design import NAMED, Design
from evalkit.stats.rates import Rates, rates
from evalkit.stats.resampling import draws, resample
from evalkit.stats.signflip import sign_flip
from evalkit.stats.simulation import TABLE, World, convention_rates, differences

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

WORLDS = (
    World(name="DreamBench", subjects=30, prompts=25, images=4),
    World(name="DreamBench++", subjects=150, prompts=9),
    World(name="UnifyBench", subjects=20, prompts=100),
)
CROSSED = ((WORLDS[0], 0.0), (WORLDS[0], 0.01), (WORLDS[0], 0.03), (WORLDS[1], 0.01), (WORLDS[2], 0.03))
STRATA = {
    "DreamBench++ categories": (45, 20, 65, 20),
    "180 in seven categories": (26, 26, 26, 26, 26, 25, 25),
    "20 in three": (8, 7, 5),
}
CLUSTERS = {"180 videos of 60 subjects": 60, "60 videos of 20 subjects": 20}


class Case(NamedTuple):
    """Replications of null differences under one design."""

    name: str
    design: Design
    sums: Floats
    counts: Floats | None = None
    strata: NDArray[np.intp] | None = None


def nested(replications: int, rng: np.random.Generator) -> list[Case]:
    """The benchmarks' sizes, and numbers of subjects with normal means."""
    cases = [
        Case(f"{w.name} {w.subjects} x {w.prompts}", NAMED["nested"], differences(w, replications, rng).mean(2))
        for w in WORLDS
    ]
    return cases + [
        Case(f"{n} subjects", NAMED["nested"], rng.standard_normal((replications, n))) for n in (20, 30, 60, 150)
    ]


def skewed(replications: int, rng: np.random.Generator) -> list[Case]:
    """Exponential differences: what no symmetric test is made for."""
    drawn = rng.standard_exponential((replications, 20)) - 1
    return [Case("20 subjects, skewed", NAMED["nested"], drawn)]


def crossed(replications: int, rng: np.random.Generator) -> list[Case]:
    """The benchmarks' sizes with prompts that have effects of their own, and without."""
    cases = []
    for world, sd in CROSSED:
        drawn = differences(world.model_copy(update={"sd_prompt": sd}), replications, rng)
        name = f"{world.name} {world.subjects} x {world.prompts}, prompts' sd {sd:g}"
        cases.append(Case(name, NAMED["crossed"], drawn / world.prompts))
    return cases


def stratified(replications: int, rng: np.random.Generator) -> list[Case]:
    """Strata whose means differ by as much as subjects do, around 0."""
    cases = []
    for name, sizes in STRATA.items():
        labels = np.repeat(np.arange(len(sizes)), sizes)
        means = rng.standard_normal(len(sizes))[labels]
        drawn = rng.standard_normal((replications, len(labels))) + means - means.mean()
        cases.append(Case(name, NAMED["stratified"], drawn, strata=labels))
    return cases


def clusters(replications: int, rng: np.random.Generator) -> list[Case]:
    """Clusters of one to five units with half of the variance between clusters."""
    cases = []
    for name, n in CLUSTERS.items():
        sizes = np.tile([1, 2, 3, 4, 5], n // 5)
        drawn = rng.standard_normal((replications, n)) * sizes + rng.standard_normal((replications, n)) * np.sqrt(sizes)
        counts = np.broadcast_to(sizes.astype(np.float64), drawn.shape)
        cases.append(Case(name, NAMED["clusters"], drawn, counts))
    return cases


def case_rates(case: Case, *, n_resamples: int, seed: int = 0) -> Rates:
    """The rates of one case."""
    return rates(case.design, case.sums, case.counts, strata=case.strata, n_resamples=n_resamples, seed=seed)


def percentile_missed(sums: Floats, *, n_resamples: int, seed: int = 0) -> float:
    """How often the percentile bootstrap's 95 % interval of the mean misses 0."""
    weights = draws(np.zeros(sums.shape[1], dtype=np.intp), n_resamples, seed) / sums.shape[1]
    missed = []
    for start in range(0, len(sums), 50):
        low, high = np.quantile(sums[start : start + 50] @ weights, [0.025, 0.975], axis=1)
        missed.append((low > 0) | (high < 0))
    return float(np.mean(np.concatenate(missed)))


class FamilyRates(NamedTuple):
    """Share of families with a false claim at .05."""

    uncorrected: float
    holm: float
    max_t: float
    bootstrap_max_t: float
    one_step: float
    """Max-t in one step, as `ranks` uses it."""


def family_rates(
    replications: int, *, subjects: int, correlation: float, real: int = 0, n_resamples: int = 4999, seed: int = 0
) -> FamilyRates:
    """Families of 60 comparisons on the same subjects, `real` of them true and left out of the count.

    The bootstrap has fewer resamples than the flips, whose p-values Holm multiplies by 60.
    """
    rng = np.random.default_rng(seed)
    claims = np.zeros(5)
    for replication in range(replications):
        shared, own = rng.standard_normal((1, subjects)), rng.standard_normal((60, subjects))
        values = correlation**0.5 * shared + (1 - correlation) ** 0.5 * own
        values[:real] += 1.0
        flips = sign_flip(values, n_resamples=n_resamples, seed=replication)
        boot = resample(values, n_resamples=1999, seed=replication)
        adjusted = (
            flips.p_values,
            adjust(flips.p_values),
            max_t(flips.observed, flips.null),
            max_t(boot.observed, boot.t),
            max_t(flips.observed, flips.null, step_down=False),
        )
        claims += [bool((p[real:] <= 0.05).any()) for p in adjusted]
    return FamilyRates(*(claims / replications).tolist())


def speed() -> tuple[float, float]:
    """Seconds for 120 series of 150 subjects x 9 prompts, 9,999 resamples, intervals and max-t: jointly, and in a loop."""
    values = np.random.default_rng(0).standard_normal((120, 150, 9))
    start = time.perf_counter()
    found = resample(values.mean(2))
    found.bounds(0.025)
    max_t(found.observed, found.t)
    joint = time.perf_counter() - start
    rng = np.random.default_rng(0)
    start = time.perf_counter()
    for one in values[:4]:
        for _ in range(2500):
            drawn = one[rng.integers(0, 150, 150)].mean(1)
            drawn.mean() / (drawn.std(ddof=1) / 150**0.5)
    return joint, (time.perf_counter() - start) * 120 / 4 * 9999 / 2500


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replications", type=int, default=2000)
    parser.add_argument("--n-resamples", type=int, default=1999)
    parser.add_argument("--part", choices=("conventions", "designs", "families", "speed"), action="append")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    parts = given.part or ("conventions", "designs", "families", "speed")
    if "conventions" in parts:
        table = [convention_rates(world, replications=given.replications) for world in WORLDS]
        print("false positives at .05      item paired t  Welch, runs  paired t, runs  t, subjects")
        for found in table:
            told = (found.item_paired_t, found.welch_runs, found.paired_t_runs, found.subject_t)
            name = f"{found.world.name} {found.world.subjects} x {found.world.prompts} x {found.world.images}"
            print(f"{name:27} {told[0]:12.3f} {told[1]:12.3f} {told[2]:15.3f} {told[3]:12.3f}")
        if given.write:
            TABLE.write_text(json.dumps([found.model_dump(mode="json") for found in table], indent=1) + "\n")
    if "designs" in parts:
        print("\nnull differences                                   test   interval missed")
        rng = np.random.default_rng(1)
        for kind in (nested, skewed, crossed, stratified, clusters):
            for case in kind(given.replications, rng):
                found_rates = case_rates(case, n_resamples=given.n_resamples)
                print(f"{case.design.name:11} {case.name:36} {found_rates.rejected:.3f}  {found_rates.missed:.3f}")
    if "families" in parts:
        print("\nany false claim of 60             uncorrected  Holm   max-t  bootstrap max-t  one step")
        for subjects, correlation, real in ((30, 0.0, 0), (30, 0.8, 0), (30, 0.8, 20), (150, 0.8, 0)):
            some = family_rates(given.replications // 4, subjects=subjects, correlation=correlation, real=real)
            name = f"{subjects} subjects, r {correlation:g}, {real} real"
            print(f"{name:33} {some[0]:11.3f} {some[1]:.3f}  {some[2]:.3f} {some[3]:16.3f} {some[4]:9.3f}")
    if "speed" in parts:
        joint, loop = speed()
        print(f"\njoint resampling {joint:.2f} s, a loop over series {loop:.0f} s: {loop / joint:.0f} x")


if __name__ == "__main__":
    main()
