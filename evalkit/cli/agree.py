"""`evalkit agree`: how far metrics agree with people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli.options import AsJson

if TYPE_CHECKING:
    from evalkit.engine.agree import Agreement


def agree(
    scores: Annotated[
        Path, typer.Argument(metavar="SCORES", help="A run folder, or a CSV with case_id and value (seed, metric).")
    ],
    ratings: Annotated[
        Path, typer.Argument(metavar="RATINGS", help="A CSV with case_id, rater, rating (and seed, of several seeds).")
    ],
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric", "-m", help="Only this metric of SCORES, by its name there or in the run's table; repeatable."
        ),
    ] = None,
    level: Annotated[
        str,
        typer.Option("--level", metavar="nominal|ordinal|interval", help="What a difference of ratings is to alpha."),
    ] = "interval",
    scale: Annotated[
        float | None,
        typer.Option(
            "--scale",
            help="Values times this are on the raters' scale: alpha of metric and raters, too, where higher is better.",
        ),
    ] = None,
    lower: Annotated[
        list[str] | None,
        typer.Option("--lower", metavar="METRIC", help="This metric is better when lower; repeatable."),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Leave out ratings of samples that SCORES does not know.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Compare metrics with human ratings: tau, pairwise accuracy, alpha. Exit code 3 where rated samples have no score, 1 where
    SCORES does not know them and --partial does not leave them out."""
    import json

    from evalkit.cli.output import NOT_WHOLE
    from evalkit.engine import agree as engine
    from evalkit.engine.rated import read_labels, read_ratings, read_scores

    found = engine.agree(
        read_scores(scores),
        read_ratings(ratings),
        metrics=tuple(metric or ()),
        level=level,
        scale=scale,
        lower=tuple(lower or ()),
        partial=partial,
        labels=read_labels(scores),
    )
    if as_json:
        print(json.dumps({"agreement": [one.model_dump(mode="json") for one in found]}, allow_nan=False))
    else:
        _print(found)
    return 0 if all(one.whole for one in found) else NOT_WHOLE


def _print(found: list[Agreement]) -> None:
    from evalkit.cli.output import ARROWS, print_table

    def told(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    rows = [
        (f"{a.metric} {ARROWS[a.direction]}", told(a.tau), told(a.accuracy), str(a.pairs), told(a.alpha), str(a.items))
        for a in found
    ]
    print_table(("metric", "tau", "accuracy", "pairs", "alpha", "samples"), rows, right=(1, 2, 3, 4, 5))
    print()
    for one in found:
        print(f"{one.metric}: {one.raters} raters, alpha among them {told(one.people_alpha)}")
        if one.no_alpha:
            print(f"! no alpha of it and the raters: {one.no_alpha}")
        if one.not_scored:
            print(f"! rated and not scored: {', '.join(f'{state} {n}' for state, n in one.not_scored.items())}")
        if one.unscored:
            print(f"! {len(one.unscored)} rated samples are not in the scores, first: {one.unscored[0]}")
        if one.unrated:
            print(f"! {one.unrated} scored samples are not rated")
