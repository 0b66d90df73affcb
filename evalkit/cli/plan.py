"""`evalkit plan`: how many subjects, prompts and seeds a claim needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli.options import AsJson

if TYPE_CHECKING:
    from evalkit.engine.plan import Planned


def plan(
    pilot: Annotated[
        list[Path], typer.Option("--pilot", metavar="RUN", help="A run at hand; twice for the difference of two.")
    ],
    detect: Annotated[float, typer.Option("--detect", help="The difference to show, in the metric's unit.")],
    metric: Annotated[
        str | None, typer.Option("--metric", "-m", help="A column of the pilot; its first if not given.")
    ] = None,
    power: Annotated[float, typer.Option(min=0.05, max=0.999, help="Chance of showing it.")] = 0.8,
    seconds: Annotated[
        float | None, typer.Option("--seconds-per-sample", min=0, help="For hours; the pilot's own if not given.")
    ] = None,
    replications: Annotated[int, typer.Option(min=10, max=100_000, help="Simulated evaluations a line.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Of the simulation.")] = 0,
    as_json: AsJson = False,
) -> int:
    """Say how many subjects, prompts, seeds and hours it takes to show a difference, checked by simulation."""
    from evalkit.engine.plan import plan_runs

    found = plan_runs(
        pilot, detect, metric=metric, power=power, seconds_per_sample=seconds, replications=replications, seed=seed
    )
    if as_json:
        print(json.dumps(found.to_dict(), allow_nan=False))
    else:
        _print(found)
    return 0


def _print(found: Planned) -> None:
    from evalkit.cli.output import print_table

    told = found.plan
    size = told.pilot
    print(f"to show a difference of {told.detect:g} in {found.metric} with power {told.power:g}, design {told.design}")
    if found.single:
        print("one pilot: the other method counts as having nothing in common with it, which asks for most; give two")
    shown = "-" if told.detectable is None else f"{told.detectable:.4g}"
    print(f"pilot: {size.subjects} subjects x {size.prompts} prompts x {size.seeds} seeds; that shows {shown} or more")
    rows = []
    for choice in told.choices:
        hours = found.hours(choice.samples)
        rows.append((
            str(choice.prompts), str(choice.seeds), str(choice.judge_runs),
            "above a million" if choice.subjects is None else str(choice.subjects),
            "-" if choice.samples is None else str(choice.samples), "-" if hours is None else f"{hours:.2g}",
            "-" if choice.power is None else f"{choice.power:.2f}",
            "-" if choice.simulated is None else f"{choice.simulated:.2f}",
        ))  # fmt: skip
    header = ("prompts", "seeds", "judge runs", "subjects", "samples", "hours", "power", "simulated")
    print_table(header, rows, right=tuple(range(8)))
    print("samples and hours are of one method; variance of the difference:")
    for name, value in told.components.model_dump().items():
        if isinstance(value, float):
            print(f"  {name}: {value:.4g}")
    for part, into in told.components.merged.items():
        print(f"the pilot has too few to tell {part} from {into}: what more would save there is not known")
