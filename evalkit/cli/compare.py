"""`evalkit compare`: is a run better than another, by how much, and can it be believed?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from evalkit.cli.options import AsJson

if TYPE_CHECKING:
    from evalkit.engine.compare import Claim, Compared


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN [RUN ...]", help="Run folders; the baseline first.")],
    family: Annotated[
        Literal["headline", "exploratory"],
        typer.Option(
            help="headline: 5 % chance of any false claim (Holm); exploratory: 5 % of claims false (Benjamini-Hochberg)."
        ),
    ] = "headline",
    by: Annotated[
        Literal["category"] | None, typer.Option("--by", help="One claim for each category of the benchmark.")
    ] = None,
    missing: Annotated[
        Literal["complete", "worst", "refuse"],
        typer.Option(
            help="Cases without a value: rest on the others and say what the missing could change; claim only what holds "
            "wherever they lie; or compare no metric that lacks any."
        ),
    ] = "complete",
    all_pairs: Annotated[bool, typer.Option("--all-pairs", help="Each run against each, not only the first.")] = False,
    resamples: Annotated[
        int, typer.Option(min=99, max=999_999, help="Resamples of the bootstrap and the test.")
    ] = 9999,
    seed: Annotated[int, typer.Option(min=0, help="Of the resampling; equal seeds give equal results.")] = 0,
    as_json: AsJson = False,
) -> int:
    """Compare runs of one benchmark: difference, interval, adjusted p, win rate. Exit code 3 where something cannot be."""
    from evalkit.cli.output import NOT_WHOLE
    from evalkit.engine.compare import compare_runs

    found = compare_runs(
        runs,
        family=family,
        by_category=by is not None,
        all_pairs=all_pairs,
        missing=missing,
        n_resamples=resamples,
        seed=seed,
    )
    if as_json:
        print(json.dumps(found.to_dict(), allow_nan=False))
    else:
        _print(found)
    return NOT_WHOLE if found.not_compared else 0


def _print(found: Compared) -> None:
    from evalkit.cli.output import print_table
    from evalkit.engine.compare import sentence

    caution = ": small embedded models, not comparable with published numbers" if found.profile == "sandbox" else ""
    print(f"{found.design} design, p adjusted by {found.method}, profile {found.profile}{caution}")
    if found.claims:
        units = f"{found.claims[0].unit}s"
        header = (
            "metric",
            "a",
            "b",
            "a",
            "b",
            "a - b",
            "95 % interval",
            "p",
            "adjusted",
            "wins",
            units,
            "missing",
            "",
        )
        print_table(header, [_row(claim) for claim in found.claims], right=(3, 4, 5, 6, 7, 8, 9, 10, 11))
        print(
            f"means are over {units}, of the samples that both have scores of: a run's own table may average otherwise"
        )
    for metric, ranking in found.rankings.items():
        places = [f"{e.name} {_places(e.highest, e.lowest)}" for e in ranking.entries]
        print(f"ranks on {metric}, all at once with 95 % confidence: {', '.join(places)}")
    print()
    for claim in found.claims:
        print(sentence(claim))
    for no in found.not_compared:
        what = " ".join(
            part for part in (no.metric or "everything", f"on {no.category}" if no.category else "") if part
        )
        print(f"! not compared: {what}, {no.a} against {no.b}: {no.why}")
    if found.note:
        print(f"design: {found.note}")


def _row(claim: Claim) -> tuple[str, ...]:
    from evalkit.cli.output import ARROWS, number
    from evalkit.engine.compare import p_text

    c = claim.comparison

    def told(value: float) -> str:
        return number(value, claim.scale)

    name = f"{claim.metric} {ARROWS[claim.direction]}" + (f" {claim.category}" if claim.category else "")
    marks = f"in-domain: {', '.join(claim.in_domain)}" if claim.in_domain else ""
    return (
        name, claim.a, claim.b, told(c.mean_a), told(c.mean_b), f"{'+' * (c.difference > 0)}{told(c.difference)}",
        f"{told(c.ci_low)} to {told(c.ci_high)}", p_text(c.p_value), p_text(claim.adjusted), f"{claim.win_rate:.0%}",
        str(c.n_subjects), str(c.n_missing), marks,
    )  # fmt: skip


def _places(highest: int, lowest: int) -> str:
    low, high = sorted((highest, lowest))
    return str(low) if low == high else f"{low}-{high}"
