"""Cells that follow from other cells of their table: totals, means and sums."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from evalkit.errors import DataError
from evalkit.leaderboard.finding import CUT_OFF, Finding, graded, place, shown
from evalkit.leaderboard.printed import Interval, plain
from evalkit.leaderboard.reported import MeanOf, OpenS2VTotal, SumOfRows
from evalkit.metrics.opens2v import component_weights

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from evalkit.leaderboard.printed import Printed
    from evalkit.leaderboard.reported import Reported, Table


class _Formula(NamedTuple):
    """A weighted sum, divided."""

    weights: list[Decimal]
    divisor: int = 1

    def of(self, values: Sequence[Decimal]) -> Decimal:
        """Its value."""
        return sum((w * value for w, value in zip(self.weights, values, strict=True)), Decimal(0)) / self.divisor

    def written(self, numbers: Sequence[Printed]) -> str:
        """Written out with these numbers."""
        weighted = any(weight != 1 for weight in self.weights)
        terms = [f"{w}×{n}" if weighted else str(n) for w, n in zip(self.weights, numbers, strict=True)]
        return f"({' + '.join(terms)}) / {self.divisor}" if self.divisor > 1 else " + ".join(terms)


def derived(source: Reported, _everything: Sequence[Reported]) -> Iterator[Finding | None]:
    """Each cell that a table's relations derive, against what its parts give."""
    for table in source.tables:
        for relation in table.relations:
            if isinstance(relation, SumOfRows):
                parts = [(key, relation.column) for key in relation.of]
                formula = _Formula([Decimal(1)] * len(parts))
                yield from _check(source, table, (relation.row, relation.column), parts, formula, relation.scope)
                continue
            columns, formula = _across(source, table, relation)
            for row in table.rows:
                parts = [(row.key, column) for column in columns]
                yield from _check(source, table, (row.key, relation.column), parts, formula, "stated")


def _across(source: Reported, table: Table, relation: MeanOf | OpenS2VTotal) -> tuple[list[str], _Formula]:
    """The columns of a mean or a total, and what they count. A table's percentages are OpenS2V's mapped fractions."""
    if isinstance(relation, MeanOf):
        return list(relation.of), _Formula([Decimal(1)] * len(relation.of), len(relation.of))
    weights = component_weights(version=relation.version, domain=relation.domain)
    if set(weights) != set(relation.components):
        raise DataError(
            f"{source.name}, table {table.table}: wanted the components {', '.join(sorted(weights))} of OpenS2V "
            f"{relation.version} {relation.domain}, found {', '.join(sorted(relation.components))}; mend the relation"
        )
    columns = [relation.components[name] for name in weights]
    return columns, _Formula([Decimal(str(weight)) for weight in weights.values()])


def _check(
    source: Reported,
    table: Table,
    target: tuple[str, str],
    parts: list[tuple[str, str]],
    formula: _Formula,
    scope: str,
) -> Iterator[Finding | None]:
    """The cell against its parts; nothing where one of them has no number."""
    printed = table.value(*target)
    numbers = [value for value in (table.value(*part) for part in parts) if value is not None]
    if printed is None or len(numbers) < len(parts):
        return
    computed = Interval(formula.of([n.rounded.low for n in numbers]), formula.of([n.rounded.high for n in numbers]))
    verdict = printed.against(computed)
    if verdict == "agrees":
        yield None
        return
    value = formula.of([n.value for n in numbers])
    yield Finding(
        rule="derived",
        **place(source, table, [target[0]], [target[1]]),
        printed=str(table.text(*target)),
        gives=plain(value, printed.digits + 1),
        arithmetic=f"{formula.written(numbers)} = {plain(value, printed.digits + 2)}; the parts' digits allow "
        f"{shown(computed)}, the printed one is {shown(printed.rounded)}{CUT_OFF if verdict == 'truncated' else ''}",
        severity=graded(verdict, scope=scope),
    )
