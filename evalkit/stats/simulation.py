"""Simulated benchmarks: how often a test calls a difference where there is none.

Two methods with the same mean, each with effects of its own on subjects, on prompts that subjects share, and on single
samples. Drawn as normal, because the error rates of interest come from ignored clustering, not from odd tails.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field, TypeAdapter

from evalkit.nouns import Noun

if TYPE_CHECKING:
    from evalkit.stats.sheet import Floats

TABLE = Path(__file__).with_name("error_rates.json")
CHUNK = 2**22
"""Samples drawn at a time."""


class World(Noun):
    """A benchmark's size, and standard deviations of each method's effects in the metric's unit."""

    name: str
    subjects: int = Field(ge=2)
    prompts: int = Field(ge=1)
    """Prompts a subject."""
    images: int = Field(default=1, ge=1)
    """Images a prompt in one run."""
    runs: int = Field(default=5, ge=2)
    sd_subject: float = Field(default=0.03, ge=0)
    sd_prompt: float = Field(default=0.0, ge=0)
    """Of effects that all subjects share."""
    sd_residual: float = Field(default=0.05, ge=0)


class ErrorRates(Noun):
    """Share of simulated null comparisons with p below `nominal`, by convention."""

    world: World
    nominal: float
    replications: int
    seed: int
    item_paired_t: float
    """Paired t over the items of one run, as if they were independent."""
    welch_runs: float
    """Welch's t between the runs' means of the two methods."""
    paired_t_runs: float
    """Paired t over the runs' means: what `seeds_ttest` computes."""
    subject_t: float
    """Paired t over subject means."""


def differences(world: World, replications: int, rng: np.random.Generator) -> Floats:
    """[replications, subjects, prompts]: null differences of two methods, averaged over the images of one run."""
    shape = replications, world.subjects, world.prompts
    root = np.sqrt(2.0)
    drawn: Floats = np.zeros(shape)
    drawn += root * world.sd_subject * rng.standard_normal((*shape[:2], 1))
    drawn += root * world.sd_prompt * rng.standard_normal((replications, 1, world.prompts))
    drawn += root * world.sd_residual / np.sqrt(world.images) * rng.standard_normal(shape)
    return drawn


def convention_rates(world: World, *, nominal: float = 0.05, replications: int = 2000, seed: int = 0) -> ErrorRates:
    """Error rates of the field's conventions in one world, by simulation from single samples."""
    from scipy import stats

    rng = np.random.default_rng(seed)
    size = 2 * world.subjects * world.prompts * world.images * world.runs
    chunk = max(1, CHUNK // size)
    p: list[Floats] = []
    for start in range(0, replications, chunk):
        a, b = _scores(world, min(chunk, replications - start), rng)
        d = a - b
        count = len(d)
        p.append(
            np.stack(
                [
                    stats.ttest_1samp(d[..., 0].reshape(count, -1), 0.0, axis=1).pvalue,
                    stats.ttest_ind(a.mean((1, 2)), b.mean((1, 2)), axis=1, equal_var=False).pvalue,
                    stats.ttest_1samp(d.mean((1, 2)), 0.0, axis=1).pvalue,
                    stats.ttest_1samp(d.mean((2, 3)), 0.0, axis=1).pvalue,
                ]
            )
        )
    item, welch, runs, subject = (np.concatenate(p, axis=1) < nominal).mean(1).tolist()
    return ErrorRates(
        world=world,
        nominal=nominal,
        replications=replications,
        seed=seed,
        item_paired_t=item,
        welch_runs=welch,
        paired_t_runs=runs,
        subject_t=subject,
    )


@cache
def measured() -> tuple[ErrorRates, ...]:
    """The table of error rates that `perf/error_rates.py --write` stored."""
    return TypeAdapter(tuple[ErrorRates, ...]).validate_json(TABLE.read_bytes())


def _scores(world: World, replications: int, rng: np.random.Generator) -> Floats:
    """[2, replications, subjects, prompts x images, runs]: both methods' scores, subjects and prompts the same in all runs."""
    subject = world.sd_subject * rng.standard_normal((2, replications, world.subjects, 1, 1))
    prompt = world.sd_prompt * rng.standard_normal((2, replications, 1, world.prompts, 1))
    items = world.prompts * world.images
    noise = rng.standard_normal((2, replications, world.subjects, items, world.runs))
    scores: Floats = subject + np.repeat(prompt, world.images, axis=3) + world.sd_residual * noise
    return scores
