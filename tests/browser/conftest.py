"""A small site with pictures, served on this machine, and a Chromium that looks at it."""

from __future__ import annotations

import os
import shutil
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from evalkit.leaderboard.site.build import build
from evalkit.leaderboard.site.serve import HOST, server
from tests.unit.scored_runs import PROMPTS, SUBJECTS, values, write_run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from evalkit.leaderboard.site.build import Built

HOSTILE = "<script>alert('x')</script>\"&\u202e../..\U0001f600"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def draw(path: Path, seed: int) -> None:
    """One small picture for each sample of the run, of a colour of its own."""
    rng = np.random.default_rng(seed)
    for subject in range(SUBJECTS):
        for prompt in range(PROMPTS):
            to = path / "samples" / f"s{subject:02d}.p{prompt}" / "seed_0.png"
            to.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((24, 24, 3), rng.integers(0, 255, 3), np.uint8)).save(to)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """A site of four runs, one of them with a hostile name, one trained on a metric, one a control."""
    base = tmp_path_factory.mktemp("site")
    before = os.environ.get("EVALKIT_CACHE")
    os.environ["EVALKIT_CACHE"] = str(base / "cache")
    runs = []
    told = (("alpha", 3.0, ("dino_i",)), ("beta", 0.0, ()), (HOSTILE, 0.1, ()), ("noise", -8.0, ()))
    for number, (method, mean, trained) in enumerate(told):
        scores = {name: values(mean, seed=10 * number + k) for k, name in enumerate(("clip_t", "dino_i", "lpips"))}
        run = write_run(base / f"run{number}", scores, method=method, in_domain=trained, pixels=f"{number}")
        draw(run, number)
        runs.append(run)
    try:
        yield build(runs, base / "out", title="A test's board", originals="copy", resamples=199)
    finally:
        os.environ.pop("EVALKIT_CACHE")
        if before is not None:
            os.environ["EVALKIT_CACHE"] = before


@pytest.fixture(scope="session")
def address(made: Built) -> Iterator[str]:
    """Where the site is served."""
    running = server(made.path, 0)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield f"http://{HOST}:{running.server_port}"
    running.shutdown()
    running.server_close()
    thread.join()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A browser of the system's; its place is found, or given as EVALKIT_CHROMIUM."""
    from playwright.sync_api import sync_playwright

    found = os.environ.get("EVALKIT_CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        pytest.skip("no Chromium on this machine: install it, or give its path as EVALKIT_CHROMIUM")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()
