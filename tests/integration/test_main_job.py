"""The main job on the embedded world and on real photographs, through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

import pytest

from evalkit.cli import main
from evalkit.runs.folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Callable

PHOTOGRAPHS = Path(__file__).resolve().parents[3] / "shared" / "data" / "dreambench" / "dataset"
CONTROLS = ("noise", "wrong_subject", "real_images", "copy_reference")


@pytest.fixture
def evalkit(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Runs a command with --json; its exit code and the object it printed."""

    def call(*arguments: object) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = main([*map(str, arguments), "--json"])
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        return code, told

    return call


def by_subject(run: str, metric: str) -> dict[tuple[str, ...], float]:
    """Mean score of each subject, the unit over which controls are compared."""
    folder = RunFolder.read(Path(run))
    values: dict[tuple[str, ...], list[float]] = {}
    for score in folder.scores.latest().values():
        if score.metric == metric and score.value is not None:
            values.setdefault(folder.cases[score.case_id].case.subjects, []).append(score.value)
    return {subject: fmean(found) for subject, found in values.items()}


@pytest.mark.timeout(600)
def test_controls_lie_in_their_order_on_the_embedded_world(evalkit: Callable[..., Any], tmp_path: Path) -> None:
    told = {}
    for method in CONTROLS:
        code, told[method] = evalkit(
            "run", "--method", method, "--bench", "dreambench_pp", "--profile", "sandbox", "--out", tmp_path / method
        )
        assert code == 0
        assert told[method]["profile"] == "sandbox"
        for label, cell in told[method]["scores"].items():
            if label in ("vsm", "mtg_nssm"):  # not asked of styles
                assert (cell["n_scored"], cell["n_cases"], cell["states"]) == (387, 387, {"not_applicable": 63})
                continue
            assert (cell["n_scored"], cell["n_cases"], cell["states"]) == (450, 450, {})
    for column, sign in (("clip_i@dreambench_pp", 1), ("dino_i@dreambench_pp", 1), ("dreamsim@ensemble", -1)):
        scores = {method: by_subject(told[method]["run"], column) for method in CONTROLS}
        for lower, upper in (("wrong_subject", "real_images"), ("real_images", "copy_reference")):
            gaps = [sign * (scores[upper][subject] - scores[lower][subject]) for subject in scores[upper]]
            assert fmean(gaps) > stdev(gaps) / len(gaps) ** 0.5, (column, lower, upper)


def test_divrl_generates_untrained_here_and_is_marked_where_it_was_trained(
    evalkit: Callable[..., Any], tmp_path: Path
) -> None:
    code, told = evalkit(
        "run", "--method", "divrl", "--bench", "dreambench_pp", "--profile", "sandbox", "--limit", 2, "--out", tmp_path / "r"
    )  # fmt: skip
    assert code == 0
    assert told["in_domain"] == ["vsm", "mtg_nssm"]
    assert {cell["n_cases"] for cell in told["scores"].values()} <= {1, 2}


def test_json_has_the_documented_form(evalkit: Callable[..., Any], tmp_path: Path) -> None:
    code, told = evalkit(
        "run",
        "--method",
        "noise",
        "--bench",
        "dreambench_pp",
        "--profile",
        "sandbox",
        "--limit",
        8,
        "--out",
        tmp_path / "r",
    )
    assert code == 0
    assert set(told) == {"run", "profile", "scores"}
    assert set(told["scores"]) == {
        "clip_t",
        "clip_i",
        "dino_i",
        "dino_i@dreambench_pp_v2",
        "dreamsim",
        "lpips",
        "vsm",
        "mtg_nssm",
    }
    for cell in told["scores"].values():
        assert set(cell) == {"value", "n_scored", "n_cases", "signature", "states"}
    assert evalkit("show", tmp_path / "r") == (0, told)


def test_a_second_scoring_computes_only_what_is_new(evalkit: Callable[..., Any], tmp_path: Path) -> None:
    run = tmp_path / "r"
    world = ("--bench", "dreambench_pp/official", "--profile", "sandbox", "--limit", 8, "--out", run)
    _, first = evalkit("run", "--method", "real_images", *world)
    folder = RunFolder.read(run)
    before = len(folder.scores)
    assert evalkit("run", "--method", "real_images", *world) == (0, first)
    assert len(RunFolder.read(run).scores) == before
    _, more = evalkit("score", run, "--metric", "lpips")
    assert len(RunFolder.read(run).scores) == before + 8
    assert {label: cell for label, cell in more["scores"].items() if label != "lpips"} == first["scores"]


def test_scoring_a_run_s_own_folder_gives_its_scores(evalkit: Callable[..., Any], tmp_path: Path) -> None:
    world = ("--bench", "dreambench_pp/official", "--profile", "sandbox", "--limit", 8)
    _, made = evalkit("run", "--method", "wrong_subject", *world, "--out", tmp_path / "made")
    samples = tmp_path / "made" / "samples"
    code, scored = evalkit("score", "--samples", samples, "--name", "mine", *world, "--out", tmp_path / "scored")
    assert code == 0
    assert scored["scores"] == made["scores"]


def test_a_sample_changed_behind_the_run_is_no_longer_the_methods(evalkit: Callable[..., Any], tmp_path: Path) -> None:
    run = tmp_path / "r"
    asked = ("run", "--method", "real_images", "--bench", "dreambench_pp/official", "--profile", "sandbox",
             "--limit", 4, "--out", run)  # fmt: skip
    _, first = evalkit(*asked)
    kept, changed = sorted((run / "samples").glob("*/seed_0.png"))[:2]
    changed.write_bytes(kept.read_bytes())
    code, told = evalkit("score", run)
    assert code == 3
    for cell in told["scores"].values():
        assert (cell["n_scored"], cell["n_cases"], cell["states"]) == (3, 4, {"sample_missing": 1})
    assert evalkit(*asked) == (0, first)


def test_a_smaller_request_says_what_it_no_longer_shows(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    asked = ["run", "--method", "noise", "--bench", "dreambench_pp/official", "--profile", "sandbox",
             "--out", str(tmp_path / "r")]  # fmt: skip
    assert main([*asked, "--limit", "4"]) == 0
    assert "not the whole protocol: 4 of 450 cases" in capsys.readouterr().out
    assert main([*asked, "--limit", "2"]) == 0
    assert "this run was asked for --limit 4 before; its table is replaced" in capsys.readouterr().err


@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="the DreamBench photographs are not beside this checkout")
@pytest.mark.timeout(600)
def test_real_photographs_are_not_compared_with_themselves(evalkit: Callable[..., Any], tmp_path: Path) -> None:
    asked = (
        "--bench",
        "dreambench/dreambooth",
        "--data",
        PHOTOGRAPHS,
        "--profile",
        "sandbox",
        "--limit",
        30,
        "--seeds",
        1,
    )
    values = {}
    for method in ("real_images", "copy_reference"):
        _, told = evalkit("run", "--method", method, *asked, "--out", tmp_path / method)
        values[method] = told["scores"]["dino_i"]["value"]
    assert values["real_images"] < values["copy_reference"] < 1


@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="the DreamBench photographs are not beside this checkout")
@pytest.mark.timeout(600)
def test_a_copy_of_real_photographs_scores_one(evalkit: Callable[..., Any], tmp_path: Path) -> None:
    code, told = evalkit(
        "run", "--method", "copy_reference", "--bench", "dreambench", "--protocol", "uno_single", "--data", PHOTOGRAPHS,
        "--profile", "sandbox", "--out", tmp_path / "run",
    )  # fmt: skip
    assert code == 0
    for metric in ("clip_i", "dino_i"):
        cell = told["scores"][metric]
        assert cell["value"] == pytest.approx(1, abs=1e-5)
        assert (cell["n_scored"], cell["n_cases"]) == (750, 750)
