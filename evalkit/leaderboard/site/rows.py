"""A run as a row of a board: its numbers with their intervals and marks, of all cases and of each category."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from evalkit.leaderboard.site.model import Cell, Row
from evalkit.leaderboard.site.ranks import difference, kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evalkit.leaderboard.site.collect import Entry
    from evalkit.leaderboard.site.model import Column
    from evalkit.leaderboard.site.ranks import Ranks
    from evalkit.metrics.card import MetricCard
    from evalkit.stats import Laid, Means

CEILING = "real_images"
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_KINDS = ("method", "baseline", "folder", "control")


def ceilings_of(entries: Sequence[Entry], columns: Sequence[Column], found: Mapping[str, Means]) -> dict[str, float]:
    """What the real images surely do not exceed, on each column with the column's signature that a copy maximises."""
    return {
        column.label: mean.high if column.direction == "higher" else mean.low
        for entry in entries
        if entry.scored.result.method == CEILING
        for column in columns
        if (summary := entry.scored.result.scores.get(column.label)) is not None
        and summary.signature == column.signature
        and _copying_wins(entry.scored.card(column.label))
        and (mean := found[entry.slug].means.get(column.label)) is not None
        and math.isfinite(mean.high)
    }


def _copying_wins(card: MetricCard) -> bool:
    """Whether nothing is better than a picture that is the reference itself, as in measures of identity."""
    best = card.range[1] if card.direction == "higher" else card.range[0]
    return card.identical is not None and card.identical == best and "targets" in card.needs


def row_of(
    entry: Entry, odd: str | None, columns: Sequence[Column], own: Means, ranks: dict[str, Ranks],
    ceilings: dict[str, float],
) -> Row:  # fmt: skip
    """The row. odd: how its cases are others than most runs'; ranks and ceilings: by column."""
    scored = entry.scored
    cells = {}
    for column in columns:
        if (summary := scored.result.scores.get(column.label)) is None:
            continue
        interval = own.means.get(column.label)
        differs = difference(entry, column)
        rival = differs is None and odd is None and kind_of(entry) != "control"
        ceiling = ceilings.get(column.label) if rival else None
        above = (
            ceiling is not None
            and interval is not None
            and (interval.low > ceiling if column.direction == "higher" else interval.high < ceiling)
        )
        cells[column.label] = Cell(
            value=summary.value,
            low=_finite(interval.low) if interval else None,
            high=_finite(interval.high) if interval else None,
            n_scored=summary.n_scored,
            n_cases=summary.n_cases,
            states=summary.states,
            in_domain=column.label in scored.result.in_domain,
            differs=differs,
            above_ceiling=above,
        ).model_copy(update=_places(ranks.get(column.label), scored.name))
    cases = scored.cases.values()
    return Row(
        slug=entry.slug,
        name=scored.name,
        method=scored.result.method,
        title=entry.info.title if entry.info is not None else scored.result.method,
        kind=kind_of(entry),  # type: ignore[arg-type]
        subjects=len({case.subjects for case in cases}),
        n_cases=len(scored.cases),
        samples=len(scored.cases) * len(scored.seeds),
        rewards=scored.run.record.rewards,
        finished=entry.finished,
        other_cases=odd,
        cells=cells,
    )


def _places(ranks: Ranks | None, name: str) -> dict[str, object]:
    if ranks is None:
        return {}
    told = next((e for e in ranks.ranking.entries if e.name == name), None)
    if told is None:
        return {}
    groups = [_letter(place) for place, group in enumerate(ranks.ranking.groups) if name in group]
    return {"highest": told.highest, "lowest": told.lowest, "groups": " ".join(groups)}


def _letter(place: int) -> str:
    """a to z, then aa, ab and so on."""
    return (_ALPHABET[place // 26 - 1] if place >= 26 else "") + _ALPHABET[place % 26]


def by_category(
    entry: Entry, columns: Sequence[Column], categories: Sequence[str], laid: Laid, resamples: int, seed: int
) -> dict[str, dict[str, Cell]]:
    """The run's cells of each category alone."""
    found = {}
    for category in categories:
        cases = [case for case in entry.scored.cases.values() if case.category == category]
        means = laid.only({"+".join(case.subjects) for case in cases}).means(n_resamples=resamples, seed=seed).means
        cells = {}
        for column in columns:
            if column.label not in entry.scored.result.scores:
                continue
            here = entry.scored.kept(column.label, category)
            scored = int((~np.isnan(entry.scored.held(column.label).value[here])).sum())
            mean = means.get(column.label)
            cells[column.label] = Cell(
                value=mean.value if mean and scored else None,
                low=_finite(mean.low) if mean and scored else None,
                high=_finite(mean.high) if mean and scored else None,
                n_scored=scored,
                n_cases=int(here.sum()),
                in_domain=column.label in entry.scored.result.in_domain,
                differs=difference(entry, column),
            )
        found[category] = cells
    return found


def order_of(row: Row, columns: Sequence[Column]) -> tuple[object, ...]:
    """Methods before baselines, folders and controls, the best on the first column first."""
    first = row.cells.get(columns[0].label) if columns else None
    value = first.value if first is not None else None
    sign = -1 if columns and columns[0].direction == "higher" else 1
    return _KINDS.index(row.kind), value is None, 0.0 if value is None else sign * value, row.slug


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
