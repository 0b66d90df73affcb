"""Somebody's plugin, built and installed as its users would, works like a part of our own."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "tests" / "plugin"
COLOURS = {"cyan": (10, 180, 200), "mustard": (220, 170, 20), "red": (200, 20, 30), "violet": (110, 50, 170)}
PROMPTS = ["a kite in {}", "a {} boat"]
BROKEN_PROMPTS = ["a kite", "a {} boat", "a {} {}"]
KINDS = {"metric": "colourfulness", "benchmark": "swatches", "method": "tint"}
COMMANDS = """
import contextlib, io, json, sys
from evalkit.cli import main
done = []
for arguments in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main(arguments)
    done.append((code, out.getvalue(), err.getvalue()))
print(json.dumps(done))
"""


class Done(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """What a command that worked printed."""
        assert self.code == 0, self.err
        return json.loads(self.out)

    def error(self, code: int) -> str:
        """What a command that could not work said after its warnings."""
        assert (self.code, self.out) == (code, ""), self.err
        return self.err.partition("evalkit: error: ")[2].rstrip()


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The session's cache also for what is run before the first test, so that the world is drawn once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALKIT_CACHE", str(tmp_path_factory.getbasetemp() / "evalkit-cache"))
        yield


def skeleton() -> dict[str, str]:
    """The files that CONTRIBUTING.md gives to paste, by path."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^```\w+\n# (\S+)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with our plugin and the pasted one in it: their wheels, made by their own build backend, unpacked."""
    target: Path = tmp_path_factory.mktemp("plugins")
    pasted = target / "pasted"
    for name, text in skeleton().items():
        (pasted / name).parent.mkdir(parents=True, exist_ok=True)
        (pasted / name).write_text(text, encoding="utf-8")
    build = f"from hatchling.build import build_wheel; print(build_wheel({str(target)!r}))"
    for source in (SOURCE, pasted):
        done = subprocess.run([sys.executable, "-c", build], cwd=source, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        with zipfile.ZipFile(target / done.stdout.split()[-1]) as wheel:
            wheel.extractall(target / "site")
    return target / "site"


def evalkit(*commands: str, plugin: Path | None) -> list[Done]:
    """The commands in a process of their own, one after another, with the plugins installed or without."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"OMP_NUM_THREADS": "1"} | ({"PYTHONPATH": str(plugin)} if plugin is not None else {})
    command = [sys.executable, "-c", COMMANDS, json.dumps([shlex.split(one) for one in commands])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return [Done(*one) for one in json.loads(done.stdout)]


def by_hand(path: Path) -> float:
    """Hasler and Süsstrunk's third measure, written once more."""
    red, green, blue = np.asarray(Image.open(path).resize((64, 64), 2), dtype=float).transpose(2, 0, 1) / 255
    rg, yb = red - green, 0.5 * (red + green) - blue
    return float(np.sqrt(rg.var() + yb.var()) + 0.3 * np.sqrt(rg.mean() ** 2 + yb.mean() ** 2))


def samples(run: Path) -> dict[str, Path]:
    """Every sample's file by its path in the run."""
    return {path.relative_to(run / "samples").as_posix(): path for path in sorted(run.glob("samples/*/*.png"))}


@pytest.fixture(scope="module")
def catalogue(installed: Path) -> dict[str, Done]:
    """What is listed and described, by kind of thing."""
    listed = [f"list {kind}s" for kind in KINDS]
    described = [f"describe {kind} {name} --json" for kind, name in KINDS.items()]
    return dict(zip((*listed, *KINDS), evalkit(*listed, *described, plugin=installed), strict=True))


@pytest.mark.parametrize(
    ("kind", "own", "title"),
    [("metric", "clip_i", "Colourfulness (share of full scale, higher is better)"),
     ("benchmark", "dreambench_pp", "Swatches"), ("method", "noise", "Tinted reference")],
)  # fmt: skip
def test_it_is_listed_beside_our_own(catalogue: dict[str, Done], kind: str, own: str, title: str) -> None:
    listing = catalogue[f"list {kind}s"]
    assert (listing.code, listing.err) == (0, "")
    lines = {line.split()[0]: line for line in listing.out.splitlines()}
    assert title in lines[KINDS[kind]]
    assert own in lines


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [("metric", "default_variant", "small"), ("benchmark", "default_protocol", "dyed"), ("method", "stochastic", True)],
)
def test_it_is_described(catalogue: dict[str, Done], kind: str, key: str, value: object) -> None:
    card = catalogue[kind].json()
    assert (card["name"], card[key]) == (KINDS[kind], value)


class OurBench(NamedTuple):
    """A run of the plugin's method on a benchmark of our own, and the same scored again with the plugin's metric."""

    path: Path
    run: dict[str, Any]
    """With the metric that was pasted."""
    score: dict[str, Any]


@pytest.fixture(scope="module")
def ours(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> OurBench:
    path = tmp_path_factory.mktemp("ours") / "run"
    run, score = evalkit(
        f"run --method tint --bench dreambench_pp/official --profile sandbox --limit 3 --metric patch_i --json --out {path}",
        f"score {path} --metric colourfulness --json",
        plugin=installed,
    )
    return OurBench(path, run.json(), score.json())


def test_its_method_makes_samples_for_our_benchmark(ours: OurBench) -> None:
    identity = json.loads((ours.path / "run.json").read_text(encoding="utf-8"))["identity"]
    assert (identity["method"], identity["benchmark"]) == ("tint", "dreambench_pp")
    assert {"clip_i", "clip_t", "dino_i"} < ours.run["scores"].keys()
    assert {cell["n_scored"] for cell in ours.run["scores"].values()} == {3}
    assert 50 < ours.run["scores"]["clip_i"]["value"] < 100


def test_the_metric_that_was_pasted_is_scored(ours: OurBench) -> None:
    cell = ours.run["scores"]["patch_i"]
    assert (cell["n_scored"], cell["states"]) == (3, {})
    assert 0 < cell["value"] < 1
    assert "|backbone:sandbox=dino|" in cell["signature"]


def test_a_run_is_scored_with_its_metric(ours: OurBench) -> None:
    cell, files = ours.score["scores"]["colourfulness"], samples(ours.path).values()
    assert (cell["n_scored"], cell["n_cases"], cell["states"]) == (3, 3, {})
    assert len(files) == 3
    assert cell["value"] == pytest.approx(np.mean([by_hand(file) for file in files]), abs=1e-5)
    assert cell["value"] > 0.05


def test_its_signature_names_its_backbone(ours: OurBench) -> None:
    signature = ours.score["scores"]["colourfulness"]["signature"]
    # What `features` holds covers the extractor's whole fingerprint, so only its form is fixed here.
    assert re.fullmatch(
        r"metric:colourfulness\|variant:small\|backbone:opponent\|weights:none\|pre:squash_64\|dtype:float32\|"
        r"features:[0-9a-f]{12}\|scale:1\|v:1\|agg:micro",
        signature,
    )


def test_what_was_scored_before_stays(ours: OurBench) -> None:
    before, after = ours.run["scores"], ours.score["scores"]
    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() == {"colourfulness"}


def test_without_it_a_run_is_shown_and_what_is_missing_is_said(ours: OurBench) -> None:
    shown, scored, described = evalkit(
        f"show {ours.path} --json", f"score {ours.path}", "describe metric colourfulness", plugin=None
    )
    assert shown.json()["scores"] == ours.score["scores"]
    assert described.error(2).startswith("wanted a metric, found 'colourfulness', which is none; ")
    assert re.match(r"wanted a metric, found '(colourfulness|patch_i)', which is none; ", scored.error(2))


class Swatches(NamedTuple):
    """Commands on the plugin's own benchmark."""

    folder: Path
    """Holds the data, and the runs by the names below."""
    run: Done
    """Two seeds of data with our own colours and prompts."""
    few: Done
    """Three cases of the same."""
    drawn: Done
    """The embedded data."""
    broken: Done
    fetched: Done


@pytest.fixture(scope="module")
def swatches(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Swatches:
    folder: Path = tmp_path_factory.mktemp("swatches")
    for data, prompts in {"data": PROMPTS, "broken_data": BROKEN_PROMPTS}.items():
        (folder / data / "pictures").mkdir(parents=True)
        for name, colour in COLOURS.items():
            Image.new("RGB", (20, 16), colour).save(folder / data / "pictures" / f"{name}.png")
        (folder / data / "prompts.txt").write_text("\n".join(prompts), encoding="utf-8")
    (folder / "broken_data" / "pictures" / "red.png").unlink()
    violet = folder / "broken_data" / "pictures" / "violet.png"
    violet.write_bytes(violet.read_bytes()[:60])
    words, sandbox = "--method tint --bench swatches", "--profile sandbox"
    return Swatches(
        folder,
        *evalkit(
            f"run {words} {sandbox} --data {folder}/data --seeds 2 --json --out {folder}/run",
            f"generate {words} {sandbox} --data {folder}/data --limit 3 --out {folder}/few",
            f"run {words} {sandbox} --json --out {folder}/drawn",
            f"run {words} {sandbox} --data {folder}/broken_data --out {folder}/broken",
            f"run {words} --profile paper --fetch --out {folder}/fetched",
            plugin=installed,
        ),
    )


def test_its_benchmark_is_run_with_the_metric_of_its_protocol(swatches: Swatches) -> None:
    (name, cell), *others = swatches.run.json()["scores"].items()
    assert (name, others, cell["n_scored"], cell["states"]) == ("colourfulness", [], 16, {})
    files = samples(swatches.folder / "run")
    assert files.keys() == {f"{c}.p{prompt}/seed_{seed}.png" for c in COLOURS for prompt in (0, 1) for seed in (0, 1)}
    assert cell["value"] == pytest.approx(np.mean([by_hand(file) for file in files.values()]), abs=1e-5)


def test_its_prompts_name_the_colour(swatches: Swatches) -> None:
    lines = (swatches.folder / "run" / "store" / "cases.jsonl").read_text(encoding="utf-8").splitlines()
    found = {json.loads(line)["case"]["prompt"] for line in lines}
    assert found == {prompt.format(colour) for prompt in PROMPTS for colour in COLOURS}


def test_a_sample_depends_on_its_seed_and_not_on_what_is_asked_together(swatches: Swatches) -> None:
    assert swatches.few.code == 0, swatches.few.err
    whole, few = samples(swatches.folder / "run"), samples(swatches.folder / "few")
    assert len(few) == 3
    assert {name: whole[name].read_bytes() for name in few} == {name: file.read_bytes() for name, file in few.items()}
    assert len({file.read_bytes() for file in whole.values()}) == 16


def test_its_embedded_data_are_drawn(swatches: Swatches) -> None:
    assert swatches.drawn.json()["scores"]["colourfulness"]["n_scored"] == 8
    record = json.loads((swatches.folder / "drawn" / "run.json").read_text(encoding="utf-8"))
    assert (record["identity"]["world"], record["data_folder"]) == ("swatches-1", None)


def test_every_problem_with_its_data_is_told_at_once(swatches: Swatches) -> None:
    assert swatches.broken.error(1).splitlines() == [
        f"{str(swatches.folder / 'broken_data')!r} is not a whole copy of Swatches (5 problems):",
        "  - pictures: missing 'red'; fetch the data again",
        "  - cannot decode 'pictures/violet.png': it is a PNG of 60 bytes that ends too early (image file is truncated); "
        "its writing or copying was interrupted: make or fetch it again",
        "  - prompts.txt, line 1: wanted '{}' once, for the colour's name, found 'a kite'; put it in",
        "  - prompts.txt, line 3: wanted '{}' once, for the colour's name, found 'a {} {}'; put it in",
        "  - prompts.txt: wanted 2 prompts, one a line, found 3; add or remove some",
    ]
    assert not (swatches.folder / "broken").exists()


def test_data_that_cannot_be_fetched_say_how_to_get_them(swatches: Swatches) -> None:
    found = swatches.fetched.error(1)
    assert found.startswith("wanted to fetch Swatches into ")
    assert found.endswith(
        "found nowhere to fetch them from; run with --profile sandbox, which draws them, or photograph your own in this "
        "layout and give the folder as --data"
    )
