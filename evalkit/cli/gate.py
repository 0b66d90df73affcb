"""`evalkit gate`: may this run replace the baseline? For CI."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli.options import AsJson
from evalkit.errors import UsageError

UNUSABLE = 3
"""Exit code where the gate cannot be applied at all."""

app = typer.Typer(
    help="Hold a run against a baseline. Exit code 0 pass, 1 fail, 2 not enough to tell, 3 the gate cannot be applied.",
    invoke_without_command=True, rich_markup_mode=None,
)  # fmt: skip


@app.callback()
def gate(
    context: typer.Context,
    run: Annotated[Path | None, typer.Option("--run", metavar="RUN", help="The candidate's run folder.")] = None,
    baseline: Annotated[
        Path | None, typer.Option("--baseline", metavar="RUN|FILE", help="A run folder, or what `gate freeze` wrote.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option("--policy", metavar="FILE", help="What is asked of the run; docs/gates.md.")
    ] = None,
    control: Annotated[
        list[Path] | None,
        typer.Option(
            "--control", metavar="RUN|FILE", help="A run that the policy names as floor, ceiling or anchor; repeatable."
        ),
    ] = None,
    junit: Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML.")] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", metavar="FILE", help="Write a Markdown summary.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Hold a run against a baseline by a policy."""
    if context.invoked_subcommand is not None:
        return 0
    if run is None or baseline is None or policy is None:
        raise UsageError("wanted --run, --baseline and --policy, found not all of them; `evalkit gate --help`")
    from evalkit.cli.output import print_table
    from evalkit.engine.gate import gate as apply
    from evalkit.engine.gate_report import junit as to_junit
    from evalkit.engine.gate_report import markdown as to_markdown
    from evalkit.files import atomic_write_text

    verdict = apply(run, baseline, policy, control or ())
    if junit is not None:
        atomic_write_text(junit, to_junit(verdict))
    if markdown is not None:
        atomic_write_text(markdown, to_markdown(verdict))
    if as_json:
        print(verdict.model_dump_json())
    else:
        print_table(
            ("metric", "check", "outcome", "found"),
            [(check.metric or "", check.name, check.outcome, check.told) for check in verdict.checks],
        )
        print(f"gate: {verdict.outcome}")
    raise typer.Exit(verdict.exit_code)


@app.command("freeze")
def freeze(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A scored run folder.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write; small enough to commit.")],
) -> int:
    """Write a run's scores into one file with its own hash, for later gates."""
    from evalkit.engine.frozen import Frozen
    from evalkit.engine.scored import read_scored

    Frozen.of(read_scored([run])[0]).write(file)
    print(f"{file}: {file.stat().st_size} bytes")
    return 0
