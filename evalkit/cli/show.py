"""`evalkit show`: a run's score table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli.options import AsJson


def show(run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")], as_json: AsJson = False) -> int:
    """Show a run: metric, value, coverage, states, signature. Exit code 3 where it is not whole."""
    from evalkit.cli.output import print_result
    from evalkit.engine.result import read_result

    return print_result(read_result(run), as_json=as_json)
