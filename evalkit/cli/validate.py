"""`evalkit validate`: does a metric respond to what it should, and ignore what it should?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli.options import AsJson
from evalkit.errors import UsageError

if TYPE_CHECKING:
    from evalkit.sandbox.validity.report import Curve, Report


def validate(
    metrics: Annotated[
        list[str], typer.Argument(metavar="METRIC[@VARIANT]", help="Metrics; `evalkit list metrics` shows them.")
    ],
    subjects: Annotated[
        int | None, typer.Option("--subjects", min=1, max=1000, help="Subjects of the battery; 40 if not given.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write the reports to this file as JSON too.")
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Keep each report beside its metric's card; for maintainers.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Run metrics over graded, known changes of the embedded world's pictures, clips and sets and hold them to their cards."""
    from evalkit.engine.validity import SUBJECTS, keep
    from evalkit.engine.validity import validate as run

    if write and subjects is not None:
        raise UsageError(f"wanted --write with the whole battery, found --subjects {subjects} beside it; leave one out")
    reports = run(metrics, subjects=subjects or SUBJECTS, default_variants=write)
    text = json.dumps({"reports": [report.model_dump(mode="json") for report in reports]}, allow_nan=False)
    if out is not None:
        from evalkit.files import atomic_write_text

        atomic_write_text(out, text + "\n")
    kept = keep(reports) if write else []
    if as_json:
        print(text)
        return 0
    for report in reports:
        _print(report)
    for path in kept:
        print(f"kept: {path}")
    return 0


def _print(report: Report) -> None:
    from evalkit.cli.output import print_table

    print(f"{report.metric}@{report.variant} on {report.subjects} subjects of the embedded world")
    print_table(
        ("change", "expected", "verdict", "effect", "95 %", "rank", "scored", "mean, unchanged to strongest"),
        [_row(curve, report.subjects) for curve in report.curves],
        right=(3, 5, 6),
    )
    print(f"\neffect: share of the reference effect, {_reference(report)}")
    print(f"{report.signature}\n")


def _reference(report: Report) -> str:
    found = report.reference_effect
    told = (
        "which too few subjects have" if found is None else f"{found.value:.4g} ({found.low:.4g} to {found.high:.4g})"
    )
    return f"that of {report.reference}: {told}; positive where the value {report.departs}"


def _row(curve: Curve, subjects: int) -> tuple[str, ...]:
    from evalkit.sandbox.validity.report import told

    effect, rank = curve.effect, curve.monotonic
    return (
        curve.change,
        told(curve.expected),
        curve.verdict,
        "-" if effect is None else f"{effect.value:.2f}",
        "-" if effect is None else f"{effect.low:.2f} to {effect.high:.2f}",
        "-" if rank is None else f"{rank:.2f}",
        f"{curve.scored[-1]}/{subjects}",
        " ".join("-" if mean is None else f"{mean:.4g}" for mean in curve.mean),
    )
