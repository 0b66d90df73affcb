"""OpenS2V-Eval's published rows and its own example, and the motion of the example's videos."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.metrics.motion import motion_amplitude
from evalkit.metrics.opens2v import mapped, total, unmapped, video_mean

PUBLISHED = json.loads((Path(__file__).parent / "opens2v_rows.json").read_text(encoding="utf-8"))
DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "opens2v"
COLUMNS = {
    "Aesthetics": "aesthetic",
    "MotionSmoothness": "motion_smoothness",
    "MotionAmplitude": "motion_amplitude",
    "FaceSim": "facesim",
    "GmeScore": "gme",
    "NexusScore": "nexus",
    "NaturalScore": "natural",
}
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="OpenS2V-Eval's files are not beside this checkout")


def percent(components: dict[str, float], **which: Any) -> float:
    """The total, in percent, of a published table's row."""
    return 100 * total({name: unmapped(name, value / 100) for name, value in components.items()}, **which)


@pytest.mark.parametrize("row", PUBLISHED["rows"], ids=lambda row: f"{row['version']}-{row['domain']}-{row['model']}")
def test_published_totals_follow_from_their_components(row: dict[str, Any]) -> None:
    found = percent(row["components"], version=row["version"], domain=row["domain"])
    assert found == pytest.approx(row["total"], abs=0.02)


@needs_data
@pytest.mark.parametrize(("domain", "rows"), [("open", 11), ("human", 20), ("single", 11)])
def test_every_total_of_the_leaderboard_follows_from_its_components(domain: str, rows: int) -> None:
    file = DATA / "leaderboard_v1.1" / f"results_{domain.title()}-Domain.csv"
    with file.open(encoding="utf-8", newline="") as handle:
        table = [{name.rstrip("↑"): value for name, value in row.items()} for row in csv.DictReader(handle)]
    assert len(table) == rows
    for row in table:
        components = {ours: float(row[theirs].rstrip("%")) for theirs, ours in COLUMNS.items() if theirs in row}
        assert percent(components, domain=domain) == pytest.approx(float(row["TotalScore"].rstrip("%")), abs=0.02), row


def test_the_authors_example_merges_to_their_numbers() -> None:
    """Their merged file is of neither release: its total has v1.0's weights, with smoothness in amplitude's place."""
    example = PUBLISHED["demo"]
    scores = dict(example["components"])
    scores["natural"] = [sum(runs) / len(runs) for runs in scores["natural"]]
    means = {name: video_mean(name, values) for name, values in scores.items()}
    for name, wanted in example["mapped"].items():
        mean = means[name]
        assert mean is not None
        assert mapped(name, mean) == pytest.approx(wanted, abs=1e-12), name
    between = {**means, "motion_amplitude": means["motion_smoothness"]}
    assert total(between, version="v1.0") == pytest.approx(example["total"], abs=1e-6)
    assert total(means) == pytest.approx(0.59600, abs=5e-6)


@needs_data
@pytest.mark.parametrize("video", ["faceobj_14", "singleface_3"])
def test_motion_of_the_authors_videos(video: str) -> None:
    import av

    wanted = json.loads((DATA / "demo_scores_v1.1" / "motion_amplitude.json").read_text(encoding="utf-8"))
    with av.open(str(DATA / "videos" / f"{video}.mp4")) as container:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    found = motion_amplitude(frames, variant="official")
    assert found == pytest.approx(wanted[video]["motion_fb"], rel=1e-4)
