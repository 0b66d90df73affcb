"""How results look on stdout."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from evalkit.engine.result import Result

NOT_WHOLE = 3
ARROWS = {"higher": "\N{UPWARDS ARROW}", "lower": "\N{DOWNWARDS ARROW}"}
"""Which way a metric is better."""


def print_result(result: Result, *, as_json: bool, told: bool = False) -> int:
    """Prints a run's scores, as a table or as one JSON object; returns the exit code.

    `told` says that the problems went to stderr already: on a terminal they are not said twice.
    """
    if as_json:
        print(json.dumps(result.to_dict(), allow_nan=False))
    else:
        _print_tables(result, problems=not (told and sys.stdout.isatty() and sys.stderr.isatty()))
    return 0 if result.whole else NOT_WHOLE


def _print_tables(result: Result, *, problems: bool) -> None:
    print(f"{result.method} on {result.benchmark}/{result.protocol}, profile {result.profile}{_caution(result)}")
    if result.part is not None:
        print(f"not the whole protocol: {result.part}")
    rows = [
        (
            f"{label} {ARROWS[result.directions[label]]}",
            number(s.value, result.scales[label]),
            f"{s.n_scored}/{s.n_cases}",
            _states(s.states),
            _marks(result, label),
        )
        for label, s in result.scores.items()
    ]
    print_table(("metric", "value", "coverage", "not scored", ""), rows, right=(1, 2))
    print()
    for label, summary in result.scores.items():
        print(f"{label}  {summary.signature}")
    for line in result.problems if problems else ():
        print(f"! {line}")
    print(f"run: {result.path}")


def _caution(result: Result) -> str:
    return ": small embedded models, not comparable with published numbers" if result.profile == "sandbox" else ""


def _states(states: dict[str, int]) -> str:
    return ", ".join(f"{state} {count}" for state, count in states.items()) or "-"


def _marks(result: Result, label: str) -> str:
    return "in-domain" if label in result.in_domain else ""


def number(value: float | None, scale: float) -> str:
    """A value with the digits that mean something: four decimals of the unscaled measure; `-` where there is none."""
    if value is None:
        return "-"
    from evalkit.engine.result import decimals

    return f"{value:.{decimals(scale)}f}"


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, right: tuple[int, ...] = ()) -> None:
    """A plain table on stdout; on a terminal it wraps to its width, in a pipe nothing is cut."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, title in enumerate(header):
        table.add_column(title, justify="right" if index in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000
    Console(width=width, markup=False, highlight=False, soft_wrap=False).print(table)
