"""One run's scores of one metric in canonical form: checked, sorted by key, the same whatever the order of rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Codes = NDArray[np.intp]
    Key = tuple[Hashable, Hashable, Hashable]

KEYS = ("subject", "prompt", "seed")
GROUPS = ("stratum", "cluster")
RERUN = "judge_run"
LARGEST = 1e100
"""Beyond it sums of squares leave the range of float64."""


@dataclass(frozen=True)
class Rows:
    """A frame's rows sorted by key."""

    columns: dict[str, list[Hashable]]
    """The key columns: subject, prompt, seed and, where the frame has it, judge_run."""
    value: Floats
    order: Codes
    """Where each row stands in the frame."""

    @property
    def keys(self) -> list[tuple[Hashable, ...]]:
        """One tuple a row."""
        return list(zip(*self.columns.values(), strict=True))


@dataclass(frozen=True)
class Sheet:
    """Scores by (subject, prompt, seed), sorted."""

    keys: list[Key]
    value: Floats
    """[rows]; NaN is missing."""
    weight: Floats
    """[rows], positive: how much a row counts within its subject."""
    groups: dict[str, list[Hashable]]
    """`stratum` and `cluster` of each row, where the frame has them."""

    def unweighted(self) -> Sheet:
        """The same with every row counting alike."""
        return replace(self, weight=np.ones(len(self.value)))


def sheet(frame: pd.DataFrame | Sheet, *, name: str) -> Sheet:
    """The canonical form of a tidy frame; what has it already is given back.

    frame: columns subject, prompt, seed, value (NaN for missing) and, where there are any, stratum, cluster, weight and
    judge_run; other columns are left alone. Judge reruns are averaged within their sample, for they are measurement
    error: without the missing ones, and missing where all are. `name` stands for the frame in errors.

    Raises: what `read_rows` raises; DataError for a stratum or cluster left empty and a weight that is not positive.
    """
    if isinstance(frame, Sheet):
        return frame
    rows = read_rows(frame, name=name)
    weight = np.ones(len(rows.value))
    if "weight" in frame.columns:
        weight = _numbers(frame, "weight", name)[rows.order]
        _check_weights(weight, name)
    groups = {group: _labels(frame, group, name, rows.order) for group in GROUPS if group in frame.columns}
    keys: list[Key] = list(zip(*(rows.columns[column] for column in KEYS), strict=True))
    found = Sheet(keys, rows.value, weight, groups)
    return _averaged(found) if RERUN in rows.columns else found


@dataclass(frozen=True)
class Keyed:
    """Keys and groups sorted once, for many columns of values over the same rows."""

    keys: list[Key]
    groups: dict[str, list[Hashable]]
    order: Codes
    """Where each sorted row stands in the frame."""

    def sheet(
        self, value: Floats, weight: Floats | None = None, *, rows: NDArray[np.bool_] | None = None, name: str
    ) -> Sheet:
        """The sheet of a column: value, weight, [rows] in the frame's order; `rows` are those that it is of.

        Raises: DataError where no row is left, for a key that is there twice, and as `sheet` does for values and weights.
        """
        order, keys, groups = self.order, self.keys, self.groups
        if rows is not None and not rows.all():
            kept = np.flatnonzero(rows[order])
            order, keys = order[kept], [keys[place] for place in kept]
            groups = {name: [labels[place] for place in kept] for name, labels in groups.items()}
        if not len(order):
            raise _no_rows(name)
        _check_once(keys, KEYS, name)
        _check_values(value[order], keys, name)
        weights = np.ones(len(order)) if weight is None else weight[order]
        _check_weights(weights, name)
        return Sheet(keys, value[order], weights, groups)


def keyed(frame: pd.DataFrame, *, name: str) -> Keyed:
    """The keys and groups of a frame, of which no column holds all rows: a key may be there in several columns.

    Raises: DataError for an empty key or group.
    """
    columns = [_labels(frame, column, name) for column in KEYS]
    order = np.lexsort([codes(column) for column in reversed(columns)])
    keys: list[Key] = [(columns[0][i], columns[1][i], columns[2][i]) for i in order]
    groups = {group: _labels(frame, group, name, order) for group in GROUPS if group in frame.columns}
    return Keyed(keys, groups, order)


def read_rows(frame: pd.DataFrame, *, name: str) -> Rows:
    """Keys and values, sorted and checked.

    Raises: UsageError for a missing column or values that are no numbers; DataError for no rows, an empty key, a value
    that is infinite or beyond 1e100, a key that is there twice.
    """
    _check_columns(frame, name)
    columns = {column: _labels(frame, column, name) for column in KEYS}
    if RERUN in frame.columns:
        columns[RERUN] = _labels(frame, RERUN, name)
    order = np.lexsort([codes(column) for column in reversed(columns.values())])
    value = _numbers(frame, "value", name)[order]
    rows = Rows({column: [labels[i] for i in order] for column, labels in columns.items()}, value, order)
    keys = rows.keys
    _check_once(keys, columns, name)
    _check_values(value, keys, name)
    return rows


def sort_key(value: Hashable) -> tuple[int, str, Any]:
    """Orders labels of any kind: numbers, then texts, then the others by kind and how they print."""
    if isinstance(value, int | float):
        return 0, "", value
    return (1, "", value) if isinstance(value, str) else (2, type(value).__name__, repr(value))


def codes(labels: list[Hashable]) -> Codes:
    """Each label's place among the sorted ones."""
    places = {label: i for i, label in enumerate(sorted(set(labels), key=sort_key))}
    return np.array([places[label] for label in labels], dtype=np.intp)


def _check_columns(frame: pd.DataFrame, name: str) -> None:
    missing = [column for column in (*KEYS, "value") if column not in frame.columns]
    if missing:
        raise UsageError(
            f"wanted columns {', '.join((*KEYS, 'value'))} in {name}, found no {', '.join(missing)}; give a tidy frame "
            "with one row for each (subject, prompt, seed)"
        )
    if not len(frame):
        raise _no_rows(name)


def _no_rows(name: str) -> DataError:
    return DataError(f"wanted scores in {name}, found no rows; score the run first")


def _check_once(keys: Sequence[tuple[Hashable, ...]], columns: Iterable[str], name: str) -> None:
    twice = [one for one, following in pairwise(keys) if one == following]
    if twice:
        raise DataError(
            f"wanted each ({', '.join(columns)}) once, found {len(twice)} more than once in {name}, the first "
            f"{twice[0]!r}; score each sample once, and give the scores of one metric"
        )


def _check_values(value: Floats, keys: Sequence[tuple[Hashable, ...]], name: str) -> None:
    wrong = np.flatnonzero(np.abs(value) > LARGEST)
    if len(wrong):
        raise DataError(
            f"wanted finite values (up to {LARGEST:.0e}), found {value[wrong[0]]} in {name} at {keys[wrong[0]]!r}; mend "
            "the score, or leave it empty where there is none"
        )


def _check_weights(weight: Floats, name: str) -> None:
    if not (np.isfinite(weight) & (weight > 0)).all():
        raise DataError(f"wanted positive weights, found another in {name}; leave the row's value empty instead")


def _labels(frame: pd.DataFrame, column: str, name: str, order: Codes | None = None) -> list[Hashable]:
    none = int(frame[column].isna().sum())
    if none:
        raise DataError(f"wanted a {column} in every row of {name}, found none in {none} rows; fill it in")
    labels: list[Hashable] = frame[column].tolist()
    return labels if order is None else [labels[i] for i in order]


def _numbers(frame: pd.DataFrame, column: str, name: str) -> Floats:
    try:
        return frame[column].to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise UsageError(f"wanted numbers in the column {column!r} of {name}, found others ({error})") from None


def _averaged(reruns: Sheet) -> Sheet:
    """One row a sample: the mean of its judge runs, with the weight of the first."""
    starts = [i for i, key in enumerate(reruns.keys) if i == 0 or key != reruns.keys[i - 1]]
    present = ~np.isnan(reruns.value)
    counts = np.add.reduceat(present.astype(np.float64), starts)
    total = np.add.reduceat(np.where(present, reruns.value, 0.0), starts)
    value = np.divide(total, counts, out=np.full(len(starts), np.nan), where=counts > 0)
    groups = {name: [labels[i] for i in starts] for name, labels in reruns.groups.items()}
    return Sheet([reruns.keys[i] for i in starts], value, reruns.weight[starts], groups)
