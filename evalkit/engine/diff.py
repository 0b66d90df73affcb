"""Why two runs' numbers differ: what they are of, their signatures, their samples, their scores, case by case."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from evalkit.engine.scored import ScoredRun, read_scored
from evalkit.nouns import Noun, Signature

if TYPE_CHECKING:
    from pathlib import Path

SHOWN = 5
NOTHING = (None, "nothing")
"""Value and state of what has no score."""


class Part(NamedTuple):
    """One thing that differs."""

    part: str
    a: str
    b: str


class CaseDifference(NamedTuple):
    """A case and seed with another value."""

    case_id: str
    seed: int
    a: float
    b: float
    same_sample: bool | None
    """Whether both samples show the same pixels, None where one has no sample."""


class StateChange(NamedTuple):
    """A case and seed that is scored in one run alone, or not scored for another reason."""

    case_id: str
    seed: int
    a: str
    b: str


class MetricDiff(Noun):
    """What is different about one metric."""

    metric: str
    a: float | None
    b: float | None
    signature: Part | None
    """The first part of the signatures that differs."""
    pairs: int
    """Cases and seeds with a value on both sides."""
    differing: int
    largest: tuple[CaseDifference, ...]
    states: tuple[StateChange, ...]
    states_changed: int


class Diff(Noun):
    """Two runs beside each other."""

    a: str
    b: str
    identity: tuple[Part, ...]
    """What run.json says they are, where that differs: the first difference, then versions."""
    only_a: int
    only_b: int
    """Cases and seeds that are in one alone."""
    changed_cases: tuple[str, ...]
    """Cases whose prompt or pictures differ."""
    samples: int
    """Cases and seeds with a sample on both sides."""
    changed_samples: int
    first_changed: tuple[str, ...]
    metrics: tuple[MetricDiff, ...]
    only_metrics: tuple[Part, ...]

    @property
    def same(self) -> bool:
        """True where no number, state or sample differs."""
        return not (self.only_a or self.only_b or self.changed_samples or self.only_metrics) and not any(
            m.signature or m.differing or m.states_changed for m in self.metrics
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON form that `--json` prints."""
        return self.model_dump(mode="json") | {"same": self.same}


def diff_runs(one: Path, other: Path, *, shown: int = SHOWN) -> Diff:
    """What differs between two runs, with the `shown` largest differences of each metric.

    Raises: RunError for what is no scored run; UsageError for one folder given twice.
    """
    a, b = read_scored([one, other])
    keys_a, keys_b = ({(case, seed) for case in run.cases for seed in run.seeds} for run in (a, b))
    shared = sorted(keys_a & keys_b)
    pixels = [{(s.case_id, s.seed): s.pixels_sha256 for s in run.run.samples.latest().values()} for run in (a, b)]
    both = [key for key in shared if pixels[0].get(key) and pixels[1].get(key)]
    changed = [key for key in both if pixels[0][key] != pixels[1][key]]
    there = [label for label in a.result.scores if label in b.result.scores]
    alone = [Part(m, "scored", "not there") for m in a.result.scores if m not in b.result.scores]
    alone += [Part(m, "not there", "scored") for m in b.result.scores if m not in a.result.scores]
    cases_a, cases_b = a.run.cases, b.run.cases
    return Diff(
        a=a.name,
        b=b.name,
        identity=tuple(_identity(a, b)),
        only_a=len(keys_a - keys_b),
        only_b=len(keys_b - keys_a),
        changed_cases=tuple(n for n in a.cases if n in b.cases and cases_a[n].sha256 != cases_b[n].sha256),
        samples=len(both),
        changed_samples=len(changed),
        first_changed=tuple(f"{case} seed {seed}" for case, seed in changed[:shown]),
        metrics=tuple(_metric(a, b, label, shared, pixels, shown) for label in there),
        only_metrics=tuple(alone),
    )


def _identity(a: ScoredRun, b: ScoredRun) -> list[Part]:
    parts = []
    if first := a.run.record.identity.first_difference(b.run.record.identity):
        parts.append(Part(*first))
    if a.result.protocol != b.result.protocol:
        parts.append(Part("protocol", a.result.protocol, b.result.protocol))
    if a.seeds != b.seeds:
        parts.append(Part("seeds", str(len(a.seeds)), str(len(b.seeds))))
    for name in dict.fromkeys([*a.run.record.method_weights, *b.run.record.method_weights]):
        mine, theirs = (run.run.record.method_weights.get(name, "nothing") for run in (a, b))
        parts += [Part(f"weights {name}", mine[:12], theirs[:12])] if mine != theirs else []
    versions = [run.run.record.invocations[-1].versions if run.run.record.invocations else {} for run in (a, b)]
    for name in sorted({*versions[0], *versions[1]}):
        mine, theirs = (told.get(name, "nothing") for told in versions)
        parts += [Part(f"version of {name}", mine, theirs)] if mine != theirs else []
    return parts


def _metric(
    a: ScoredRun, b: ScoredRun, label: str, keys: list[tuple[str, int]], pixels: list[dict[tuple[str, int], str | None]],
    shown: int,
) -> MetricDiff:  # fmt: skip
    told = (Signature.parse(run.result.scores[label].signature) for run in (a, b))
    first = next(told).first_difference(next(told))
    scores = [_scores(run, label) for run in (a, b)]
    pairs, changed, states = 0, [], []
    for case, seed in keys:
        (one, was), (other, now) = (held.get((case, seed), NOTHING) for held in scores)
        if one is not None and other is not None:
            pairs += 1
            if one != other:
                mine, theirs = pixels[0].get((case, seed)), pixels[1].get((case, seed))
                same = mine == theirs if mine and theirs else None
                changed.append(CaseDifference(case, seed, one, other, same))
            continue
        if was != now:
            states.append(StateChange(case, seed, was, now))
    changed.sort(key=lambda d: (-math.fabs(d.a - d.b), d.case_id, d.seed))
    return MetricDiff(
        metric=label,
        a=a.result.scores[label].value,
        b=b.result.scores[label].value,
        signature=None if first is None else Part(first[0], first[1] or "nothing", first[2] or "nothing"),
        pairs=pairs,
        differing=len(changed),
        largest=tuple(changed[:shown]),
        states=tuple(states[:shown]),
        states_changed=len(states),
    )


def _scores(run: ScoredRun, label: str) -> dict[tuple[str, int], tuple[float | None, str]]:
    """By (case, seed): the value of the score, None without one, and its state."""
    held = run.held(label)
    rows = zip(run.keys, held.value.tolist(), held.state, strict=True)
    return {key: (None if math.isnan(value) else value, state or NOTHING[1]) for key, value, state in rows}
