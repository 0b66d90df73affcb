"""A program outside evalkit, in the standard library alone, and recipes that run it."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.methods.base import Context, Job, Made, Method, rng_seed
from evalkit.methods.command import CommandMethod
from evalkit.methods.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from evalkit.benchmarks.base import Loaded

DRAW = '''\
"""Draws 2 x 4 pixels from a seed and a prompt; a word in the prompt makes it misbehave."""
import hashlib, json, os, struct, subprocess, sys, time, zlib

def png(seed, prompt):
    pixels = hashlib.sha256(f"{seed}|{prompt}".encode()).digest()[:24]
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
    rows = b"".join(b"\\0" + pixels[row:row + 12] for row in (0, 12))
    head = struct.pack(">IIBBBBB", 4, 2, 8, 2, 0, 0, 0)
    return b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")

def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    return path

def draw(seed, prompt, folder, name):
    data = png(seed, prompt)
    if "HANG" in prompt:
        write(os.path.join(folder, name), data[:30])
        if "CHILD" in prompt:
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            print("child", child.pid, flush=True)
        print("sleeping", flush=True)
        time.sleep(600)
    if "FAIL" in prompt:
        raise RuntimeError("CUDA out of memory")
    if "DIE" in prompt:
        print("about to die", file=sys.stderr, flush=True)
        os.abort() if "ABORT" in prompt else os._exit(7)
    if "HALF" in prompt:
        data = data[:30]
    if "NONE" in prompt:
        return None
    if "TWO" in prompt:
        write(os.path.join(folder, "again_" + name), data)
    return write(os.path.join(folder, name), data)

def make(request):
    """For the worker."""
    print("a foreign library prints to stdout")
    return draw(request["seed"], request["prompt"], request["output"], "made.png")

if __name__ == "__main__":
    if sys.argv[1] == "item":
        _, _, seed, prompt, reference, output = sys.argv
        assert os.path.isfile(reference), reference
        draw(int(seed), prompt, output, "%s_%s.png" % (os.path.splitext(os.path.basename(reference))[0], seed))
    else:
        with open(sys.argv[2], encoding="utf-8") as file:
            text = file.read()
        items = json.loads(text) if sys.argv[2].endswith(".json") else [json.loads(l) for l in text.split("\\n") if l]
        for item in items:
            draw(item["seed"], item["prompt"], sys.argv[3], "%s_%s.png" % (item["case_id"], item["seed"]))
        print("done", len(items))
'''
PYTHON: dict[str, Any] = {"kind": "existing", "interpreter": sys.executable}
ITEM = {
    "mode": "item",
    "command": ["{python}", "{recipe}/draw.py", "item", "{seed}", "{prompt}", "{reference}", "{output}"],
    "outputs": "*{reference_stem}_{seed}.png",
}
BATCH = {
    "mode": "batch",
    "command": ["{python}", "{recipe}/draw.py", "batch", "{items}", "{output}"],
    "items": "json",
    "outputs": "*{case_id}_{seed}.png",
}
WORKER = {"mode": "worker", "command": ["{python}", "{shim}", "draw:make"]}
MODES: dict[str, dict[str, Any]] = {"item": ITEM, "batch": BATCH, "worker": WORKER}


def told(mode: str = "item", **changes: Any) -> dict[str, Any]:
    """A recipe's data, in `mode`; keys set to None are left out."""
    data: dict[str, Any] = {
        "name": "drawer", "version": "1", "title": "Drawer", "meaning": "Draws.", "max_references": 1, "licence": "none",
        "source": "none", "environment": PYTHON, "generate": MODES[mode], "seconds": {"item": 30, "batch": 30},
        "variables": {"PYTHONPATH": "{recipe}"},
    }  # fmt: skip
    return {key: value for key, value in (data | changes).items() if value is not None}


def recipe(mode: str = "item", **changes: Any) -> Recipe:
    """The recipe of `told`."""
    return Recipe.read(told(mode, **changes), where="test")


def drawer(folder: Path, mode: str = "item", **changes: Any) -> CommandMethod:
    """A method that runs the program, which is written into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "draw.py").write_text(DRAW, encoding="utf-8")
    return CommandMethod(recipe(mode, **changes), folder)


def drawn(job: Job) -> NDArray[np.uint8]:
    """uint8 [2, 4, 3]: what the program draws for a job."""
    digest = hashlib.sha256(f"{job.rng_seed}|{job.case.prompt}".encode()).digest()[:24]
    return np.frombuffer(digest, np.uint8).reshape(2, 4, 3)


def jobs_of(benchmark: Loaded, *, seeds: int = 1, method: str = "drawer") -> list[Job]:
    """A job for every case and seed."""
    return [Job(c, s, rng_seed(method, c.case_id, s)) for c in benchmark.cases for s in range(seeds)]


def made(method: Method, jobs: Sequence[Job], context: Context) -> dict[tuple[str, int], Made]:
    """What the method makes of the jobs, each asked for once and answered once."""
    found = list(method.make(jobs, context))
    by_job = {(one.job.case.case_id, one.job.seed): one for one in found}
    assert len(by_job) == len(found) == len(jobs)
    return by_job


def assert_drawn(one: Made) -> None:
    """It is what the program draws for its job."""
    assert one.reason is None
    assert one.pixels is not None
    assert np.array_equal(one.pixels, drawn(one.job))
