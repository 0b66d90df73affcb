"""Scores and people's ratings of the same samples, as `evalkit agree` reads them.

Ratings are a CSV with the columns `case_id`, `rater`, `rating` and, where scores are of several seeds, `seed`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

from evalkit.engine.result import read_result
from evalkit.engine.tables import Row, read_table
from evalkit.errors import DataError, ProblemsError, RunError
from evalkit.nouns import Score, Signature, State

if TYPE_CHECKING:
    from pathlib import Path

UNNAMED = "value"
"""The metric's name where a file names none."""
_RATING_COLUMNS = ("case_id", "rater", "rating")
_SCORE_COLUMNS = ("case_id", "value")


class Sampled(NamedTuple):
    """Which sample a number is of; seed None where the file does not tell seeds apart."""

    case_id: str
    seed: int | None

    def __str__(self) -> str:
        return self.case_id if self.seed is None else f"{self.case_id} (seed {self.seed})"


Scores = dict[str, dict[Sampled, "float | State"]]
"""By metric: the value of each sample, or why it has none."""
Ratings = dict[Sampled, dict[str, float]]
"""By sample: what each rater gave."""


class _Column(NamedTuple):
    """A column of a run's own table."""

    label: str
    signature: str
    """What its scores are stored under."""
    name: str
    """`metric@variant`, with the label where several columns are of that, such as a metric over two kinds of cases."""


def read_ratings(path: Path) -> Ratings:
    """People's ratings.

    Raises: DataError for a file that is no such table or has no line; ProblemsError with every line that does not fit.
    """
    found: Ratings = defaultdict(dict)
    problems = []
    for row in read_table(path, needed=_RATING_COLUMNS, known=(*_RATING_COLUMNS, "seed")):
        try:
            key, rater, rating = _sampled(row), row.text("rater"), row.number("rating")
        except DataError as error:
            problems.append(str(error))
            continue
        if rater in found[key]:
            problems.append(f"{row.where}: {key} by {rater!r} is rated twice; keep one line")
        found[key][rater] = rating
    if problems:
        raise ProblemsError(f"{path}: ratings that do not fit", problems)
    if not found:
        raise DataError(f"{path}: wanted ratings, found the heading alone; add a line for each case and rater")
    return dict(found)


def read_scores(path: Path) -> Scores:
    """The scores of a run folder, or of a CSV with `case_id` and `value` and, where they matter, `seed`, `metric`, `state`.

    Raises: RunError for a folder without scores; DataError, ProblemsError as `read_ratings`.
    """
    run = path if path.is_dir() else None
    if run is not None:
        path = run / "scores.csv"
        if not path.is_file():
            raise RunError(f"wanted scores.csv in {str(run)!r}, found none; `evalkit score {run}` writes it")
    names = {column.signature: column.name for column in _columns(run)}
    found: Scores = defaultdict(dict)
    problems = []
    for row in read_table(path, needed=_SCORE_COLUMNS, known=tuple(Score.model_fields)):
        try:
            key, value = _sampled(row), _value(row)
        except DataError as error:
            problems.append(str(error))
            continue
        metric = names.get(row.get("signature")) or row.get("metric") or UNNAMED
        if key in found[metric]:
            problems.append(f"{row.where}: {metric} of {key} is there twice; keep one line")
        found[metric][key] = value
    if problems:
        raise ProblemsError(f"{path}: scores that do not fit", problems)
    if not found:
        mend = "add a line for each case" if run is None else f"`evalkit score {run}` writes them"
        raise DataError(f"{path}: wanted scores, found the heading alone; {mend}")
    return dict(found)


def read_labels(path: Path) -> dict[str, str]:
    """What a run's own table calls its columns: by label the name that `read_scores` gives; none for a CSV.

    Raises: RunError where the folder's table is damaged or of an earlier request.
    """
    return {column.label: column.name for column in _columns(path if path.is_dir() else None)}


def _columns(run: Path | None) -> list[_Column]:
    if run is None or not (run / "summary.json").is_file():
        return []
    parts = {label: Signature.parse(cell.signature).parts for label, cell in read_result(run).scores.items()}
    stored = {label: Signature(parts=tuple(p for p in found if p[0] != "agg")) for label, found in parts.items()}
    metric = {str(signature): f"{signature.get('metric')}@{signature.get('variant')}" for signature in stored.values()}
    several = Counter(metric.values())
    first: dict[str, str] = {}
    for label, signature in stored.items():
        first.setdefault(str(signature), label)
    names = {key: name if several[name] == 1 else f"{name} ({first[key]})" for key, name in metric.items()}
    return [_Column(label, str(signature), names[str(signature)]) for label, signature in stored.items()]


def _sampled(row: Row) -> Sampled:
    return Sampled(row.text("case_id"), row.whole("seed") if row.get("seed") else None)


def _value(row: Row) -> float | State:
    state = row.get("state") or State.SCORED.value
    try:
        known = State.of(state)
    except ValueError as error:
        raise DataError(f"{row.where}: {error}") from None
    return row.number("value") if known is State.SCORED else known
