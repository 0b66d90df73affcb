"""Drawing whole evaluations from a pilot, to check a plan on the pilot's own distributions.

Each part's effects are estimated by means and what is left of them, rescaled so that their variance is the part's
component, and drawn anew with replacement. Drawing the pilot's subjects themselves would carry the pilot's noise along
and count it twice.

Source: Carpenter, Goldstein and Rasbash, A novel bootstrap procedure for assessing the relationship between class size
and achievement (Journal of the Royal Statistical Society C, 2003), the reflated residual bootstrap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evalkit.stats.crossed import resample_crossed
from evalkit.stats.signflip import sign_flip

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.stats.components import Components, Part
    from evalkit.stats.power import Size
    from evalkit.stats.sheet import Floats

CHUNK = 2**22
"""Values drawn at a time."""


@dataclass(frozen=True)
class Pilot:
    """Effects to draw from, with mean 0, by part."""

    crossed: bool
    pools: dict[Part, Floats]

    @classmethod
    def of(cls, frame: pd.DataFrame, components: Components) -> Pilot:
        """The effects in a frame of differences (subject, prompt, seed, value, perhaps judge_run)."""
        frame = frame.dropna(subset=["value"])
        value = frame["value"] - frame["value"].mean()
        subject = value.groupby(frame["subject"]).transform("mean")
        cell = value.groupby([frame["subject"], frame["prompt"]]).transform("mean")
        sample = value.groupby([frame["subject"], frame["prompt"], frame["seed"]]).transform("mean")
        crossed = components.design == "crossed"
        prompt = value.groupby(frame["prompt"]).transform("mean") if crossed else cell - subject
        left: dict[Part, pd.Series[float]] = {
            "subject": subject,
            "prompt": prompt,
            "interaction": cell - subject - prompt,
            "residual": sample - cell,
            "judge": value - sample,
        }
        pools = {
            part: _reflated(np.asarray(effects, dtype=np.float64), components.of(part))
            for part, effects in left.items()
        }
        return cls(crossed, {part: pool for part, pool in pools.items() if pool.any()})

    def p_values(
        self, size: Size, detect: float, *, replications: int, n_resamples: int, rng: np.random.Generator
    ) -> Floats:
        """[replications]: p of the design's own test on evaluations of that size with a true difference of `detect`."""
        values = size.samples * size.judge_runs
        chunk = max(1, CHUNK // values)
        found = []
        for start in range(0, replications, chunk):
            cells = detect + self._draw(size, min(chunk, replications - start), rng)
            seed = int(rng.integers(2**31))
            if self.crossed:
                sums = cells / size.prompts
                counts = np.full(sums.shape, 1 / size.prompts)
                p = resample_crossed(sums, counts, n_resamples=n_resamples, seed=seed).p_values()
            else:
                p = sign_flip(cells.mean(2), n_resamples=n_resamples, seed=seed).p_values
            found.append(p)
        return np.concatenate(found)

    def _draw(self, size: Size, replications: int, rng: np.random.Generator) -> Floats:
        """[replications, subjects, prompts]: effects averaged over seeds and judge runs."""
        n, m, r, j = size.subjects, size.prompts, size.seeds, size.judge_runs
        shapes: dict[Part, tuple[int, ...]] = {
            "subject": (n, 1, 1, 1),
            "prompt": (1 if self.crossed else n, m, 1, 1),
            "interaction": (n, m, 1, 1),
            "residual": (n, m, r, 1),
            "judge": (n, m, r, j),
        }
        drawn = np.zeros((replications, n, m))
        for part, pool in self.pools.items():
            drawn = drawn + rng.choice(pool, (replications, *shapes[part])).mean((3, 4))
        return drawn


def _reflated(effects: Floats, variance: float) -> Floats:
    """The effects centred and stretched to the variance; all 0 where there is none of either."""
    pool = effects - effects.mean()
    spread = float(pool.std())
    return pool * (variance**0.5 / spread) if spread > 0 else np.zeros(1)
