"""A trainer's curves, as its run keeps them, drawn stage by stage."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING

from evalkit.errors import DataError
from evalkit.leaderboard.site.figures import Line, lines
from evalkit.media.source import read_source
from evalkit.progress import warn

if TYPE_CHECKING:
    from pathlib import Path

    from markupsafe import Markup

CURVES = ("reward", "reward_std", "loss", "kl", "clip_fraction", "ratio", "grad_norm")
"""Of a trainer's curves, those shown beside the parts of the reward."""
MOST_BYTES, MOST_ROWS, MOST_COLUMNS = 8 * 2**20, 50_000, 200
LARGEST = 1e30
"""Beyond it nothing can be read off a drawing; such a value is a gap, as one that is missing is."""


def curves(train: Path) -> list[tuple[str, list[tuple[str, Markup]]]]:
    """By stage, each curve with its name: what `curves.csv` in each stage's folder holds."""
    found = []
    for path in sorted(train.glob("*/curves.csv")) if train.is_dir() else []:
        try:
            steps, series = read_curves(path)
            panels = [
                (name, lines([Line(name, steps, values)], title=name, x_title="epoch"))
                for name, values in series.items()
            ]
        except (DataError, ValueError) as error:
            warn(f"{path}: not shown, for it holds no curves ({error!s:.200})")
            continue
        if panels:
            found.append((path.parent.name, panels))
    return found


def read_curves(path: Path) -> tuple[list[float], dict[str, list[float]]]:
    """The epochs, and by name the values of each curve that is shown, NaN where there is none.

    Raises: DataError for a file that cannot be read, is no table, or has more rows or columns than any trainer writes.
    """
    text = read_source(path, str(path), max_bytes=MOST_BYTES).decode("utf-8", errors="replace")
    rows: list[dict[str, str]] = []
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        names = list(reader.fieldnames or ())
        for row in reader:
            rows.append(row)
            if len(names) > MOST_COLUMNS or len(rows) > MOST_ROWS:
                raise DataError(f"wanted at most {MOST_ROWS} rows of {MOST_COLUMNS} columns, found more")
            if None in row or None in row.values():
                raise DataError(f"wanted {len(names)} values in each row, found another number in row {len(rows)}")
    except csv.Error as error:
        raise DataError(f"wanted a table, found none: {error}") from error
    if "epoch" not in names:
        raise DataError("wanted a column 'epoch', found none")
    steps = [_number(row["epoch"]) for row in rows]
    if not all(map(math.isfinite, steps)):
        raise DataError("wanted a finite epoch in each row, found another")
    shown = [name for name in names if name in CURVES or f"{name}_missing" in names] if rows else []
    return steps, {name: [_number(row[name] or "nan") for row in rows] for name in shown}


def _number(text: str) -> float:
    """Raises DataError for what is no number."""
    try:
        value = float(text)
    except ValueError:
        raise DataError(f"wanted a number, found {text!r:.60}") from None
    return value if abs(value) <= LARGEST else math.nan
