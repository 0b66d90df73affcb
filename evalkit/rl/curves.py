"""A training's curves as files, one row an epoch, and the figures in them."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor


def mean(values: Tensor) -> float | None:
    """The mean of those of [B] that are finite, None where none is; the caller counts the others."""
    found = values[values.isfinite()]
    return float(found.double().mean()) if len(found) else None


def spread(values: Tensor) -> float | None:
    """Their population standard deviation, as `mean`."""
    found = values[values.isfinite()]
    return float(found.double().std(correction=0)) if len(found) else None


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """CSV with a heading; None is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read_table(path: Path) -> list[dict[str, Any]]:
    """The rows of a file that `table` wrote, cells as text; none where there is no file."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
