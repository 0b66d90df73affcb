"""`evalkit audit`: what the arithmetic says of tables that papers and leaderboards report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli.options import AsJson

if TYPE_CHECKING:
    from evalkit.leaderboard.audit import Audit


def audit(
    papers: Annotated[
        list[str] | None,
        typer.Argument(metavar="PAPER", help="Its name in leaderboard/reported; all if none is given."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Check reported tables: totals, means, marks, stars, claims, and numbers that are printed in two places."""
    import json

    from evalkit.leaderboard.audit import audit_shipped
    from evalkit.leaderboard.finding import SEVERITIES

    audits = audit_shipped(papers or [])
    if as_json:
        print(json.dumps({"audits": [found.model_dump(mode="json") for found in audits]}, allow_nan=False))
        return 0
    for found in audits:
        _print(found)
    counts = [finding.severity for found in audits for finding in found.findings]
    checks = sum(sum(found.checks.values()) for found in audits)
    told = ", ".join(f"{severity} {counts.count(severity)}" for severity in SEVERITIES)
    print(f"findings: {len(counts)} in {checks} checks ({told})")
    return 0


def _print(found: Audit) -> None:
    print(f"{found.paper}: {found.title} ({found.source})")
    checked = ", ".join(f"{name} {count}" for name, count in found.checks.items() if count)
    print(f"  {found.tables - len(found.not_at_hand)} of {found.tables} tables at hand; checks: {checked or 'none'}")
    if found.not_at_hand:
        print(f"  without a body in the text that was read: {', '.join(found.not_at_hand)}")
    for finding in found.findings:
        print(f"  {finding.severity}  table {finding.table} | {finding.row} | {finding.column}")
        print(f"    printed  {finding.printed}")
        print(f"    gives    {finding.gives}")
        print(f"    how      {finding.arithmetic}")
    print()
