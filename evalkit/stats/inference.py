"""The test and the interval of each design, for several series in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evalkit.stats.crossed import resample_crossed
from evalkit.stats.resampling import resample
from evalkit.stats.signflip import sign_flip

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from evalkit.stats.design import Design
    from evalkit.stats.joint import Joint
    from evalkit.stats.resamples import Resamples
    from evalkit.stats.result import Bootstrap, Interval, Test
    from evalkit.stats.sheet import Codes, Floats


@dataclass(frozen=True)
class Inference:
    """What is known of K series, each [K] or, for the null, [K, B]."""

    resamples: Resamples
    flat: list[bool]
    """No spread but rounding between the units."""
    bootstrap: Bootstrap
    p_values: Floats
    smallest_p: Floats
    tests: list[Test]
    observed: Floats
    """Statistics for `max_t`, with `null`."""
    null: Floats

    def bounds(self, tail: float) -> tuple[Floats, Floats, list[Interval]]:
        """Lower and upper bound, each missed with probability `tail`, and where they come from."""
        low, high, studentised = self.resamples.bounds(tail)
        estimate = self.resamples.estimate
        names: list[Interval] = [
            "no spread" if flat else self.bootstrap if ordinary else "Student t"
            for flat, ordinary in zip(self.flat, studentised, strict=True)
        ]
        return np.where(self.flat, estimate, low), np.where(self.flat, estimate, high), names


def infer(
    design: Design,
    sums: Floats,
    counts: Floats,
    *,
    strata: Codes | None = None,
    rounding: ArrayLike = 0.0,
    n_resamples: int = 9999,
    seed: int = 0,
) -> Inference:
    """Resamples the units once for all series.

    sums, counts: [K, U], or [K, U, P] where prompts are crossed, as `resample` and `resample_crossed` take them; strata:
    [U], for a design with strata; rounding: [K] or one number, the size of errors that are floating point's alone.

    Interval: the studentised bootstrap, two-way for crossed prompts. Test: where the units alone are random, the
    sign-flip; with fixed strata, whose means may differ while the whole is 0, and with crossed prompts, of which a flip
    of subjects takes no account, the studentised bootstrap's own p-value. A series without spread is tested by the flip
    in any design, because a bootstrap has nothing to go by there.
    """
    crossed = design.prompts == "crossed"
    if crossed:
        resamples = resample_crossed(sums, counts, n_resamples=n_resamples, seed=seed)
    else:
        resamples = resample(sums, counts, strata=strata if design.strata else None, n_resamples=n_resamples, seed=seed)
    flat = resamples.error <= np.asarray(rounding, dtype=np.float64)
    flipped = flat | design.flips
    own: Bootstrap = "two-way studentised bootstrap" if crossed else "studentised bootstrap"
    tests: list[Test] = [own] * len(sums)
    p_values, observed, null = resamples.p_values(), resamples.observed.copy(), resamples.t
    smallest = np.full(len(sums), 2 / (n_resamples + 1))
    if flipped.any():
        totals = sums.sum(2) if crossed else sums
        flips = sign_flip(totals[flipped], n_resamples=n_resamples, seed=seed)
        for place, exact in zip(np.flatnonzero(flipped).tolist(), flips.exact, strict=True):
            tests[place] = "exact sign-flip" if exact else "Monte Carlo sign-flip"
        null = null.copy()
        p_values[flipped], smallest[flipped] = flips.p_values, flips.smallest
        observed[flipped], null[flipped] = flips.observed, flips.null
    return Inference(
        resamples=resamples,
        flat=flat.tolist(),
        bootstrap=own,
        p_values=p_values,
        smallest_p=smallest,
        tests=tests,
        observed=observed,
        null=null,
    )


def infer_joint(joint: Joint, *, n_resamples: int, seed: int) -> Inference:
    """`infer` for series laid out together."""
    return infer(
        joint.design,
        joint.sums,
        joint.counts,
        strata=joint.layout.stratum,
        rounding=[pairs.rounding for pairs in joint.pairs],
        n_resamples=n_resamples,
        seed=seed,
    )
