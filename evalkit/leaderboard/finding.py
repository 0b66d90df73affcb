"""What an audit says of one place in a reported table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from evalkit.nouns import Name, Noun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evalkit.leaderboard.printed import Interval, Verdict
    from evalkit.leaderboard.reported import Reported, Table

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
CUT_OFF = "; its further digits were cut off instead of rounded"


class Finding(Noun):
    """One inconsistency.

    An `error` is a contradiction beyond what the printed digits leave open. A `warning` is one that rests on an
    assumption which the data names, or a claim that says more than its runs can show. A `note` is what digits explain
    that were cut off instead of rounded, a tie where the text says better, or a mark that is not there.
    """

    rule: str
    paper: Name
    table: str
    row: str
    column: str
    printed: str
    gives: str
    """What the arithmetic, or the other table, gives."""
    arithmetic: str
    """Written out, with what the printed digits leave open."""
    severity: Severity


def place(source: Reported, table: Table, rows: Sequence[str], columns: Sequence[str]) -> dict[str, str]:
    """The parts of a finding that say where it is; a row whose label is there twice is named with its key."""
    labels = [row.label for row in table.rows]
    named = [
        row.label if labels.count(row.label) == 1 else f"{row.label} ({row.key})"
        for row in table.rows
        if row.key in rows
    ]
    heads = [column.printed for column in table.columns if column.key in columns]
    return {"paper": source.name, "table": table.table, "row": "; ".join(named), "column": "; ".join(heads)}


def graded(verdict: Verdict, *, scope: str = "stated") -> Severity:
    """How bad a verdict other than `agrees` is; what rests on an assumption is at most a warning."""
    if verdict == "truncated":
        return "note"
    return "error" if scope == "stated" else "warning"


def shown(interval: Interval) -> str:
    """An interval for people, with digits enough to tell its ends apart.

    Example:
        >>> from decimal import Decimal
        >>> from evalkit.leaderboard.printed import Interval
        >>> shown(Interval(Decimal("53.5754999"), Decimal("53.5955001")))
        '53.575 to 53.596'
    """
    low, high = interval
    digits = max(0, 1 - (high - low).adjusted()) if high > low else 6
    return f"{low:.{digits}f} to {high:.{digits}f}"
