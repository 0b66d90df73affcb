"""Rows of papers' tables that belong beside a board: shown as printed, never ranked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.leaderboard.reported import names, read_reported
from evalkit.leaderboard.site.model import Reported

if TYPE_CHECKING:
    from evalkit.leaderboard.site.model import Board

NOTE = (
    "Printed by the papers, from samples and machines of their own. They have no interval, and nothing says that their "
    "cases, seeds and code were those of this board, so they have no rank."
)
SANDBOX = " This board's own numbers come from small embedded models: they are not on one scale with these."


def with_reported(board: Board) -> Board:
    """The board with the rows of every table about its benchmark that has a number for one of its metrics."""
    labels: dict[str | None, str] = {}
    for shown in board.columns:
        labels.setdefault(shown.metric, shown.label)
    rows: dict[tuple[str, str, str], Reported] = {}
    for source in map(read_reported, names()):
        for table, row, column in source.cells():
            measure, what = source.measure(table, row, column), table.what_of(row, column)
            text = table.text(row.key, column.key)
            if measure is None or measure.metric not in labels or text in (None, "-", ""):
                continue
            if not _about(what.get("data", ""), board.benchmark):
                continue
            key = source.name, table.table, row.key
            there = rows.get(key) or Reported(
                paper=source.title, source=source.source, table=table.table, label=row.label,
                method=what.get("method", row.key), cells={},
            )  # fmt: skip
            rows[key] = there.model_copy(update={"cells": {labels[measure.metric]: str(text)} | there.cells})
    note = NOTE + (SANDBOX if board.profile == "sandbox" else "")
    return board.model_copy(update={"reported": tuple(rows.values()), "reported_note": note if rows else ""})


def _about(data: str, benchmark: str) -> bool:
    """Whether a table's data are the benchmark's, or a part of them."""
    return data == benchmark or data.startswith(f"{benchmark}_")
