"""Forged submissions: what is altered shows in the check that is there for it, whatever was altered along with it."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from evalkit.cli import main
from evalkit.engine.summary import summarise
from evalkit.leaderboard.site.submission import verify
from evalkit.leaderboard.site.submitted import Submitted
from evalkit.leaderboard.site.submitted_files import read_submission
from evalkit.nouns import Sample, Score, State, digest
from evalkit.runs.folder import RunFolder
from evalkit.runs.schema import encode

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RUN = ("run", "--method", "noise", "--bench", "dreambench_pp", "--profile", "sandbox", "--limit", "4")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run of the embedded world."""
    path = tmp_path_factory.mktemp("honest") / "run"
    assert main([*RUN, "--out", str(path)]) == 0
    return path


@pytest.fixture
def submission(run: Path, tmp_path: Path) -> Path:
    """A copy of it to spoil."""
    shutil.copytree(run, tmp_path / "sub")
    return tmp_path / "sub"


def failed(path: Path, *, again: bool = False) -> dict[str, str]:
    """What every failed check said."""
    return {check.name: check.told for check in verify(path, again=again) if check.outcome == "fail"}


def edit(file: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    told = json.loads(file.read_text(encoding="utf-8"))
    change(told)
    file.write_text(json.dumps(told), encoding="utf-8")


def edit_case(submission: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Alters the first case."""
    file = submission / "store/cases.jsonl"
    first, *rest = file.read_text(encoding="utf-8").splitlines()
    told = json.loads(first)
    change(told)
    file.write_text("".join(line + "\n" for line in (json.dumps(told), *rest)), encoding="utf-8")


def resign(told: dict[str, Any]) -> None:
    """The digest that goes with what the line says now, as `RunCase.of` has it."""
    from evalkit.nouns import Case
    from evalkit.runs.cases import RunCase

    told["sha256"] = RunCase.of(Case.model_validate(told["case"]), told["pixels"]).sha256


def rewrite(submission: Path, noun: type[Any], rows: list[Any]) -> None:
    """The store of these rows, whole and with the digests that belong to it."""
    folder = submission / "store" / f"{noun.__name__.lower()}s"
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "part-000001.parquet").write_bytes(encode(noun, rows))


def set_value(summary: dict[str, Any], value: float) -> None:
    summary["scores"]["clip_t"]["value"] = value


def test_a_scale_that_lets_any_number_pass_is_not_the_card_s(submission: Path) -> None:
    def forge(told: dict[str, Any]) -> None:
        set_value(told, 99.0)
        told["scales"] = dict.fromkeys(told["scales"], 1e300)

    edit(submission / "summary.json", forge)
    told = failed(submission, again=True)
    assert "clip_t says the scale 1e+300" in told["table"]
    assert "clip_t says 99" in told["scored again"]


def test_a_direction_that_is_not_the_card_s(submission: Path) -> None:
    edit(submission / "summary.json", lambda told: told["directions"].update(clip_t="lower"))
    assert failed(submission)["table"] == "clip_t says the direction 'lower', its card 'higher'"


def test_what_is_no_number_is_no_table(submission: Path) -> None:
    edit(submission / "summary.json", lambda told: set_value(told, float("nan")))
    told = failed(submission)
    assert list(told) == ["record"]
    assert "finite" in told["record"]


@pytest.mark.parametrize(("key", "value"), [("n_scored", 3), ("states", {"weights_missing": 1}), ("value", None)])
def test_coverage_follows_from_the_scores_too(submission: Path, key: str, value: object) -> None:
    edit(submission / "summary.json", lambda told: told["scores"]["clip_t"].update({key: value}))
    told = failed(submission, again=True)
    assert told["table"].startswith("clip_t says ")
    assert told["scored again"].startswith("1 numbers do not come again: clip_t says ")


def test_a_column_of_another_name_is_not_passed_over(submission: Path) -> None:
    def forge(told: dict[str, Any]) -> None:
        told["order"] = [name if name != "clip_t" else "clip_t\u200b" for name in told["order"]]
        for part in ("scores", "scales", "directions"):
            told[part]["clip_t\u200b"] = told[part].pop("clip_t")
        told["scores"]["clip_t\u200b"]["value"] += 1

    edit(submission / "summary.json", forge)
    assert failed(submission) == {"columns": "wanted the column clip_t, found 'clip_t\\u200b'"}


def test_a_column_signed_as_another_metric_s(submission: Path) -> None:
    def forge(told: dict[str, Any]) -> None:
        told["scores"]["clip_t"] = told["scores"]["clip_i"]

    edit(submission / "summary.json", forge)
    assert "clip_t is signed with the metric 'clip_i', wanted clip_t" in failed(submission)["table"]


def raise_scores(submission: Path, to: float) -> None:
    """A better number in scores and table alike."""
    summary = json.loads((submission / "summary.json").read_text(encoding="utf-8"))
    signature = summary["scores"]["clip_t"]["signature"].rpartition("|agg:")[0]
    rows = RunFolder.read(submission).scores.rows()
    rewrite(submission, Score, [r.model_copy(update={"value": to}) if r.signature == signature else r for r in rows])
    edit(submission / "summary.json", lambda told: set_value(told, to))


def test_better_scores_do_not_come_again(submission: Path) -> None:
    raise_scores(submission, 90.0)
    told = failed(submission, again=True)
    assert list(told) == ["scored again"]
    assert "1 numbers do not come again: clip_t says 90, found" in told["scored again"]


def test_scores_that_a_card_rules_out(submission: Path) -> None:
    raise_scores(submission, 1e300)
    assert "clip_t has the score 1e+300" in failed(submission)["table"]


def test_samples_that_were_left_out_come_again(submission: Path) -> None:
    summary = json.loads((submission / "summary.json").read_text(encoding="utf-8"))
    signature = summary["scores"]["clip_t"]["signature"].rpartition("|agg:")[0]
    of = [row for row in RunFolder.read(submission).scores.rows() if row.signature == signature]
    worst = min(of, key=lambda row: row.value or 0)
    rest = [row for row in RunFolder.read(submission).scores.rows() if row.key != worst.key]
    silent = worst.model_copy(update={"state": State.NOT_APPLICABLE, "value": None, "weight": 1.0, "reason": "x"})
    rewrite(submission, Score, [*rest, silent])
    kept = [row.value for row in of if row.key != worst.key and row.value is not None]

    def forge(told: dict[str, Any]) -> None:
        cell = told["scores"]["clip_t"]
        cell.update(n_scored=len(kept), n_cases=len(kept), states={"not_applicable": 1}, value=sum(kept) / len(kept))

    edit(submission / "summary.json", forge)
    told = failed(submission, again=True)
    assert list(told) == ["scored again"]
    assert f"clip_t says n_cases {len(kept)}, found {len(of)}" in told["scored again"]


def test_samples_of_another_folder_are_not_the_submission_s(submission: Path, tmp_path: Path) -> None:
    shutil.copytree(submission / "samples", tmp_path / "others")
    edit(
        submission / "run.json", lambda told: told["identity"]["method_config"].update(samples=str(tmp_path / "others"))
    )
    assert list(failed(submission, again=True)) == ["paths"]


def test_a_prompt_that_its_digest_does_not_cover_is_damage(submission: Path) -> None:
    edit_case(submission, lambda told: told["case"].update(prompt="buy now"))
    told = failed(submission)
    assert list(told) == ["record"]
    assert "as its digest says" in told["record"]


@pytest.mark.parametrize("what", ["prompt", "category", "targets", "pixels"])
def test_other_words_or_pictures_are_not_the_benchmark_s(submission: Path, what: str) -> None:
    def forge(told: dict[str, Any]) -> None:
        case = told["case"]
        if what == "pixels":
            target = next(one["path"] for one in case["targets"])
            told["pixels"][target] = digest("other")
        elif what == "targets":
            case["targets"] = [{**case["targets"][0], "label": "other"}]
        else:
            case[what] = "other"
        resign(told)

    edit_case(submission, forge)
    assert "1 cases have another prompt, other words or pictures" in failed(submission)["cases"]


@pytest.mark.parametrize("path", ["../../../secret.png", "/etc/secret.png", "a/../../secret.png"])
def test_a_reference_s_path_stays_in_the_data(submission: Path, path: str) -> None:
    def forge(told: dict[str, Any]) -> None:
        reference = told["case"]["targets"][0]
        told["pixels"][path] = told["pixels"][reference["path"]]
        reference["path"] = path
        resign(told)

    edit_case(submission, forge)
    told = failed(submission)
    assert list(told) == ["paths"]
    assert "secret.png" in told["paths"]


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("benchmark", "zzz", "no benchmark 'zzz' is installed"),
        ("protocol", "nothing", "nothing"),
    ],
)
def test_what_is_not_installed_is_not_accepted(submission: Path, key: str, value: str, told: str) -> None:
    part = "identity" if key == "benchmark" else "request"
    edit(submission / "run.json", lambda record: record[part].update({key: value}))
    request = RunFolder.read(submission).record.request.digest()
    edit(submission / "summary.json", lambda summary: summary.update({key: value, "request": request}))
    assert told in failed(submission, again=True)["protocol"]


@pytest.mark.parametrize("key", ["method", "benchmark", "protocol", "profile"])
def test_a_table_of_another_run_than_its_record(submission: Path, key: str) -> None:
    edit(submission / "summary.json", lambda told: told.update({key: "paper" if key == "profile" else "other"}))
    told = failed(submission)
    assert list(told) == ["record"]
    assert key in told["record"]


def test_chosen_seeds_are_not_the_protocol_s(submission: Path) -> None:
    edit(submission / "run.json", lambda told: told["request"].update(seeds=[7, 3]))
    request = RunFolder.read(submission).record.request.digest()
    edit(submission / "summary.json", lambda told: told.update(request=request))
    assert failed(submission)["protocol"] == "wanted the seeds from 0 on, found 7, 3"


def test_a_part_is_not_told_as_the_whole(submission: Path) -> None:
    edit(submission / "summary.json", lambda told: told.update(part=None))
    assert "wanted a table of 4 of " in failed(submission)["cases"]


def test_a_picture_is_decoded_whatever_is_said_of_its_file(submission: Path) -> None:
    one, other = sorted((submission / "samples").rglob("*.png"))[:2]
    one.write_bytes(other.read_bytes())
    stat, name = one.stat(), one.relative_to(submission / "samples").as_posix()
    told = {"file_size": stat.st_size, "file_mtime_ns": stat.st_mtime_ns}
    rows = RunFolder.read(submission).samples.rows()
    rewrite(submission, Sample, [r.model_copy(update=told) if r.path == name else r for r in rows])
    assert "pixels_sha256 differs" in failed(submission, again=True)["samples"]


@pytest.mark.parametrize("samples", [True, False])
def test_scores_of_samples_that_were_not_made(submission: Path, samples: bool) -> None:
    first, *rest = RunFolder.read(submission).samples.rows()
    lost = first.model_copy(update={"state": "failed", "reason": "x", "path": None, "pixels_sha256": None})
    rewrite(submission, Sample, [lost, *rest])
    if not samples:
        shutil.rmtree(submission / "samples")
    assert "scores are of samples that were not made, first: " in failed(submission)["samples"]


def declare(submission: Path, **changes: object) -> None:
    """The run as one of DivRL, which declares rewards."""
    from evalkit.registry import METHODS, load

    info = load(METHODS, "divrl").info
    told = {"method": "divrl", "method_version": info.version}
    edit(submission / "run.json", lambda record: (record["identity"].update(told), record.update(changes)))
    edit(submission / "summary.json", lambda summary: summary.update(method="divrl"))


def test_rewards_that_the_method_declares_are_told(submission: Path) -> None:
    declare(submission)
    assert failed(submission)["rewards"] == "divrl is trained on nssm, vsm, which run.json does not tell"


def test_rewards_that_are_told_are_marked_in_the_table(submission: Path) -> None:
    declare(submission, rewards=["nssm", "vsm"])
    told = failed(submission)["rewards"]
    assert told == "wanted ['vsm', 'mtg_nssm'] in-domain, found []; run.json's rewards say so"


def test_whatever_a_check_makes_of_it_is_a_finding(submission: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr("evalkit.leaderboard.site.submitted_files.read_result", breaks)
    assert failed(submission) == {"record": "it cannot be looked at: RecursionError: too deep"}


def test_a_total_follows_from_its_components(tmp_path: Path) -> None:
    path = tmp_path / "run"
    asked = ("--method", "noise", "--bench", "opens2v/v1.1", "--profile", "sandbox", "--limit", "3")
    assert main(["run", *asked, "--out", str(path)]) == 3  # most weights are not at hand: the scores are made up below
    held = Submitted(path, read_submission(path), None)
    single = [column for column in held.stored if column.label != "opens2v_total"]
    made = [
        Score(case_id=case.case_id, seed=seed, metric=column.choice.column, signature=str(column.signature), inputs="x",
              state=State.SCORED, value=(column.metric.card.range[1] or 1) * column.bound.card.scale)
        for column in single for case, seed in held.expected if column.applies(case)
    ]  # fmt: skip
    rows = {row.key: row for row in (*RunFolder.read(path).scores.rows(), *made)}
    rewrite(path, Score, list(rows.values()))
    told = summarise(held.stored, held.expected, rows)
    cells = {label: summary.model_dump(mode="json") for label, summary in told.items()}
    edit(path / "summary.json", lambda summary: summary.update(scores=cells))
    assert told["opens2v_total"].value is not None
    assert "table" not in failed(path)
    cells["opens2v_total"]["value"] += 0.1
    edit(path / "summary.json", lambda summary: summary.update(scores=cells))
    assert failed(path)["table"].startswith("opens2v_total says ")
