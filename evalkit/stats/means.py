"""What each method's own numbers say: a mean on every metric with its interval, and how the metrics' errors hang together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from evalkit.errors import UsageError
from evalkit.stats.crossed import resample_crossed
from evalkit.stats.design import design_of
from evalkit.stats.pairing import Pairs
from evalkit.stats.resampling import check_draws, resample
from evalkit.stats.sheet import sheet
from evalkit.stats.units import layout_of, place

if TYPE_CHECKING:
    from collections.abc import Container, Hashable, Mapping

    import pandas as pd

    from evalkit.stats.design import Design
    from evalkit.stats.sheet import Codes, Floats, Sheet
    from evalkit.stats.units import Layout


@dataclass(frozen=True)
class Mean:
    """One mean over all units, with its interval."""

    value: float
    low: float
    high: float
    n_units: int
    """Units (subjects, or clusters of them) that have a value."""


@dataclass(frozen=True)
class Means:
    """Means of several series over the same units."""

    means: dict[str, Mean]
    covariance: Floats
    """[K, K] of the means in the order of `means`: for joint regions of two metrics. NaN where an error is not known."""


@dataclass(frozen=True)
class Laid:
    """Several series as sums and counts of each unit, from which means of all units or of some are taken."""

    names: tuple[str, ...]
    design: Design
    sums: Floats
    """[K, U], or [K, U, P] where prompts are crossed."""
    counts: Floats
    stratum: Codes
    """[U]; all 0 without strata."""
    subjects: tuple[Hashable, ...]
    """[U]: the first subject of each unit."""

    def only(self, subjects: Container[Hashable]) -> Laid:
        """The same over the units whose subject is among these, which are then one stratum."""
        kept = np.array([subject in subjects for subject in self.subjects], dtype=bool)
        return replace(
            self,
            design=self.design.model_copy(update={"strata": False}),
            sums=self.sums[:, kept],
            counts=self.counts[:, kept],
            stratum=np.zeros(int(kept.sum()), dtype=np.intp),
            subjects=tuple(s for s, k in zip(self.subjects, kept, strict=True) if k),
        )

    def means(self, *, level: float = 0.95, n_resamples: int = 9999, seed: int = 0) -> Means:
        """Each series' mean and interval; a series without any value is left out.

        One with a value in a single unit has an interval of NaN, for one subject says nothing of others.
        Raises: UsageError for a level out of range.
        """
        if not 0 < level < 1:
            raise UsageError(f"wanted a level between 0 and 1, found {level!r}; 0.95 is the default")
        check_draws(n_resamples, seed)
        held = np.flatnonzero(self.counts.sum(tuple(range(1, self.counts.ndim))) > 0)
        if not len(held):
            return Means({}, np.zeros((0, 0)))
        sums, counts = self.sums[held], self.counts[held]
        of_units = counts
        if self.design.prompts == "crossed":
            found = resample_crossed(sums, counts, n_resamples=n_resamples, seed=seed)
            of_units = counts.sum(2)
        else:
            strata = self.stratum if self.design.strata else None
            found = resample(sums, counts, strata=strata, n_resamples=n_resamples, seed=seed)
        low, high, _ = found.bounds((1 - level) / 2)
        n_units = (of_units > 0).sum(1)
        low, high = (np.where(n_units < 2, np.nan, bound) for bound in (low, high))
        told = {
            self.names[place]: Mean(float(found.estimate[k]), float(low[k]), float(high[k]), int(n_units[k]))
            for k, place in enumerate(held)
        }
        return Means(told, _covariance(sums, counts, self.stratum, found.error))


def lay(
    series: Mapping[str, pd.DataFrame | Sheet],
    *,
    design: str | Design = "nested",
    average: Mapping[str, Literal["subjects", "samples"]] | None = None,
) -> Laid:
    """Series laid out over their units.

    series: name to tidy frame as `compare` takes them, or its sheet; the keys may differ. average, by name: `samples` (if
    nothing is said) is the weighted mean of all values, `subjects` the mean of subject means.

    Raises: UsageError for no series and for groups that the design wants and a frame lacks; what `sheet` raises.
    """
    if not series:
        raise UsageError("wanted series to take means of, found none")
    used = design_of(design)
    sheets = [sheet(frame, name=repr(name)) for name, frame in series.items()]
    pairs = [Pairs(s.keys, s.value, s.value, s.weight, s.groups) for s in sheets]
    layout = layout_of(pairs, used)
    told = average or {}
    units = [
        place(one, layout).units(one.a) if told.get(name) == "subjects" else _plain(one, layout)
        for name, one in zip(series, pairs, strict=True)
    ]
    sums, counts = (np.stack(parts) for parts in zip(*units, strict=True))
    first: dict[int, Hashable] = {}
    for subject, number in layout.subjects.items():
        first.setdefault(int(layout.unit[number]), subject)
    return Laid(tuple(series), used, sums, counts, layout.stratum, tuple(first[u] for u in range(layout.n_units)))


def means(
    series: Mapping[str, pd.DataFrame],
    *,
    design: str | Design = "nested",
    average: Literal["subjects", "samples"] = "samples",
    level: float = 0.95,
    n_resamples: int = 9999,
    seed: int = 0,
) -> Means:
    """The mean of each series with a bootstrap interval over units: `lay` and `Laid.means` in one.

    Source: as `resample`.
    """
    laid = lay(series, design=design, average=dict.fromkeys(series, average))
    return laid.means(level=level, n_resamples=n_resamples, seed=seed)


def _plain(pairs: Pairs, layout: Layout) -> tuple[Floats, Floats]:
    """Weighted sums and weights of each unit, [U], or [U, P] where prompts are crossed."""
    where = place(pairs, layout)
    present = ~np.isnan(pairs.a)
    cell = layout.unit[where.subject]
    shape: tuple[int, ...] = (layout.n_units,)
    if where.prompt is not None:
        shape = (layout.n_units, len(layout.prompts))
        cell = cell * shape[1] + where.prompt
    size = int(np.prod(shape))
    weight = np.where(present, pairs.weight, 0.0)
    sums, counts = (
        np.bincount(cell, weights=values, minlength=size).astype(np.float64).reshape(shape)
        for values in (np.where(present, pairs.a, 0.0) * weight, weight)
    )
    return sums, counts


def _covariance(sums: Floats, counts: Floats, stratum: Codes, error: Floats) -> Floats:
    """[K, K]: the errors of the means, correlated as the series are over what is drawn.

    sums, counts: [K, U], or [K, U, P] where prompts are drawn too; error: [K].
    """
    if sums.ndim == 2:
        together = _linearised(sums, counts, stratum)
    else:
        together = sum(
            (
                _linearised(sums.sum(axis), counts.sum(axis), np.zeros(sums.shape[3 - axis], dtype=np.intp))
                for axis in (2, 1)
            ),
            start=np.zeros((len(sums), len(sums))),
        )
    spread = np.sqrt(np.diag(together))
    size = np.outer(spread, spread)
    correlation = np.divide(together, size, out=np.zeros_like(together), where=size > 0)
    np.fill_diagonal(correlation, 1.0)
    scaled: Floats = correlation * np.outer(error, error)
    return scaled


def _linearised(sums: Floats, counts: Floats, stratum: Codes) -> Floats:
    """[K, K]: products of each unit's sum less the stratum's ratio times its count."""
    total = counts.sum(1)
    out = np.zeros((len(sums), len(sums)))
    for label in np.unique(stratum):
        inside = stratum == label
        s, c = sums[:, inside], counts[:, inside]
        below = c.sum(1)
        ratio = np.divide(s.sum(1), below, out=np.zeros(len(s)), where=below > 0)
        e = (s - ratio[:, None] * c) / total[:, None]
        n = int(inside.sum())
        out += (n / (n - 1) if n > 1 else 0.0) * (e @ e.T)
    return out
