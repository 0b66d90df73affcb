"""How far metrics agree with people: scores of a run, or of a file, beside ratings that people gave the same samples."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Literal

from evalkit.engine.rated import Sampled
from evalkit.errors import DataError, ProblemsError, UsageError
from evalkit.metrics.agreement import kendall_tau, krippendorff_alpha, pairwise_accuracy
from evalkit.nouns import Noun, State
from evalkit.registry import METRICS, load, names, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evalkit.engine.rated import Ratings, Scores

Level = Literal["nominal", "ordinal", "interval"]
LEVELS: tuple[Level, ...] = ("nominal", "ordinal", "interval")
_WHY_NO_ALPHA = {
    "lower": "it is better when lower, and no factor turns it onto the raters' scale; give scores that rise with quality",
    "higher": "it shares no sample with any rater, or its values and their ratings are all the same",
}
"""By direction."""


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
    """Krippendorff's alpha of the raters among each other, over all rated samples, whatever the metric scored."""
    alpha: float | None
    """Mean over raters of Krippendorff's alpha of metric and rater; None without a scale."""
    no_alpha: str | None
    """Why there is no `alpha` although a scale was given."""
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


def agree(
    scores: Scores,
    ratings: Ratings,
    *,
    metrics: Sequence[str] = (),
    level: str = "interval",
    scale: float | None = None,
    lower: Sequence[str] = (),
    partial: bool = False,
    labels: Mapping[str, str] | None = None,
) -> list[Agreement]:
    """How far each metric (those named, else all) agrees with people.

    `scale`: times a metric's value it is on the raters' scale, which alpha needs; a metric that is better when lower has no
    alpha, since no factor turns it. `lower`: metrics that are better when lower, beside those whose card says so. `partial`:
    leaves out rated samples that the scores do not know. `labels`: further names, as `read_labels` gives them.

    Raises: UsageError for names and levels that do not exist; DataError without any score or rating; ProblemsError for
    rated samples that the scores do not know, unless `partial`.
    """
    if level not in LEVELS:
        raise UsageError(f"wanted --level {', '.join(LEVELS)}, found {level!r}")
    if scale is not None and not (scale > 0 and math.isfinite(scale)):
        raise UsageError(f"wanted --scale above 0, found {scale!r}")
    for word, found in (("scores", scores), ("ratings", ratings)):
        if not found:
            raise DataError(f"wanted {word} of samples, found none; give at least one")
    turned = {_name(text, scores, labels or {}) for text in lower}
    chosen = list(dict.fromkeys(_name(text, scores, labels or {}) for text in metrics)) or sorted(scores)
    keyed = {name: _keyed(name, scores[name], ratings) for name in chosen}
    strange = {name: [key for key in ratings if key not in table] for name, table in keyed.items()}
    if any(strange.values()) and not partial:
        lines = [f"{name}: no score of {key}" for name, keys in strange.items() for key in keys]
        raise ProblemsError("ratings of samples that the scores do not know; --partial leaves them out", lines)
    return [_agreement(name, keyed[name], ratings, level=level, scale=scale, lower=name in turned) for name in chosen]


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
    matrix = [[given.get(rater, math.nan) for given in ratings.values()] for rater in raters]
    values = [sign * value for value in both.values()]
    means = [math.fsum(ratings[key].values()) / len(ratings[key]) for key in both]
    ranked = pairwise_accuracy(values, means)
    scaled = [math.nan if scale is None or key not in both else scale * both[key] for key in ratings]
    alpha = None if direction == "lower" else _alpha(scaled, matrix, level)
    return Agreement(
        metric=name,
        direction=direction,
        items=len(both),
        raters=len(raters),
        tau=_defined(kendall_tau(values, means)),
        accuracy=_defined(ranked.accuracy),
        pairs=ranked.pairs,
        people_alpha=_defined(krippendorff_alpha(matrix, level=level)),
        alpha=alpha,
        no_alpha=None if scale is None or alpha is not None else _WHY_NO_ALPHA[direction],
        not_scored={state.value: count for state, count in sorted(states.items())},
        unscored=tuple(str(key) for key in ratings if key not in table),
        unrated=sum(key not in ratings for key, value in table.items() if not isinstance(value, State)),
    )


def _alpha(values: Sequence[float], matrix: Sequence[Sequence[float]], level: Level) -> float | None:
    """The mean alpha of the metric, NaN where it has no value, with each rater with whom it is defined."""
    each = (krippendorff_alpha([values, row], level=level) for row in matrix)
    defined = [alpha for alpha in each if not math.isnan(alpha)]
    return math.fsum(defined) / len(defined) if defined else None


def _name(text: str, scores: Scores, labels: Mapping[str, str]) -> str:
    """The metric of the scores that goes by this name or label. Raises UsageError with the near ones where none does."""
    found = text if text in scores else labels.get(text, text)
    if found in scores:
        return found
    variants = [name for name in sorted(scores) if name.partition("@")[0] == text]
    if variants:
        raise UsageError(
            f"wanted a metric of these scores, found {text!r}, which names no variant; did you mean "
            f"{' or '.join(map(repr, variants))}?"
        )
    known = {*scores, *(label for label, name in labels.items() if name in scores)}
    raise UsageError(unknown("metric of these scores", text, sorted(known), "evalkit agree SCORES RATINGS"))


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
