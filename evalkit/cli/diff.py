"""`evalkit diff`: why the numbers of two runs differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli.options import AsJson

if TYPE_CHECKING:
    from evalkit.engine.diff import Diff, MetricDiff


def diff(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    other: Annotated[Path, typer.Argument(metavar="RUN", help="Another.")],
    shown: Annotated[
        int, typer.Option("--show", min=1, help="Cases shown for each metric, largest differences first.")
    ] = 5,
    as_json: AsJson = False,
) -> int:
    """Tell why two runs' numbers differ: identity, signatures, samples, states, the cases that differ most."""
    from evalkit.engine.diff import diff_runs

    found = diff_runs(run, other, shown=shown)
    if as_json:
        print(json.dumps(found.to_dict(), allow_nan=False))
    else:
        _print(found)
    return 0


def _print(found: Diff) -> None:
    print(f"a: {found.a}\nb: {found.b}")
    if found.same:
        print("no number, state or sample differs")
    for part in found.identity:
        print(f"{part.part}: {part.a} in a, {part.b} in b")
    for name, count in (("a", found.only_a), ("b", found.only_b)):
        if count:
            print(f"only in {name}: {count} (case, seed)")
    if found.changed_cases:
        told = ", ".join(found.changed_cases[:3])
        print(f"{len(found.changed_cases)} cases have other prompts or pictures, the first {told}")
    first = f", the first {found.first_changed[0]}" if found.first_changed else ""
    if found.samples:
        print(f"samples: {found.changed_samples} of {found.samples} differ{first}")
    else:
        print(
            "samples: none is in both runs for the same case and seed, so that nothing can be held against each other"
        )
    for part in found.only_metrics:
        print(f"{part.part}: {part.a} in a, {part.b} in b")
    for metric in found.metrics:
        _print_metric(metric)


def _print_metric(metric: MetricDiff) -> None:
    from evalkit.cli.output import print_table

    if not (metric.signature or metric.differing or metric.states_changed):
        return
    values = ["-" if value is None else f"{value:.6g}" for value in (metric.a, metric.b)]
    print(f"\n{metric.metric}: {values[0]} in a, {values[1]} in b; {metric.differing} of {metric.pairs} values differ")
    if metric.signature:
        part, mine, theirs = metric.signature
        print(f"  signature: {part} is {mine} in a, {theirs} in b")
    for change in metric.states:
        print(f"  {change.case_id} seed {change.seed}: {change.a} in a, {change.b} in b")
    if metric.states_changed > len(metric.states):
        print(f"  and {metric.states_changed - len(metric.states)} more states")
    same = {True: "same pixels", False: "other pixels", None: "no sample in one"}
    rows = [
        (f"  {d.case_id}", str(d.seed), f"{d.a:.6g}", f"{d.b:.6g}", f"{d.a - d.b:+.3g}", same[d.same_sample])
        for d in metric.largest
    ]
    if rows:
        print_table(("  case", "seed", "a", "b", "a - b", "sample"), rows, right=(1, 2, 3, 4))
