"""A training that several processes share, through the command line: one run folder, one table, the helpers silent."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

ASKED = ["--method", "divrl", "--bench", "dreambench_pp", "--profile", "sandbox", "--limit", "2", "--seeds", "1"]
TWO = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", "0", "--standalone", "-m"]


def started(folder: Path, *launch: str, train: bool) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "EVALKIT_CACHE": str(folder / "cache")}
    asked = [*ASKED, *(["--train", "--set", "epochs=1"] if train else []), "--out", str(folder / "run")]
    return subprocess.run(
        [sys.executable, *launch, "evalkit", "run", *asked, "--json"],
        check=False, env=environment, capture_output=True, text=True, timeout=900,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(1900)
def test_two_processes_train_one_run(tmp_path: Path) -> None:
    told = {}
    for name, launch in (("one", ["-m"]), ("two", TWO)):
        made = started(tmp_path / name, *launch, train=True)
        assert made.returncode == 0, made.stderr
        assert len(made.stdout.splitlines()) == 1
        assert len([line for line in made.stderr.splitlines() if line.startswith("evalkit:")]) == 1
        told[name] = json.loads(made.stdout)
        assert told[name]["scores"]["clip_t"]["n_scored"] == 2
    curves = {}
    for name in told:
        with (tmp_path / name / "run" / "train" / "stage_1" / "curves.csv").open(encoding="utf-8") as file:
            (curves[name],) = csv.DictReader(file)
    assert float(curves["one"]["reward"]) == pytest.approx(float(curves["two"]["reward"]), abs=1e-3)


@pytest.mark.timeout(300)
def test_several_processes_without_training_are_refused(tmp_path: Path) -> None:
    made = started(tmp_path, *TWO, train=False)
    assert made.returncode != 0
    assert "wanted one process, found 2" in made.stderr
    assert not (tmp_path / "run").exists()
