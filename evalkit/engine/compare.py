"""Runs against runs: every metric that may be compared, with intervals, adjusted p-values and plain sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from evalkit.engine.result import decimals
from evalkit.engine.scored import ScoredRun, read_scored, why_not_comparable
from evalkit.errors import DataError, EvalkitError, UsageError
from evalkit.metrics.derived import DerivedMetric
from evalkit.nouns import Noun
from evalkit.registry import METRICS, load
from evalkit.stats import Comparison, compare_all
from evalkit.stats.ranking import Ranking, ranks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from evalkit.stats.sheet import Sheet

FamilyName = Literal["headline", "exploratory"]
Missing = Literal["complete", "worst", "refuse"]
"""What a claim makes of cases where either run has no value: `complete` rests on the others and says how far the missing
could move it, `worst` claims only what holds wherever the missing values lie, `refuse` compares no metric that lacks any.
"""
ADJUSTED: dict[FamilyName, Literal["holm", "bh"]] = {"headline": "holm", "exploratory": "bh"}
"""Headline claims keep the chance of a single false one; an exploratory grid the share of false ones among those shown."""
ALPHA = 0.05


class Claim(Noun):
    """One run against another on one metric, over all cases or those of one category."""

    metric: str
    direction: Literal["higher", "lower"]
    a: str
    b: str
    category: str | None
    in_domain: tuple[str, ...]
    """Which of the two were trained on this metric's family."""
    scale: float
    unit: str = "subject"
    """What a claim is about new ones of, of which `comparison.n_subjects` were compared."""
    comparison: Comparison
    adjusted: float
    """p over all claims by the family's own method; what the sentence goes by."""
    max_t: float
    """p over all claims by max-t, which loses less where metrics are strongly correlated."""
    missing: Missing = "complete"

    @property
    def better(self) -> str | None:
        """The run that is shown to be better, None where neither is."""
        if self.adjusted >= ALPHA or (self.missing == "worst" and not self.holds_at_worst):
            return None
        return self.a if (self.comparison.difference > 0) == (self.direction == "higher") else self.b

    @property
    def holds_at_worst(self) -> bool:
        """Whether the difference keeps its sign wherever the missing values lie; False where no bound is known."""
        c = self.comparison
        if not c.n_missing:
            return True
        if c.worst_low is None or c.worst_high is None:
            return False
        return c.worst_low > 0 if c.difference > 0 else c.worst_high < 0

    @property
    def win_rate(self) -> float:
        """Share of subjects on which a is better than b, ties counting half."""
        rate = self.comparison.win_probability
        return rate if self.direction == "higher" else 1 - rate


class NotCompared(Noun):
    """What could not be compared, and why."""

    metric: str | None
    """None where nothing of the two runs can be."""
    a: str
    b: str
    category: str | None
    why: str


class Compared(Noun):
    """All that is known of some runs beside each other."""

    family: FamilyName
    method: Literal["holm", "bh"]
    """How p-values were adjusted for the number of claims."""
    design: str
    note: str
    """What the benchmark says of its cases."""
    profile: str
    claims: tuple[Claim, ...]
    not_compared: tuple[NotCompared, ...]
    rankings: dict[str, Ranking]
    """By metric, where three runs or more can be compared."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form that `--json` prints."""
        told = self.model_dump(mode="json")
        for row, claim in zip(told["claims"], self.claims, strict=True):
            row |= {"better": claim.better, "win_rate": claim.win_rate, "sentence": sentence(claim)}
        return told


class _Key(NamedTuple):
    metric: str
    a: int
    b: int
    category: str | None


def compare_runs(
    paths: Sequence[Path],
    *,
    family: FamilyName = "headline",
    by_category: bool = False,
    all_pairs: bool = False,
    missing: Missing = "complete",
    n_resamples: int = 9999,
    seed: int = 0,
) -> Compared:
    """Every later run against the first, or each against each.

    Raises: UsageError for fewer than two runs; RunError for what is no scored run; what `evalkit.stats.compare_all`
    raises. What two runs cannot be compared on is told in the result.
    """
    if len(paths) < 2:
        raise UsageError("wanted two runs or more, found one; give the baseline first, then the others")
    scored = read_scored(paths)
    couples = [(j, i) for i in range(len(scored)) for j in range(i + 1, len(scored)) if all_pairs or i == 0]
    pairs: dict[_Key, Any] = {}
    refused: list[NotCompared] = []
    known: dict[tuple[int, str, str | None], Sheet] = {}

    def scores(index: int, metric: str, category: str | None) -> Sheet:
        key = (index, metric, category)
        if key not in known:
            known[key] = scored[index].sheet(metric, category=category)
        return known[key]

    for a, b in couples:
        one, other = scored[a], scored[b]
        if why := why_not_comparable(one, other):
            refused.append(NotCompared(metric=None, a=one.name, b=other.name, category=None, why=why))
            continue
        for metric in dict.fromkeys([*other.result.scores, *one.result.scores]):
            if why := why_not_metric(one, other, metric):
                refused.append(NotCompared(metric=metric, a=one.name, b=other.name, category=None, why=why))
                continue
            for category in categories(other, metric) if by_category else [None]:
                try:
                    two = scores(a, metric, category), scores(b, metric, category)
                except DataError as error:
                    refused.append(
                        NotCompared(metric=metric, a=one.name, b=other.name, category=category, why=str(error))
                    )
                    continue
                if missing == "refuse" and (lacking := sum(int(np.isnan(side.value).sum()) for side in two)):
                    told = f"wanted a value for every case, found {lacking} without; --missing complete compares the others"
                    refused.append(NotCompared(metric=metric, a=one.name, b=other.name, category=category, why=told))
                    continue
                pairs[_Key(metric, a, b, category)] = two
    first = scored[0]
    # a category is one stratum, and each category a family member of its own
    design = first.design.model_copy(update={"strata": False}) if by_category else first.design
    ranges = {key: r for key in pairs if (r := scored[key.a].value_range(key.metric)) is not None}
    found = compare_all(pairs, design=design, value_ranges=ranges, n_resamples=n_resamples, seed=seed)
    refused += [
        NotCompared(metric=k.metric, a=scored[k.a].name, b=scored[k.b].name, category=k.category, why=str(error))
        for k, error in found.refused.items()
    ]
    adjusted = found.adjusted(ADJUSTED[family]) if found.comparisons else {}
    claims = [
        _claim(scored, key, comparison, adjusted[key], found.step_down[key]).model_copy(update={"missing": missing})
        for key, comparison in found.comparisons.items()
    ]
    return Compared(
        family=family,
        method=ADJUSTED[family],
        design=design.name,
        note=first.note,
        profile=first.result.profile,
        claims=tuple(claims),
        not_compared=tuple(refused),
        rankings=_rankings(scored, pairs, n_resamples=n_resamples, seed=seed) if not by_category else {},
    )


def why_not_metric(a: ScoredRun, b: ScoredRun, metric: str) -> str | None:
    """Why the two runs' numbers of a metric may not be compared, None where they may."""
    for here, there in ((a, b), (b, a)):
        if metric not in here.result.scores:
            choice = there.choice(metric)
            return (
                f"{here.name} has no scores of it; `evalkit score {here.run.path} --metric {choice.column}` makes them"
            )
    if isinstance(load(METRICS, a.choice(metric).metric), DerivedMetric):
        return "it is of a whole table and has no values of samples to compare; compare the columns that it is made of"
    mine, theirs = a.signature(metric), b.signature(metric)
    if differs := mine.first_difference(theirs):
        part, one, other = differs
        return (
            f"the signatures differ in {part}: {one or 'nothing'} in {a.name}, {other or 'nothing'} in {b.name}; score "
            "both with the same variant, weights and version"
        )
    return None


def categories(run: ScoredRun, metric: str) -> list[str]:
    """The categories that a metric has cases of, in the order of the benchmark."""
    return list(dict.fromkeys(case.category for case in run.cases.values() if run.applies(metric, case)))


def _claim(scored: list[ScoredRun], key: _Key, comparison: Comparison, adjusted: float, max_t: float) -> Claim:
    a, b = scored[key.a], scored[key.b]
    return Claim(
        metric=key.metric,
        direction="lower" if a.result.directions[key.metric] == "lower" else "higher",
        a=a.name,
        b=b.name,
        category=key.category,
        in_domain=tuple(run.name for run in (a, b) if key.metric in run.result.in_domain),
        scale=a.result.scales[key.metric],
        unit=a.unit,
        comparison=comparison.model_copy(update={"metric": key.metric}),
        adjusted=adjusted,
        max_t=max_t,
    )


def _rankings(scored: list[ScoredRun], pairs: dict[_Key, Any], *, n_resamples: int, seed: int) -> dict[str, Ranking]:
    """Of each metric that three runs or more share with one signature."""
    found = {}
    for metric in dict.fromkeys(key.metric for key in pairs):
        frames: dict[str, Any] = {}
        for key, (a, b) in pairs.items():
            if key.metric == metric:
                frames |= {scored[key.b].name: b, scored[key.a].name: a}
        if len(frames) < 3:
            continue
        higher = scored[0].result.directions.get(metric) != "lower"
        try:
            found[metric] = ranks(
                frames, design=scored[0].design, higher_is_better=higher, n_resamples=n_resamples, seed=seed
            )
        except EvalkitError:
            continue  # the pair that cannot be compared says why among `not_compared`
    return found


def sentence(claim: Claim) -> str:
    """The claim in plain words, with its interval and what it rests on."""
    c = claim.comparison
    where = f" on {claim.category}" if claim.category else ""
    digits = decimals(claim.scale)
    span = f"{c.ci_low:+.{digits}f} to {c.ci_high:+.{digits}f}"
    rests = f"{c.n_subjects} {claim.unit}s, adjusted p {p_text(claim.adjusted)}"
    if claim.better is None:
        told = f"{claim.metric}{where}: no difference shown between {claim.a} and {claim.b}"
    else:
        worse = claim.b if claim.better == claim.a else claim.a
        told = f"{claim.metric}{where}: {claim.better} is better than {worse}"
    if c.n_missing and c.worst_low is not None and c.worst_high is not None:
        rests += f"; {c.n_missing} missing, which could make it {c.worst_low:+.{digits}f} to {c.worst_high:+.{digits}f}"
    elif c.n_missing:
        rests += f"; {c.n_missing} missing, without a bound on what they could be"
    text = f"{told} ({claim.a} - {claim.b} {c.difference:+.{digits}f}, 95 % interval {span}; {rests})"
    trained = [name for name in claim.in_domain if name in (claim.a, claim.b)]
    return text + (f"; {' and '.join(trained)} trained on this metric" if trained else "")


def p_text(p: float) -> str:
    """A p-value with the digits that mean something."""
    return "< .001" if p < 0.001 else f"{p:.3f}".removeprefix("0")
