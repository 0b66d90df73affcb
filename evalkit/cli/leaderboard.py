"""`evalkit leaderboard`: runs as a static site."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from evalkit.cli.options import AsJson

if TYPE_CHECKING:
    from evalkit.leaderboard.site.submitted import Check

app = typer.Typer(
    name="leaderboard", help="Runs as a static site: build it, look at it, publish it.", no_args_is_help=True
)


@app.command("build")
def build(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN [RUN ...]", help="Scored run folders.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the site; a site that is there is replaced.")],
    title: Annotated[str, typer.Option(help="The site's title.")] = "evalkit leaderboard",
    originals: Annotated[
        Literal["none", "copy", "link"],
        typer.Option(
            help="Full-size samples: leave them out, copy them into the site, or link to where they lie. Clips are copied."
        ),
    ] = "none",
    resamples: Annotated[int, typer.Option(min=99, max=99_999, help="Resamples behind each interval and rank.")] = 1999,
    seed: Annotated[int, typer.Option(min=0, help="Of the resampling; equal seeds give equal sites.")] = 0,
    as_json: AsJson = False,
) -> int:
    """Write a site of plain files that opens from disk and from any host."""
    from evalkit.leaderboard.site.build import build as built

    found = built(runs, out, title=title, originals=originals, resamples=resamples, seed=seed)
    boards = found.leaderboard.boards
    if as_json:
        told = {
            "site": str(found.path), "boards": [board.slug for board in boards], "files": found.files,
            "bytes": found.bytes, "missing": found.missing,
        }  # fmt: skip
        print(json.dumps(told))
        return 0
    for board in boards:
        print(
            f"{board.benchmark}/{board.protocol}, {board.profile}: {len(board.rows)} runs, {len(board.columns)} metrics"
        )
    print(f"site: {found.path / 'index.html'} ({found.files} files, {found.bytes / 2**20:.1f} MiB)")
    return 0


@app.command("serve")
def serve(
    site: Annotated[Path, typer.Argument(help="Folder of a site.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one.")] = 8000,
) -> int:
    """Show a site on this machine, at an address that no other machine reaches, until Ctrl-C."""
    from evalkit.leaderboard.site.serve import HOST, server

    with server(site, port) as running:
        print(f"http://{HOST}:{running.server_port}/  (Ctrl-C ends it)", flush=True)
        try:
            running.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0


Submission = Annotated[Path, typer.Argument(metavar="SUBMISSION", help="A run folder; its samples are optional.")]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="The benchmark's data, where they are not the embedded world's."),
]
Again = Annotated[bool, typer.Option("--again/--no-again", help="Score the samples anew where they are there.")]


@app.command("verify")
def verify(submission: Submission, data: Data = None, again: Again = True, as_json: AsJson = False) -> int:
    """Look at a submission from every side. Exit code 0 when nothing failed, 1 when something did."""
    from evalkit.leaderboard.site.submission import verify as checked

    checks = checked(submission, data=data, again=again)
    if as_json:
        print(json.dumps({"checks": [check.model_dump(mode="json") for check in checks]}))
    else:
        _print(checks)
    return int(any(check.outcome == "fail" for check in checks))


@app.command("add")
def add(
    submission: Submission,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder of the leaderboard's runs.")],
    data: Data = None,
    again: Again = True,
    samples: Annotated[bool, typer.Option("--samples/--no-samples", help="Take the samples along.")] = True,
) -> int:
    """Verify a submission and copy it to the leaderboard's runs; nothing is copied when a check failed."""
    from evalkit.leaderboard.site.submission import add as added

    checks, place = added(submission, to, data=data, again=again, samples=samples)
    _print(checks)
    if place is None:
        print("not added")
        return 1
    print(f"added: {place}")
    return 0


@app.command("init")
def init(folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")]) -> int:
    """Write a repository that verifies submissions and publishes the site."""
    from evalkit.leaderboard.site.repository import init as initialised

    for path in initialised(folder):
        print(path)
    return 0


def _print(checks: list[Check]) -> None:
    from evalkit.cli.output import print_table

    print_table(("check", "", ""), [(check.name, check.outcome, check.told) for check in checks], right=())
