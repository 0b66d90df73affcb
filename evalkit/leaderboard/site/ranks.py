"""The ranks of one column of a board, and which of its runs' numbers may stand beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evalkit.errors import EvalkitError
from evalkit.nouns import Signature
from evalkit.stats.ranking import Ranking, Told, rank_pairs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evalkit.leaderboard.site.collect import Entry
    from evalkit.leaderboard.site.model import Column
    from evalkit.stats.sheet import Sheet

LEVEL = 0.95


class Ranks(NamedTuple):
    """One column's ranks, and each pair of runs that they rest on."""

    ranking: Ranking
    pairs: list[Told]


def ranked(
    column: Column, entries: Sequence[Entry], sheets: Mapping[str, Mapping[str, Sheet]], *, resamples: int, seed: int
) -> Ranks | str:
    """The ranks of a column, or why there are none. sheets: by slug and column."""
    rivals = {
        e.scored.name: sheets[e.slug][column.label].unweighted()
        for e in entries
        if column.label in e.scored.result.scores and difference(e, column) is None and kind_of(e) != "control"
    }
    if len(rivals) < 2:
        return "fewer than two methods can be compared on it"
    try:
        return Ranks(
            *rank_pairs(
                rivals, design=entries[0].scored.design, level=LEVEL, higher_is_better=column.direction == "higher",
                n_resamples=resamples, seed=seed,
            )
        )  # fmt: skip
    except EvalkitError as error:
        return str(error)


def difference(entry: Entry, column: Column) -> str | None:
    """Which part of the run's signature is not the column's, None where all are."""
    told = Signature.parse(entry.scored.result.scores[column.label].signature)
    first = told.first_difference(Signature.parse(column.signature))
    return None if first is None else f"{first[0]} is {first[1] or 'nothing'}, with most runs {first[2] or 'nothing'}"


def kind_of(entry: Entry) -> str:
    """`control`, `baseline`, `method`, or `folder` for somebody's own samples."""
    return entry.info.kind if entry.info is not None else "folder"
