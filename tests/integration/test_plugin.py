"""Somebody's plugin, built and installed as its users would, works like a metric of our own."""

from __future__ import annotations

import json
import re
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(__file__).parent.parent / "plugin"
BENCH = ["--bench", "dreambench_pp/official", "--profile", "sandbox"]


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The session's cache also for what is run before the first test, so that the world is drawn once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALKIT_CACHE", str(tmp_path_factory.getbasetemp() / "evalkit-cache"))
        yield


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the plugin in it: its wheel, made by its own build backend, unpacked as installers do."""
    target: Path = tmp_path_factory.mktemp("plugin")
    build = f"from hatchling.build import build_wheel; print(build_wheel({str(target)!r}))"
    done = subprocess.run([sys.executable, "-c", build], cwd=SOURCE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(target / done.stdout.split()[-1]) as wheel:
        wheel.extractall(target / "site")
    return target / "site"


def evalkit(*arguments: str, plugin: Path | None) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, with the plugin installed or without."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"OMP_NUM_THREADS": "1"} | ({"PYTHONPATH": str(plugin)} if plugin is not None else {})
    command = [sys.executable, "-m", "evalkit", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def told(*arguments: str, plugin: Path, codes: tuple[int, ...] = (0,)) -> Any:
    done = evalkit(*arguments, "--json", plugin=plugin)
    assert done.returncode in codes, done.stderr
    return json.loads(done.stdout)


def by_hand(path: Path) -> float:
    """Hasler and Süsstrunk's third measure, written once more."""
    red, green, blue = np.asarray(Image.open(path).resize((64, 64), 2), dtype=float).transpose(2, 0, 1) / 255
    rg, yb = red - green, 0.5 * (red + green) - blue
    return float(np.sqrt(rg.var() + yb.var()) + 0.3 * np.sqrt(rg.mean() ** 2 + yb.mean() ** 2))


def test_it_is_listed_and_described(installed: Path) -> None:
    listing = evalkit("list", "metrics", plugin=installed)
    assert listing.returncode == 0, listing.stderr
    lines = {line.split()[0]: line for line in listing.stdout.splitlines()}
    assert "Colourfulness (share of full scale, higher is better)" in lines["colourfulness"]
    assert "clip_i" in lines
    assert told("describe", "metric", "colourfulness", plugin=installed)["default_variant"] == "small"


def test_without_it_there_is_no_such_metric() -> None:
    done = evalkit("describe", "metric", "colourfulness", plugin=None)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("evalkit: error: wanted a metric, found 'colourfulness', which is none; ")


@pytest.fixture(scope="module")
def scored(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A run of a control on the embedded world, with the plugin's metric asked for when it is scored."""
    path = tmp_path_factory.mktemp("run") / "noise"
    made = evalkit("generate", "--method", "noise", *BENCH, "--limit", "3", "--out", str(path), plugin=installed)
    assert made.returncode == 0, made.stderr
    # Code 3 where a metric of the protocol lacks its weights: the plugin's own must not suffer from it.
    return path, told("score", str(path), "--metric", "colourfulness", plugin=installed, codes=(0, 3))


def test_a_run_is_scored_with_it(scored: tuple[Path, dict[str, Any]]) -> None:
    path, result = scored
    cell = result["scores"]["colourfulness"]
    pictures = sorted((path / "samples").glob("*/seed_0.png"))
    assert (cell["n_scored"], cell["n_cases"], cell["states"]) == (3, 3, {})
    assert len(pictures) == 3
    assert cell["value"] == pytest.approx(np.mean([by_hand(picture) for picture in pictures]), abs=1e-5)
    assert cell["value"] > 0.05


def test_its_signature_names_its_backbone(scored: tuple[Path, dict[str, Any]]) -> None:
    _, result = scored
    signature = result["scores"]["colourfulness"]["signature"]
    # What `features` holds covers the extractor's whole fingerprint, so only its form is fixed here.
    assert re.fullmatch(
        r"metric:colourfulness\|variant:small\|backbone:opponent\|weights:bf6c46502743\|pre:squash_64\|dtype:float32\|"
        r"features:[0-9a-f]{12}\|scale:1\|v:1\|agg:micro",
        signature,
    )


def test_metrics_of_the_protocol_stay(scored: tuple[Path, dict[str, Any]]) -> None:
    _, result = scored
    assert {"clip_i", "clip_t", "dino_i", "colourfulness"} <= set(result["scores"])


def test_what_was_scored_is_shown_without_the_plugin(scored: tuple[Path, dict[str, Any]]) -> None:
    path, result = scored
    shown = evalkit("show", str(path), "--json", plugin=None)
    assert json.loads(shown.stdout)["scores"] == result["scores"]


def test_scoring_again_without_the_plugin_says_what_is_missing(scored: tuple[Path, dict[str, Any]]) -> None:
    path, _ = scored
    done = evalkit("score", str(path), plugin=None)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("evalkit: error: wanted a metric, found 'colourfulness', which is none; ")
