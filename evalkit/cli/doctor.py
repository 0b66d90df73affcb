"""`evalkit doctor`: what this machine can run, and the command that mends each lack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.cli.options import AsJson

if TYPE_CHECKING:
    from evalkit.engine.doctor import Report

_USE = {True: "", False: " (non-commercial)", None: " (commercial use unclear)"}


def doctor(as_json: AsJson = False) -> int:
    """Tell what this machine can run: devices, memory, weights, licences, decoders; exit code 3 where nothing can run."""
    import json

    from evalkit.engine.doctor import examine

    report = examine()
    if as_json:
        print(json.dumps(report.model_dump(mode="json"), allow_nan=False))
    else:
        _print(report)
    return 0 if report.sandbox_runs else 3


def _print(report: Report) -> None:
    from evalkit.cli.output import print_table

    print_table(("machine", "", ""), [(c.name, c.found, c.mend or "") for c in report.machine])
    print()
    rows = [
        (w.model, w.state, w.size, w.licence + _USE[w.commercial] + " (gated)" * w.gated, w.mend or "")
        for w in report.weights
    ]
    print_table(("weights", "state", "download", "licence", "mend"), rows)
    print()
    sandbox = "yes" if report.sandbox_runs else "no"
    print_table(
        ("profile", "runs", "why"),
        [("paper", report.paper, report.paper_why), ("sandbox", sandbox, report.sandbox_why)],
    )
