"""Pairing: two runs' scores on the same keys, or a refusal that names the keys that differ."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from evalkit.errors import DataError, UsageError
from evalkit.stats.sheet import GROUPS, KEYS, sheet

if TYPE_CHECKING:
    from collections.abc import Hashable

    import pandas as pd
    from numpy.typing import NDArray

    from evalkit.stats.sheet import Floats, Key, Sheet

SHOWN = 3
ROUNDING = 2.0**-44
"""Share of the largest score below which differences are rounding: some hundred units in the last place."""


@dataclass(frozen=True)
class Pairs:
    """Scores of a and b on the same keys, sorted by key."""

    keys: list[Key]
    a: Floats
    b: Floats
    """[rows]; NaN is missing."""
    weight: Floats
    groups: dict[str, list[Hashable]]

    @cached_property
    def complete(self) -> NDArray[np.bool_]:
        """[rows]: both have a value."""
        return ~(np.isnan(self.a) | np.isnan(self.b))

    @cached_property
    def difference(self) -> Floats:
        """[rows]: a - b, NaN where either is missing, 0 where rounding alone is left."""
        difference = self.a - self.b
        return np.where(np.abs(difference) <= self.rounding, 0.0, difference)

    @cached_property
    def rounding(self) -> float:
        """A difference that floating point alone can make between equal scores."""
        largest = np.abs(np.concatenate([self.a[self.complete], self.b[self.complete]])).max(initial=0.0)
        return ROUNDING * float(largest)

    def group(self, column: str, design: str) -> dict[Hashable, Hashable]:
        """Subject to its stratum or cluster.

        Raises: UsageError where the frames have no such column; DataError for a subject in two.
        """
        if column not in self.groups:
            raise UsageError(f"wanted a column {column!r} for the design {design!r}, found none; add it to both frames")
        found: dict[Hashable, Hashable] = {}
        for key, label in zip(self.keys, self.groups[column], strict=True):
            if found.setdefault(key[0], label) != label:
                raise DataError(
                    f"wanted one {column} for each subject, found {found[key[0]]!r} and {label!r} for {key[0]!r}; mend "
                    "the frames"
                )
        return found


def paired(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """The two frames side by side: subject, prompt, seed, value_a, value_b, and stratum, cluster, weight where given.

    a, b: tidy frames (`sheet` says what they hold) with the same keys; a missing value is a row with NaN, never a row
    that is not there. The rows come out sorted, whatever their order in a and b.

    Raises: UsageError where keys, strata, clusters or weights differ, with counts and the first of them; what `sheet`
    raises.
    """
    import pandas as pd

    pairs = pair(sheet(a, name="a"), sheet(b, name="b"))
    columns = dict(zip(KEYS, map(list, zip(*pairs.keys, strict=True)), strict=True))
    frame = pd.DataFrame({**columns, "value_a": pairs.a, "value_b": pairs.b, **pairs.groups})
    return frame.assign(weight=pairs.weight) if "weight" in a.columns else frame


def pair(a: Sheet, b: Sheet) -> Pairs:
    """Two sheets as pairs. Raises UsageError where keys, groups or weights differ."""
    if a.keys != b.keys:
        raise UsageError(_differing(a, b))
    if set(a.groups) != set(b.groups):
        raise UsageError(
            f"wanted the same of {' and '.join(GROUPS)} in a and b, found {sorted(a.groups)} in a and "
            f"{sorted(b.groups)} in b; take both from the benchmark's cases"
        )
    for name, labels in a.groups.items():
        _check_same(name, a.keys, labels, b.groups[name])
    _check_same("weight", a.keys, a.weight.tolist(), b.weight.tolist())
    return Pairs(a.keys, a.value, b.value, a.weight, a.groups)


def _differing(a: Sheet, b: Sheet) -> str:
    in_a, in_b = set(a.keys), set(b.keys)
    only_a, only_b = [k for k in a.keys if k not in in_b], [k for k in b.keys if k not in in_a]
    told = [
        f"{len(only)} only in {name} (first: {', '.join(map(repr, only[:SHOWN]))})"
        for name, only in (("a", only_a), ("b", only_b))
        if only
    ]
    return (
        f"wanted the same ({', '.join(KEYS)}) in a and b, found {' and '.join(told)}, {len(in_a & in_b)} in both; score "
        "both on the same cases and seeds, with an empty value where one is missing"
    )


def _check_same(name: str, keys: list[Key], a: list[Hashable], b: list[Hashable]) -> None:
    if a == b:
        return
    wrong = [i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y]
    if wrong:
        raise UsageError(
            f"wanted one {name} for each key, found {len(wrong)} that differ, the first at {keys[wrong[0]]!r}: "
            f"{a[wrong[0]]!r} in a and {b[wrong[0]]!r} in b; take both from the benchmark's cases"
        )
