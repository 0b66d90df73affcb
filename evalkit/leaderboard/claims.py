"""What a paper's text says of its cells, against the cells."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from evalkit.errors import DataError
from evalkit.leaderboard.finding import Finding, graded, place, shown
from evalkit.leaderboard.printed import Interval, Printed, number, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from evalkit.leaderboard.claim import Claim, Place
    from evalkit.leaderboard.printed import Verdict
    from evalkit.leaderboard.reported import Reported, Table


class _Size(NamedTuple):
    """What a claim's cells give: one pair of cells, or a mean over several."""

    value: Decimal
    allowed: Interval
    """All that the printed digits leave open."""
    written: str
    cells: tuple[Place, ...]


class _Context(NamedTuple):
    source: Reported
    table: Table
    claim: Claim

    def number(self, at: Place) -> Printed:
        """The number in a cell. Raises DataError where it has none: a claim is about numbers."""
        found = self.table.value(*at)
        if found is None:
            raise DataError(
                f"{self.source.name}, table {self.table.table}: wanted a number at {at[0]}, {at[1]} for the claim "
                f"{self.claim.says!r}, found {self.table.text(*at)!r}; mend the claim or the cell"
            )
        return found

    def sign(self, at: Place) -> int:
        """1 where a higher value is better, -1 where a lower one is. Raises DataError where neither is."""
        measure = self.source.measure(self.table, self.table.row(at[0]), self.table.column(at[1]))
        if measure is None or measure.direction == "none":
            raise DataError(
                f"{self.source.name}, table {self.table.table}: wanted a column with a direction for the claim "
                f"{self.claim.says!r}, found {at[1]!r} without one; give it a metric"
            )
        return 1 if measure.direction == "higher" else -1

    def finding(self, cells: Sequence[Place], printed: str, gives: str, arithmetic: str, verdict: Verdict) -> Finding:
        """A finding on the claim, at these cells."""
        return Finding(
            rule="claims",
            **place(self.source, self.table, [row for row, _ in cells], [column for _, column in cells]),
            printed=f"{self.claim.where}: {printed}",
            gives=gives,
            arithmetic=arithmetic,
            severity=graded(verdict, scope=self.claim.scope),
        )


def claims(source: Reported, _everything: Sequence[Reported]) -> Iterator[Finding | None]:
    """Each claim about a table's cells."""
    for table in source.tables:
        for claim in table.claims:
            context = _Context(source, table, claim)
            if claim.kind in ("best", "worst"):
                yield _extreme(context)
            elif claim.kind == "better":
                yield _better(context)
            else:
                yield _sized(context)


def _extreme(context: _Context) -> Finding | None:
    """`best` and `worst`: nobody among the others has a value beyond the best of the rows that the claim is about."""
    table, claim = context.table, context.claim
    others = claim.among or tuple(row.key for row in table.rows if row.ranked)
    side = 1 if claim.kind == "best" else -1
    failing: list[Place] = []
    written: list[str] = []
    for column in claim.of.columns:
        sign = side * context.sign((claim.of.rows[0], column))
        top = max(claim.of.rows, key=lambda row: sign * context.number((row, column)).value)
        own = context.number((top, column)).value
        values = {row: table.value(row, column) for row in others if row not in claim.of.rows}
        beyond = {
            row: found.value for row, found in values.items() if found is not None and sign * (found.value - own) > 0
        }
        if beyond:
            failing.append((top, column))
            told = ", ".join(f"{value} ({table.row(row).label})" for row, value in beyond.items())
            written.append(f"{table.column(column).printed}: {own}, but {told}")
    if not failing:
        return None
    gives = f"not the {claim.kind} in {len(failing)} of {len(claim.of.columns)} columns"
    return context.finding(failing, claim.says, gives, "; ".join(written), "differs")


def _better(context: _Context) -> Finding | None:
    """`better`: every cell is on the better side of the one it is compared with; a tie in print is told as one."""
    failing: list[Place] = []
    written: list[str] = []
    only_ties = True
    for ours, theirs in context.claim.pairs():
        a, b = context.number(ours), context.number(theirs)
        gap = context.sign(ours) * (a.value - b.value)
        if gap <= 0:
            failing.append(ours)
            only_ties &= gap == 0
            head = context.table.column(ours[1]).printed
            written.append(
                f"{head}: {a} {'=' if gap == 0 else 'is worse than'} {b} ({context.table.row(theirs[0]).label})"
            )
    if not failing:
        return None
    total = len(list(context.claim.pairs()))
    gives = f"{'no difference in print' if only_ties else 'not better'} in {len(failing)} of {total}"
    verdict: Verdict = "truncated" if only_ties else "differs"
    return context.finding(failing, context.claim.says, gives, "; ".join(written), verdict)


def _sized(context: _Context) -> Finding | None:
    """Claims with a number: each reading that the claim leaves open, until one fits."""
    claim = context.claim
    stated = number(claim.stated)
    if stated is None:
        raise DataError(f"{context.source.name}: wanted a number, found {claim.stated!r} in the claim {claim.says!r}")
    sizes = [_size(context, *pair) for pair in claim.pairs()]
    if claim.combine == "each":
        verdicts = {size: _fits(claim, stated, size) for size in sizes}
        failing = [size for size, verdict in verdicts.items() if verdict != "agrees"]
        verdict: Verdict = "differs" if "differs" in verdicts.values() else "truncated"
    else:
        failing = [_mean(sizes)] if claim.combine == "mean" else [_mean(sizes), *sizes, _of_means(context)]
        found = {_fits(claim, stated, size) for size in failing}
        failing = [] if "agrees" in found else failing
        verdict = "truncated" if "truncated" in found else "differs"
    if not failing:
        return None
    percent = "%" if claim.kind in ("gain", "drop") else ""
    digits = stated.digits + 1
    gives = " or ".join(dict.fromkeys(f"{plain(size.value, digits)}{percent}" for size in failing))
    arithmetic = "; ".join(
        f"{size.written} = {plain(size.value, digits)}{percent} ({shown(size.allowed)})" for size in failing
    )
    cells = list(dict.fromkeys(cell for size in failing for cell in size.cells))
    return context.finding(cells, f"{claim.says} ({claim.stated})", gives, arithmetic, verdict)


def _fits(claim: Claim, stated: Printed, size: _Size) -> Verdict:
    if claim.kind == "above":
        return "agrees" if size.allowed.high > stated.value else "differs"
    return stated.against(size.allowed)


def _size(context: _Context, ours: Place, theirs: Place) -> _Size:
    """What one pair of cells gives."""
    a = context.number(ours)
    if context.claim.kind == "value":
        return _Size(a.value, a.rounded, str(a), (ours,))
    return _pair(context, (a.value, a.rounded, str(a)), _bare(context.number(theirs)), (ours,))


def _bare(printed: Printed) -> tuple[Decimal, Interval, str]:
    return printed.value, printed.rounded, str(printed)


def _pair(
    context: _Context, a: tuple[Decimal, Interval, str], b: tuple[Decimal, Interval, str], cells: tuple[Place, ...]
) -> _Size:
    """Difference, quotient or relative change of two numbers, positive ones for the latter two."""
    (x, xs, x_told), (y, ys, y_told) = a, b
    kind = context.claim.kind
    if kind in ("difference", "above"):
        return _Size(x - y, Interval(xs.low - ys.high, xs.high - ys.low), f"{x_told} - {y_told}", cells)
    if ys.low <= 0 or xs.low <= 0:
        raise DataError(
            f"{context.source.name}, table {context.table.table}: wanted numbers above 0 for the claim "
            f"{context.claim.says!r}, found {x_told} and {y_told}; a quotient of those says nothing"
        )
    quotient, quotients = x / y, Interval(xs.low / ys.high, xs.high / ys.low)
    if kind == "ratio":
        return _Size(quotient, quotients, f"{x_told} / {y_told}", cells)
    if kind == "gain":
        change = Interval(100 * (quotients.low - 1), 100 * (quotients.high - 1))
        return _Size(100 * (quotient - 1), change, f"({x_told} - {y_told}) / {y_told}", cells)
    change = Interval(100 * (1 - quotients.high), 100 * (1 - quotients.low))
    return _Size(100 * (1 - quotient), change, f"({y_told} - {x_told}) / {y_told}", cells)


def _mean(sizes: list[_Size]) -> _Size:
    """The mean of what the pairs give."""
    count = len(sizes)
    allowed = Interval(
        sum((s.allowed.low for s in sizes), Decimal(0)) / count,
        sum((s.allowed.high for s in sizes), Decimal(0)) / count,
    )
    told = f"mean of {', '.join(s.written for s in sizes)}"
    return _Size(
        sum((s.value for s in sizes), Decimal(0)) / count, allowed, told, tuple(c for s in sizes for c in s.cells)
    )


def _of_means(context: _Context) -> _Size:
    """The same of the two means, another reading of an average of several cells."""
    pairs = list(context.claim.pairs())

    def mean(places: list[Place]) -> tuple[Decimal, Interval, str]:
        numbers = [context.number(at) for at in places]
        low, high = (sum(ends) / Decimal(len(ends)) for ends in zip(*(n.rounded for n in numbers), strict=True))
        value = sum((n.value for n in numbers), Decimal(0)) / len(numbers)
        return value, Interval(low, high), plain(value, max(n.digits for n in numbers) + 1)

    return _pair(context, mean([a for a, _ in pairs]), mean([b for _, b in pairs]), tuple(a for a, _ in pairs))
