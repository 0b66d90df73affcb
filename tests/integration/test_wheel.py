"""The wheel holds everything: code under one name, the content folders and the embedded weights."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="the build backend is not installed in this environment")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_one_top_level_name_and_all_content(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"evalkit"}
    for folder in ("benchmarks", "metrics", "leaderboard", "data_cards"):
        there = {p.relative_to(ROOT).as_posix() for p in (ROOT / folder).rglob("*") if p.is_file()}
        assert {f"evalkit/content/{path}" for path in there} <= set(names)
    code = {p.relative_to(ROOT).as_posix() for p in (ROOT / "evalkit").rglob("*.py")}
    weights = {p.relative_to(ROOT).as_posix() for p in (ROOT / "evalkit").rglob("*.safetensors")}
    assert code | weights <= set(names)
    assert weights
    assert "evalkit/py.typed" in names


def test_it_runs_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    env = os.environ | {"PYTHONPATH": str(tmp_path / "site"), "EVALKIT_CACHE": str(tmp_path / "cache")}

    def run(*words: str) -> str:
        command = [sys.executable, *words]
        return subprocess.run(command, cwd=tmp_path, env=env, check=True, capture_output=True, text=True).stdout

    assert run("-c", "import evalkit; print(evalkit.__file__)").startswith(str(tmp_path))
    assert "clip_i" in run("-m", "evalkit", "list", "metrics")
    told = run("-m", "evalkit", "run", "--method", "copy_reference", "--bench", "dreambench_pp/official", "--profile", "sandbox",
               "--limit", "4", "--out", "run")  # fmt: skip
    assert "4/4" in told
