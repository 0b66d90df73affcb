"""Progress and warnings on stderr; results alone go to stdout."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from evalkit.processes import launched

if TYPE_CHECKING:
    from collections.abc import Iterator


class Advance(Protocol):
    """Says that `count` more items are done."""

    def __call__(self, count: int = 1) -> None: ...


def warn(message: str) -> None:
    """One line on stderr; of several processes the first one alone speaks."""
    if launched()[0] == 0:
        print(f"evalkit: {message}", file=sys.stderr)


def _silent(count: int = 1) -> None:
    pass


@contextmanager
def progress(title: str, total: int, *, done: int = 0, unit: str = "items") -> Iterator[Advance]:
    """A bar with count, rate and time left on a terminal; nothing where stderr is not one or nothing is to do.

    `done` items count as finished before the start and not towards the rate.
    """
    if not sys.stderr.isatty() or total <= done or launched()[0] > 0:
        yield _silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    rate = TextColumn("{task.fields[rate]}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=False) as bar:
        task = bar.add_task(title, total=total, completed=done, rate="")

        def advance(count: int = 1) -> None:
            bar.update(task, advance=count)
            speed = bar.tasks[task].speed
            bar.update(task, rate=f"{speed:.1f} {unit}/s" if speed else "")

        yield advance
