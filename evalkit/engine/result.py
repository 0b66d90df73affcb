"""What a run came to: the score table with coverage, signatures and what is missing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from evalkit.engine.summary import MetricSummary
from evalkit.errors import DataError, RunError
from evalkit.nouns import Noun, State
from evalkit.runs.folder import RunFolder

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES = 16 * 2**20
"""Of summary.json; a cell takes less than 2,000."""


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


class Summary(Noun):
    """All of summary.json."""

    request: str
    """Digest of the request that the scores answer."""
    method: str
    benchmark: str
    protocol: str
    profile: str
    order: tuple[str, ...]
    scores: dict[str, MetricSummary]
    scales: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]]
    directions: dict[str, Literal["higher", "lower"]]
    part: str | None = None
    in_domain: tuple[str, ...]
    problems: tuple[str, ...]

    @model_validator(mode="after")
    def _is_of_one_table(self) -> Self:
        labels = set(self.order)
        if len(labels) < len(self.order):
            raise ValueError("`order` names a metric twice")
        for key in ("scores", "scales", "directions"):
            if odd := sorted(labels ^ set(getattr(self, key))):
                raise ValueError(f"wanted `{key}` of the metrics of `order`, found {odd[0]!r} in one of them alone")
        if odd := sorted(set(self.in_domain) - labels):
            raise ValueError(f"wanted `in_domain` out of `order`, found {odd[0]!r}")
        for label, cell in self.scores.items():
            if cell.value is not None and not math.isfinite(cell.value):
                raise ValueError(f"wanted a finite value of {label}, found {cell.value!r}")
            if not 0 <= cell.n_scored <= cell.n_cases or any(count < 0 for count in cell.states.values()):
                raise ValueError(f"wanted counts of {label} from 0 to its cases, found others")
            for state in cell.states:
                State.of(state)
        return self


def read_result(path: Path) -> Result:
    """The table that a run folder holds.

    Raises RunError where the run has not been scored, its table is of another request, or the file is no table.
    """
    run = RunFolder.read(path)
    file = run.path / "summary.json"
    if not file.is_file():
        raise RunError(f"{path} has samples but no scores yet; `evalkit score {path}` makes them")
    try:
        told = Summary.read(_text(file), where=str(file))
    except (DataError, OSError, ValueError) as error:
        raise RunError(f"{file} is damaged ({error!s:.500}); `evalkit score {path}` writes it anew") from error
    request = run.record.request
    if told.request != request.digest():
        raise RunError(f"the scores in {path} are of an earlier request; `evalkit score {path}` brings them up to date")
    if len(told.order) != len(request.metrics):
        raise RunError(
            f"{file} is damaged (wanted a column for each of the request's {len(request.metrics)} metrics, found "
            f"{len(told.order)}); `evalkit score {path}` writes it anew"
        )
    most = len(run.requested) * len(request.seeds)
    if many := [label for label, cell in told.scores.items() if cell.n_cases > most]:
        raise RunError(
            f"{file} is damaged (wanted at most the run's {most} samples, found {many[0]!r} over "
            f"{told.scores[many[0]].n_cases}); `evalkit score {path}` writes it anew"
        )
    return Result(
        path=run.path, method=told.method, benchmark=told.benchmark, protocol=told.protocol, profile=told.profile,
        scores={label: told.scores[label] for label in told.order}, scales=told.scales,
        directions=dict(told.directions), in_domain=told.in_domain, part=told.part, problems=told.problems,
    )  # fmt: skip


def _text(file: Path) -> str:
    size = file.stat().st_size
    if size > MOST_BYTES:
        raise ValueError(f"it has {size} bytes, and the limit is {MOST_BYTES}")
    return file.read_text(encoding="utf-8")
