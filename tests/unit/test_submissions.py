"""Submissions: what each check sees, and that nothing bad is copied."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from evalkit.cli import main
from evalkit.errors import DataError, RunError
from evalkit.leaderboard.site.submission import add, verify
from evalkit.runs.folder import RunFolder

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.leaderboard.site.submitted import Check

RUN = ("run", "--method", "noise", "--bench", "dreambench_pp", "--profile", "sandbox", "--limit", "4")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run of the embedded world."""
    path = tmp_path_factory.mktemp("submitted") / "run"
    assert main([*RUN, "--out", str(path)]) == 0
    return path


@pytest.fixture
def submission(run: Path, tmp_path: Path) -> Path:
    """A copy of it to spoil."""
    shutil.copytree(run, tmp_path / "sub")
    return tmp_path / "sub"


def outcomes(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.outcome for check in checks}


def test_an_honest_run_passes_every_check(submission: Path) -> None:
    found = outcomes(verify(submission))
    assert found == {
        "files": "pass", "record": "pass", "names": "pass", "paths": "pass", "columns": "pass", "protocol": "warn", "cases": "pass",
        "table": "pass", "signatures": "pass", "rewards": "pass", "samples": "pass", "scored again": "pass",
    }  # fmt: skip


def test_a_better_number_in_the_table_does_not_follow_from_the_scores(submission: Path) -> None:
    told = json.loads((submission / "summary.json").read_text(encoding="utf-8"))
    told["scores"]["clip_t"]["value"] += 1
    (submission / "summary.json").write_text(json.dumps(told), encoding="utf-8")
    checks = verify(submission)
    assert outcomes(checks)["table"] == "fail"
    assert outcomes(checks)["scored again"] == "fail"
    assert "clip_t says" in next(check.told for check in checks if check.name == "table")


def test_another_picture_is_not_what_was_scored(submission: Path) -> None:
    one, other = sorted((submission / "samples").rglob("*.png"))[:2]
    one.write_bytes(other.read_bytes())
    assert outcomes(verify(submission, again=False))["samples"] == "fail"


def test_without_samples_the_numbers_stand_alone(submission: Path) -> None:
    shutil.rmtree(submission / "samples")
    found = outcomes(verify(submission))
    assert (found["samples"], found["scored again"]) == ("skip", "skip")


@pytest.mark.parametrize("what", ["link", "more", "whole"])
def test_links_and_foreign_files_end_it_at_once(submission: Path, what: str) -> None:
    if what == "link":
        (submission / "samples" / "x.png").symlink_to("/etc/hostname")
    elif what == "whole":
        submission.rename(submission.parent / "there")
        submission.symlink_to(submission.parent / "there")
    else:
        (submission / "setup.py").write_text("", encoding="utf-8")
    assert outcomes(verify(submission)) == {"files": "fail"}


@pytest.mark.parametrize("name", ["a\u202eb", "a\nb", "  ", "x" * 300])
def test_names_that_cannot_be_read_fail(submission: Path, name: str) -> None:
    for file in ("run.json", "summary.json"):
        told = json.loads((submission / file).read_text(encoding="utf-8"))
        (told["identity"] if file == "run.json" else told)["method"] = name
        (submission / file).write_text(json.dumps(told), encoding="utf-8")
    assert outcomes(verify(submission, again=False))["names"] == "fail"


def test_what_is_no_run_says_so(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    checks = verify(tmp_path)
    assert outcomes(checks) == {"files": "pass", "record": "fail"}
    assert "wanted a run folder" in checks[-1].told
    assert outcomes(verify(tmp_path / "nothing")) == {"files": "fail"}


def test_what_is_added_lies_by_benchmark_and_names_no_folder_of_its_maker(submission: Path, tmp_path: Path) -> None:
    checks, place = add(submission, tmp_path / "runs", again=False)
    assert "fail" not in outcomes(checks).values()
    assert place == tmp_path / "runs/dreambench_pp/extended/noise"
    assert RunFolder.read(place).record.data_folder is None
    assert main(["show", str(place)]) in (0, 3)
    with pytest.raises(DataError, match="take the old one away first"):
        add(submission, tmp_path / "runs", again=False)
    checks, place = add(submission, tmp_path / "others", again=False, samples=False)
    assert place is not None
    assert not (place / "samples").exists()


def test_a_place_that_cannot_be_written_is_told_before_anything_is_scored_again(
    submission: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evalkit.leaderboard.site.submission.scored_again", lambda *_: pytest.fail("scored again"))
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(RunError, match="one of its parents is a file, not a folder"):
        add(submission, tmp_path / "file" / "runs")
    with pytest.raises(RunError, match="one of its parents is a file, not a folder"):
        add(submission, tmp_path / "file")
    (tmp_path / "runs/dreambench_pp/extended/noise").mkdir(parents=True)
    with pytest.raises(DataError, match="take the old one away first"):
        add(submission, tmp_path / "runs")


def test_a_failed_check_adds_nothing(submission: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (submission / "setup.py").write_text("", encoding="utf-8")
    assert main(["leaderboard", "add", str(submission), "--to", str(tmp_path / "runs")]) == 1
    assert "not added" in capsys.readouterr().out
    assert not (tmp_path / "runs").exists()
    assert main(["leaderboard", "verify", str(submission), "--json"]) == 1


HONEST = {
    "opens2v/v1.1": ("copy_reference", "--limit", "4"),
    "unifybench/understanding": ("always_yes",),
    "stories": ("real_images", "--limit", "6"),
}


@pytest.mark.parametrize("bench", HONEST)
def test_honest_runs_of_other_media_pass_with_and_without_samples(bench: str, tmp_path: Path) -> None:
    method, *words = HONEST[bench]
    path = tmp_path / "run"
    assert main(["run", "--method", method, "--bench", bench, "--profile", "sandbox", *words, "--out", str(path)]) in (
        0,
        3,
    )
    found = outcomes(verify(path))
    assert "fail" not in found.values()
    assert [found[name] for name in ("cases", "table", "rewards", "samples")] == ["pass"] * 4
    assert found["scored again"] in ("pass", "warn")
    shutil.rmtree(path / "samples")
    assert "fail" not in outcomes(verify(path)).values()
