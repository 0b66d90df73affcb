"""How far metrics agree with people: scores of a run, or of a file, beside ratings that people gave the same samples.

Ratings are a CSV with the columns `case_id`, `rater`, `rating` and, where scores are of several seeds, `seed`.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Literal, NamedTuple

from evalkit.engine.tables import Row, read_table
from evalkit.errors import DataError, ProblemsError, RunError, UsageError
from evalkit.metrics.agreement import kendall_tau, krippendorff_alpha, pairwise_accuracy
from evalkit.nouns import Noun, Score, State
from evalkit.registry import METRICS, load, names, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Level = Literal["nominal", "ordinal", "interval"]
LEVELS: tuple[Level, ...] = ("nominal", "ordinal", "interval")
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


class Agreement(Noun):
    """One metric beside people's ratings. What is undefined (a constant, no pair) is None."""

    metric: str
    direction: Literal["higher", "lower"]
    """Which way the metric is better; with `lower` its values are counted downwards."""
    items: int
    """Samples with a score and a rating."""
    raters: int
    tau: float | None
    """Kendall's tau-b of the metric and the mean rating."""
    accuracy: float | None
    """Share of pairs that people rate differently in which the metric prefers what they prefer; ties count half."""
    pairs: int
    people_alpha: float | None
    """Krippendorff's alpha of the raters among each other, over the rated samples."""
    alpha: float | None
    """Mean over raters of Krippendorff's alpha of metric and rater; None without a scale."""
    not_scored: dict[str, int]
    """Rated samples without a value, by state."""
    unscored: tuple[str, ...]
    """Rated samples that the scores do not know."""
    unrated: int
    """Scored samples that nobody rated."""

    @property
    def whole(self) -> bool:
        """Whether every rated sample has a value."""
        return not self.not_scored and not self.unscored


def read_ratings(path: Path) -> Ratings:
    """People's ratings. Raises: DataError for a file that is no such table; ProblemsError with every line that does not fit."""
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
    if path.is_dir():
        if not (path / "scores.csv").is_file():
            raise RunError(f"wanted scores.csv in {str(path)!r}, found none; `evalkit score {path}` writes it")
        path = path / "scores.csv"
    found: Scores = defaultdict(dict)
    problems = []
    for row in read_table(path, needed=_SCORE_COLUMNS, known=tuple(Score.model_fields)):
        try:
            key, metric, value = _sampled(row), row.get("metric") or UNNAMED, _value(row)
        except DataError as error:
            problems.append(str(error))
            continue
        if key in found[metric]:
            problems.append(f"{row.where}: {metric} of {key} is there twice; keep one line")
        found[metric][key] = value
    if problems:
        raise ProblemsError(f"{path}: scores that do not fit", problems)
    return dict(found)


def agree(
    scores: Scores,
    ratings: Ratings,
    *,
    metrics: Sequence[str] = (),
    level: str = "interval",
    scale: float | None = None,
    lower: Sequence[str] = (),
    partial: bool = False,
) -> list[Agreement]:
    """How far each metric (those named, else all) agrees with people.

    `scale`: times a metric's value it is on the raters' scale, which alpha needs. `lower`: metrics that are better when
    lower, beside those whose card says so. `partial`: leaves out rated samples that the scores do not know.

    Raises: UsageError for names and levels that do not exist; ProblemsError for rated samples without a score, unless
    `partial`.
    """
    if level not in LEVELS:
        raise UsageError(f"wanted --level {', '.join(LEVELS)}, found {level!r}")
    if scale is not None and not (scale > 0 and math.isfinite(scale)):
        raise UsageError(f"wanted --scale above 0, found {scale!r}")
    for name in (*metrics, *lower):
        if name not in scores:
            raise UsageError(unknown("metric of these scores", name, sorted(scores), "evalkit agree SCORES RATINGS"))
    chosen = list(metrics) or sorted(scores)
    keyed = {name: _keyed(name, scores[name], ratings) for name in chosen}
    strange = {name: [key for key in ratings if key not in table] for name, table in keyed.items()}
    if any(strange.values()) and not partial:
        lines = [f"{name}: no score of {key}" for name, keys in strange.items() for key in keys]
        raise ProblemsError("ratings of samples that the scores do not know; --partial leaves them out", lines)
    return [_agreement(name, keyed[name], ratings, level=level, scale=scale, lower=name in lower) for name in chosen]


def _agreement(
    name: str,
    table: Mapping[Sampled, float | State],
    ratings: Ratings,
    *,
    level: Level,
    scale: float | None,
    lower: bool,
) -> Agreement:
    direction: Literal["higher", "lower"] = "lower" if lower or _card_direction(name) == "lower" else "higher"
    sign = -1.0 if direction == "lower" else 1.0
    states = Counter(state for key in ratings if isinstance(state := table.get(key), State))
    both = {key: value for key in ratings if not isinstance(value := table.get(key), State | None)}
    raters = sorted({rater for given in ratings.values() for rater in given})
    matrix = [[ratings[key].get(rater, math.nan) for key in both] for rater in raters]
    values = [sign * value for value in both.values()]
    means = [math.fsum(ratings[key].values()) / len(ratings[key]) for key in both]
    ranked = pairwise_accuracy(values, means)
    alphas = [] if scale is None else _alphas([scale * value for value in both.values()], matrix, level)
    return Agreement(
        metric=name,
        direction=direction,
        items=len(both),
        raters=len(raters),
        tau=_defined(kendall_tau(values, means)),
        accuracy=_defined(ranked.accuracy),
        pairs=ranked.pairs,
        people_alpha=_defined(krippendorff_alpha(matrix, level=level)),
        alpha=math.fsum(alphas) / len(alphas) if alphas else None,
        not_scored={state.value: count for state, count in sorted(states.items())},
        unscored=tuple(str(key) for key in ratings if key not in table),
        unrated=sum(key not in ratings for key, value in table.items() if not isinstance(value, State)),
    )


def _alphas(values: Sequence[float], matrix: Sequence[Sequence[float]], level: Level) -> list[float]:
    """Alpha of the metric with each rater, as far as it is defined."""
    found = (krippendorff_alpha([values, row], level=level) for row in matrix)
    return [alpha for alpha in found if not math.isnan(alpha)]


def _keyed(name: str, table: dict[Sampled, float | State], ratings: Ratings) -> Mapping[Sampled, float | State]:
    """The scores under keys like those of the ratings. Raises UsageError where seeds cannot be told apart."""
    if any(key.seed is not None for key in ratings):
        return table
    seeds = {key.seed for key in table}
    if len(seeds) > 1:
        shown = ", ".join(str(seed) for seed in sorted(seeds, key=str))
        raise UsageError(
            f"wanted a column 'seed' in the ratings, as {name} is scored for the seeds {shown}, found none; add it"
        )
    return {Sampled(key.case_id, None): value for key, value in table.items()}


def _card_direction(metric: str) -> str | None:
    name = metric.partition("@")[0]
    return load(METRICS, name).card.direction if name in names(METRICS) else None


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else value


def _sampled(row: Row) -> Sampled:
    return Sampled(row.text("case_id"), row.whole("seed") if row.get("seed") else None)


def _value(row: Row) -> float | State:
    state = row.get("state") or State.SCORED.value
    try:
        known = State.of(state)
    except ValueError as error:
        raise DataError(f"{row.where}: {error}") from None
    return row.number("value") if known is State.SCORED else known
