"""Best and second best as marked, and stars, against the numbers they stand on."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from evalkit.leaderboard.finding import Finding, place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from evalkit.leaderboard.reported import Column, Marks, Reported, Row, Table

RANKS = ("best", "second best")


class _Group(NamedTuple):
    """The rows of a column that one best is marked among."""

    column: Column
    values: dict[str, Decimal]
    """By row key."""
    ranking: list[Decimal]
    """The distinct values, the best first."""


def marks(source: Reported, _everything: Sequence[Reported]) -> Iterator[Finding | None]:
    """Each mark that the text shows against the ranking of its column; once a table, the columns that have none."""
    for table in source.tables:
        if table.marks is None:
            continue
        for rank, how in enumerate((table.marks.best, table.marks.second)):
            if how is not None and how in table.marks.shown:
                unmarked: list[str] = []
                for group in _groups(source, table, table.marks):
                    yield from _checked(source, table, group, rank, how, unmarked)
                if unmarked:
                    yield _missing(source, table, RANKS[rank], how, unmarked)


def _groups(source: Reported, table: Table, how: Marks) -> Iterator[_Group]:
    blocks: defaultdict[str | None, list[Row]] = defaultdict(list)
    for row in table.rows:
        if row.ranked:
            blocks[row.block if how.within == "block" else None].append(row)
    for rows in blocks.values():
        for column in table.columns:
            found = {row.key: table.value(row.key, column.key) for row in rows}
            values = {key: printed.value for key, printed in found.items() if printed is not None}
            measure = source.measure(table, rows[0], column)
            if measure is not None and measure.direction != "none" and len(set(values.values())) > 1:
                yield _Group(column, values, sorted(set(values.values()), reverse=measure.direction == "higher"))


def _checked(
    source: Reported, table: Table, group: _Group, rank: int, how: str, unmarked: list[str]
) -> Iterator[Finding | None]:
    """The marks of one group; a column without one goes to `unmarked`."""
    key = group.column.key
    marked = [row for row in group.values if key in _marked(table, row, how)]
    allowed = {group.ranking[rank]}
    if rank == 1 and list(group.values.values()).count(group.ranking[0]) > 1:
        allowed.add(group.ranking[0])  # two share the best place, and one of them is marked as second
    if not marked:
        unmarked.append(key)
        return
    shared = rank == 0 and any(group.values[row] == group.ranking[0] for row in marked)
    for row, value in group.values.items():
        if row in marked:
            yield None if value in allowed else _misplaced(source, table, group, row, rank, how)
        elif shared and value == group.ranking[0]:
            yield Finding(
                rule="marks",
                **place(source, table, [row], [key]),
                printed=f"{table.text(row, key)}, not {how}",
                gives=f"as good as what is {how}",
                arithmetic=f"{table.text(row, key)} is the best of {', '.join(map(str, group.ranking))}",
                severity="note",
            )


def _marked(table: Table, row: str, how: str) -> tuple[str, ...]:
    return table.row(row).bold if how == "bold" else table.row(row).underlined


def _misplaced(source: Reported, table: Table, group: _Group, row: str, rank: int, how: str) -> Finding:
    place_of = group.ranking.index(group.values[row]) + 1
    order = ", ".join(f"{value} ({_labels(table, group, value)})" for value in group.ranking[:place_of])
    return Finding(
        rule="marks",
        **place(source, table, [row], [group.column.key]),
        printed=f"{table.text(row, group.column.key)}, {how} as {RANKS[rank]}",
        gives=f"place {place_of}",
        arithmetic=f"in order: {order}",
        severity="error",
    )


def _labels(table: Table, group: _Group, value: Decimal) -> str:
    return ", ".join(table.row(row).label for row, found in group.values.items() if found == value)


def _missing(source: Reported, table: Table, rank: str, how: str, columns: list[str]) -> Finding:
    return Finding(
        rule="marks",
        **{**place(source, table, [], columns), "row": "all"},
        printed=f"no {rank} is {how}",
        gives=f"every column has a {rank}",
        arithmetic=f"{len(columns)} groups of rows with different values have no {how} one among them",
        severity="note",
    )


def significance(source: Reported, _everything: Sequence[Reported]) -> Iterator[Finding | None]:
    """Each row's stars against the smallest p value that so many paired runs can give without assuming a distribution."""
    for table in source.tables:
        claim = table.significance
        if claim is None:
            continue
        smallest = Decimal(2) / 2**claim.runs
        for row in table.rows:
            cells = {column.key: table.value(row.key, column.key) for column in table.columns}
            starred = [key for key, printed in cells.items() if printed is not None and printed.mark == claim.mark]
            if starred and smallest < Decimal(claim.level):
                yield from (None for _ in starred)
            elif starred:
                yield Finding(
                    rule="significance",
                    **place(source, table, [row.key], starred),
                    printed=f"{', '.join(str(table.text(row.key, key)) for key in starred)} "
                    f"(p < {claim.level} against {claim.against}, {claim.runs} runs)",
                    gives=f"p >= {smallest.normalize():f}",
                    arithmetic=f"{claim.runs} paired runs have 2^{claim.runs} = {2**claim.runs} sign patterns, so an exact "
                    f"two-sided test gives at least 2/{2**claim.runs} = {smallest.normalize():f} > {claim.level}; less "
                    "rests on a distribution assumed for the runs",
                    severity="warning",
                )
