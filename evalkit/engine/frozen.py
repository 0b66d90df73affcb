"""A run's scores in one small file that can be committed: what a gate holds later runs against."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import ValidationError

from evalkit.errors import DataError
from evalkit.files import atomic_write_text
from evalkit.nouns import Noun, Profile, State, digest
from evalkit.stats import Design

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    import pandas as pd

    from evalkit.engine.scored import ScoredRun

DIGITS = 8
"""Significant digits of a frozen value: more than any metric's tolerance."""
SHORT = 16
"""Hexadecimal digits of a case's digest: it guards against change, not against forgery, as the file's own does."""


class Column(Noun):
    """One metric's scores, in the order of the file's keys."""

    signature: str
    direction: Literal["higher", "lower"]
    scale: float
    in_domain: bool
    values: tuple[float | None, ...]
    """None where there is no value."""
    left_out: tuple[int, ...]
    """Places of the keys that the protocol leaves out of this metric."""
    states: dict[str, int]
    """How many were not scored, by state."""

    @property
    def missing(self) -> int:
        """Scores that are not there and could have been."""
        return sum(count for state, count in self.states.items() if not State.of(state).whole)


class FrozenCase(NamedTuple):
    """What a score is of; a row in the file."""

    case_id: str
    subject: str
    prompt: str
    category: str
    digest: str
    """Of the case's prompt and pictures."""


class Frozen(Noun):
    """A run's scores, with all that decides whether another run's may be held against them."""

    format: Literal[1] = 1
    method: str
    method_config: dict[str, Any]
    benchmark: str
    protocol: str
    profile: Profile
    world: str | None
    design: Design
    cases: tuple[FrozenCase, ...]
    seeds: tuple[int, ...]
    metrics: dict[str, Column]

    @property
    def keys(self) -> list[tuple[FrozenCase, int]]:
        """Every (case, seed), in the order of each metric's values."""
        return [(case, seed) for case in self.cases for seed in self.seeds]

    @classmethod
    def of(cls, scored: ScoredRun) -> Self:
        """The run's scores as they stand."""
        identity = scored.run.record.identity
        cases = [
            FrozenCase(
                case.case_id, "+".join(case.subjects), scored.prompt(case), case.category,
                scored.run.cases[case.case_id].sha256[:SHORT],
            )
            for case in scored.cases.values()
        ]  # fmt: skip
        return cls(
            method=identity.method, method_config=dict(identity.method_config), benchmark=identity.benchmark,
            protocol=scored.result.protocol, profile=identity.profile, world=identity.world, design=scored.design,
            cases=tuple(cases), seeds=scored.seeds,
            metrics={label: _column(scored, label) for label in scored.result.scores},
        )  # fmt: skip

    def frame(self, label: str) -> pd.DataFrame:
        """subject, prompt, seed, stratum, value of a metric, as `ScoredRun.frame`."""
        import pandas as pd

        column = self.metrics[label]
        left_out = set(column.left_out)
        rows = [
            (case.subject, case.prompt, seed, case.category, float("nan") if value is None else value)
            for place, ((case, seed), value) in enumerate(zip(self.keys, column.values, strict=True))
            if place not in left_out
        ]
        return pd.DataFrame(rows, columns=["subject", "prompt", "seed", "stratum", "value"])

    def write(self, path: Path) -> None:
        """One JSON object with its own sha256. Raises RunError where the file cannot be written."""
        told = self.model_dump(mode="json")
        told["sha256"] = digest(told)
        atomic_write_text(path, json.dumps(told, separators=(",", ":"), ensure_ascii=False, allow_nan=False) + "\n")


def _column(scored: ScoredRun, label: str) -> Column:
    summary, kept = scored.result.scores[label], scored.kept(label).tolist()
    values = [
        float(f"{value:.{DIGITS}g}") if there and not math.isnan(value) else None
        for there, value in zip(kept, scored.held(label).value.tolist(), strict=True)
    ]
    return Column(
        signature=summary.signature,
        direction="lower" if scored.result.directions[label] == "lower" else "higher",
        scale=scored.result.scales[label],
        in_domain=label in scored.result.in_domain,
        values=tuple(values),
        left_out=tuple(place for place, there in enumerate(kept) if not there),
        states=summary.states,
    )


def read_frozen(path: Path) -> Frozen:
    """The scores in a file that `Frozen.write` made.

    Raises DataError where it cannot be read, was changed since it was written, or is of another format.
    """
    way = "freeze the baseline again with `evalkit gate freeze RUN FILE`"
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: wanted a frozen baseline, found {error}; {way}") from None
    if not isinstance(told, dict) or "sha256" not in told:
        raise DataError(f"{path}: wanted a frozen baseline with its sha256, found none; {way}")
    said = told.pop("sha256")
    if (found := digest(told)) != said:
        raise DataError(f"{path}: wanted sha256 {said}, found {found}: the file was changed by hand; {way}")
    try:
        return Frozen.model_validate_json(json.dumps(told))
    except ValidationError as error:
        raise DataError(
            f"{path}: wanted a frozen baseline of format 1, found {error.error_count()} faults; {way}"
        ) from None
