"""Ranks with their uncertainty: which ranks each method may have, and which methods cannot be told apart."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from evalkit.errors import DataError, UsageError
from evalkit.nouns import Noun
from evalkit.stats.correction import max_t
from evalkit.stats.design import design_of
from evalkit.stats.family import compare_all
from evalkit.stats.inference import infer_joint
from evalkit.stats.joint import check_units, check_values, join_alike
from evalkit.stats.pairing import Pairs, pair
from evalkit.stats.resampling import check_draws
from evalkit.stats.sheet import sheet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from evalkit.errors import EvalkitError
    from evalkit.stats.correction import Method
    from evalkit.stats.design import Design
    from evalkit.stats.sheet import Floats, Sheet


class Ranked(Noun):
    """One method's place. Rank 1 is the best."""

    name: str
    mean: float
    """Mean of subject means over the method's own values."""
    rank: int
    """By the mean; equal means share the better rank."""
    lowest: int
    """1 + the number of methods that are told to be better."""
    highest: int
    """The number of methods less those that are told to be worse."""


class Ranking(Noun):
    """Methods on one metric, best mean first."""

    level: float
    entries: tuple[Ranked, ...]
    groups: tuple[tuple[str, ...], ...]
    """Tie groups: largest sets of methods no two of which can be told apart. A method may be in several."""


def ranks(
    methods: Mapping[str, pd.DataFrame | Sheet],
    *,
    design: str | Design = "nested",
    level: float = 0.95,
    higher_is_better: bool = True,
    n_resamples: int = 9999,
    seed: int = 0,
) -> Ranking:
    """Confidence sets for the ranks of all methods at once, and tie groups.

    methods: name to tidy frame as `compare` takes them, or its sheet, two or more on the same keys. With probability `level` every
    method's true rank lies between its lowest and highest: two methods are told apart where their difference stands out
    by max-t over all pairs, in one step.

    Raises: UsageError for fewer than two methods or a level out of range; what `compare` raises, naming the two methods.
    Source: Mogstad, Romano, Shaikh and Wilhelm, Inference for ranks (Review of Economic Studies, 2024), section 3;
    Piepho, An algorithm for a letter-based representation of all-pairwise comparisons (Journal of Computational and
    Graphical Statistics, 2004) for the groups.
    """
    return rank_pairs(
        methods, design=design, level=level, higher_is_better=higher_is_better, n_resamples=n_resamples, seed=seed
    )[0]


class Told(NamedTuple):
    """Two ranked methods against each other."""

    a: str
    b: str
    difference: float
    """a - b."""
    p_value: float
    """Adjusted by max-t over all pairs, in one step."""
    n_pairs: int
    """Samples that both have a value of: what the difference is made of."""
    n_missing: int
    """Samples that either has no value of."""


def rank_pairs(
    methods: Mapping[str, pd.DataFrame | Sheet],
    *,
    design: str | Design = "nested",
    level: float = 0.95,
    higher_is_better: bool = True,
    n_resamples: int = 9999,
    seed: int = 0,
) -> tuple[Ranking, list[Told]]:
    """`ranks`, with what each pair rests on. Arguments and errors are those of `ranks`."""
    if len(methods) < 2:
        raise UsageError(f"wanted two methods or more to rank, found {len(methods)}")
    if not 0 < level < 1:
        raise UsageError(f"wanted a level between 0 and 1, found {level!r}; 0.95 is the default")
    used = design_of(design)
    check_draws(n_resamples, seed)
    names = list(methods)
    sheets = {name: sheet(frame, name=repr(name)) for name, frame in methods.items()}
    two = list(combinations(names, 2))
    joint = join_alike(_pairs(sheets, two, used), used)
    inference = infer_joint(joint, n_resamples=n_resamples, seed=seed)
    adjusted = max_t(inference.observed, inference.null, step_down=False)
    told = [
        Told(a, b, float(difference), float(p), int(pairs.complete.sum()), int((~pairs.complete).sum()))
        for (a, b), difference, p, pairs in zip(two, inference.resamples.estimate, adjusted, joint.pairs, strict=True)
    ]
    sign = 1 if higher_is_better else -1
    better = {(t.a, t.b) if sign * t.difference > 0 else (t.b, t.a) for t in told if t.p_value <= 1 - level}
    means = {name: joint.placed[0].mean(sheets[name].value) for name in names}
    ordered = sorted(names, key=lambda name: (-means[name] if higher_is_better else means[name], name))
    ranking = Ranking(
        level=level,
        entries=tuple(_ranked(name, means, better, higher_is_better) for name in ordered),
        groups=tie_groups(ordered, better),
    )
    return ranking, told


@dataclass(frozen=True)
class Pairwise:
    """Every method against every other: [K, K] arrays, row against column, NaN on the diagonal and where refused."""

    names: tuple[str, ...]
    difference: Floats
    p_values: Floats
    adjusted: Floats
    """Over all pairs that could be compared."""
    refused: dict[tuple[str, str], EvalkitError]


def pairwise(
    methods: Mapping[str, pd.DataFrame | Sheet],
    *,
    design: str | Design = "nested",
    method: Method = "holm",
    n_resamples: int = 9999,
    seed: int = 0,
) -> Pairwise:
    """The matrix of all comparisons with adjusted p-values.

    Arguments are those of `ranks`; `method` is `adjust`'s. Raises: UsageError for fewer than two methods.
    """
    if len(methods) < 2:
        raise UsageError(f"wanted two methods or more to compare, found {len(methods)}")
    names = tuple(methods)
    two = {(a, b): (methods[a], methods[b]) for a, b in combinations(names, 2)}
    family = compare_all(two, design=design, n_resamples=n_resamples, seed=seed)
    places = {name: i for i, name in enumerate(names)}
    difference, p_values, adjusted = np.full((3, len(names), len(names)), np.nan)
    told = family.adjusted(method)
    for (a, b), found in family.comparisons.items():
        i, j = places[a], places[b]
        difference[i, j], difference[j, i] = found.difference, -found.difference
        p_values[i, j] = p_values[j, i] = found.p_value
        adjusted[i, j] = adjusted[j, i] = told[a, b]
    return Pairwise(names, difference, p_values, adjusted, family.refused)


def _pairs(sheets: Mapping[str, Sheet], two: Sequence[tuple[str, str]], design: Design) -> list[Pairs]:
    """Each two methods' pairs, checked; errors name the methods.

    What keys and groups there are is compared with the first method's alone, and which units have scores is looked at
    once for all pairs that miss the same: fifty methods are 1,225 pairs.
    """
    first = next(iter(sheets.values()))
    found, seen = [], set()
    for a, b in two:
        try:
            if sheets[a] is first:
                pair(first, sheets[b])
            pairs = Pairs(first.keys, sheets[a].value, sheets[b].value, first.weight, first.groups)
            check_values(pairs)
            if (missing := pairs.complete.tobytes()) not in seen:
                check_units(pairs, design)
                seen.add(missing)
        except (UsageError, DataError) as error:
            raise type(error)(f"{a!r} (a) against {b!r} (b): {error}") from None
        found.append(pairs)
    return found


def _ranked(name: str, means: Mapping[str, float], better: Iterable[tuple[str, str]], higher: bool) -> Ranked:
    ahead = sum((mean > means[name]) if higher else (mean < means[name]) for mean in means.values())
    return Ranked(
        name=name,
        mean=means[name],
        rank=1 + ahead,
        lowest=1 + sum(worse == name for _, worse in better),
        highest=len(means) - sum(ahead == name for ahead, _ in better),
    )


def tie_groups(ordered: Sequence[str], apart: Iterable[tuple[str, str]]) -> tuple[tuple[str, ...], ...]:
    """Starts from all together; each pair told apart splits the groups that hold both; what another holds goes."""
    groups = [frozenset(ordered)]
    for a, b in sorted(apart):
        split = [part for group in groups for part in ((group - {a}, group - {b}) if {a, b} <= group else (group,))]
        distinct = list(dict.fromkeys(split))
        groups = [group for group in distinct if not any(group < other for other in distinct)]
    members = [tuple(name for name in ordered if name in group) for group in groups]
    return tuple(sorted(members, key=lambda group: [ordered.index(name) for name in group]))
