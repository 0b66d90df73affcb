"""Planning: from a pilot, what it takes to show a difference, with the answer checked by drawing from the pilot."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, Literal

import numpy as np

from evalkit.errors import UsageError
from evalkit.nouns import Noun
from evalkit.stats.components import Components, variance_components
from evalkit.stats.pairing import pair
from evalkit.stats.pilot import Pilot
from evalkit.stats.power import Size, detectable, power_at, subjects_needed
from evalkit.stats.resampling import check_draws
from evalkit.stats.sheet import RERUN, read_rows, sheet

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd


class Choice(Noun):
    """One way to spend: so many prompts, seeds and judge runs, and the subjects that they then need."""

    prompts: int
    seeds: int
    judge_runs: int
    subjects: int | None = None
    """None where no number of subjects is enough, because too few prompts are crossed with them."""
    samples: int | None = None
    """Samples of each method."""
    judgements: int | None = None
    """Times the judge is asked about each method."""
    power: float | None = None
    """By the noncentral t at `subjects`, at least what was asked for."""
    simulated: float | None = None
    """Share of simulated evaluations of that size, drawn from the pilot, in which the design's own test found it."""


class Plan(Noun):
    """What detecting a difference takes."""

    design: Literal["nested", "crossed"]
    detect: float
    power: float
    alpha: float
    components: Components
    """Of the difference between the two pilot runs."""
    pilot: Size
    detectable: float | None
    """The smallest difference that the pilot's own size shows with that power."""
    choices: tuple[Choice, ...]
    """By the number of samples, fewest first."""
    replications: int
    n_resamples: int
    seed: int


def plan(
    pilot_a: pd.DataFrame,
    pilot_b: pd.DataFrame,
    detect: float,
    *,
    power: float = 0.8,
    design: Literal["nested", "crossed"] = "nested",
    alpha: float = 0.05,
    prompts: Sequence[int] | None = None,
    seeds: Sequence[int] = (1, 2, 4),
    judge_runs: Sequence[int] = (1,),
    replications: int = 500,
    n_resamples: int = 999,
    seed: int = 0,
) -> Plan:
    """The subjects that a difference needs, for several numbers of prompts, seeds and judge runs.

    pilot_a, pilot_b: tidy frames on the same keys, with judge_run where the judge was asked again. Two seeds or more let
    the pilot tell what more seeds would save; with one, the samples' part counts as the prompts'. detect: the difference
    in the metric's unit. prompts: numbers to try, by default half of, as many as and twice the
    pilot's, and four times where crossed.

    Raises: UsageError for arguments out of range; what `compare` and `variance_components` raise.
    Source: as `evalkit.stats.power` for the formula and `evalkit.stats.pilot` for the simulation.
    """
    check_draws(n_resamples, seed)
    if not math.isfinite(detect):
        raise UsageError(f"wanted a difference to show, found {detect!r}; give it in the metric's unit")
    if replications < 1:
        raise UsageError(f"wanted one replication or more, found {replications!r}; 500 is the default")
    frame = _difference(pilot_a, pilot_b)
    components = variance_components(frame, design=design)
    had = _size(frame)
    pilot = Pilot.of(frame, components)
    most = (2, 4) if design == "crossed" else (2,)
    tried = prompts or sorted({max(1, had.prompts // 2), had.prompts, *(k * had.prompts for k in most)})
    choices = []
    for place, (m, r, j) in enumerate(product(tried, seeds, judge_runs)):
        n = subjects_needed(components, detect, prompts=m, seeds=r, judge_runs=j, power=power, alpha=alpha)
        if n is None:
            choices.append(Choice(prompts=m, seeds=r, judge_runs=j))
            continue
        size = Size(subjects=n, prompts=m, seeds=r, judge_runs=j)
        rng = np.random.default_rng((seed, place))
        p = pilot.p_values(size, detect, replications=replications, n_resamples=n_resamples, rng=rng)
        choices.append(
            Choice(
                prompts=m,
                seeds=r,
                judge_runs=j,
                subjects=n,
                samples=size.samples,
                judgements=size.samples * j,
                power=power_at(components, size, detect, alpha=alpha),
                simulated=float(np.mean(p <= alpha)),
            )
        )
    return Plan(
        design=design,
        detect=detect,
        power=power,
        alpha=alpha,
        components=components,
        pilot=had,
        detectable=detectable(components, had, power=power, alpha=alpha),
        choices=tuple(sorted(choices, key=lambda choice: (choice.samples is None, choice.judgements or 0))),
        replications=replications,
        n_resamples=n_resamples,
        seed=seed,
    )


def _difference(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """a - b as a tidy frame, judge runs apart."""
    import pandas as pd

    pair(sheet(a, name="pilot_a"), sheet(b, name="pilot_b"))
    rows_a, rows_b = read_rows(a, name="pilot_a"), read_rows(b, name="pilot_b")
    if rows_a.keys != rows_b.keys:
        raise UsageError(f"wanted the same {RERUN}s in both pilots, found others; ask the judge as often about both")
    return pd.DataFrame({**rows_a.columns, "value": rows_a.value - rows_b.value})


def _size(frame: pd.DataFrame) -> Size:
    """The pilot's size, with middling numbers where subjects differ."""
    cells = frame.groupby(["subject", "prompt"], sort=False)
    return Size(
        subjects=frame["subject"].nunique(),
        prompts=int(frame.groupby("subject")["prompt"].nunique().median()),
        seeds=int(cells["seed"].nunique().median()),
        judge_runs=int(frame[RERUN].nunique()) if RERUN in frame.columns else 1,
    )
