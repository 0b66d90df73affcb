"""Small reported tables for tests of the audit."""

from __future__ import annotations

from typing import Any

from evalkit.leaderboard.reported import Reported

MEASURES = {
    "up": {"title": "Up", "unit": "share", "direction": "higher"},
    "down": {"title": "Down", "unit": "share", "direction": "lower"},
    "mean": {"title": "Mean", "unit": "share", "direction": "higher"},
    "count": {"title": "Count", "unit": "count", "direction": "none"},
}
COLUMNS = ("up", "down", "mean", "count")


def table(
    rows: dict[str, list[str | None]], *, extra: dict[str, dict[str, Any]] | None = None, **more: Any
) -> dict[str, Any]:
    """A table with the first of `COLUMNS`, as many as the rows have cells, and a method to a row; `extra` by row key."""
    width = len(next(iter(rows.values())))
    return {
        "table": "1",
        "caption": "Made up.",
        "what": {"data": "made_up"},
        "columns": [{"key": key, "printed": key.title(), "what": {"metric": key}} for key in COLUMNS[:width]],
        "rows": [
            {"key": key, "label": key.upper(), "what": {"method": key}, "cells": cells, **(extra or {}).get(key, {})}
            for key, cells in rows.items()
        ],
        **more,
    }


def source(*tables: dict[str, Any], name: str = "paper_a", kind: str = "paper") -> Reported:
    """A paper of these tables."""
    data = {"name": name, "kind": kind, "title": "A", "source": "none", "read_from": "Made up.", "measures": MEASURES}
    return Reported.read({**data, "tables": list(tables)}, where=name)
