"""Small CSV tables that people write, read strictly: a heading, known columns, and every cell with its line."""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING, NamedTuple

from evalkit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class Row(NamedTuple):
    """One line of a table."""

    where: str
    """File and line."""
    cells: Mapping[str, str]

    def get(self, column: str) -> str:
        """The cell without spaces around it; empty where the table has no such column."""
        return self.cells.get(column, "").strip()

    def text(self, column: str) -> str:
        """The cell. Raises DataError where it is empty."""
        if not (found := self.get(column)):
            raise DataError(f"{self.where}: wanted a {column}, found an empty cell; fill it or leave the line out")
        return found

    def number(self, column: str) -> float:
        """The cell as a finite number. Raises DataError."""
        try:
            value = float(self.text(column))
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise DataError(f"{self.where}: wanted a number as {column}, found {self.get(column)!r}")
        return value

    def whole(self, column: str) -> int:
        """The cell as a whole number of at least 0. Raises DataError."""
        found = self.text(column)
        if not found.isdecimal():
            raise DataError(f"{self.where}: wanted a whole number as {column}, found {found!r}")
        return int(found)


def read_table(path: Path, *, needed: Sequence[str], known: Sequence[str]) -> list[Row]:
    """The lines of a CSV (UTF-8, comma) whose heading has `needed` and nothing but `known`.

    Raises: DataError for a file that cannot be read, another heading, or a line with more or fewer cells.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, strict=True)
            heading = [name.strip() for name in next(lines, [])]
            _check_heading(path, heading, needed, known)
            return [_row(path, lines.line_num, heading, cells) for cells in lines if cells]
    except OSError as error:
        raise DataError(f"wanted a CSV at {str(path)!r}, found {error.strerror}; check the path") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: wanted a CSV in UTF-8, found something else ({error}); save it again") from error


def _check_heading(path: Path, heading: Sequence[str], needed: Sequence[str], known: Sequence[str]) -> None:
    lacking = [name for name in needed if name not in heading]
    strange = [name for name in heading if name not in known]
    if lacking or strange or len(set(heading)) < len(heading):
        raise DataError(
            f"{path}: wanted a heading with {', '.join(needed)} (and of {', '.join(known)} each at most once), "
            f"found {', '.join(heading) or 'nothing'}"
        )


def _row(path: Path, line: int, heading: Sequence[str], cells: Sequence[str]) -> Row:
    where = f"{path}: line {line}"
    if len(cells) != len(heading):
        raise DataError(f"{where}: wanted {len(heading)} cells, found {len(cells)}")
    return Row(where, dict(zip(heading, cells, strict=True)))
