"""`evalkit doctor`: what this machine can run, and the command that mends each lack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli.options import AsJson, Data, ProfileName
from evalkit.errors import UsageError

if TYPE_CHECKING:
    from evalkit.engine.doctor import Report

_USE = {True: "", False: " (non-commercial)", None: " (commercial use unclear)"}


def doctor(
    method: Annotated[
        str | None, typer.Argument(metavar="[METHOD]", help="A method or a recipe's path: what it needs and would run.")
    ] = None,
    bench: Annotated[
        str, typer.Option("--bench", "-b", metavar="B[/PROTOCOL]", help="The benchmark that METHOD would run on.")
    ] = "dreambench_pp",
    data: Data = None,
    profile: ProfileName = "auto",
    setup: Annotated[
        bool, typer.Option("--setup", help="Set METHOD's external code up first: clone it, make its environment.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Tell what this machine can run: devices, memory, weights, licences, decoders; exit code 3 where nothing can run.

    With METHOD: what it is, the commands that it would run, filled in for the benchmark's first case, and what is missing.
    """
    import json

    if method is not None:
        return _method(method, bench, data, profile, setup=setup, as_json=as_json)
    if setup:
        raise UsageError("wanted METHOD beside --setup, found none; name the method to set up")
    from evalkit.engine.doctor import examine

    report = examine()
    if as_json:
        print(json.dumps(report.model_dump(mode="json"), allow_nan=False))
    else:
        _print(report)
    return 0 if report.sandbox_runs else 3


def _method(name: str, bench: str, data: Path | None, profile: str, *, setup: bool, as_json: bool) -> int:
    import json

    from evalkit.cli.output import print_table
    from evalkit.engine.doctor import examine_method
    from evalkit.engine.setting import Request

    findings = examine_method(name, Request(bench=bench, data=data, profile=profile), setup=setup)
    if as_json:
        print(json.dumps([finding.model_dump(mode="json") for finding in findings], allow_nan=False))
    else:
        print_table((name, "", "mend"), [(f.name, f.found, f.mend or "") for f in findings])
    return 3 if any(finding.mend for finding in findings) else 0


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
