"""The gate: may a run replace a baseline? Each check passes, fails, or has not enough to tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from evalkit.engine.frozen import Frozen, read_frozen
from evalkit.engine.policy import read_policy
from evalkit.errors import DataError, EvalkitError, UsageError
from evalkit.nouns import Noun, Signature
from evalkit.registry import BENCHMARKS, load
from evalkit.stats import compare
from evalkit.stats.gating import non_inferiority

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd

    from evalkit.engine.policy import Anchor, Limits, Policy

Outcome = Literal["pass", "fail", "inconclusive"]
EXIT_CODES: dict[Outcome, int] = {"pass": 0, "fail": 1, "inconclusive": 2}


class Check(Noun):
    """One thing that was looked at."""

    name: str
    metric: str | None
    outcome: Outcome
    told: str


class Verdict(Noun):
    """The gate's answer, with what it rests on."""

    outcome: Outcome
    run: str
    baseline: str
    profile: str
    checks: tuple[Check, ...]

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 2 inconclusive."""
        return EXIT_CODES[self.outcome]


def read_side(path: Path) -> Frozen:
    """A run folder's scores, or a frozen baseline. Raises RunError, DataError."""
    if path.is_file():
        return read_frozen(path)
    from evalkit.engine.scored import read_scored

    return Frozen.of(read_scored([path])[0])


def gate(run: Path, baseline: Path, policy: Path, controls: Sequence[Path] = ()) -> Verdict:
    """Applies a policy.

    `controls` are the runs (or frozen ones) that floors, ceilings and anchors name by their method.

    Raises: EvalkitError where the two cannot be held against each other, or the policy names what is not there.
    """
    told, candidate, reference = read_policy(policy), read_side(run), read_side(baseline)
    others: dict[str, Frozen] = {}
    for path in controls:
        side = read_side(path)
        if side.method in others:
            raise UsageError(f"wanted one control of each method, found two of {side.method!r}; give one")
        others[side.method] = side
    _refuse(candidate, reference, str(baseline))
    checks = [
        check
        for metric, limits in told.metrics.items()
        for check in _metric_checks(candidate, reference, others, told, metric, limits)
    ]
    checks += [_anchored(others, anchor) for anchor in told.anchors]
    outcomes = {check.outcome for check in checks}
    outcome: Outcome = "fail" if "fail" in outcomes else "inconclusive" if "inconclusive" in outcomes else "pass"
    return Verdict(
        outcome=outcome, run=str(run), baseline=str(baseline), profile=candidate.profile, checks=tuple(checks)
    )


def _refuse(candidate: Frozen, other: Frozen, name: str) -> None:
    for key in ("benchmark", "profile", "world"):
        mine, theirs = getattr(candidate, key), getattr(other, key)
        if mine != theirs:
            raise UsageError(f"wanted one {key}, found {mine!r} in the run and {theirs!r} in {name}; run both alike")
    known = {case.case_id: case.digest for case in other.cases}
    changed = [case.case_id for case in candidate.cases if known.get(case.case_id, case.digest) != case.digest]
    if changed:
        raise UsageError(
            f"wanted the same cases, found {len(changed)} whose prompt or pictures differ from {name}, the first "
            f"{changed[0]!r}; run both on one copy of the data"
        )


def _metric_checks(
    run: Frozen, baseline: Frozen, controls: dict[str, Frozen], policy: Policy, metric: str, limits: Limits
) -> Iterator[Check]:
    _need_metric(run, metric, "the run")
    yield from _complete(run, policy, metric, limits)
    frame = _frame(run, baseline, metric, "the baseline")
    higher = run.metrics[metric].direction == "higher"
    unit = load(BENCHMARKS, run.benchmark).spec.design.unit
    margin = _absolute(limits.margin, baseline.frame(metric)["value"])
    found = non_inferiority(
        frame, baseline.frame(metric), margin, design=run.design, alpha=policy.alpha, higher_is_better=higher,
        n_resamples=policy.n_resamples, seed=policy.seed,
    )  # fmt: skip
    yield Check(
        name="no worse than the baseline",
        metric=metric,
        outcome=found.outcome,
        told=(
            f"{found.difference:+.4g}, {1 - 2 * policy.alpha:.0%} interval {found.low:+.4g} to {found.high:+.4g}, margin "
            f"{margin:.4g}, {found.n_subjects} {unit}s"
        ),
    )
    for name, kind in ((limits.floor, "floor"), (limits.ceiling, "ceiling")):
        if name is not None:
            yield _against_control(run, controls, policy, metric, name, kind)


def _complete(run: Frozen, policy: Policy, metric: str, limits: Limits) -> Iterator[Check]:
    column = run.metrics[metric]
    asked = len(run.keys) - len(column.left_out)
    scored = sum(value is not None for value in column.values)
    wanted = policy.min_coverage if limits.min_coverage is None else limits.min_coverage
    states = ", ".join(f"{state} {count}" for state, count in sorted(column.states.items())) or "none"
    yield Check(
        name="coverage",
        metric=metric,
        outcome="pass" if scored >= wanted * asked else "fail",
        told=f"{scored}/{asked} scored, wanted {wanted:.1%} or more; not scored: {states}",
    )
    missing = column.missing
    yield Check(
        name="missing",
        metric=metric,
        outcome="pass" if missing <= policy.max_missing * asked else "fail",
        told=f"{missing}/{asked} could be there and are not, wanted {policy.max_missing:.1%} or fewer",
    )


def _against_control(
    run: Frozen, controls: dict[str, Frozen], policy: Policy, metric: str, name: str, kind: str
) -> Check:
    control = _control(controls, name, f"the {kind} of {metric}")
    _refuse(run, control, name)
    frame = _frame(run, control, metric, name)
    found = compare(
        frame, control.frame(metric), design=run.design, level=1 - 2 * policy.alpha, n_resamples=policy.n_resamples,
        seed=policy.seed,
    )  # fmt: skip
    low, high = (found.ci_low, found.ci_high)
    if run.metrics[metric].direction == "lower":
        low, high = -high, -low
    floor: Outcome = "pass" if low > 0 else "fail" if high < 0 else "inconclusive"
    ceiling: Outcome = "fail" if low > 0 else "pass"
    wish = "better than" if kind == "floor" else "not above"
    return Check(
        name=f"{kind}: {wish} {name}",
        metric=metric,
        outcome=floor if kind == "floor" else ceiling,
        told=f"{found.difference:+.4g}, {1 - 2 * policy.alpha:.0%} interval {found.ci_low:+.4g} to {found.ci_high:+.4g}",
    )


def _anchored(controls: dict[str, Frozen], anchor: Anchor) -> Check:
    side = _control(controls, anchor.run, f"the anchor of {anchor.metric}")
    _need_metric(side, anchor.metric, anchor.run)
    values = side.frame(anchor.metric)["value"].dropna()
    if not len(values):
        raise DataError(f"wanted values of {anchor.metric} in {anchor.run}, found none; score it first")
    mean = float(values.mean())
    return Check(
        name=f"anchor: {anchor.run} stays where it was",
        metric=anchor.metric,
        outcome="pass" if abs(mean - anchor.value) <= anchor.tolerance else "fail",
        told=f"mean {mean:.4g}, wanted {anchor.value:.4g} within {anchor.tolerance:.4g}",
    )


def _control(controls: dict[str, Frozen], name: str, what: str) -> Frozen:
    if name not in controls:
        known = ", ".join(sorted(controls)) or "none"
        raise UsageError(f"wanted a run of {name!r}, {what}, found {known}; give it with --control RUN")
    return controls[name]


def _frame(run: Frozen, other: Frozen, metric: str, name: str) -> pd.DataFrame:
    _need_metric(other, metric, name)
    mine, theirs = (Signature.parse(side.metrics[metric].signature) for side in (run, other))
    if differs := mine.first_difference(theirs):
        part, one, two = differs
        raise UsageError(
            f"{metric}: the signatures differ in {part}: {one or 'nothing'} in the run, {two or 'nothing'} in {name}; score "
            "both alike, or freeze the baseline again"
        )
    return run.frame(metric)


def _need_metric(side: Frozen, metric: str, name: str) -> None:
    if metric not in side.metrics:
        raise UsageError(
            f"wanted {metric!r}, which the policy names, in {name}, found {', '.join(side.metrics)}; score it with that "
            "metric, or mend the policy"
        )


def _absolute(margin: float | str, baseline: pd.Series[float]) -> float:
    if not isinstance(margin, str):
        return float(margin)
    mean = abs(float(baseline.mean()))
    if not mean > 0:
        raise EvalkitError(
            f"wanted a baseline's mean that {margin} can be taken of, found {mean}; give the margin as a number"
        )
    return float(margin.removesuffix("%")) / 100 * mean
