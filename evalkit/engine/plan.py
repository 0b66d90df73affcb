"""Planning from runs at hand: what showing a difference takes, in subjects, prompts, seeds and hours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evalkit.engine.compare import why_not_metric
from evalkit.engine.scored import ScoredRun, read_scored, why_not_comparable
from evalkit.errors import UsageError
from evalkit.nouns import Noun
from evalkit.registry import unknown
from evalkit.stats import Plan
from evalkit.stats import plan as planned

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

HOUR = 3600.0


class Planned(Noun):
    """A plan for one metric of a benchmark."""

    metric: str
    pilots: tuple[str, ...]
    single: bool
    """True with one pilot: then the two methods count as having nothing in common, which asks for most."""
    seconds_per_sample: float | None
    """What a sample took, scoring included; None where neither the user nor the run says, as one that was trained in."""
    plan: Plan

    def hours(self, samples: int | None) -> float | None:
        """Hours that so many samples take, None where that is not known."""
        known = samples is not None and self.seconds_per_sample is not None
        return samples * self.seconds_per_sample / HOUR if known else None  # type: ignore[operator]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form that `--json` prints."""
        told = self.model_dump(mode="json")
        for row, choice in zip(told["plan"]["choices"], self.plan.choices, strict=True):
            row["hours"] = self.hours(choice.samples)
        return told


def plan_runs(
    pilots: Sequence[Path],
    detect: float,
    *,
    metric: str | None = None,
    power: float = 0.8,
    alpha: float = 0.05,
    seconds_per_sample: float | None = None,
    replications: int = 500,
    seed: int = 0,
) -> Planned:
    """What it takes to detect a difference of `detect`, in the metric's unit, with the variances of the pilot.

    Two pilot runs give the variances of their difference. One gives its own, and the other method counts as unrelated.

    Raises: UsageError for a metric that is not there or runs that may not be compared; what `evalkit.stats.plan` raises.
    """
    if not 1 <= len(pilots) <= 2:
        raise UsageError(f"wanted one pilot run or two, found {len(pilots)}; give --pilot once or twice")
    scored = read_scored(pilots)
    first = scored[0]
    wanted = metric or next(iter(first.result.scores))
    if wanted not in first.result.scores:
        raise UsageError(unknown("metric of the pilot", wanted, list(first.result.scores), f"evalkit show {pilots[0]}"))
    frame = first.frame(wanted)
    if len(scored) == 2:
        second = scored[1]
        if why := why_not_comparable(first, second) or why_not_metric(first, second, wanted):
            raise UsageError(f"the pilots cannot be compared: {why}")
        other = second.frame(wanted)
    else:
        other = _unrelated(frame)
    found = planned(
        frame,
        other,
        detect,
        power=power,
        alpha=alpha,
        design=first.design.prompts,
        replications=replications,
        seed=seed,
    )
    return Planned(
        metric=wanted,
        pilots=tuple(run.name for run in scored),
        single=len(scored) == 1,
        seconds_per_sample=_seconds(first) if seconds_per_sample is None else seconds_per_sample,
        plan=found,
    )


def _unrelated(frame: pd.DataFrame) -> pd.DataFrame:
    """The same keys with each subject's values replaced by the next one's: a method that shares nothing with this one."""
    ordered = frame.sort_values(["subject", "prompt", "seed"], kind="stable").reset_index(drop=True)
    sizes = ordered.groupby("subject", sort=False).size()
    if sizes.nunique() > 1:
        raise UsageError(
            f"wanted as many samples of each subject, found {sizes.min()} to {sizes.max()}; give two pilot runs"
        )
    shifted = ordered["value"].to_numpy()
    return ordered.assign(value=[*shifted[sizes.iloc[0] :], *shifted[: sizes.iloc[0]]])


def _seconds(run: ScoredRun) -> float | None:
    if "trained" in run.run.record.identity.method_config:
        return None  # its time is mostly the training's
    took = [(i.finished - i.started).total_seconds() for i in run.run.record.invocations if i.finished is not None]
    samples = len(run.cases) * len(run.seeds)
    return sum(took) / samples if took and samples else None
