"""What a paper's text says of its tables' cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import model_validator

from evalkit.nouns import Name, Noun

if TYPE_CHECKING:
    from collections.abc import Iterator

Keys = Name | tuple[Name, ...]
Place = tuple[str, str]
"""Row and column."""

_OF_TWO = ("gain", "drop", "difference", "above", "ratio", "better")
_STATED = ("gain", "drop", "difference", "above", "ratio", "value")


def _tuple(keys: Keys | None) -> tuple[str, ...]:
    return () if keys is None else (keys,) if isinstance(keys, str) else keys


class Cells(Noun):
    """Cells of one table: these rows in these columns."""

    row: Keys | None = None
    column: Keys | None = None

    @property
    def rows(self) -> tuple[str, ...]:
        """The rows named, possibly none."""
        return _tuple(self.row)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns named, possibly none."""
        return _tuple(self.column)


class Claim(Noun):
    """One statement. `of` are the cells it is about; `against` those that it compares them with, row or column alike.

    `gain` and `drop` are relative changes in percent, `difference` an absolute one, `above` one that is at least so
    large, `ratio` a quotient, `value` a cell quoted in the text, `better` one without a size, `best` and `worst` a place
    among the rows `among` (all ranked rows if not given).
    """

    says: str
    """In our words."""
    where: str
    kind: Literal["gain", "drop", "difference", "above", "ratio", "value", "better", "best", "worst"]
    stated: str | None = None
    of: Cells
    against: Cells = Cells()
    combine: Literal["each", "mean", "unstated"] = "each"
    """Each pair of cells has the stated size, or their mean has; `unstated` where the text does not say: any reading."""
    among: tuple[Name, ...] = ()
    scope: Literal["stated", "assumed"] = "stated"
    """`assumed` where the text does not say among what, so that a contradiction is a question rather than an error."""

    @model_validator(mode="after")
    def _has_its_parts(self) -> Self:
        if not (self.of.rows and self.of.columns):
            raise ValueError("of names at least one row and one column")
        if (self.kind in _STATED) != (self.stated is not None):
            raise ValueError(f"stated is there for {', '.join(_STATED)} and for no other kind")
        shift = (len(self.against.rows), len(self.against.columns))
        if shift not in (((1, 0), (0, 1), (1, 1)) if self.kind in _OF_TWO else ((0, 0),)):
            raise ValueError(f"against names one row, one column or both for {', '.join(_OF_TWO)}, and nothing else")
        if self.combine != "each" and (self.kind not in _OF_TWO[:-1] or len(list(self.pairs())) < 2):
            raise ValueError(f"combine is for several cells and for {', '.join(_OF_TWO[:-1])}")
        if self.among and self.kind not in ("best", "worst"):
            raise ValueError("among is there for best and worst alone")
        return self

    def pairs(self) -> Iterator[tuple[Place, Place]]:
        """Each cell with the one it is compared with."""
        for row in self.of.rows:
            for column in self.of.columns:
                yield (row, column), ((*self.against.rows, row)[0], (*self.against.columns, column)[0])

    def rows_named(self) -> set[str]:
        """Every row key in the claim."""
        return {*self.of.rows, *self.against.rows, *self.among}

    def columns_named(self) -> set[str]:
        """Every column key in the claim."""
        return {*self.of.columns, *self.against.columns}
