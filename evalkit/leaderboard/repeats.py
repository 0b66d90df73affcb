"""The same method, metric, data and setting in two places: two tables of a paper, or a paper and what it quotes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evalkit.leaderboard.finding import CUT_OFF, Finding, graded, place, shown
from evalkit.leaderboard.printed import Printed, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from evalkit.leaderboard.reported import Column, Reported, Row, Table

NEEDED = frozenset({"method", "metric", "data"})
"""What must be said of a cell before it is compared with cells elsewhere."""


class _Cell(NamedTuple):
    source: Reported
    table: Table
    row: Row
    column: Column
    text: str
    printed: Printed


def repeats(source: Reported, everything: Sequence[Reported]) -> Iterator[Finding | None]:
    """Each cell of `source` that is elsewhere too, against the place that prints it best.

    That is the one with the most digits; among those a leaderboard, which papers quote; then the first in order.
    """
    groups: dict[tuple[object, ...], list[_Cell]] = {}
    for other in everything:
        for key, cell in _cells(other):
            groups.setdefault(key, []).append(cell)
    for group in groups.values():
        best = min(group, key=lambda cell: (cell.printed.step, cell.source.kind != "leaderboard"))
        for cell in group:
            if cell is not best and cell.source.name == source.name:
                yield _compared(cell, best)


def _cells(source: Reported) -> Iterator[tuple[tuple[object, ...], _Cell]]:
    for table, row, column in source.cells():
        what, text = table.what_of(row, column), table.text(row.key, column.key)
        printed, measure = number(text), source.measure(table, row, column)
        if text is not None and printed is not None and measure is not None and set(what) >= NEEDED:
            yield (measure.unit, *sorted(what.items())), _Cell(source, table, row, column, text, printed)


def _compared(cell: _Cell, best: _Cell) -> Finding | None:
    verdict = cell.printed.against(best.printed.rounded)
    same_digits = cell.printed.step == best.printed.step
    if verdict == "agrees" and not (same_digits and cell.printed.value != best.printed.value):
        return None
    verdict = "truncated" if verdict == "agrees" else verdict
    elsewhere = f"table {best.table.table}" + (
        f" of {best.source.name}" if best.source.name != cell.source.name else ""
    )
    row = "" if best.row.label == cell.row.label else f", row {best.row.label}"
    return Finding(
        rule="repeats",
        **place(cell.source, cell.table, [cell.row.key], [cell.column.key]),
        printed=cell.text,
        gives=f"{best.text} in {elsewhere}{row}",
        arithmetic=f"{best.printed} is {shown(best.printed.rounded)}, {cell.printed} is {shown(cell.printed.rounded)}"
        + (CUT_OFF if verdict == "truncated" else ""),
        severity=graded(verdict),
    )
