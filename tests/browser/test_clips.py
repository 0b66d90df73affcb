"""Clips in the case viewer: each method's beside the other's, and all of a case in step."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from evalkit.engine.run import run_method
from evalkit.engine.setting import Request
from evalkit.leaderboard.site.build import build

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

METHODS = ("real_images", "noise")
READY = """all => Promise.all(all.map(clip => new Promise(done => {
  clip.preload = 'auto';
  clip.addEventListener('canplaythrough', done);
  clip.load();
})))"""
EVERY = "() => [...document.querySelector('.case').querySelectorAll('video')].every(clip => {})"
"""Whether something holds of each clip of the first case."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two controls on three clips of the embedded OpenS2V."""
    base = tmp_path_factory.mktemp("clips")
    before = os.environ.get("EVALKIT_CACHE")
    os.environ["EVALKIT_CACHE"] = str(base / "cache")
    try:
        for method in METHODS:
            run_method(method, Request(bench="opens2v", profile="sandbox", limit=3, seeds=1, out=base / method))
        yield build([base / method for method in METHODS], base / "out", resamples=199).path
    finally:
        os.environ.pop("EVALKIT_CACHE")
        if before is not None:
            os.environ["EVALKIT_CACHE"] = before


@pytest.fixture
def cases(site: Path, chromium: Browser) -> Iterator[Page]:
    """The viewer, opened from disk, with its problems turned into failures."""
    (place,) = (site / "boards").iterdir()
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.goto((place / "cases.html").as_uri())
    page.wait_for_selector(".case video")
    yield page
    context.close()
    assert problems == []


def times(page: Page) -> list[float]:
    found: list[float] = page.locator(".case").first.locator("video").evaluate_all("all => all.map(v => v.currentTime)")
    return found


def test_each_case_shows_a_clip_of_each_method(cases: Page) -> None:
    assert cases.locator(".case").count() == 3
    for number in range(3):
        clips = cases.locator(".case").nth(number).locator("video")
        assert clips.count() == len(METHODS)
        for name in clips.evaluate_all("all => all.map(v => v.getAttribute('aria-label'))"):
            assert "seed 0: " in name
        assert all(clips.evaluate_all("all => all.map(v => v.muted && v.controls)"))


def test_clips_of_a_case_play_stop_and_seek_in_step(cases: Page) -> None:
    block = cases.locator(".case").first
    clips = block.locator("video")
    clips.evaluate_all(READY)
    sizes = clips.evaluate_all("all => all.map(v => [v.videoWidth, v.duration])")
    assert all(width > 0 and duration == pytest.approx(1.5, abs=0.2) for width, duration in sizes)
    clips.first.evaluate("v => v.play()")
    cases.wait_for_function(EVERY.format("!clip.paused && clip.currentTime > 0.2"))
    one, other = times(cases)
    assert abs(one - other) < 0.25
    clips.nth(1).evaluate("v => v.pause()")
    cases.wait_for_function(EVERY.format("clip.paused"))
    clips.first.evaluate("v => { v.currentTime = 1; }")
    cases.wait_for_function(EVERY.format("Math.abs(clip.currentTime - 1) < 0.11"))
    others = cases.locator(".case").nth(1).locator("video").evaluate_all("all => all.map(v => v.currentTime)")
    assert others == [0, 0]
