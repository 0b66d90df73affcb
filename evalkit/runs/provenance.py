"""The conditions of an invocation: command, versions, working folder's commit, machine."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import evalkit
from evalkit.runs.record import GitState, Hardware, Invocation

if TYPE_CHECKING:
    from collections.abc import Sequence

_PACKAGES = (
    "torch", "torchvision", "transformers", "diffusers", "peft", "open-clip-torch", "timm", "dreamsim", "lpips",
    "numpy", "scipy", "pillow", "pyarrow", "safetensors",
)  # fmt: skip
_GIT_SECONDS = 10


def start_invocation(command: Sequence[str]) -> Invocation:
    """The invocation that starts now with `command`, an argument list. Takes some 30 ms; imports nothing heavy."""
    return Invocation(
        # An argument in another encoding than UTF-8 is recorded with its bytes escaped.
        command=tuple(argument.encode(errors="backslashreplace").decode() for argument in command),
        started=datetime.now(UTC),
        hostname=socket.gethostname(),
        versions=versions(),
        git=git_state(Path.cwd()),
        hardware=hardware(),
    )


def versions() -> dict[str, str]:
    """Versions of Python, evalkit and those installed packages that numbers depend on."""
    found = {"python": platform.python_version(), "evalkit": evalkit.__version__}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def git_state(folder: Path) -> GitState | None:
    """The commit checked out in `folder`; None where there is no git, no repository or no commit yet."""
    commit = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
    if not commit:
        return None
    changes = _git(folder, "status", "--porcelain")
    return GitState(commit=commit, dirty=None if changes is None else bool(changes))


def hardware() -> Hardware:
    """This machine. GPU names only where torch is imported already: provenance is not worth its import."""
    return Hardware(cpu=_cpu(), cores=os.cpu_count(), memory_bytes=_memory(), gpus=_gpus())


def _git(folder: Path, *arguments: str) -> str | None:
    # No lock is taken and no hook of the repository is run: looking must not change or execute anything.
    command = ["git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else None


def _cpu(info: Path = Path("/proc/cpuinfo")) -> str:
    try:
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _gpus() -> tuple[str, ...]:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return ()
    return tuple(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
