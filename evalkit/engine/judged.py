"""How far a judge agrees with itself in a run: the mean of each of its runs, and how much these differ."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

from evalkit.engine.tables import read_table
from evalkit.errors import RunError
from evalkit.metrics.judged import Judged, runs_read, spread
from evalkit.nouns import Noun, Score, State
from evalkit.registry import METRICS, load, names

if TYPE_CHECKING:
    from pathlib import Path


class JudgeSpread(Noun):
    """One judged metric of a run."""

    metric: str
    samples: int
    means: tuple[float | None, ...]
    """Of each of the judge's runs over the run's samples; None for one that could never be read."""
    sd: float | None
    """Standard deviation of the runs' means, with n - 1; None for fewer than two."""


def judge_spreads(run: Path) -> list[JudgeSpread]:
    """The spread of every judged metric in a run folder's scores. Raises: RunError without scores, DataError for damage."""
    if not (run / "scores.csv").is_file():
        raise RunError(f"wanted scores.csv in {str(run)!r}, found none; `evalkit score {run}` writes it")
    told: dict[str, list[str]] = defaultdict(list)
    for row in read_table(run / "scores.csv", needed=("metric", "state", "reason"), known=tuple(Score.model_fields)):
        if row.get("state") == State.SCORED.value and _full_score(row.get("metric")) is not None:
            told[row.get("metric")].append(row.get("reason"))
    return [_spread(metric, reasons) for metric, reasons in told.items()]


def _spread(metric: str, reasons: list[str]) -> JudgeSpread:
    full_score = _full_score(metric)
    assert full_score is not None
    found = spread([row for reason in reasons for row in runs_read(reason)], full_score=full_score)
    means = tuple(None if math.isnan(mean) else mean for mean in found.means)
    return JudgeSpread(metric=metric, samples=len(reasons), means=means, sd=None if math.isnan(found.sd) else found.sd)


def _full_score(column: str) -> float | None:
    """The full score of a judged metric's variant, None for a metric that no judge gives."""
    name, _, variant = column.partition("@")
    metric = load(METRICS, name) if name in names(METRICS) else None
    return float(metric.card.variant(variant).params["full_score"]) if isinstance(metric, Judged) else None
