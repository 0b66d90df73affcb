"""A writer killed at any moment loses nothing that it was told is stored."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from evalkit.nouns import Score
from evalkit.runs.lock import run_lock
from evalkit.runs.parts import PartStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_KILLS = 12
_ROWS = 8
# Imports once and forks a writer for each line read; a writer says its number, then each seed whose append returned.
_WRITERS = f"""
import os, sys
from pathlib import Path
import pyarrow.parquet
from evalkit.nouns import Score
from evalkit.runs.lock import run_lock
from evalkit.runs.parts import PartStore

def write(folder, seed):
    with run_lock(folder):
        store = PartStore(folder / "scores", Score, lambda row: row.key)
        while True:
            base = dict(seed=seed, metric="m", signature="s", inputs="i", state="scored", value=seed / 7)
            store.append([Score(case_id=f"c{{n}}", **base) for n in range({_ROWS})])
            sys.stdout.write(f"{{seed}}\\n")  # in one piece: a line cut in two by the kill would run into the next
            sys.stdout.flush()
            seed += 1

for line in sys.stdin:
    child = os.fork()
    if not child:
        print(os.getpid(), flush=True)
        write(Path(sys.argv[1]), int(line))
    os.waitpid(child, 0)
    print("dead", flush=True)
"""


@contextlib.contextmanager
def _writers(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", _WRITERS, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process


def _appended_until_killed(writers: subprocess.Popen[str], start: int, seconds: float) -> list[int]:
    """The seeds whose append returned in a writer killed `seconds` after its first append."""
    assert writers.stdin is not None
    assert writers.stdout is not None
    writers.stdin.write(f"{start}\n")
    writers.stdin.flush()
    pid = int(writers.stdout.readline())
    first = writers.stdout.readline()
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    lines = [first]
    while not lines[-1].endswith("dead\n"):
        lines.append(writers.stdout.readline())
        assert lines[-1], "the process that forks the writers has ended"
    return [int(line) for line in lines[:-1]]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the writers are forked, and kill -9 is POSIX's")
def test_every_completed_append_survives_kill_9(tmp_path: Path) -> None:
    moments = random.Random(0)
    completed: list[int] = []
    with _writers(tmp_path) as writers:
        for kill in range(_KILLS):
            completed += _appended_until_killed(writers, 100_000 * kill, moments.uniform(0, 0.05))
            with run_lock(tmp_path):
                store = PartStore(tmp_path / "scores", Score, lambda row: row.key)
            rows = store.rows()
            assert all(path.suffix == ".parquet" for path in store.folder.iterdir())
            assert len(rows) % _ROWS == 0, "a part is there whole or not at all"
            stored = [row.seed for row in rows[::_ROWS]]
            assert set(completed) <= set(stored)
            assert len(stored) - len(completed) <= kill + 1, "at most the append under way is there without returning"
            assert stored == sorted(stored)
    assert len(completed) > _KILLS, "appends went on until the kill"
