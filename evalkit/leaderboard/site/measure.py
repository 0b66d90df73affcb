"""A board from its runs: which numbers may stand beside each other, their intervals, ranks and marks."""

from __future__ import annotations

import math
from collections import Counter
from statistics import median
from typing import TYPE_CHECKING, Literal, NamedTuple

from evalkit.engine.result import decimals
from evalkit.leaderboard.site.model import Board, Column
from evalkit.leaderboard.site.ranks import Ranks, ranked
from evalkit.leaderboard.site.rows import by_category, ceilings_of, order_of, row_of
from evalkit.registry import BENCHMARKS, load
from evalkit.stats import Laid, Means, lay

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evalkit.benchmarks.spec import BenchmarkSpec
    from evalkit.leaderboard.site.collect import BoardKey, Entry
    from evalkit.metrics.card import MetricCard
    from evalkit.runs.cases import RunCase
    from evalkit.stats.sheet import Sheet


class Measured(NamedTuple):
    """A board with what its plots need beside it."""

    board: Board
    means: dict[str, Means]
    """By run slug, for joint regions."""
    ranks: dict[str, Ranks]
    """By column."""


def measure(key: BoardKey, entries: Sequence[Entry], *, resamples: int, seed: int = 0) -> Measured:
    """The board of runs that share `key`.

    A column's signature is the most frequent one among the runs; a run with another keeps its number, is marked, and
    takes no part in the ranks. So does a run over other cases than most. Controls are no competitors and have no rank.
    """
    spec: BenchmarkSpec = load(BENCHMARKS, key.benchmark).spec
    odd = _other_cases(entries)
    columns = _columns(entries)
    sheets = {entry.slug: _sheets(entry, columns) for entry in entries}
    laid = {entry.slug: _laid(entry, sheets[entry.slug]) for entry in entries}
    found = {name: one.means(n_resamples=resamples, seed=seed) for name, one in laid.items()}
    columns = [_with_decimals(column, list(found.values())) for column in columns]
    ranks: dict[str, Ranks] = {}
    alike = [e for e in entries if e.slug not in odd]
    for place, column in enumerate(columns):
        told = ranked(column, alike, sheets, resamples=resamples, seed=seed)
        if isinstance(told, Ranks):
            ranks[column.label] = told
        else:
            columns[place] = column.model_copy(update={"unranked": told})
    categories = tuple(dict.fromkeys(case.category for e in entries for case in e.scored.cases.values()))
    categories = categories if len(categories) > 1 else ()
    ceilings = ceilings_of(alike, columns, found)
    rows = [row_of(e, odd.get(e.slug), columns, found[e.slug], ranks, ceilings) for e in entries]
    rows = [
        row.model_copy(update={"by_category": by_category(e, columns, categories, laid[e.slug], resamples, seed)})
        for row, e in zip(rows, entries, strict=True)
    ]
    board = Board(
        slug=key.slug, benchmark=key.benchmark, protocol=key.protocol,
        profile="sandbox" if key.profile == "sandbox" else "paper", world=key.world, title=spec.title,
        protocol_title=spec.protocol(key.protocol).title, source=spec.protocol(key.protocol).source,
        medium=spec.medium, design=entries[0].scored.design.name, unit=spec.design.unit, note=spec.design.note,
        categories=categories, cases=max(len(e.scored.cases) for e in entries if e.slug not in odd),
        resamples=resamples, columns=tuple(columns), rows=tuple(sorted(rows, key=lambda row: order_of(row, columns))),
    )  # fmt: skip
    return Measured(board, found, ranks)


def _other_cases(entries: Sequence[Entry]) -> dict[str, str]:
    """Runs whose cases and seeds are not those of most, with how they differ."""
    keys = {e.slug: (frozenset(map(_identity, e.scored.run.requested)), e.scored.seeds) for e in entries}
    most = Counter(keys.values()).most_common(1)[0][0]
    told = {}
    for name, (cases, seeds) in keys.items():
        if (cases, seeds) != most:
            shared = len(cases & most[0])
            told[name] = (
                f"{len(cases)} cases x {len(seeds)} seeds, {shared} of them among the {len(most[0])} of the others"
            )
    return told


def _identity(case: RunCase) -> tuple[object, ...]:
    """A case with its prompt and the pixels of its pictures, as `evalkit compare` wants them the same."""
    return case.case_id, case.sha256, tuple(sorted(case.pixels.items()))


def _columns(entries: Sequence[Entry]) -> list[Column]:
    """Every metric of any run, in the order of the runs' tables, with the signature that most of them have."""
    labels = dict.fromkeys(label for entry in entries for label in entry.scored.result.scores)
    found = []
    for label in labels:
        having = [entry for entry in entries if label in entry.scored.result.scores]
        signature = Counter(e.scored.result.scores[label].signature for e in having).most_common(1)[0][0]
        scored = next(e.scored for e in having if e.scored.result.scores[label].signature == signature)
        card: MetricCard = scored.card(label)
        found.append(
            Column(
                label=label, metric=card.name, variant=scored.choice(label).variant, title=card.title, meaning=card.meaning,
                unit=card.unit, direction=card.direction, scale=scored.result.scales[label],
                decimals=decimals(scored.result.scales[label]), family=scored.family(label), signature=signature,
            )
        )  # fmt: skip
    return found


def _sheets(entry: Entry, columns: Sequence[Column]) -> dict[str, Sheet]:
    """The run's scores by column, with the weights that the column's aggregation counts by."""
    scored = entry.scored
    return {
        c.label: scored.sheet(c.label, weights=scored.choice(c.label).aggregation == "micro")
        for c in columns
        if c.label in scored.result.scores
    }


def _laid(entry: Entry, sheets: Mapping[str, Sheet]) -> Laid:
    average: dict[str, Literal["subjects", "samples"]] = {
        label: "subjects" if entry.scored.choice(label).aggregation == "macro" else "samples" for label in sheets
    }
    return lay(sheets, design=entry.scored.design, average=average)


def _with_decimals(column: Column, found: Sequence[Means]) -> Column:
    """So many decimals that half an interval has two digits, and never more than the metric's own."""
    halves = [(m.high - m.low) / 2 for means in found if (m := means.means.get(column.label))]
    halves = [half for half in halves if math.isfinite(half) and half > 0]
    if not halves:
        return column
    wanted = max(0, 1 - math.floor(math.log10(median(halves))))
    return column.model_copy(update={"decimals": min(column.decimals, wanted)})
