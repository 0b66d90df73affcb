"""`evalkit run`: make samples with a method and score them."""

from __future__ import annotations

from typing import Annotated

import typer

from evalkit.cli.options import (
    AsJson,
    Bench,
    Data,
    Fetch,
    Limit,
    Metrics,
    Out,
    ProfileName,
    ProtocolName,
    Resume,
    Seeds,
    Settings,
    Train,
    TrainData,
)


def run(
    method: Annotated[str, typer.Option("--method", help="What makes the samples; `evalkit list methods`.")],
    bench: Bench,
    protocol: ProtocolName = None,
    data: Data = None,
    profile: ProfileName = "auto",
    seeds: Seeds = None,
    limit: Limit = None,
    metric: Metrics = None,
    settings: Settings = None,
    train: Train = False,
    train_data: TrainData = None,
    out: Out = None,
    resume: Resume = True,
    fetch: Fetch = False,
    as_json: AsJson = False,
) -> int:
    """Make samples with a method, score them, show the table. Exit code 3 where the run is not whole."""
    from evalkit.cli.output import print_result
    from evalkit.engine.run import run_method
    from evalkit.engine.setting import Request

    request = Request(
        bench=bench, protocol=protocol, data=data, profile=profile, seeds=seeds, limit=limit,
        metrics=tuple(metric or ()), options=tuple(settings or ()), train=train,
        train_data=train_data, out=out, resume=resume, fetch=fetch,
    )  # fmt: skip
    result = run_method(method, request)
    return 0 if result is None else print_result(result, as_json=as_json, told=True)
