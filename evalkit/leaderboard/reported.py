"""Tables that papers and leaderboards print, as data: `leaderboard/reported/<name>.yaml`, typed.

`leaderboard/reported/README.md` says what each key means and how a table is read.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from evalkit.content import content, read_yaml
from evalkit.errors import DataError, UsageError
from evalkit.leaderboard.claim import Claim
from evalkit.leaderboard.printed import Printed, number
from evalkit.nouns import Name, Noun
from evalkit.registry import unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

What = dict[Literal["method", "metric", "data", "setting"], str]
"""Parts of what a cell is the value of; a table, its row and its column each give some."""


class Measure(Noun):
    """A quantity that a table has a column of."""

    title: str
    unit: str
    direction: Literal["higher", "lower", "none"]
    """Which way is better."""
    metric: Name | None = None
    """evalkit's metric of the same quantity, beside whose numbers it is shown."""


class Column(Noun):
    """A column, with its heading as printed."""

    key: Name
    printed: str
    what: What = {}


class Row(Noun):
    """A row: its label as printed, and a cell for each column."""

    key: Name
    label: str
    block: Name | None = None
    """The group of rows that it is printed in."""
    what: What = {}
    cells: tuple[str | None, ...]
    """As printed; `-` where the table prints a dash, null where it prints nothing or nothing that can be read."""
    bold: tuple[Name, ...] = ()
    underlined: tuple[Name, ...] = ()
    unsure: dict[Name, str] = {}
    """By column: characters that the text has there and that are visibly damaged. They are not audited."""
    ranked: bool = True
    """False for a reference (real images, an upper bound) that no best or second best is counted from."""


class Marks(Noun):
    """How a table marks the best and the second best of a column."""

    best: Literal["bold", "underlined", "colour"] | None = None
    second: Literal["bold", "underlined", "colour"] | None = None
    shown: tuple[Literal["bold", "underlined"], ...] = ()
    """Which of them survived in the text that was read; the others cannot be audited."""
    within: Literal["block", "table"] = "table"


class Significance(Noun):
    """What a table's stars claim."""

    mark: str
    level: str
    """The p value that a starred cell is said to be below."""
    runs: int = Field(gt=1)
    """Runs that each ± and each test rests on."""
    against: str


class MeanOf(Noun):
    """A column that is the mean of others, in every row that has them all."""

    kind: Literal["mean"]
    column: Name
    of: tuple[Name, ...] = Field(min_length=2)


class SumOfRows(Noun):
    """A cell that is the sum of other rows' cells in the same column."""

    kind: Literal["sum_of_rows"]
    column: Name
    row: Name
    of: tuple[Name, ...] = Field(min_length=2)
    scope: Literal["stated", "assumed"] = "stated"
    """`assumed` where the source does not say outright that the parts are all there are."""


class OpenS2VTotal(Noun):
    """A column that is OpenS2V's total of others, which hold the normalised components in percent."""

    kind: Literal["opens2v_total"]
    column: Name
    version: Literal["v1.0", "v1.1"]
    domain: Literal["open", "single", "human"]
    components: dict[Name, Name] = Field(min_length=2)
    """Component, as `evalkit.metrics.opens2v` calls it, to column."""


Relation = Annotated[MeanOf | SumOfRows | OpenS2VTotal, Field(discriminator="kind")]


class Table(Noun):
    """One table."""

    table: str
    """Its number as printed."""
    caption: str
    """What it shows, in our words."""
    body: Literal["whole", "missing"] = "whole"
    """`missing` where the text that was read has the caption alone."""
    transposed: bool = False
    """True where our rows are printed as columns."""
    what: What = {}
    columns: tuple[Column, ...] = ()
    rows: tuple[Row, ...] = ()
    marks: Marks | None = None
    significance: Significance | None = None
    relations: tuple[Relation, ...] = ()
    claims: tuple[Claim, ...] = ()
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        columns, rows = [c.key for c in self.columns], [r.key for r in self.rows]
        for kind, keys in (("column", columns), ("row", rows)):
            if twice := sorted({key for key in keys if keys.count(key) > 1}):
                raise ValueError(f"table {self.table}: the {kind} keys {twice} are there twice; give each its own")
        if (self.body == "whole") != bool(rows and columns):
            raise ValueError(f"table {self.table}: wanted rows and columns where the body is whole and none else")
        for row in self.rows:
            if len(row.cells) != len(columns):
                raise ValueError(f"table {self.table}, row {row.key}: {len(row.cells)} cells, {len(columns)} columns")
        for name in sorted(self._columns_named() - set(columns)):
            raise ValueError(f"table {self.table}: {name!r} is none of its columns {columns}")
        for name in sorted(self._rows_named() - set(rows)):
            raise ValueError(f"table {self.table}: {name!r} is none of its rows {rows}")
        for row in self.rows:
            for column in self.columns:
                self.what_of(row, column)
        return self

    def _columns_named(self) -> set[str]:
        named = {n for row in self.rows for n in (*row.bold, *row.underlined, *row.unsure)}
        for relation in self.relations:
            of = relation.components.values() if isinstance(relation, OpenS2VTotal) else relation.of
            named |= {relation.column, *(() if isinstance(relation, SumOfRows) else of)}
        return named.union(*(claim.columns_named() for claim in self.claims))

    def _rows_named(self) -> set[str]:
        named = {name for r in self.relations if isinstance(r, SumOfRows) for name in (r.row, *r.of)}
        return named.union(*(claim.rows_named() for claim in self.claims))

    def what_of(self, row: Row, column: Column) -> What:
        """What the cell is the value of. Raises ValueError where table, row and column contradict each other."""
        merged: What = {}
        for part in (self.what, row.what, column.what):
            for key, value in part.items():
                if merged.setdefault(key, value) != value:
                    raise ValueError(f"table {self.table}, {row.key}, {column.key}: two values of {key!r}")
        return merged

    def row(self, key: str) -> Row:
        """The row of that key."""
        return next(row for row in self.rows if row.key == key)

    def column(self, key: str) -> Column:
        """The column of that key."""
        return next(column for column in self.columns if column.key == key)

    def text(self, row: str, column: str) -> str | None:
        """A cell as printed."""
        return self.row(row).cells[[c.key for c in self.columns].index(column)]

    def value(self, row: str, column: str) -> Printed | None:
        """A cell's number, None where it has none."""
        return number(self.text(row, column))


class Reported(Noun):
    """All tables of one paper, or of one leaderboard."""

    name: Name
    kind: Literal["paper", "leaderboard"]
    title: str
    source: str
    """arXiv id, or where else it is published."""
    read_from: str
    """What was read, and what reading it lost."""
    measures: dict[Name, Measure]
    tables: tuple[Table, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _measures_are_known(self) -> Self:
        for table, row, column in self.cells():
            metric = table.what_of(row, column).get("metric")
            if metric is not None and metric not in self.measures:
                raise ValueError(f"table {table.table}: the metric {metric!r} is none of {sorted(self.measures)}")
        return self

    def cells(self) -> Iterator[tuple[Table, Row, Column]]:
        """Every cell's place, table by table."""
        for table in self.tables:
            for row in table.rows:
                for column in table.columns:
                    yield table, row, column

    def measure(self, table: Table, row: Row, column: Column) -> Measure | None:
        """The quantity in a cell, None where it is a label or a setting."""
        return self.measures.get(table.what_of(row, column).get("metric", ""))


def names() -> list[str]:
    """Every name that has tables here, papers and leaderboards, sorted."""
    return sorted(path.stem for path in content("leaderboard", "reported").glob("*.yaml"))


@cache
def read_reported(name: str) -> Reported:
    """The tables of that name. Raises UsageError with the nearest names, DataError where the file does not validate."""
    if name not in names():
        raise UsageError(unknown("paper", name, names(), "evalkit audit"))
    where = f"leaderboard/reported/{name}.yaml"
    found = Reported.read(read_yaml(content("leaderboard", "reported", f"{name}.yaml")), where=where)
    if found.name != name:
        raise DataError(f"{where}: wanted the file's name in it, found {found.name!r}; give both one name")
    return found
