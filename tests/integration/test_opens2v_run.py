"""Videos of the embedded world through the command line: controls lie where they must, a run resumes, runs compare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.cli import main
from evalkit.features.pictures import Pictures
from evalkit.media import Clip

pytestmark = pytest.mark.timeout(600)
CASES = 34
ASKED = ("--bench", "opens2v", "--profile", "sandbox", "--json")
DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "opens2v"


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = main([*map(str, arguments)])
    return code, json.loads(capsys.readouterr().out)


def test_controls_of_videos_resume_and_comparison(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    told = {}
    for method in ("real_images", "copy_reference", "wrong_subject"):
        code, told[method] = run(capsys, "run", "--method", method, *ASKED, "--out", tmp_path / method)
        assert code == 0
        cells = told[method]["scores"].values()
        assert all((c["n_scored"], c["n_cases"], c["states"]) == (CASES, CASES, {}) for c in cells)
    value = {method: {name: c["value"] for name, c in table["scores"].items()} for method, table in told.items()}
    for name in ("clip_i", "dino_i"):
        assert value["copy_reference"][name] > value["real_images"][name] > value["wrong_subject"][name]
    assert value["real_images"]["clip_t"] > max(value[other]["clip_t"] for other in value if other != "real_images")
    assert value["copy_reference"]["temporal_consistency"] == pytest.approx(1, abs=1e-6)
    assert value["copy_reference"]["motion_amplitude"] < 0.01
    assert value["real_images"]["motion_amplitude"] > 0.1

    before = (tmp_path / "real_images" / "scores.csv").read_bytes()
    code, again = run(capsys, "run", "--method", "real_images", *ASKED, "--out", tmp_path / "real_images")
    assert (code, again["scores"]) == (0, told["real_images"]["scores"])
    assert (tmp_path / "real_images" / "scores.csv").read_bytes() == before
    lost = next((tmp_path / "real_images" / "samples").glob("*/seed_0.mp4"))
    made = lost.read_bytes()
    lost.unlink()
    code, again = run(capsys, "run", "--method", "real_images", *ASKED, "--out", tmp_path / "real_images")
    assert (code, again["scores"], lost.read_bytes()) == (0, told["real_images"]["scores"], made)

    code, compared = run(capsys, "compare", tmp_path / "real_images", tmp_path / "copy_reference", "--json")
    assert code == 0
    claims = {claim["metric"]: claim for claim in compared["claims"]}
    assert set(claims) == set(value["real_images"])
    moved = claims["motion_amplitude"]
    assert moved["better"] == "real_images"
    assert moved["win_rate"] == float(moved["a"] == "real_images")  # in every case


def test_a_metric_that_reads_no_videos_is_refused_before_anything_is_made(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code = main(["run", "--method", "noise", *ASKED[:-1], "--metric", "lpips", "--out", str(tmp_path / "run")])
    assert code == 2
    assert (
        "wanted metrics that read the medium of opens2v (video), found lpips@alex_256 (image)"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(not DATA.is_dir(), reason="OpenS2V-Eval's files are not beside this checkout")
def test_the_authors_two_videos(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[Path] = []
    decode = Pictures.decode_video

    def counted(self: Pictures, path: Path) -> Clip:
        decoded.append(path)
        return decode(self, path)

    monkeypatch.setattr(Pictures, "decode_video", counted)
    code, told = run(
        capsys, "score", "--samples", DATA / "videos", "--bench", "opens2v/v1.1", "--data", DATA, "--name", "demo",
        "--profile", "sandbox", "--metric", "motion_amplitude@corrected", "--metric", "temporal_consistency", "--json",
        "--out", tmp_path / "run",
    )  # fmt: skip
    assert code == 3
    assert sorted(path.name for path in decoded) == ["faceobj_14.mp4", "singleface_3.mp4"]
    cell = told["scores"]["motion_amplitude"]
    assert (cell["n_scored"], cell["n_cases"], cell["states"]) == (2, 180, {"sample_missing": 178})
    wanted = json.loads((DATA / "demo_scores_v1.1" / "motion_amplitude.json").read_text(encoding="utf-8"))
    assert cell["value"] == pytest.approx(sum(one["motion_fb"] for one in wanted.values()) / 2, rel=1e-4)
    assert told["scores"]["temporal_consistency"]["n_scored"] == 2
    assert told["scores"]["opens2v_total"]["states"] == {"component_missing": 180}
