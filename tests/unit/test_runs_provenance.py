"""The conditions of a run, told without changing anything."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
import types
from datetime import UTC, datetime
from pathlib import Path

import pytest

import evalkit
from evalkit.runs import provenance
from evalkit.runs.record import GitState


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=n", "-c", "user.email=e@example.org", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    try:
        _git(tmp_path, "init", "--quiet")
    except FileNotFoundError:
        pytest.skip("git is not installed")
    (tmp_path / "a.txt").write_text("a")
    _git(tmp_path, "add", "a.txt")
    _git(tmp_path, "commit", "--quiet", "--message", "one")
    return tmp_path


def test_a_clean_and_a_dirty_working_folder(repository: Path) -> None:
    commit = _git(repository, "rev-parse", "HEAD")
    assert provenance.git_state(repository) == GitState(commit=commit, dirty=False)
    (repository / "b.txt").write_text("b")
    assert provenance.git_state(repository) == GitState(commit=commit, dirty=True)


def test_looking_runs_no_hook_and_writes_nothing(repository: Path) -> None:
    hook = repository.parent / f"{repository.name}-hook"
    ran = repository.parent / f"{repository.name}-ran"
    hook.write_text(f"#!/bin/sh\ntouch '{ran}'\n")
    hook.chmod(0o755)
    _git(repository, "config", "core.fsmonitor", str(hook))
    os.utime(repository / "a.txt", (0, 0))
    index = (repository / ".git" / "index").read_bytes()
    state = provenance.git_state(repository)
    assert state is not None
    assert not ran.exists()
    assert (repository / ".git" / "index").read_bytes() == index


def test_no_repository_no_commit_and_no_git_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance.git_state(tmp_path) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.git_state(tmp_path) is None


def test_a_status_that_takes_too_long_is_unknown(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = subprocess.run

    def slow(command: list[str], **options: object) -> object:
        if "status" in command:
            raise subprocess.TimeoutExpired(command, 10)
        return real(command, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", slow)
    state = provenance.git_state(repository)
    assert state is not None
    assert state.dirty is None


def test_versions_are_those_of_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_PACKAGES", ("pydantic", "no-such-package"))
    assert provenance.versions() == {
        "python": platform.python_version(),
        "evalkit": evalkit.__version__,
        "pydantic": importlib.metadata.version("pydantic"),
    }


def test_gpus_are_named_only_where_torch_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert provenance.hardware().gpus == ()
    assert "torch" not in sys.modules
    cuda = types.SimpleNamespace(
        is_available=lambda: True, device_count=lambda: 2, get_device_name=lambda index: f"GPU {index}"
    )
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda))
    assert provenance.hardware().gpus == ("GPU 0", "GPU 1")
    cuda.is_available = lambda: False
    assert provenance.hardware().gpus == ()


def test_the_cpu_is_named(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor : 0\nmodel name\t: Fast CPU @ 3 GHz\nmodel name\t: Other\n")
    assert provenance._cpu(info) == "Fast CPU @ 3 GHz"
    assert provenance._cpu(tmp_path / "none") == (platform.processor() or platform.machine())


def test_a_system_that_does_not_tell_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (provenance.hardware().memory_bytes or 0) > 2**20
    monkeypatch.delattr(os, "sysconf")
    assert provenance.hardware().memory_bytes is None


def test_an_invocation_starts_now_and_takes_any_argument() -> None:
    before = datetime.now(UTC)
    started = provenance.start_invocation(["evalkit", "run", "--out", "caf\udce9"])
    assert before <= started.started <= datetime.now(UTC)
    assert started.finished is None
    assert started.command == ("evalkit", "run", "--out", "caf\\udce9")
    assert type(started).read(started.to_json(), where="i") == started
