"""`evalkit sandbox`: the embedded world and its models."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evalkit.errors import DataError, UsageError
from evalkit.registry import unknown

if TYPE_CHECKING:
    from collections.abc import Callable

app = typer.Typer(
    help="The embedded world: draw it, train its models.", invoke_without_command=True, rich_markup_mode=None
)
GROUPS = ("readers", "kontext", "vace", "vlm", "segmenter")
NewFolder = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where it goes; must not exist yet.")]


@app.callback()
def _help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit


@app.command("draw")
def draw(out: NewFolder) -> int:
    """Draw the embedded DreamBench++ world in the official layout, to look at or to make samples for."""
    from evalkit.sandbox.benchmark import write_dreambench_pp

    _refuse_existing(out)
    write_dreambench_pp(out)
    print(out)
    return 0


@app.command("train")
def train(
    out: NewFolder,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            metavar="readers|kontext|vace|vlm|segmenter",
            help="What reads pictures, makes pictures or clips, answers questions, or finds the subject.",
        ),
    ] = "readers",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the weights and the batches.")] = 0,
    minutes: Annotated[
        float | None, typer.Option("--minutes", min=0.1, help="For each reader, 12 if not given; for a generator.")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps",
            min=1,
            help="Instead of minutes: repeatable. Without either, what is not a reader takes a number of its own.",
        ),
    ] = None,
    start: Annotated[
        Path | None, typer.Option("--start", metavar="DIR", help="Weights trained before, to go on from.")
    ] = None,
    work: Annotated[
        Path | None, typer.Option("--work", metavar="DIR", help="Where rendered pictures are kept.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that render.")] = 1,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Threads that train.")] = 1,
) -> int:
    """Train embedded models on the world and print the card with what they can do.

    `readers` are CLIP, DINO, LPIPS and Mind-the-Glitch; `kontext` is the small FLUX.1-Kontext and `vace` the small
    Wan2.1-VACE that methods build on; `vlm` is the small Qwen2.5-VL that answers questions; `segmenter` makes the masks of
    samples.
    """
    import yaml

    from evalkit.paths import cache_root
    from evalkit.sandbox.training.loop import Budget
    from evalkit.sandbox.training.run import DEFAULT_BUDGET, MODELS, train_all

    if model not in GROUPS:
        raise UsageError(unknown("group of models", model, list(GROUPS), "evalkit sandbox train --help"))
    if minutes is not None and steps is not None:
        raise UsageError(f"wanted --minutes or --steps, found both ({minutes:g} and {steps}); leave one out")
    _refuse_existing(out)
    asked = Budget(minutes=minutes, steps=steps) if minutes is not None or steps is not None else None
    place, told = work or cache_root() / "sandbox-training", _tell if sys.stderr.isatty() else None
    if model != "readers":
        from evalkit.sandbox.training.kontext import train_from_world as train_kontext
        from evalkit.sandbox.training.segmenter import train_from_world as train_segmenter
        from evalkit.sandbox.training.vace import train_from_world as train_vace
        from evalkit.sandbox.training.vlm import train_from_world as train_vlm

        if start is not None:
            raise UsageError(f"wanted no --start beside --model {model}, which starts from nothing; leave it out")
        trainers: dict[str, Callable[..., dict[str, Any]]] = {
            "kontext": train_kontext,
            "vace": train_vace,
            "vlm": train_vlm,
            "segmenter": train_segmenter,
        }
        card = trainers[model](
            out, seed=seed, work=place, budget=asked, workers=workers, threads=threads, progress=told
        )
        print(yaml.safe_dump(card, sort_keys=False).rstrip())
        return 0
    card = train_all(
        out,
        seed=seed,
        start=start,
        work=place,
        budgets=dict.fromkeys(MODELS, asked or DEFAULT_BUDGET),
        workers=workers,
        threads=threads,
        progress=told,
    )
    print(yaml.safe_dump(card, sort_keys=False).rstrip())
    return 0


def _refuse_existing(out: Path) -> None:
    if out.exists():
        raise DataError(f"wanted a new folder for --out, found {str(out)!r} already there; name another")


def _tell(stage: str, share: float) -> None:
    print(f"\r{stage}: {share:.0%}   ", end="", file=sys.stderr, flush=True)
