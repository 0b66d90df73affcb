"""Signature: everything that can change a number, in one short string printed with it."""

from __future__ import annotations

from typing import Self

from evalkit.errors import DataError
from evalkit.nouns.base import Noun


class Signature(Noun):
    """Ordered (key, value) parts; two numbers are compared only when all of them match.

    Example:
        >>> s = Signature.of(metric="clip_i", variant="dreambench_pp", dtype="float32")
        >>> str(s)
        'metric:clip_i|variant:dreambench_pp|dtype:float32'
        >>> s.with_part("agg", "micro").first_difference(s.with_part("agg", "macro"))
        ('agg', 'micro', 'macro')
    """

    parts: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, **parts: str) -> Self:
        """The signature with these parts in the order given; a `|` in a value becomes `/`, a `:` becomes `=`."""
        return cls(parts=tuple((key, _clean(value)) for key, value in parts.items()))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of `str`. Raises DataError where a part has no `:`."""
        pairs = [part.split(":", 1) for part in text.split("|")]
        if any(len(pair) != 2 or not pair[0] for pair in pairs):
            raise DataError(f"wanted a signature like 'metric:clip_i|variant:official', found {text!r}")
        return cls(parts=tuple((key, value) for key, value in pairs))

    def with_part(self, key: str, value: str) -> Self:
        """The same with one more part at the end."""
        return type(self)(parts=(*self.parts, (key, _clean(value))))

    def get(self, key: str) -> str | None:
        """The value of one part, None where there is no such part."""
        return dict(self.parts).get(key)

    def first_difference(self, other: Self) -> tuple[str, str | None, str | None] | None:
        """(key, mine, theirs) of the first part that differs, None when equal."""
        mine, theirs = dict(self.parts), dict(other.parts)
        for key in dict.fromkeys([*mine, *theirs]):
            if mine.get(key) != theirs.get(key):
                return key, mine.get(key), theirs.get(key)
        return None

    def __str__(self) -> str:
        return "|".join(f"{key}:{value}" for key, value in self.parts)


def _clean(value: str) -> str:
    return value.replace("|", "/").replace(":", "=").replace("\n", " ").strip()
