"""A gate's policy: what a run must hold to replace a baseline, from a YAML file. `docs/gates.md` shows one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from evalkit.content import read_yaml
from evalkit.nouns import Noun

if TYPE_CHECKING:
    from pathlib import Path


def _margin(value: str | float) -> str | float:
    if isinstance(value, str):
        number = value.removesuffix("%").strip()
        try:
            told = float(number)
        except ValueError:
            told = -1.0
        if not value.endswith("%") or not 0 < told < 100:
            raise ValueError(f"a margin is a positive number, or a percentage such as '2%', found {value!r}")
        return f"{told:g}%"
    if not 0 < value < float("inf"):
        raise ValueError(f"a margin is a positive number, found {value!r}")
    return value


class Limits(Noun):
    """What is asked of one metric."""

    margin: Annotated[float | str, AfterValidator(_margin)]
    """How much worse is still good enough: in the metric's own unit, or `2%` of the baseline's mean."""
    min_coverage: float | None = Field(default=None, ge=0, le=1)
    """Share of cases with a value; the policy's own where None."""
    floor: str | None = None
    """A control's method name: the run must be shown to be better than it on this metric."""
    ceiling: str | None = None
    """A control's method name: the run must not be shown to be better than it, which no honest method is."""


class Anchor(Noun):
    """A metric whose mean over a fixed run must stay where it was: a judge that drifted fails it."""

    run: str
    """The fixed run's method name."""
    metric: str
    value: float = Field(allow_inf_nan=False)
    tolerance: float = Field(gt=0, allow_inf_nan=False)


class Policy(Noun):
    """What a run must hold to replace a baseline."""

    metrics: dict[str, Limits] = Field(min_length=1)
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """Chance that a run that is worse by the margin passes, and fails."""
    min_coverage: float = Field(default=1.0, ge=0, le=1)
    max_missing: float = Field(default=0.0, ge=0, le=1)
    """Share of scores that may be missing though they could be there (failed samples, errors, missing weights)."""
    anchors: tuple[Anchor, ...] = ()
    n_resamples: int = Field(default=9999, ge=99)
    seed: int = Field(default=0, ge=0)


def read_policy(path: Path) -> Policy:
    """The policy in a YAML file. Raises DataError naming file and key."""
    return Policy.read(read_yaml(path), where=str(path))
