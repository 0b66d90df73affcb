"""A board from its runs: which numbers may stand beside each other, their intervals, ranks and marks."""

from __future__ import annotations

import math
from collections import Counter
from statistics import median
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from evalkit.engine.result import decimals
from evalkit.errors import EvalkitError
from evalkit.leaderboard.site.model import Board, Cell, Column, Row
from evalkit.nouns import Signature
from evalkit.registry import BENCHMARKS, load
from evalkit.stats import Laid, Means, lay
from evalkit.stats.ranking import Ranking, Told, rank_pairs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evalkit.benchmarks.spec import BenchmarkSpec
    from evalkit.leaderboard.site.collect import BoardKey, Entry
    from evalkit.metrics.card import MetricCard
    from evalkit.runs.cases import RunCase
    from evalkit.stats.sheet import Sheet

CEILING, LEVEL = "real_images", 0.95
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"


class Ranks(NamedTuple):
    """One column's ranks, and each pair of runs that they rest on."""

    ranking: Ranking
    pairs: list[Told]


class Measured(NamedTuple):
    """A board with what its plots need beside it."""

    board: Board
    means: dict[str, Means]
    """By run slug, for joint regions."""
    ranks: dict[str, Ranks]
    """By column."""


def measure(key: BoardKey, entries: Sequence[Entry], *, resamples: int, seed: int = 0) -> Measured:
    """The board of runs that share `key`.

    A column's signature is the most frequent one among the runs; a run with another keeps its number, is marked, and
    takes no part in the ranks. So does a run over other cases than most. Controls are no competitors and have no rank.
    """
    spec: BenchmarkSpec = load(BENCHMARKS, key.benchmark).spec
    odd = _other_cases(entries)
    columns = _columns(entries)
    sheets = {entry.slug: _sheets(entry, columns) for entry in entries}
    laid = {entry.slug: _laid(entry, sheets[entry.slug]) for entry in entries}
    found = {name: one.means(n_resamples=resamples, seed=seed) for name, one in laid.items()}
    columns = [_with_decimals(column, list(found.values())) for column in columns]
    ranks: dict[str, Ranks] = {}
    alike = [e for e in entries if e.slug not in odd]
    for place, column in enumerate(columns):
        told = _ranked(column, alike, sheets, resamples=resamples, seed=seed)
        if isinstance(told, Ranks):
            ranks[column.label] = told
        else:
            columns[place] = column.model_copy(update={"unranked": told})
    categories = tuple(dict.fromkeys(case.category for e in entries for case in e.scored.cases.values()))
    categories = categories if len(categories) > 1 else ()
    ceilings = _ceilings(alike, columns, found)
    rows = [_row(e, odd.get(e.slug), columns, found[e.slug], ranks, ceilings) for e in entries]
    rows = [
        row.model_copy(update={"by_category": _by_category(e, columns, categories, laid[e.slug], resamples, seed)})
        for row, e in zip(rows, entries, strict=True)
    ]
    board = Board(
        slug=key.slug, benchmark=key.benchmark, protocol=key.protocol,
        profile="sandbox" if key.profile == "sandbox" else "paper", world=key.world, title=spec.title,
        protocol_title=spec.protocol(key.protocol).title, source=spec.protocol(key.protocol).source,
        medium=spec.medium, design=entries[0].scored.design.name, unit=spec.design.unit, note=spec.design.note,
        categories=categories, cases=max(len(e.scored.cases) for e in entries if e.slug not in odd),
        resamples=resamples, columns=tuple(columns), rows=tuple(sorted(rows, key=lambda row: _order(row, columns))),
    )  # fmt: skip
    return Measured(board, found, ranks)


def _other_cases(entries: Sequence[Entry]) -> dict[str, str]:
    """Runs whose cases and seeds are not those of most, with how they differ."""
    keys = {e.slug: (frozenset(map(_identity, e.scored.run.requested)), e.scored.seeds) for e in entries}
    most = Counter(keys.values()).most_common(1)[0][0]
    told = {}
    for name, (cases, seeds) in keys.items():
        if (cases, seeds) != most:
            shared = len(cases & most[0])
            told[name] = (
                f"{len(cases)} cases x {len(seeds)} seeds, {shared} of them among the {len(most[0])} of the others"
            )
    return told


def _identity(case: RunCase) -> tuple[object, ...]:
    """A case with its prompt and the pixels of its pictures, as `evalkit compare` wants them the same."""
    return case.case_id, case.sha256, tuple(sorted(case.pixels.items()))


def _columns(entries: Sequence[Entry]) -> list[Column]:
    """Every metric of any run, in the order of the runs' tables, with the signature that most of them have."""
    labels = dict.fromkeys(label for entry in entries for label in entry.scored.result.scores)
    found = []
    for label in labels:
        having = [entry for entry in entries if label in entry.scored.result.scores]
        signature = Counter(e.scored.result.scores[label].signature for e in having).most_common(1)[0][0]
        scored = next(e.scored for e in having if e.scored.result.scores[label].signature == signature)
        card: MetricCard = scored.card(label)
        found.append(
            Column(
                label=label, metric=card.name, variant=scored.choice(label).variant, title=card.title, meaning=card.meaning,
                unit=card.unit, direction=card.direction, scale=scored.result.scales[label],
                decimals=decimals(scored.result.scales[label]), family=scored.family(label), signature=signature,
            )
        )  # fmt: skip
    return found


def _sheets(entry: Entry, columns: Sequence[Column]) -> dict[str, Sheet]:
    """The run's scores by column, with the weights that the column's aggregation counts by."""
    scored = entry.scored
    return {
        c.label: scored.sheet(c.label, weights=scored.choice(c.label).aggregation == "micro")
        for c in columns
        if c.label in scored.result.scores
    }


def _laid(entry: Entry, sheets: Mapping[str, Sheet]) -> Laid:
    average: dict[str, Literal["subjects", "samples"]] = {
        label: "subjects" if entry.scored.choice(label).aggregation == "macro" else "samples" for label in sheets
    }
    return lay(sheets, design=entry.scored.design, average=average)


def _with_decimals(column: Column, found: Sequence[Means]) -> Column:
    """So many decimals that half an interval has two digits, and never more than the metric's own."""
    halves = [(m.high - m.low) / 2 for means in found if (m := means.means.get(column.label))]
    halves = [half for half in halves if math.isfinite(half) and half > 0]
    if not halves:
        return column
    wanted = max(0, 1 - math.floor(math.log10(median(halves))))
    return column.model_copy(update={"decimals": min(column.decimals, wanted)})


def difference(entry: Entry, column: Column) -> str | None:
    """Which part of the run's signature is not the column's, None where all are."""
    told = Signature.parse(entry.scored.result.scores[column.label].signature)
    first = told.first_difference(Signature.parse(column.signature))
    return None if first is None else f"{first[0]} is {first[1] or 'nothing'}, with most runs {first[2] or 'nothing'}"


def _ranked(
    column: Column, entries: Sequence[Entry], sheets: Mapping[str, Mapping[str, Sheet]], *, resamples: int, seed: int
) -> Ranks | str:
    """The ranks of a column, or why there are none. sheets: by slug and column."""
    rivals = {
        e.scored.name: sheets[e.slug][column.label].unweighted()
        for e in entries
        if column.label in e.scored.result.scores and difference(e, column) is None and kind_of(e) != "control"
    }
    if len(rivals) < 2:
        return "fewer than two methods can be compared on it"
    try:
        return Ranks(
            *rank_pairs(
                rivals, design=entries[0].scored.design, level=LEVEL, higher_is_better=column.direction == "higher",
                n_resamples=resamples, seed=seed,
            )
        )  # fmt: skip
    except EvalkitError as error:
        return str(error)


def kind_of(entry: Entry) -> str:
    """`control`, `baseline`, `method`, or `folder` for somebody's own samples."""
    return entry.info.kind if entry.info is not None else "folder"


def _ceilings(entries: Sequence[Entry], columns: Sequence[Column], found: Mapping[str, Means]) -> dict[str, float]:
    """What the real images surely do not exceed, on each column with the column's signature that a copy maximises."""
    return {
        column.label: mean.high if column.direction == "higher" else mean.low
        for entry in entries
        if entry.scored.result.method == CEILING
        for column in columns
        if (summary := entry.scored.result.scores.get(column.label)) is not None
        and summary.signature == column.signature
        and _copying_wins(entry.scored.card(column.label))
        and (mean := found[entry.slug].means.get(column.label)) is not None
        and math.isfinite(mean.high)
    }


def _copying_wins(card: MetricCard) -> bool:
    """Whether nothing is better than a picture that is the reference itself, as in measures of identity."""
    best = card.range[1] if card.direction == "higher" else card.range[0]
    return card.identical is not None and card.identical == best and "targets" in card.needs


def _row(
    entry: Entry, odd: str | None, columns: Sequence[Column], own: Means, ranks: dict[str, Ranks],
    ceilings: dict[str, float],
) -> Row:  # fmt: skip
    scored = entry.scored
    cells = {}
    for column in columns:
        if (summary := scored.result.scores.get(column.label)) is None:
            continue
        interval = own.means.get(column.label)
        differs = difference(entry, column)
        rival = differs is None and odd is None and kind_of(entry) != "control"
        ceiling = ceilings.get(column.label) if rival else None
        above = (
            ceiling is not None
            and interval is not None
            and (interval.low > ceiling if column.direction == "higher" else interval.high < ceiling)
        )
        cells[column.label] = Cell(
            value=summary.value,
            low=_finite(interval.low) if interval else None,
            high=_finite(interval.high) if interval else None,
            n_scored=summary.n_scored,
            n_cases=summary.n_cases,
            states=summary.states,
            in_domain=column.label in scored.result.in_domain,
            differs=differs,
            above_ceiling=above,
        ).model_copy(update=_places(ranks.get(column.label), scored.name))
    cases = scored.cases.values()
    return Row(
        slug=entry.slug,
        name=scored.name,
        method=scored.result.method,
        title=entry.info.title if entry.info is not None else scored.result.method,
        kind=kind_of(entry),  # type: ignore[arg-type]
        subjects=len({case.subjects for case in cases}),
        n_cases=len(scored.cases),
        samples=len(scored.cases) * len(scored.seeds),
        rewards=scored.run.record.rewards,
        finished=entry.finished,
        other_cases=odd,
        cells=cells,
    )


def _places(ranks: Ranks | None, name: str) -> dict[str, object]:
    if ranks is None:
        return {}
    told = next((e for e in ranks.ranking.entries if e.name == name), None)
    if told is None:
        return {}
    groups = [_letter(place) for place, group in enumerate(ranks.ranking.groups) if name in group]
    return {"highest": told.highest, "lowest": told.lowest, "groups": " ".join(groups)}


def _letter(place: int) -> str:
    """a to z, then aa, ab and so on."""
    return (_ALPHABET[place // 26 - 1] if place >= 26 else "") + _ALPHABET[place % 26]


def _by_category(
    entry: Entry, columns: Sequence[Column], categories: Sequence[str], laid: Laid, resamples: int, seed: int
) -> dict[str, dict[str, Cell]]:
    """The run's cells of each category alone."""
    found = {}
    for category in categories:
        cases = [case for case in entry.scored.cases.values() if case.category == category]
        means = laid.only({"+".join(case.subjects) for case in cases}).means(n_resamples=resamples, seed=seed).means
        cells = {}
        for column in columns:
            if column.label not in entry.scored.result.scores:
                continue
            here = entry.scored.kept(column.label, category)
            scored = int((~np.isnan(entry.scored.held(column.label).value[here])).sum())
            mean = means.get(column.label)
            cells[column.label] = Cell(
                value=mean.value if mean and scored else None,
                low=_finite(mean.low) if mean and scored else None,
                high=_finite(mean.high) if mean and scored else None,
                n_scored=scored,
                n_cases=int(here.sum()),
                in_domain=column.label in entry.scored.result.in_domain,
                differs=difference(entry, column),
            )
        found[category] = cells
    return found


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


_KINDS = ("method", "baseline", "folder", "control")


def _order(row: Row, columns: Sequence[Column]) -> tuple[object, ...]:
    """Methods before baselines, folders and controls, the best on the first column first."""
    first = row.cells.get(columns[0].label) if columns else None
    value = first.value if first is not None else None
    sign = -1 if columns and columns[0].direction == "higher" else 1
    return _KINDS.index(row.kind), value is None, 0.0 if value is None else sign * value, row.slug
