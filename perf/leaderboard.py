"""Building a leaderboard of fifty methods on DreamBench++'s size, rebuilding it with one more, and comparing ten runs.

python perf/leaderboard.py [--methods 50] [--pictures] [--browser]

Runs have made-up numbers. `--pictures` draws one 512 px picture a sample first, shared by all methods, so that small copies are
made once and kept. `--browser` sorts a board of 200 runs and 20 metrics in a Chromium instead. Seconds are
of one process on a machine that should do nothing else; ratios are to reading alone.
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
    parser.add_argument("--browser", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        os.environ["EVALKIT_CACHE"] = str(root / "cache")
        from made_runs import PROMPTS, SUBJECTS, made_runs  # type: ignore[import-not-found]  # beside this script

        if arguments.browser:
            _browse(root)
            return
        pictures = _drawn(root / "pictures", SUBJECTS, PROMPTS) if arguments.pictures else None
        paths = made_runs(root / "runs", arguments.methods + 1, METRICS, pictures=pictures)
        _measure(root, paths)


def _measure(root: Path, paths: list[Path]) -> None:
    from evalkit.engine.compare import compare_runs
    from evalkit.engine.scored import read_scored
    from evalkit.leaderboard.site.build import build

    reading = _timed("reading", lambda: [run.held(METRICS[0]) for run in read_scored(paths[:-1])])
    first = _timed("building", lambda: build(paths[:-1], root / "site"))
    _timed("building again, one run more", lambda: build(paths, root / "site"))
    print(f"building against reading: {first / reading:.1f} x")
    _timed("comparing ten runs on eight metrics", lambda: compare_runs(paths[:10]))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    largest = max(path.stat().st_size for path in (root / "site").rglob("*.html"))
    print(f"largest page {largest / 2**20:.2f} MiB")


def _browse(root: Path) -> None:
    """Milliseconds from a click to the next frame, and until fifty rows are there; the middle and slowest of ten."""
    import shutil

    from made_runs import made_runs
    from playwright.sync_api import sync_playwright

    from evalkit.leaderboard.site.build import build
    from evalkit.registry import METRICS as KNOWN
    from evalkit.registry import load

    named = [f"{name}@{variant}" for name in METRICS for variant in load(KNOWN, name).card.variants][:20]
    site = build(made_runs(root / "runs", 200, named, subjects=8, prompts=1), root / "site", resamples=199).path
    board = next((site / "boards").iterdir()) / "index.html"
    print(f"board of 200 runs and {len(named)} metrics: {board.stat().st_size / 2**20:.2f} MiB")
    clicked = """
        async selector => {
          const frame = () => new Promise(done => requestAnimationFrame(() => setTimeout(done)));
          const rows = document.getElementById('measured').rows;
          const times = [];
          for (let turn = 0; turn < 10; turn += 1) {
            while (rows.length < 50) await frame();
            const started = performance.now();
            const target = document.querySelectorAll(selector)[turn % 5 + 2];
            target.click();
            await frame();
            const seen = performance.now() - started;
            while (rows.length < 50) await frame();
            times.push([seen, performance.now() - started]);
          }
          return times;
        }"""
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(board.as_uri())
        page.wait_for_selector("#controls", state="visible")
        times = np.asarray(page.evaluate(clicked, ".sort"))
        for what, taken in zip(("the rows on the screen", "the first fifty"), times.T, strict=True):
            print(f"sorting, {what}: {np.median(taken):.0f} ms, slowest {taken.max():.0f} ms")
        browser.close()


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
