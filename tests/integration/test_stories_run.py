"""Stories of the embedded world through the command line: controls lie where they must, and sets stay whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.cli import main
from evalkit.metrics.cqs import cqs_har
from evalkit.metrics.cqs_har import parts_read
from evalkit.runs.folder import RunFolder

pytestmark = pytest.mark.timeout(600)
LIMIT = 20
ASKED = ("--bench", "stories", "--profile", "sandbox", "--limit", str(LIMIT), "--json")


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = main([*map(str, arguments)])
    return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for method in ("copy_reference", "real_images", "wrong_subject"):
        code, found[method] = run(capsys, "run", "--method", method, *ASKED, "--out", tmp_path / method)
        assert code == 0
    return found


def test_controls_lie_in_their_order_and_sets_stay_whole(
    told: dict[str, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    for table in told.values():
        assert all((c["n_scored"], c["n_cases"], c["states"]) == (LIMIT, LIMIT, {}) for c in table["scores"].values())
    value = {method: {name: c["value"] for name, c in table["scores"].items()} for method, table in told.items()}
    assert value["copy_reference"]["dreamsim_pairwise"] == pytest.approx(0, abs=1e-6)
    assert value["real_images"]["dreamsim_pairwise"] < value["wrong_subject"]["dreamsim_pairwise"]
    for name in ("text_alignment", "text_alignment@clip_own"):
        assert value["real_images"][name] > max(value["copy_reference"][name], value["wrong_subject"][name])
    for other in ("copy_reference", "wrong_subject"):
        assert value["real_images"]["cqs_har"] > value[other]["cqs_har"]
    run_folder = RunFolder.read(Path(told["real_images"]["run"]))
    scores = [s for s in run_folder.scores.latest().values() if s.metric == "cqs_har@clip_sandbox"]
    whole = cqs_har(*zip(*(parts_read(score.reason or "") for score in scores), strict=True))
    assert whole.score == pytest.approx(value["real_images"]["cqs_har"], abs=1e-6)
    lost = scores[0].case_id
    run_folder.media_path(lost, 0, ".png").unlink()
    code, after = run(capsys, "score", told["real_images"]["run"], "--json")
    assert code == 3
    assert after["scores"]["dreamsim_pairwise"]["states"] == {"mate_missing": 4, "sample_missing": 1}
    assert after["scores"]["text_alignment"]["states"] == {"sample_missing": 1}
