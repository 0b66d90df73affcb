"""The audit of reported tables: rules that know no row, applied to all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.errors import Collector
from evalkit.leaderboard.claims import claims
from evalkit.leaderboard.derived import derived
from evalkit.leaderboard.finding import SEVERITIES, Finding
from evalkit.leaderboard.marks import marks, significance
from evalkit.leaderboard.repeats import repeats
from evalkit.leaderboard.reported import Reported, names, read_reported
from evalkit.nouns import Name, Noun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Rule = Callable[[Reported, Sequence[Reported]], Iterator[Finding | None]]
    """A rule sees one source, and everything that it may be compared with; it gives None for each check that held."""

RULES: dict[str, Rule] = {
    "derived": derived,
    "repeats": repeats,
    "claims": claims,
    "marks": marks,
    "significance": significance,
}
"""Each rule by the name that its findings carry."""


class Audit(Noun):
    """What was found in one paper or leaderboard, and what was looked at."""

    paper: Name
    title: str
    source: str
    tables: int
    not_at_hand: tuple[str, ...]
    """Tables whose body the text that was read does not have; nothing in them was checked."""
    checks: dict[str, int]
    """By rule: how many checks were made, those that held and those that did not."""
    findings: tuple[Finding, ...]
    """By severity, then in the order of the tables."""


def audit(source: Reported, everything: Sequence[Reported]) -> Audit:
    """Applies every rule to `source`; `everything` is what its numbers may be found in too, itself included.

    Raises DataError where a relation or a claim of the data is about cells without numbers.
    """
    checks: dict[str, int] = {}
    findings: list[Finding] = []
    for name, rule in RULES.items():
        results = list(rule(source, everything))
        checks[name] = len(results)
        findings += [result for result in results if result is not None]
    tables = [table.table for table in source.tables]
    findings.sort(key=lambda found: (SEVERITIES.index(found.severity), tables.index(found.table)))
    return Audit(
        paper=source.name,
        title=source.title,
        source=source.source,
        tables=len(tables),
        not_at_hand=tuple(table.table for table in source.tables if table.body == "missing"),
        checks=checks,
        findings=tuple(findings),
    )


def audit_shipped(wanted: Sequence[str]) -> list[Audit]:
    """Audits the shipped tables of these names, of all for none; each is compared with everything that is shipped.

    Raises UsageError with the nearest names for those that are none, DataError for data that does not validate.
    """
    collector = Collector()
    for name in wanted:
        with collector:
            read_reported(name)
    collector.raise_usage("no such tables")
    everything = [read_reported(name) for name in names()]
    return [audit(source, everything) for source in everything if not wanted or source.name in wanted]
