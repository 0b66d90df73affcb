"""Several pairs of runs and metrics laid out for one pass of resampling, after checking that each can be compared."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evalkit.errors import DataError, UsageError
from evalkit.stats.units import layout_of, place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evalkit.stats.design import Design
    from evalkit.stats.pairing import Pairs
    from evalkit.stats.sheet import Floats
    from evalkit.stats.units import Layout, Placed


@dataclass(frozen=True)
class Joint:
    """K series of differences over the same units."""

    design: Design
    layout: Layout
    pairs: Sequence[Pairs]
    placed: Sequence[Placed]
    sums: Floats
    """[K, U], or [K, U, P] where prompts are crossed."""
    counts: Floats


def join(series: Sequence[Pairs], design: Design) -> Joint:
    """The series side by side over all their units; a unit that a series has no value of counts 0 in it."""
    layout = layout_of(series, design)
    return _laid_out(series, [place(pairs, layout) for pairs in series], design)


def join_alike(series: Sequence[Pairs], design: Design) -> Joint:
    """`join` of series that share their keys, groups and weights, as those of many methods on one metric do."""
    where = place(series[0], layout_of(series[:1], design))
    return _laid_out(series, [where] * len(series), design)


def _laid_out(series: Sequence[Pairs], placed: Sequence[Placed], design: Design) -> Joint:
    layout = placed[0].layout
    units = [where.units(pairs.difference) for where, pairs in zip(placed, series, strict=True)]
    return Joint(
        design, layout, series, placed, np.stack([sums for sums, _ in units]), np.stack([counts for _, counts in units])
    )


def check_comparable(pairs: Pairs, design: Design) -> None:
    """Raises where no difference can be told between the two.

    DataError: nothing scored on both sides, a score that never varies, one subject. UsageError: units, strata or
    prompts too few for the design, or their column not there.
    """
    check_values(pairs)
    check_units(pairs, design)


def check_values(pairs: Pairs) -> None:
    """The part of `check_comparable` that goes by the scores: some on both sides, and not all the same."""
    if not pairs.complete.any():
        told = f"{int(np.isnan(pairs.a).sum())} of {len(pairs.a)} missing in a, {int(np.isnan(pairs.b).sum())} in b"
        raise DataError(f"wanted values on both sides, found no key with both ({told}); score the runs first")
    scored = np.flatnonzero(pairs.complete)
    first, last = (pairs.keys[place][0] for place in scored[[0, -1]])  # keys are sorted by subject
    if first == last:
        raise DataError(
            f"wanted two subjects or more, found values of {first!r} alone; one subject says nothing about others, "
            "whatever its prompts and seeds: compare on more"
        )
    a, b = pairs.a[pairs.complete], pairs.b[pairs.complete]
    if max(np.ptp(a), np.ptp(b)) <= pairs.rounding:
        raise DataError(
            f"wanted scores that vary, found {a[0]:.6g} everywhere in a and {b[0]:.6g} everywhere in b; a metric that "
            "tells no two samples apart supports no comparison: look at the samples and the metric's card"
        )


def check_units(pairs: Pairs, design: Design) -> None:
    """The part of `check_comparable` that goes by which keys have scores on both sides."""
    scored = [key for key, both in zip(pairs.keys, pairs.complete, strict=True) if both]
    subjects = list(dict.fromkeys(key[0] for key in scored))
    if design.prompts == "crossed" and len({key[1] for key in scored}) < 2:
        raise UsageError(
            "wanted two prompts or more for crossed prompts, found values of one; take the design 'nested'"
        )
    layout = layout_of([pairs], design)
    units = {int(layout.unit[layout.subjects[subject]]): subject for subject in subjects}
    if len(units) < 2:
        cluster = pairs.group("cluster", design.name)[subjects[0]]
        raise UsageError(f"wanted two clusters or more, found all subjects in {cluster!r}; compare on more")
    held = Counter(int(layout.stratum[unit]) for unit in units)
    alone = [subject for unit, subject in units.items() if held[int(layout.stratum[unit])] < 2]
    if alone:
        strata = pairs.group("stratum", design.name)
        raise UsageError(
            f"wanted two units or more in each stratum, found one in {', '.join(repr(strata[s]) for s in alone)}; compare "
            "on more cases (a run with --limit may have too few), merge strata, or take a design without"
        )
