"""The workflow of a leaderboard's repository: what its shell steps verify, in a scratch repository."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from evalkit.content import content

STAND_IN = """#!/bin/sh
printf '%s\\n' "$*" >> "$CALLS"
case "$3" in *bad*) exit 1;; esac
"""


def steps(job: str) -> list[dict[str, Any]]:
    text = content("leaderboard", "repository", "workflow.yml").read_text(encoding="utf-8")
    found: list[dict[str, Any]] = yaml.safe_load(text)["jobs"][job]["steps"]
    return found


class Repository:
    """A git repository with runs, and an `evalkit` that notes what it was asked and refuses whatever is called bad."""

    def __init__(self, root: Path) -> None:
        self.folder, self.calls = root / "repo", root / "calls"
        (root / "bin").mkdir()
        (root / "bin" / "evalkit").write_text(STAND_IN, encoding="utf-8")
        (root / "bin" / "evalkit").chmod(0o755)
        told = {"CALLS": str(self.calls), "RUNNER_TEMP": str(root), "BASE": "base"}
        self.env = {**os.environ, **told, "PATH": f"{root / 'bin'}:{os.environ['PATH']}"}
        self.folder.mkdir()
        self.git("init", "-q", "-b", "base")

    def git(self, *words: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *who, *words], cwd=self.folder, check=True, capture_output=True)

    def write(self, name: str, text: str = "x") -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text, encoding="utf-8")

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "x")

    def step(self, job: str) -> tuple[int, list[str]]:
        """The exit code of the job's step that verifies, and what it verified."""
        (one,) = [step for step in steps(job) if step.get("name", "").startswith("Verify")]
        assert one["shell"] == "bash"
        script = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", one["run"]]
        done = subprocess.run(script, cwd=self.folder, env=self.env, check=False, capture_output=True)
        calls = self.calls.read_text(encoding="utf-8").splitlines() if self.calls.exists() else []
        assert all(call.startswith("leaderboard verify ") for call in calls)
        return done.returncode, [call.removeprefix("leaderboard verify ") for call in calls]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path)
    for name in ("old", "kept", "gone"):
        made.write(f"runs/b/p/{name}/run.json")
        made.write(f"runs/b/p/{name}/store/scores/part-000001.parquet", name)
    made.write("runs/README.md")
    made.commit()
    made.git("switch", "-q", "-c", "change")
    return made


def test_every_run_that_is_touched_is_verified_whatever_was_done_to_it(repository: Repository) -> None:
    repository.write("runs/b/p/old/store/scores/part-000001.parquet", "better")
    repository.write("runs/b/p/böse name/run.json")
    (repository.folder / "runs/b/p/kept").rename(repository.folder / "runs/b/p/moved")
    repository.git("rm", "-q", "-r", "runs/b/p/gone")
    repository.write("runs/README.md", "y")
    repository.write("README.md")
    repository.commit()
    assert repository.step("verify") == (0, ["runs/b/p/böse name", "runs/b/p/moved", "runs/b/p/old"])


def test_one_run_that_fails_fails_the_step_and_the_others_are_looked_at(repository: Repository) -> None:
    for name in ("a", "bad", "c"):
        repository.write(f"runs/b/p/{name}/run.json")
    repository.commit()
    assert repository.step("verify") == (1, ["runs/b/p/a", "runs/b/p/bad", "runs/b/p/c"])


def test_a_difference_that_cannot_be_told_is_no_pass(repository: Repository) -> None:
    repository.git("branch", "-D", "base")
    assert repository.step("verify") == (128, [])


def test_what_is_published_is_verified_before(repository: Repository) -> None:
    assert repository.step("publish") == (0, ["runs/b/p/gone", "runs/b/p/kept", "runs/b/p/old"])
    repository.calls.unlink()
    repository.write("runs/b/p/bad/run.json")
    assert repository.step("publish")[0] == 1
    told = [step.get("name", step.get("run", "")) for step in steps("publish")]
    assert told.index("Verify every run that is published") < told.index(
        "evalkit leaderboard build runs/*/*/* --out site"
    )
