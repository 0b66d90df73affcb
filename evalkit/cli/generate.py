"""`evalkit generate`: make samples with a method and leave the scoring for later."""

from __future__ import annotations

from typing import Annotated

import typer

from evalkit.cli.options import (
    Bench,
    Data,
    Fetch,
    Limit,
    Out,
    ProfileName,
    ProtocolName,
    Resume,
    Seeds,
    Settings,
    Train,
    TrainData,
)


def generate(
    method: Annotated[str, typer.Option("--method", help="What makes the samples; `evalkit list methods`.")],
    bench: Bench,
    protocol: ProtocolName = None,
    data: Data = None,
    profile: ProfileName = "auto",
    seeds: Seeds = None,
    limit: Limit = None,
    settings: Settings = None,
    train: Train = False,
    train_data: TrainData = None,
    out: Out = None,
    resume: Resume = True,
    fetch: Fetch = False,
) -> int:
    """Make a method's samples; `evalkit score RUN` scores them."""
    from evalkit.engine.run import generate_only
    from evalkit.engine.setting import Request

    request = Request(
        bench=bench, protocol=protocol, data=data, profile=profile, seeds=seeds, limit=limit,
        metrics=(), options=tuple(settings or ()), train=train,
        train_data=train_data, out=out, resume=resume, fetch=fetch,
    )  # fmt: skip
    made = generate_only(method, request)
    if made is None:
        return 0
    print(f"{made.made} of {made.wanted} samples in {made.path}; `evalkit score {made.path}` scores them")
    return 0 if made.made == made.wanted else 3
