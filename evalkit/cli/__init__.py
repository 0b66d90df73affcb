"""The command line: one file a command; this root only gathers them and turns errors into exit codes."""

from __future__ import annotations

import os
import sys

import typer
from typer.exceptions import TyperException

from evalkit.cli import (
    agree,
    audit,
    cache,
    compare,
    data,
    describe,
    diff,
    doctor,
    gate,
    generate,
    judge,
    leaderboard,
    listing,
    plan,
    run,
    sandbox,
    score,
    show,
    validate,
)
from evalkit.errors import EvalkitError

INTERRUPTED, INTERNAL = 130, 70

app = typer.Typer(
    name="evalkit",
    help="Is this personalised generator better, by how much, and can I believe it?",
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
_debug = False


@app.callback()
def _root(
    context: typer.Context,
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
    version: bool = typer.Option(False, "--version", help="Print the version and leave."),
) -> None:
    global _debug  # noqa: PLW0603 - read once, by `main`
    _debug = debug
    if version:
        from evalkit import __version__

        print(f"evalkit {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit


app.command("run")(run.run)
app.command("generate")(generate.generate)
app.command("score")(score.score)
app.command("show")(show.show)
app.command("list")(listing.list_)
app.command("describe")(describe.describe)
app.command("doctor")(doctor.doctor)
app.command("compare")(compare.compare)
app.command("diff")(diff.diff)
app.command("plan")(plan.plan)
app.command("audit")(audit.audit)
app.command("validate")(validate.validate)
app.command("agree")(agree.agree)
app.command("judge")(judge.judge)
app.add_typer(gate.app, name="gate")
app.add_typer(leaderboard.app, name="leaderboard")
app.add_typer(data.app, name="data")
app.add_typer(cache.app, name="cache")
app.add_typer(sandbox.app, name="sandbox")


def main(arguments: list[str] | None = None) -> int:
    """Runs a command and returns its exit code: 0 done and whole, 1 an error, 2 usage, 3 done but not whole."""
    # Read by the OpenMP runtime when torch is imported: threads that spin while they wait take the loaders' cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        outcome = app(args=arguments, prog_name="evalkit", standalone_mode=False)
    except EvalkitError as error:
        if _debug:
            raise
        print(f"evalkit: error: {error}", file=sys.stderr)
        return _code(error.exit_code, arguments)
    except TyperException as error:
        print(
            f"evalkit: error: {error.format_message().rstrip('.')}; `evalkit --help` shows what there is",
            file=sys.stderr,
        )
        return _code(error.exit_code, arguments)
    except Exception as error:
        if _debug:
            raise
        told = f"{type(error).__name__}: {error}".splitlines()[0]
        print(f"evalkit: internal error: {told}; --debug before the command shows where", file=sys.stderr)
        return INTERNAL
    except SystemExit as end:  # typer's way of ending where whoever reads our output has left
        return end.code if isinstance(end.code, int) else 1
    if outcome == INTERRUPTED:  # typer's code for Ctrl-C
        print("evalkit: interrupted; what was computed is kept, the same command goes on from there", file=sys.stderr)
    return outcome if isinstance(outcome, int) else 0


def _code(code: int, arguments: list[str] | None) -> int:
    """`gate` says with 1 and 2 how it came out, so whatever keeps it from being applied is 3 there."""
    words = sys.argv[1:] if arguments is None else arguments
    command = next((word for word in words if not word.startswith("-")), "")
    return gate.UNUSABLE if command == "gate" else code
