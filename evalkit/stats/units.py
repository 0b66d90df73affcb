"""From paired rows to what is resampled: one sum and one count for each unit, be it a subject or a cluster of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evalkit.errors import DataError, UsageError
from evalkit.stats.sheet import sort_key

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from evalkit.stats.design import Design
    from evalkit.stats.pairing import Pairs
    from evalkit.stats.sheet import Codes, Floats


@dataclass(frozen=True)
class Layout:
    """Where rows belong, shared by all series that are resampled together."""

    subjects: dict[Hashable, int]
    prompts: dict[Hashable, int]
    """Empty where prompts are nested."""
    unit: Codes
    """[subjects]: the unit (subject or cluster) of each."""
    stratum: Codes
    """[units]; all 0 without strata."""

    @property
    def n_units(self) -> int:
        """How many units there are."""
        return len(self.stratum)


@dataclass(frozen=True)
class Placed:
    """One series' rows in a layout."""

    layout: Layout
    subject: Codes
    """[rows]"""
    prompt: Codes | None
    """[rows], where prompts are crossed."""
    weight: Floats

    def subject_means(self, values: Floats) -> Floats:
        """[subjects]: the weighted mean of each subject's values (NaN is left out), NaN for a subject without any."""
        present, weight = ~np.isnan(values), self._weights(values)
        total = _sums(self.subject, np.where(present, values * self.weight, 0.0), len(weight))
        return _ratio(total, weight, np.nan)

    def mean(self, values: Floats) -> float:
        """The mean of the subject means, over subjects with a value."""
        means = self.subject_means(values)
        return float(np.mean(means[~np.isnan(means)]))

    def units(self, values: Floats) -> tuple[Floats, Floats]:
        """Sums and counts, [units], or [units, prompts] where crossed: the sums over the counts are the mean of means.

        A subject with a value counts 1, spread over its prompts as its values are.
        """
        if self.prompt is None:
            means = self.subject_means(values)
            held = ~np.isnan(means)
            size = self.layout.n_units
            return (
                _sums(self.layout.unit, np.where(held, means, 0.0), size),
                _sums(self.layout.unit, held.astype(np.float64), size),
            )
        present, weight = ~np.isnan(values), self._weights(values)
        share = np.where(present, _ratio(self.weight, weight[self.subject], 0.0), 0.0)
        shape = self.layout.n_units, len(self.layout.prompts)
        cell = self.layout.unit[self.subject] * shape[1] + self.prompt
        sums = _sums(cell, share * np.where(present, values, 0.0), shape[0] * shape[1])
        return sums.reshape(shape), _sums(cell, share, shape[0] * shape[1]).reshape(shape)

    def _weights(self, values: Floats) -> Floats:
        """[subjects]: the weight of each subject's values together."""
        return _sums(self.subject, np.where(np.isnan(values), 0.0, self.weight), len(self.layout.subjects))


def layout_of(series: Sequence[Pairs], design: Design) -> Layout:
    """The layout of all keys of the series together.

    Raises: UsageError where the design needs a column that is not there, and for crossed prompts that no two subjects
    share; DataError for a subject in two strata or clusters, or a cluster in two strata.
    """
    subjects = _numbered(sorted({key[0] for pairs in series for key in pairs.keys}, key=sort_key))
    clusters = _merged(series, "cluster", design) if design.clusters else {s: s for s in subjects}
    strata = _merged(series, "stratum", design) if design.strata else dict.fromkeys(subjects, 0)
    units = _numbered([clusters[subject] for subject in subjects])
    stratum_of_unit: dict[Hashable, Hashable] = {}
    for subject in subjects:
        kept = stratum_of_unit.setdefault(clusters[subject], strata[subject])
        if kept != strata[subject]:
            raise DataError(
                f"wanted each cluster in one stratum, found {clusters[subject]!r} in {kept!r} and {strata[subject]!r}; "
                "take coarser strata"
            )
    numbers = _numbered(sorted(set(strata.values()), key=sort_key))
    prompts = _crossed(series) if design.prompts == "crossed" else {}
    return Layout(
        subjects,
        prompts,
        np.array([units[clusters[subject]] for subject in subjects], dtype=np.intp),
        np.array([numbers[stratum_of_unit[unit]] for unit in units], dtype=np.intp),
    )


def place(pairs: Pairs, layout: Layout) -> Placed:
    """The rows of one series in the layout, which must hold its keys."""
    subject = np.array([layout.subjects[key[0]] for key in pairs.keys], dtype=np.intp)
    prompt = np.array([layout.prompts[key[1]] for key in pairs.keys], dtype=np.intp) if layout.prompts else None
    return Placed(layout, subject, prompt, pairs.weight)


def _numbered(labels: Sequence[Hashable]) -> dict[Hashable, int]:
    """Label to number, in the order of first appearance."""
    return {label: i for i, label in enumerate(dict.fromkeys(labels))}


def _merged(series: Sequence[Pairs], column: str, design: Design) -> dict[Hashable, Hashable]:
    """Subject to its stratum or cluster, which all series must agree on."""
    found: dict[Hashable, Hashable] = {}
    for pairs in series:
        for subject, label in pairs.group(column, design.name).items():
            if found.setdefault(subject, label) != label:
                raise DataError(
                    f"wanted one {column} for each subject, found {found[subject]!r} and {label!r} for {subject!r}; mend "
                    "the frames"
                )
    return found


def _crossed(series: Sequence[Pairs]) -> dict[Hashable, int]:
    """Prompts in their order, of which some two subjects must share one."""
    cells = {key[:2] for pairs in series for key in pairs.keys}
    prompts = _numbered(sorted({prompt for _, prompt in cells}, key=sort_key))
    if len(prompts) < 2 or len(cells) == len(prompts):
        raise UsageError(
            f"wanted two prompts or more that subjects share, found {len(prompts)} in {len(cells)} (subject, prompt); "
            "take the design 'nested'"
        )
    return prompts


def _sums(groups: Codes, values: Floats, size: int) -> Floats:
    sums: Floats = np.bincount(groups, weights=values, minlength=size).astype(np.float64, copy=False)
    return sums


def _ratio(above: Floats, below: Floats, otherwise: float) -> Floats:
    """above / below, and `otherwise` where nothing is below."""
    ratio: Floats = np.divide(above, below, out=np.full(len(above), otherwise), where=below > 0)
    return ratio
