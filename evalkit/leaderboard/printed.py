"""A number as a table prints it, and what its digits leave open."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Literal, NamedTuple

_NUMBER = re.compile(
    r"(?P<value>-?\d[\d,]*(?:\.\d+)?|-?\.\d+)\s*(?P<unit>%|×)?"
    r"(?:\s*±\s*(?P<spread>\d*\.?\d+))?(?P<mark>\*+)?(?:\s*\([A-Za-z ]+\))?"
)

Verdict = Literal["agrees", "truncated", "differs"]
"""Of a printed number against an interval: rounding explains it, only cutting digits off does, or neither."""


class Interval(NamedTuple):
    """Every value between two ends."""

    low: Decimal
    high: Decimal

    def meets(self, other: Interval) -> bool:
        """True where the two share a value; an end is one, since halves are rounded either way."""
        return self.low <= other.high and other.low <= self.high


class Printed(NamedTuple):
    """A number with the digits it was printed with, e.g. `0.305±0.004*` or `52.87%`."""

    value: Decimal
    step: Decimal
    """One unit of the last printed digit."""
    spread: Decimal | None = None
    """What stands after ±."""
    mark: str = ""
    """Stars after the number."""

    @property
    def rounded(self) -> Interval:
        """What the number can have been, had it been rounded."""
        return Interval(self.value - self.step / 2, self.value + self.step / 2)

    @property
    def truncated(self) -> Interval:
        """What the number can have been, had its further digits been cut off; the upper end no longer is."""
        return Interval(self.value, self.value + self.step)

    def against(self, computed: Interval) -> Verdict:
        """How the printed digits fit values known to lie in `computed`.

        Example:
            >>> number("0.443").against(number("0.4436").rounded), number("0.444").against(number("0.4436").rounded)
            ('truncated', 'agrees')
        """
        if self.rounded.meets(computed):
            return "agrees"
        cut = computed.low < self.truncated.high and self.truncated.low <= computed.high
        return "truncated" if cut else "differs"

    @property
    def digits(self) -> int:
        """How many decimals are printed."""
        return max(0, -self.step.adjusted())

    def __str__(self) -> str:
        return f"{self.value:f}"


def number(text: str | None) -> Printed | None:
    """The number in a cell; None where the cell has none (`-`, words, nothing).

    Example:
        >>> number("14,976").step, number("0.305±0.004*").mark, number("-")
        (Decimal('1'), '*', None)
    """
    found = _NUMBER.fullmatch((text or "").strip())
    if found is None:
        return None
    digits = found["value"].replace(",", "")
    value = Decimal(digits)
    step = Decimal(1).scaleb(-len(digits.partition(".")[2]))
    spread = Decimal(found["spread"]) if found["spread"] else None
    return Printed(value, step, spread, found["mark"] or "")


def plain(value: Decimal, digits: int) -> str:
    """A computed value with at most so many decimals, without zeros that say nothing.

    Example:
        >>> plain(Decimal("53.58520"), 3), plain(Decimal(6335), 2)
        ('53.585', '6335')
    """
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
