"""What a run came to: the score table with coverage, signatures and what is missing."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evalkit.engine.summary import MetricSummary
from evalkit.errors import RunError
from evalkit.nouns import State
from evalkit.runs.folder import RunFolder

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Result:
    """A run's score table."""

    path: Path
    method: str
    benchmark: str
    protocol: str
    profile: str
    scores: dict[str, MetricSummary]
    scales: dict[str, float]
    directions: dict[str, str]
    """`higher` or `lower`: which way each metric is better."""
    in_domain: tuple[str, ...]
    """Metrics of the table that share a family with a reward of the method."""
    part: str | None = None
    """Which part of the protocol was asked for, None for all of it."""
    problems: tuple[str, ...] = ()
    """What kept the run from being whole, one line each."""

    @property
    def whole(self) -> bool:
        """False where something is missing that could have been there, or a metric has no number at all.

        That no sample keeps its subject is a finding, and no lack.
        """
        told = self.scores.values()
        return all(State.of(state).whole for summary in told for state in summary.states) and all(
            summary.n_scored or summary.states.get(State.INCONSISTENT.value) == summary.n_cases
            for summary in told
            if summary.n_cases
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON form that `--json` prints; `in_domain` only where a metric of the table is."""
        scores = {label: summary.model_dump(mode="json") for label, summary in self.scores.items()}
        told = {"run": str(self.path), "profile": self.profile, "scores": scores}
        return told | ({"in_domain": list(self.in_domain)} if self.in_domain else {})

    def to_summary(self) -> dict[str, Any]:
        """What `summary.json` in the run folder holds: no times, no paths, so that equal runs are equal bytes."""
        keys = ("method", "benchmark", "protocol", "profile")
        told: dict[str, Any] = {key: getattr(self, key) for key in keys}
        scores = {label: summary.model_dump(mode="json") for label, summary in self.scores.items()}
        return told | {
            "order": list(scores),
            "scores": scores,
            "scales": self.scales,
            "directions": self.directions,
            "part": self.part,
            "in_domain": list(self.in_domain),
            "problems": list(self.problems),
        }


def decimals(scale: float) -> int:
    """Decimals that mean something: four of the unscaled measure."""
    return max(0, 4 - round(math.log10(scale)))


def read_result(path: Path) -> Result:
    """The table that a run folder holds. Raises RunError where the run has not been scored."""
    run = RunFolder.read(path)
    file = run.path / "summary.json"
    if not file.is_file():
        raise RunError(f"{path} has samples but no scores yet; `evalkit score {path}` makes them")
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        if told.pop("request") != run.record.request.digest():
            raise RunError(
                f"the scores in {path} are of an earlier request; `evalkit score {path}` brings them up to date"
            )
        cells = told.pop("scores")
        scores = {label: MetricSummary.read(cells[label], where=f"{file}: {label}") for label in told.pop("order")}
        told["in_domain"], told["problems"] = tuple(told["in_domain"]), tuple(told["problems"])
        return Result(path=run.path, scores=scores, **told)
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{file} is damaged ({error}); `evalkit score {path}` writes it anew") from error
