"""Folders of samples as nobody should hand them in: each file gets its state, the run goes on, doubts are told together."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from evalkit.benchmarks.opens2v import OPENS2V
from evalkit.benchmarks.unifybench import UNIFYBENCH
from evalkit.cli import main
from evalkit.paths import cache_root
from tests.unit.video_samples import encoded, moving, sound_only

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.benchmarks.base import Benchmark

pytestmark = pytest.mark.timeout(300)
SIDE = 96


def clip(frames: int = 8, width: int = SIDE) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return moving(frames, SIDE, width)


def videos() -> dict[str, tuple[str, bytes]]:
    """Suffix and bytes by what is odd about the file."""
    half_clear = np.concatenate([clip(), np.full((8, SIDE, SIDE, 1), 128, np.uint8)], axis=-1)
    ten_bits = {"x265-params": "log-level=none:lossless=1"}
    return {
        "whole": (".mp4", encoded(clip())),
        "variable rate": (".mp4", encoded(clip(6), stamps=[0, 100, 150, 400, 450, 900])),
        "rotated": (".mp4", encoded(clip(width=64), rotation=90)),
        "alpha": (".mkv", encoded(half_clear, container="matroska", codec="ffv1", pix_fmt="bgra", source="rgba")),
        "ten bits": (".mp4", encoded(clip(), codec="libx265", pix_fmt="yuv444p10le", options=ten_bits)),
        "small": (".mp4", encoded(moving(8, 24, 32))),
        "one frame": (".mp4", encoded(clip(1))),
        "truncated": (".mp4", encoded(clip())[:-200]),
        "empty": (".mp4", b""),
        "sound": (".mp4", sound_only()),
        "text": (".mp4", b"I am a video"),
    }


def ids(benchmark: Benchmark, protocol: str) -> list[str]:
    root = benchmark.embed(cache_root() / "world" / benchmark.spec.name)
    return [case.case_id for case in benchmark.load(root, protocol).cases]


def score(capsys: pytest.CaptureFixture[str], folder: Path, bench: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, what was printed as JSON, and what was said."""
    asked = ["score", "--samples", str(folder), "--name", "hostile", "--bench", bench, "--profile", "sandbox", "--json"]
    capsys.readouterr()
    code = main([*asked, "--out", str(folder.parent / "run")])
    out, err = capsys.readouterr()
    return code, json.loads(out), err


def test_videos(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder, cases, made = tmp_path / "videos", ids(OPENS2V, "extended"), videos()
    folder.mkdir()
    for case_id, (suffix, data) in zip(cases, made.values(), strict=False):
        (folder / f"{case_id}{suffix}").write_bytes(data)
    (folder / f"{cases[-1]}.mp4").mkdir()
    (folder / "singleobj_99.mp4").write_bytes(made["whole"][1])
    code, told, said = score(capsys, folder, "opens2v")
    assert code == 3
    still = {"decode_error": 4, "sample_missing": len(cases) - len(made)}
    for name, cell in told["scores"].items():
        needs_motion = name in ("temporal_consistency", "motion_amplitude")
        assert cell["n_scored"] == (6 if needs_motion else 7), name
        assert cell["states"] == (still | {"undefined": 1} if needs_motion else still), name
    assert "1 files are no case's sample and were left out, first: singleobj_99.mp4" in said


def test_answers(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = tmp_path / "answers"
    folder.mkdir()
    asked = [case_id for case_id in ids(UNIFYBENCH, "understanding") if ".rec" in case_id]
    for case_id in asked[7:]:
        (folder / f"{case_id}.txt").write_text("No.")
    odd = [
        (".txt", b""), (".txt", b"\xff\xfe"), (".json", b'{"answr": "No."}'), (".json", b'{"answer": null}'),
        (".json", b'{"answer": "No.", "answer": "Yes."}'), (".json", b"[" * 100_000),
    ]  # fmt: skip
    for case_id, (suffix, data) in zip(asked, odd, strict=False):
        (folder / f"{case_id}{suffix}").write_bytes(data)
    for name in (f"{asked[8]}_0.txt", f"{asked[9]}.json"):
        (folder / name).write_text('"Yes."')
    capsys.readouterr()
    words = ["--samples", str(folder), "--name", "hostile", "--bench", "unifybench", "--profile", "sandbox"]
    assert main(["score", *words, "--out", str(tmp_path / "run")]) == 1
    told = capsys.readouterr().err
    assert "do not fit unifybench/understanding (2 problems):" in told
    assert f"2 files for case {asked[8]!r} seed 0: {asked[8]}_0.txt, {asked[8]}.txt; leave one" in told
    assert f"2 files for case {asked[9]!r} seed 0: {asked[9]}.json, {asked[9]}.txt; leave one" in told
    for name in (f"{asked[8]}_0.txt", f"{asked[9]}.json"):
        (folder / name).unlink()
    code, found, _ = score(capsys, folder, "unifybench")
    assert code == 3
    cell = found["scores"]["rec_weight"]
    assert cell["n_scored"] == len(asked) - 6
    assert (cell["states"]["decode_error"], cell["states"]["sample_missing"]) == (5, 1)
