"""Small nouns for the tests of run folders."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from evalkit.nouns import Case, MetricChoice, Reference, Sample, Score
from evalkit.runs.cases import RunCase
from evalkit.runs.record import RunIdentity, RunRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNATURE = "metric:clip_i|variant:official|weights:0123456789ab"
NOBODY = 65534


def score(case: str = "dog_00", seed: int = 0, value: float | None = 0.5, **fields: Any) -> Score:
    """A score that was computed, or for None one whose sample had no face."""
    state: dict[str, Any] = {"state": "no_face"} if value is None else {"state": "scored", "value": value}
    base = {"case_id": case, "seed": seed, "metric": "clip_i@official", "signature": SIGNATURE, "inputs": "00"}
    return Score.model_validate({**base, **state, **fields})


def sample(case: str = "dog_00", seed: int = 0, **fields: Any) -> Sample:
    """A sample that was made."""
    base = {"case_id": case, "seed": seed, "state": "made", "path": f"{case}/seed_{seed}.png", "pixels_sha256": "ab"}
    return Sample.model_validate({**base, "case_sha256": "cd", "method": "m", "method_version": "1", **fields})


def case(name: str = "dog_00", prompt: str = "a dog", **fields: Any) -> Case:
    """A case with one reference and one target, each a picture of a dog."""
    given = Reference(path="dog/00.jpg", subject="dog", label="dog", mask="dog/00.png")
    target = Reference(path="dog/01.jpg", subject="dog", label="dog")
    base = {"case_id": name, "prompt": prompt, "subjects": ("dog",), "references": (given,), "targets": (target,)}
    return Case.model_validate({**base, "category": "animal", "prompt_index": 0, **fields})


PIXELS: dict[str, str | None] = {"dog/00.jpg": "aa", "dog/00.png": "bb", "dog/01.jpg": "cc"}


def run_case(name: str = "dog_00", prompt: str = "a dog") -> RunCase:
    """`case` with its pixel hashes."""
    return RunCase.of(case(name, prompt), PIXELS)


def identity(**fields: Any) -> RunIdentity:
    """A run of the method `noise` in the embedded world."""
    base: dict[str, Any] = {"method": "noise", "method_version": "1", "method_config": {"steps": 20}}
    return RunIdentity.model_validate({**base, "benchmark": "dreambench", "profile": "sandbox", **fields})


def request(**fields: Any) -> RunRequest:
    """One metric, two seeds."""
    base: dict[str, Any] = {
        "protocol": "official",
        "metrics": (MetricChoice.parse("clip_i@official"),),
        "seeds": (0, 1),
    }
    return RunRequest.model_validate({**base, **fields})


@contextlib.contextmanager
def read_only_folder() -> Iterator[Path]:
    """A folder that this process may read and not write; root, whom permissions do not bind, becomes nobody."""
    if not hasattr(os, "geteuid"):
        pytest.skip("permissions of folders are POSIX's")
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o555)
    was = os.geteuid()
    try:
        if was == 0:
            os.seteuid(NOBODY)
        yield folder
    finally:
        if was == 0:
            os.seteuid(was)
        folder.chmod(0o755)
        shutil.rmtree(folder)


@contextlib.contextmanager
def tiny_disk(folder: Path, kilobytes: int) -> Iterator[None]:
    """A file system of that size at `folder`; skips where mounting one is not allowed."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except OSError:
        pytest.skip("no mount command for a tiny disk")
    if done.returncode:
        pytest.skip("mounting a tiny disk is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)
