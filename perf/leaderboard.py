"""Building a leaderboard of fifty methods on DreamBench++'s size, rebuilding it with one more, and comparing ten runs.

python perf/leaderboard.py [--methods 50] [--pictures]

Runs have made-up numbers. `--pictures` draws one 512 px picture a sample first, shared by all methods, so that small copies are
made once and kept. Seconds are of one process on a machine that should do nothing else; ratios are to reading alone.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

METRICS = [
    "clip_t", "clip_i", "dino_i", "dreamsim", "lpips", "vsm", "mtg_nssm", "dino_nssm", "sdino", "hps", "aesthetic",
    "facesim",
]  # fmt: skip


def main() -> None:
    """Prints one line a measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", type=int, default=50)
    parser.add_argument("--pictures", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        os.environ["EVALKIT_CACHE"] = str(root / "cache")
        from made_runs import PROMPTS, SUBJECTS, made_runs  # type: ignore[import-not-found]  # beside this script

        pictures = _drawn(root / "pictures", SUBJECTS, PROMPTS) if arguments.pictures else None
        paths = made_runs(root / "runs", arguments.methods + 1, METRICS, pictures=pictures)
        _measure(root, paths)


def _measure(root: Path, paths: list[Path]) -> None:
    from evalkit.engine.compare import compare_runs
    from evalkit.engine.scored import read_scored
    from evalkit.leaderboard.site.build import build

    reading = _timed("reading", lambda: [run.scores for run in read_scored(paths[:-1])])
    first = _timed("building", lambda: build(paths[:-1], root / "site"))
    _timed("building again, one run more", lambda: build(paths, root / "site"))
    print(f"building against reading: {first / reading:.1f} x")
    _timed("comparing ten runs on eight metrics", lambda: compare_runs(paths[:10]))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    largest = max(path.stat().st_size for path in (root / "site").rglob("*.html"))
    print(f"largest page {largest / 2**20:.2f} MiB")


def _timed(what: str, work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    took = time.perf_counter() - started
    print(f"{what}: {took:.1f} s", flush=True)
    return took


def _drawn(folder: Path, subjects: int, prompts: int) -> Path:
    from PIL import Image

    folder.mkdir()
    rng = np.random.default_rng(0)
    for subject in range(subjects):
        coarse = rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)
        for prompt in range(prompts):
            turned = Image.fromarray(np.roll(coarse, prompt, 0)).resize((512, 512), Image.Resampling.BICUBIC)
            turned.save(folder / f"subject_{subject:03d}.p{prompt:02d}.png")
    return folder


if __name__ == "__main__":
    main()
