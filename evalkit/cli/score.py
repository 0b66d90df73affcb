"""`evalkit score`: score samples that are already there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli.options import AsJson, Data, Fetch, Limit, Metrics, Out, ProfileName, ProtocolName, Resume, Seeds
from evalkit.errors import UsageError


def score(
    run: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="A run folder to score again, e.g. with --metric.")
    ] = None,
    samples: Annotated[
        Path | None, typer.Option("--samples", metavar="DIR", help="A folder of somebody's samples.")
    ] = None,
    sample_masks: Annotated[
        Path | None,
        typer.Option(
            "--sample-masks",
            metavar="DIR",
            help="Masks of the samples, named as they are, for metrics such as si_iou@given.",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="What made the samples in --samples.")] = None,
    bench: Annotated[
        str | None, typer.Option("--bench", "-b", metavar="B[/PROTOCOL]", help="The benchmark of --samples.")
    ] = None,
    protocol: ProtocolName = None,
    data: Data = None,
    profile: ProfileName = "auto",
    seeds: Seeds = None,
    limit: Limit = None,
    metric: Metrics = None,
    out: Out = None,
    resume: Resume = True,
    fetch: Fetch = False,
    as_json: AsJson = False,
) -> int:
    """Score a folder of samples (--samples, --bench, --name), or a run again (RUN). Exit code 3 where it is not whole."""
    from evalkit.cli.output import print_result
    from evalkit.engine.run import score_folder, score_run
    from evalkit.engine.setting import Request

    if run is not None:
        given = {"--samples": samples, "--name": name, "--bench": bench, "--out": out, "--protocol": protocol,
                 "--seeds": seeds, "--limit": limit}  # fmt: skip
        clash = [option for option, value in given.items() if value is not None]
        clash += ["--profile"] * (profile != "auto") + ["--no-resume"] * (not resume)
        if clash:
            raise UsageError(
                f"wanted RUN alone, which brings benchmark and samples, found {', '.join(clash)} beside it; leave one out"
            )
        found = score_run(run, tuple(metric or ()), data=data, sample_masks=sample_masks, fetch=fetch)
        return print_result(found, as_json=as_json, told=True)
    lacking = [o for o, v in {"--samples": samples, "--bench": bench, "--name": name}.items() if v is None]
    if samples is None or bench is None or name is None:
        raise UsageError(f"wanted RUN, or --samples, --bench and --name; found no {', '.join(lacking)}")
    request = Request(
        bench=bench, protocol=protocol, data=data, profile=profile, seeds=seeds, limit=limit,
        metrics=tuple(metric or ()), sample_masks=sample_masks, out=out, resume=resume, fetch=fetch,
    )  # fmt: skip
    return print_result(score_folder(samples, name, request), as_json=as_json, told=True)
