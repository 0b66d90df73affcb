"""The run folder: begun, resumed, refused, read."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from evalkit.errors import RunError, UsageError
from evalkit.runs import folder as folder_module
from evalkit.runs.folder import RunFolder
from evalkit.runs.location import fresh_path
from evalkit.runs.provenance import start_invocation
from tests.unit.run_rows import identity, read_only_folder, request, run_case, sample, score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evalkit.runs.cases import RunCase


def _open(path: Path, *, cases: Sequence[RunCase] = (run_case(),), **changes: Any) -> RunFolder:
    return RunFolder.open(path, identity=identity(**changes), request=request(), cases=cases)


def _made(case: RunCase, seed: int = 0, **fields: Any) -> Any:
    return sample(case.case_id, seed, case_sha256=case.sha256, **{"method": "noise", **fields})


def test_a_new_run_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "a"
    with _open(path) as run:
        run.samples.append([_made(run_case())])
        run.scores.append([score()])
    seen = RunFolder.read(path)
    assert seen.record == run.record
    assert seen.cases == {"dog_00": run_case()}
    assert seen.samples.rows() == [_made(run_case())]
    assert seen.scores.rows() == [score()]


def test_the_same_run_goes_on_with_a_new_request(tmp_path: Path) -> None:
    with _open(tmp_path, cases=[run_case("a"), run_case("b")]) as run:
        run.update_record(rewards=("clip_i",))
        run.scores.append([score()])
    newer = request(protocol="divrl", limit=1)
    with RunFolder.open(tmp_path, identity=identity(), request=newer, cases=[run_case("b")]) as run:
        assert run.record.request == newer
        assert run.record.rewards == ("clip_i",)
        assert [case.case_id for case in run.requested] == ["b"]
        assert list(run.cases) == ["b", "a"]
        assert run.scores.rows() == [score()]
    assert RunFolder.read(tmp_path).cases == run.cases


def test_another_run_is_refused_by_its_first_difference(tmp_path: Path) -> None:
    _open(tmp_path).close()
    before = (tmp_path / "run.json").read_bytes()
    told = (
        r"holds another run: wanted method_config.steps 50, found 20; give another --out, or --no-resume to start a new"
    )
    with pytest.raises(RunError, match=told):
        _open(tmp_path, method_config={"steps": 50})
    assert (tmp_path / "run.json").read_bytes() == before


@pytest.mark.parametrize("names", [["photo.png"], ["store/samples/part-000001.parquet"], [".lock", "notes.txt"]])
def test_a_folder_that_is_no_run_is_left_alone(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(
        RunError, match=r"^wanted a run folder, or a new or empty one, found .* with '.*'; give another"
    ):
        _open(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(RunError, match=r"found a file at .*/a; give another --out$"):
        _open(tmp_path / "a")


def test_a_run_killed_while_it_began_begins_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "_write_record", killed)
        with pytest.raises(KeyboardInterrupt):
            _open(tmp_path, cases=[run_case("stale")])
    assert (tmp_path / "store" / "cases.jsonl").exists()
    with _open(tmp_path) as run:
        assert list(run.cases) == ["dog_00"]


def test_leftovers_are_removed_everywhere(tmp_path: Path) -> None:
    _open(tmp_path).close()
    leftover = ".0123456789abcdef.tmp"
    folders = [tmp_path, tmp_path / "store", tmp_path / "store" / "scores", tmp_path / "samples" / "dog_00"]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / leftover).write_bytes(b"half")
    _open(tmp_path).close()
    assert [folder for folder in folders if (folder / leftover).exists()] == []


def test_a_second_writer_is_refused_until_the_first_closes(tmp_path: Path) -> None:
    with _open(tmp_path) as run:
        with pytest.raises(
            RunError, match=r"is being written by process \d+ on host .* since .*; wait for it or stop it"
        ):
            _open(tmp_path)
        assert RunFolder.read(tmp_path).record == run.record
    run.close()
    _open(tmp_path).close()


def test_a_refused_open_leaves_the_lock_free(tmp_path: Path) -> None:
    _open(tmp_path).close()
    with pytest.raises(RunError):
        _open(tmp_path, method="other")
    _open(tmp_path).close()


def test_nothing_is_written_after_closing(tmp_path: Path) -> None:
    with _open(tmp_path) as run:
        pass
    with pytest.raises(RunError, match="is open for reading only"):
        run.scores.append([score()])
    with pytest.raises(RunError, match="is open for reading only"):
        run.write_results({}, [])
    with pytest.raises(RunError, match="is open for reading only"):
        RunFolder.read(tmp_path).update_record(rewards=())


def test_cases_that_changed_since_their_samples_are_refused(tmp_path: Path) -> None:
    old = [run_case(f"c{n}") for n in range(6)]
    with _open(tmp_path, cases=old) as run:
        run.samples.append([_made(case, seed) for case in old[:5] for seed in (0, 1)])
    new = [run_case(f"c{n}", "another prompt") for n in range(1, 6)]
    with pytest.raises(
        RunError, match=r"has samples of 4 cases whose prompt .* changed since: c1, c2, c3 and 1 more; give"
    ):
        _open(tmp_path, cases=new)
    with pytest.raises(RunError, match=r"has samples of 1 case whose prompt or references changed since: c4; give"):
        _open(tmp_path, cases=new[3:])
    assert RunFolder.read(tmp_path).cases["c4"] == old[4]


def test_a_changed_case_whose_samples_all_failed_is_made_again(tmp_path: Path) -> None:
    with _open(tmp_path) as run:
        failed = _made(run_case(), state="failed", reason="out of memory", path=None, pixels_sha256=None)
        run.samples.append([_made(run_case()), failed])
    with _open(tmp_path, cases=[run_case(prompt="another")]) as run:
        assert run.cases["dog_00"].case.prompt == "another"


def test_the_record_changes_by_field(tmp_path: Path) -> None:
    with _open(tmp_path) as run:
        run.update_record(data_folder="~/data", rewards=("clip_i",))
        with pytest.raises(UsageError, match=r"colour is not a known key"):
            run.update_record(colour="red")
        with pytest.raises(UsageError, match=r"rewards: .*found 3"):
            run.update_record(rewards=3)
        with pytest.raises(UsageError, match=r"^the identity of a run cannot change; start a new run$"):
            run.update_record(identity=identity(method="other"))
    assert RunFolder.read(tmp_path).record.data_folder == "~/data"
    assert RunFolder.read(tmp_path).record == run.record


def test_a_record_that_could_not_be_written_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise RunError("the disk is full")

    with _open(tmp_path) as run:
        monkeypatch.setattr(folder_module, "atomic_write_text", full)
        with pytest.raises(RunError, match="full"):
            run.update_record(data_folder="d")
        assert run.record.data_folder is None


def test_invocations_are_added_and_finished(tmp_path: Path) -> None:
    with _open(tmp_path) as run:
        with pytest.raises(UsageError, match=r"^wanted an invocation to finish, found none; begin one first$"):
            run.finish()
        run.begin(start_invocation(["evalkit", "run"]))
        run.begin(start_invocation(["evalkit", "score"]))
        run.finish()
    killed, done = RunFolder.read(tmp_path).record.invocations
    assert (killed.command, killed.finished) == (("evalkit", "run"), None)
    assert done.finished is not None
    assert done.finished >= done.started


def test_media_lies_by_case_and_seed(tmp_path: Path) -> None:
    with _open(tmp_path) as run:
        assert run.media_path("dog_00", 3, ".png") == tmp_path / "samples" / "dog_00" / "seed_3.png"
        assert run.media_path("dog_00", 3, ".png").relative_to(run.media_folder).as_posix() == "dog_00/seed_3.png"
        assert run.logs_folder == tmp_path / "logs"
        with pytest.raises(
            UsageError, match=r"^wanted a case of the run .*, found '\.\./x'; open the run with that case$"
        ):
            run.media_path("../x", 0, ".png")
        with pytest.raises(UsageError, match=r"^wanted a file suffix like '\.png', found '/\.\./x'$"):
            run.media_path("dog_00", 0, "/../x")


def test_reading_what_is_no_run_says_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(
        RunError, match=r"^wanted a run folder \(with run.json\), found nothing at .*/none; give the folder"
    ):
        RunFolder.read(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"found a file at .*/file; give"):
        RunFolder.read(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match=r"found an empty folder at .*/empty; give"):
        RunFolder.read(tmp_path / "empty")


def test_reading_the_folder_above_suggests_the_runs_inside(tmp_path: Path) -> None:
    for name in ("runs/a", "runs/b", "c"):
        _open(tmp_path / name).close()
    told = rf"found {tmp_path} with 'c', 'runs'; runs inside it: {tmp_path}/c, {tmp_path}/runs/a, {tmp_path}/runs/b$"
    with pytest.raises(RunError, match=told):
        RunFolder.read(tmp_path)


def test_reading_needs_no_right_to_write(tmp_path: Path) -> None:
    _open(tmp_path / "run").close()
    with read_only_folder() as folder, pytest.raises(RunError, match=r"found an empty folder"):
        RunFolder.read(folder)
    with read_only_folder() as folder, pytest.raises(RunError, match=r"^cannot write .* permission is denied"):
        _open(folder)


def test_damaged_cases_and_records_are_named(tmp_path: Path) -> None:
    _open(tmp_path, cases=[run_case("a"), run_case("b")]).close()
    cases = tmp_path / "store" / "cases.jsonl"
    first, second = cases.read_text().splitlines()
    cases.write_text(f"{first}\n{second[:-9]}\n")
    with pytest.raises(RunError, match=r"cases.jsonl, line 2: not a runcase: .* writes it anew$"):
        RunFolder.read(tmp_path)
    cases.unlink()
    with pytest.raises(RunError, match=r"^cannot read .*cases.jsonl: .*No such file"):
        RunFolder.read(tmp_path)
    (tmp_path / "run.json").write_bytes(b"\xff")
    with pytest.raises(RunError, match=r"^cannot read .*run.json: 'utf-8' codec"):
        RunFolder.read(tmp_path)


def test_a_prompt_with_any_line_end_is_one_line_of_the_file(tmp_path: Path) -> None:
    odd = run_case(prompt="a\u2028dog\x85on\r\n\x0cgrass")
    _open(tmp_path, cases=[odd]).close()
    assert RunFolder.read(tmp_path).cases == {"dog_00": odd}


def test_what_a_newer_request_no_longer_shows_is_told(tmp_path: Path) -> None:
    with _open(tmp_path) as run:
        assert run.replaced == []
    smaller = request(seeds=(0,), limit=1)
    with RunFolder.open(tmp_path, identity=identity(), request=smaller, cases=[run_case()]) as run:
        (told,) = run.replaced
    assert told.startswith(
        f"this run was asked for all cases with --seeds {len(request().seeds)} before; its table is "
    )
    with RunFolder.open(tmp_path, identity=identity(), request=smaller, cases=[run_case()]) as run:
        assert run.replaced == []


def test_a_damaged_record_has_a_way_out(tmp_path: Path) -> None:
    with _open(tmp_path) as run:
        run.samples.append([_made(run_case())])
    record = tmp_path / "run.json"
    record.write_text("{")
    with pytest.raises(RunError, match=r"rename it to run.json.damaged and run the same command again"):
        _open(tmp_path)
    record.rename(tmp_path / "run.json.damaged")
    with _open(tmp_path) as run:
        assert run.samples.rows() == [_made(run_case())]


def test_samples_of_another_method_are_not_taken_over(tmp_path: Path) -> None:
    with _open(tmp_path) as run:
        run.samples.append([_made(run_case())])
    (tmp_path / "run.json").rename(tmp_path / "run.json.damaged")
    with pytest.raises(RunError, match=r"has samples of .*, wanted other version 1 alone; give another --out"):
        _open(tmp_path, method="other")


def test_damaged_cases_are_written_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _open(tmp_path).close()
    (tmp_path / "store" / "cases.jsonl").write_text("{\n")
    with pytest.raises(RunError, match=r"cases.jsonl, line 1: .*with this folder writes it anew$"):
        RunFolder.read(tmp_path)
    _open(tmp_path).close()
    assert "going on with the cases of this request alone" in capsys.readouterr().err
    assert list(RunFolder.read(tmp_path).cases) == ["dog_00"]


def test_fresh_paths_count_up(tmp_path: Path) -> None:
    assert fresh_path(tmp_path / "a") == tmp_path / "a"
    (tmp_path / "a").mkdir()
    assert fresh_path(tmp_path / "a") == tmp_path / "a-2"
    (tmp_path / "a-2").symlink_to(tmp_path / "gone")
    assert fresh_path(tmp_path / "a") == tmp_path / "a-3"


def test_results_are_canonical_and_read_back_exactly(tmp_path: Path) -> None:
    rows = [
        score("b", 0, 0.1 + 0.2),
        score("a", 10, 1e-300, signature="z"),
        score("a", 2, None, reason='a "quoted", odd\nreason'),
        score("a", 10, 1 / 3, signature="y"),
    ]
    with _open(tmp_path) as run:
        run.write_results({"b": 1, "a": {"d": None, "c": "é"}}, rows)
    assert (tmp_path / "summary.json").read_text() == '{\n  "a": {\n    "c": "é",\n    "d": null\n  },\n  "b": 1\n}\n'
    with (tmp_path / "scores.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [(row["case_id"], row["seed"], row["signature"][0]) for row in read] == [
        ("a", "2", "m"), ("a", "10", "y"), ("a", "10", "z"), ("b", "0", "m"),
    ]  # fmt: skip
    assert [row["value"] and float(row["value"]) for row in read] == ["", 1 / 3, 1e-300, 0.1 + 0.2]
    assert (read[0]["state"], read[0]["reason"]) == ("no_face", 'a "quoted", odd\nreason')
    assert b"\r" not in (tmp_path / "scores.csv").read_bytes()


def test_results_that_cannot_be_right_are_refused_whole(tmp_path: Path) -> None:
    with _open(tmp_path) as run:
        with pytest.raises(UsageError, match=r"^wanted a summary of finite JSON values, found another: .*nan"):
            run.write_results({"mean": math.nan}, [score()])
        with pytest.raises(
            UsageError, match=r"^wanted one score for each \(case, seed, signature\), found two for \('dog"
        ):
            run.write_results({}, [score(value=0.1), score(value=0.2)])
    assert not (tmp_path / "scores.csv").exists()
    assert not (tmp_path / "summary.json").exists()


def test_the_folder_holds_what_the_head_of_the_module_says(tmp_path: Path) -> None:
    with _open(tmp_path) as run:
        run.samples.append([_made(run_case())])
        run.scores.append([score()])
        run.write_results({}, [score()])
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()} - {".lock"}
    told = folder_module.__doc__ or ""
    assert all(name in told for name in found)
    assert json.loads((tmp_path / "run.json").read_text())["request"]["protocol"] == "official"
