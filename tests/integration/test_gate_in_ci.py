"""The gate as the documentation sets it up: in a workflow's step and before a commit, in a scratch repository."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from evalkit.cli import main
from tests.unit.scored_runs import values, write_run

if TYPE_CHECKING:
    from collections.abc import Mapping

DOCS = Path(__file__).resolve().parents[2] / "docs" / "gates.md"


def examples() -> list[Any]:
    """The YAML blocks of the documentation, in order: policy, workflow, hook."""
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.S)]


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A repository with a frozen baseline and a policy."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    write_run(tmp_path / "runs" / "baseline", {"clip_t": values(seed=1)}, method="base")
    assert main(["gate", "freeze", str(tmp_path / "runs" / "baseline"), str(tmp_path / "baseline.json")]) == 0
    (tmp_path / "policy.yaml").write_text("metrics: {clip_t: {margin: 1.0}}\nn_resamples: 999\n", encoding="utf-8")
    (tmp_path / ".gitignore").write_text("runs/\n", encoding="utf-8")
    return tmp_path


def shell(command: str, scratch: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs a documented line with `evalkit` on the path."""
    folder = str(Path(sys.executable).parent)
    own = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "HOME": str(scratch)}
    return subprocess.run(
        ["bash", "-c", command], cwd=scratch, env=os.environ | own | env, capture_output=True, text=True, check=False
    )


def candidate(scratch: Path, mean: float) -> None:
    write_run(scratch / "runs" / "candidate", {"clip_t": values(mean, seed=4)}, method="new")


def test_the_documented_policy_is_one(tmp_path: Path) -> None:
    from evalkit.engine.policy import read_policy

    (tmp_path / "p.yaml").write_text(yaml.safe_dump(examples()[0]), encoding="utf-8")
    assert set(read_policy(tmp_path / "p.yaml").metrics) == {"dino_i", "clip_t", "clip_i"}


@pytest.mark.parametrize(("mean", "code", "word"), [(2.0, 0, "passed"), (-4.0, 1, "**failed**")])
def test_the_workflow_s_step(scratch: Path, mean: float, code: int, word: str) -> None:
    workflow: Mapping[str, Any] = examples()[1]
    (line,) = [s["run"] for s in workflow["jobs"]["gate"]["steps"] if s.get("run", "").startswith("evalkit gate")]
    candidate(scratch, mean)
    done = shell(line, scratch, GITHUB_STEP_SUMMARY=str(scratch / "summary.md"))
    assert done.returncode == code, done.stderr
    assert (scratch / "summary.md").read_text(encoding="utf-8").startswith(f"## evalkit gate: {word}")
    assert (scratch / "gate.xml").read_text(encoding="utf-8").count("<testcase") == 3


def test_a_commit_is_held_back(scratch: Path) -> None:
    (hook,) = examples()[2]["repos"][0]["hooks"]
    script = scratch / ".git" / "hooks" / "pre-commit"
    script.write_text(f"#!/bin/sh\nexec {shlex.join(shlex.split(hook['entry']))}\n", encoding="utf-8")
    script.chmod(0o755)
    commit = "git add -A && git -c user.name=a -c user.email=a@example.org commit -q -m change"
    candidate(scratch, -4.0)
    held = shell(commit, scratch)
    assert held.returncode != 0
    assert "gate: fail" in held.stdout + held.stderr
    candidate_again = scratch / "runs" / "candidate"
    subprocess.run(["rm", "-r", str(candidate_again)], check=True)
    candidate(scratch, 2.0)
    assert shell(commit, scratch).returncode == 0


@pytest.mark.timeout(600)
def test_runs_of_the_embedded_world_go_through_the_gate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder, method in (("a", "real_images"), ("again", "real_images"), ("worse", "wrong_subject")):
        run = ["run", "--method", method, "--bench", "dreambench_pp", "--profile", "sandbox", "--limit", "150"]
        assert main([*run, "--out", str(tmp_path / folder)]) == 0
    policy = tmp_path / "policy.yaml"
    policy.write_text("metrics: {clip_i: {margin: 1.0}, dino_i: {margin: 1.0}}\n", encoding="utf-8")
    assert main(["gate", "freeze", str(tmp_path / "a"), str(tmp_path / "a.json")]) == 0
    held = ["--baseline", str(tmp_path / "a.json"), "--policy", str(policy)]
    assert main(["gate", "--run", str(tmp_path / "again"), *held]) == 0
    assert main(["gate", "--run", str(tmp_path / "worse"), *held]) == 1
    capsys.readouterr()
    assert main(["compare", str(tmp_path / "worse"), str(tmp_path / "a"), "--resamples", "999"]) == 0
    told = capsys.readouterr().out
    for metric in ("clip_i", "dino_i"):
        assert f"\n{metric}: real_images is better than wrong_subject (" in told
    assert (
        main(["compare", str(tmp_path / "a"), str(tmp_path / "worse"), "--by", "category", "--resamples", "999"]) == 0
    )
