"""Scores to compare, generated: frames with effects of subjects, prompts and samples, and what goes wrong with frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def frame(values: ArrayLike) -> pd.DataFrame:
    """A tidy frame of values [subjects, prompts, seeds] (or [subjects, prompts], or [subjects]), or with judge runs last."""
    array = np.asarray(values, dtype=np.float64)
    named = ["subject", "prompt", "seed", "judge_run"]
    array = array.reshape(array.shape + (1,) * (3 - array.ndim)) if array.ndim < 3 else array
    places = np.indices(array.shape).reshape(array.ndim, -1)
    columns = dict(zip(named[: array.ndim], places, strict=True))
    told = pd.DataFrame(columns).assign(value=array.ravel())
    return told.assign(subject=[f"s{i:03d}" for i in told["subject"]], prompt=[f"p{i:02d}" for i in told["prompt"]])


def scores(
    subjects: int = 30, prompts: int = 4, seeds: int = 2, *, shift: float = 0.0, sd_prompt: float = 0.0, seed: int = 0
) -> pd.DataFrame:
    """Scores of one method: subjects' effects sd 1, prompts' as asked, samples' sd 1."""
    rng = np.random.default_rng(seed)
    subject = rng.standard_normal((subjects, 1, 1))
    prompt = sd_prompt * rng.standard_normal((1, prompts, 1))
    return frame(shift + subject + prompt + rng.standard_normal((subjects, prompts, seeds)))
