"""Writes docs/commands.md from the commands' own help; a test holds the file to it.

python docs/write_commands.py
"""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

COMMANDS = (
    (), ("run",), ("generate",), ("score",), ("show",), ("list",), ("describe",), ("doctor",), ("audit",), ("validate",),
    ("compare",), ("diff",), ("plan",), ("gate",), ("gate", "freeze"), ("agree",), ("judge",),
    ("leaderboard",), ("leaderboard", "build"), ("leaderboard", "serve"), ("leaderboard", "verify"),
    ("leaderboard", "add"), ("leaderboard", "init"),
    ("data",), ("data", "list"), ("data", "fetch"), ("data", "verify"),
    ("cache",), ("cache", "show"), ("cache", "prune"), ("sandbox",), ("sandbox", "draw"), ("sandbox", "train"),
)  # fmt: skip
TARGET = Path(__file__).with_name("commands.md")


def text() -> str:
    """The whole page."""
    from evalkit.cli import main

    os.environ["COLUMNS"], os.environ["TERMINAL_WIDTH"] = "100", "100"
    parts = ["# Commands", "", "Each command's own help, written by `python docs/write_commands.py`."]
    for words in COMMANDS:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            main([*words, "--help"])
        lines = [line.rstrip() for line in printed.getvalue().strip().splitlines()]
        parts += ["", f"## `{' '.join(('evalkit', *words))}`", "", "```text", *lines, "```"]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
