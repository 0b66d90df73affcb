"""`evalkit judge`: what judges were asked, what it took, and how far a judge agrees with itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli.options import AsJson

if TYPE_CHECKING:
    from evalkit.engine.judged import JudgeSpread
    from evalkit.judges.usage import Usage


def judge(
    run: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="A run folder: the spread of its judged metrics, too.")
    ] = None,
    price: Annotated[
        str | None,
        typer.Option(
            "--price", metavar="IN,OUT", help="What a million prompt and completion tokens cost; none is assumed."
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Show the replies of judges that are stored on this machine: how many, tokens, cost at your price."""
    import json

    from evalkit.engine.judged import judge_spreads
    from evalkit.judges.family import STORE
    from evalkit.judges.store import ReplyStore
    from evalkit.judges.usage import Price, usage
    from evalkit.paths import cache_root

    root = cache_root() / STORE
    asked = usage(ReplyStore(root).replies(), None if price is None else Price.parse(price))
    spreads = [] if run is None else judge_spreads(run)
    if as_json:
        told = {"store": str(root), "usage": [one.model_dump(mode="json") for one in asked]}
        print(json.dumps(told | {"spread": [one.model_dump(mode="json") for one in spreads]}, allow_nan=False))
        return 0
    _print_usage(root, asked)
    if run is not None:
        _print_spreads(spreads)
    return 0


def _print_usage(root: Path, asked: list[Usage]) -> None:
    from evalkit.cli.output import print_table

    print(f"replies in {root}")
    rows = [
        (
            one.judge,
            one.prompt,
            ", ".join(one.answered_by),
            str(one.replies),
            str(one.prompt_tokens),
            str(one.completion_tokens),
            str(one.uncounted),
            "-" if one.cost is None else f"{one.cost:.4f}",
        )
        for one in asked
    ]
    header = ("judge", "rubrics", "answered by", "replies", "tokens in", "tokens out", "uncounted", "cost")
    print_table(header, rows, right=(3, 4, 5, 6, 7))


def _print_spreads(spreads: list[JudgeSpread]) -> None:
    from evalkit.cli.output import print_table

    def told(value: float | None) -> str:
        return "-" if value is None else f"{value:.4f}"

    rows = [(one.metric, str(one.samples), " ".join(map(told, one.means)), told(one.sd)) for one in spreads]
    print()
    print_table(("metric", "samples", "mean of each run", "sd"), rows, right=(1, 3))
