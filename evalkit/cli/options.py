"""Options that several commands share, said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Bench = Annotated[
    str, typer.Option("--bench", "-b", metavar="B[/PROTOCOL]", help="The benchmark; `evalkit list benchmarks`.")
]
ProtocolName = Annotated[
    str | None, typer.Option("--protocol", "-p", help="One of the benchmark's protocols; its default one if not given.")
]
Data = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="The benchmark's data in its official layout.")
]
ProfileName = Annotated[
    str,
    typer.Option("--profile", metavar="auto|paper|sandbox", help="Published backbones, or the embedded small ones."),
]
Seeds = Annotated[
    int | None, typer.Option("--seeds", min=1, max=1000, help="Samples a prompt; the protocol's own if not given.")
]
Limit = Annotated[
    int | None, typer.Option("--limit", min=1, help="Only so many cases, spread over the benchmark; a quick look.")
]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="DIR", help="The run folder; below ./runs if not given.")
]
Resume = Annotated[
    bool, typer.Option("--resume/--no-resume", help="Go on with the run in that folder, or start another beside it.")
]
Metrics = Annotated[
    list[str] | None,
    typer.Option("--metric", "-m", metavar="NAME[@VARIANT]", help="One more metric than the protocol has; repeatable."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="A setting of the method; `evalkit describe method M`; repeatable."
    ),
]
Train = Annotated[bool, typer.Option("--train", help="Train the method in this run first, then generate with that.")]
TrainData = Annotated[
    Path | None,
    typer.Option(
        "--train-data", metavar="DIR|DATASET", help="Your own training data, in the form the method describes."
    ),
]
Fetch = Annotated[
    bool,
    typer.Option("--fetch", help="Download weights and data that are missing; sizes and licences are shown first."),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, for programs.")]
