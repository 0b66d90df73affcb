"""Killed at any moment and resumed, a run ends in the same bytes as one that was never interrupted."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # fork beside idle loader threads of other tests
]
RESULTS = ("scores.csv", "summary.json")


def start(out: Path, cache: Path, cases: int) -> int:
    """The main job in a child process of its own group; returns its pid. Fork spares importing torch each time."""
    import torch

    import evalkit.engine.run  # noqa: F401 - imported before the fork, for the same reason

    torch.set_num_threads(1)
    pid = os.fork()
    if pid:
        return pid
    try:
        os.environ["EVALKIT_CACHE"] = str(cache)
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - the child's own, until it ends
        from evalkit.cli import main

        os._exit(main(["run", "--method", "real_images", "--bench", "dreambench_pp", "--profile", "sandbox",
                       "--limit", str(cases), "--out", str(out)]))  # fmt: skip
    finally:
        os._exit(99)


def finish(pid: int) -> int:
    """The child's exit code; negative for the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize(
    ("kills", "cases"), [(4, 70), pytest.param(20, 450, marks=pytest.mark.slow)], ids=["four", "twenty"]
)
@pytest.mark.timeout(1200)
def test_killed_runs_end_in_the_same_bytes(tmp_path: Path, kills: int, cases: int) -> None:
    begun = time.monotonic()
    assert finish(start(tmp_path / "whole", tmp_path / "cache-a", cases)) == 0
    whole = time.monotonic() - begun
    moments = random.Random(7)
    codes = []
    for _ in range(kills):
        pid = start(tmp_path / "cut", tmp_path / "cache-b", cases)
        time.sleep(moments.uniform(0, 2 * whole / kills))
        os.kill(pid, signal.SIGKILL)
        codes.append(finish(pid))
    assert set(codes) <= {-signal.SIGKILL, 0}
    assert codes.count(-signal.SIGKILL) >= kills / 2  # a child may be done before its moment comes, but most are not
    assert finish(start(tmp_path / "cut", tmp_path / "cache-b", cases)) == 0
    for name in RESULTS:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
