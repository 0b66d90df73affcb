"""The battery end to end: the command, the reports kept beside the cards, and the page made of them."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.cli import main
from evalkit.engine.backbones import Backbones
from evalkit.engine.columns import choices, columns
from evalkit.engine.validity import FIRST, SUBJECTS, battery_of, expectations, reported_variant, validate
from evalkit.errors import DataError, UsageError
from evalkit.metrics.card import MetricCard
from evalkit.metrics.validity import BATTERIES, CHANGES, Validity
from evalkit.registry import METRICS, load, names
from evalkit.sandbox.validity.changes import SEED
from evalkit.sandbox.validity.report import Report, read_stored, stored_text

ROOT = Path(__file__).resolve().parents[2]
EXPECTING = [name for name in names(METRICS) if load(METRICS, name).card.validity is not None]
SMALL_BYTES = 10_000
LAST_DIGITS = 1e-3
"""Of a metric's scale: what other builds of torch and of Pillow's JPEG may differ by."""


def card(name: str) -> MetricCard:
    found: MetricCard = load(METRICS, name).card
    return found


def stored(name: str) -> Report:
    report = read_stored(load(METRICS, name).card_path)
    assert report is not None, f"run: evalkit validate {name} --write"
    return report


def test_there_are_expectations() -> None:
    assert len(EXPECTING) >= 17


@pytest.mark.parametrize("name", EXPECTING)
def test_a_card_says_something_of_every_change(name: str) -> None:
    validity = card(name).validity
    assert validity is not None
    assert set(validity.changes) == set(BATTERIES[validity.battery])
    assert {"responds", "ignores"} <= {e if isinstance(e, str) else "ignores" for e in validity.changes.values()}


@pytest.mark.parametrize("name", EXPECTING)
def test_a_value_departs_from_that_of_a_copy(name: str) -> None:
    told, identical = card(name), card(name).identical
    assert told.validity is not None
    if identical is not None:
        assert told.validity.departs == ("rises" if identical == told.range[0] else "falls")


@pytest.mark.parametrize("name", EXPECTING)
def test_a_report_is_kept_of_what_the_card_expects_now(name: str) -> None:
    report, validity = stored(name), expectations(card(name))
    assert (report.metric, report.variant) == (name, reported_variant(card(name)))
    assert (report.subjects, report.seed) == (SUBJECTS, SEED)
    assert {curve.change: curve.expected for curve in report.curves} == validity.changes
    assert (report.reference, report.departs) == (validity.reference, validity.departs)
    path = load(METRICS, name).card_path.with_name("validity.json")
    assert path.stat().st_size < SMALL_BYTES
    assert path.read_text(encoding="utf-8") == stored_text(report)


@pytest.mark.parametrize("name", EXPECTING)
def test_a_report_is_of_this_metric_and_these_weights(name: str) -> None:
    """Anything that can change a number shows in the signature: then the battery is to be run again."""
    asked = choices((), [f"{name}@{reported_variant(card(name))}"])
    (column,) = columns(asked, "sandbox", Backbones(device="cpu"))
    assert stored(name).signature == str(column.signature), f"run: evalkit validate {name} --write"


def test_a_quick_run_gives_the_stored_numbers() -> None:
    (report,) = validate(["dino_i"], subjects=FIRST)
    kept = stored("dino_i")
    assert report.signature == kept.signature
    for change in CHANGES:
        for ours, theirs in zip(report.first_subjects[change], kept.first_subjects[change], strict=True):
            assert ours == pytest.approx(theirs, abs=LAST_DIGITS * card("dino_i").variant(None).scale), change


def run(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = main(list(words))
    told = capsys.readouterr()
    return code, told.out, told.err


def test_the_command_prints_a_line_for_every_change_and_writes_what_it_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report.json"
    code, told, _ = run("validate", "dino_i", "--subjects", "2", "--out", str(out), capsys=capsys)
    assert code == 0
    assert told.startswith("dino_i@dreambench_pp on 2 subjects of the embedded world\n")
    assert {line.split()[0] for line in told.splitlines() if line} >= set(CHANGES)
    code, as_json, _ = run("validate", "dino_i", "--subjects", "2", "--json", capsys=capsys)
    assert code == 0
    assert json.loads(as_json) == json.loads(out.read_text(encoding="utf-8"))
    (report,) = json.loads(as_json)["reports"]
    assert Report.read(report, where="stdout").subjects == 2
    assert report["signature"] in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("dino_x",), "wanted a metric, found 'dino_x'"),
        (("dino_i@x",), "wanted a variant of dino_i, found 'x'"),
        (("dino_i", "dino_i"), "wanted each metric once, found dino_i, dino_i"),
        (
            ("dino_i", "--write", "--subjects", "2"),
            "wanted --write with the whole battery, found --subjects 2 beside it",
        ),
        (
            ("dino_i@divrl", "--write"),
            "wanted the variant of dino_i whose report is kept, 'dreambench_pp', found 'divrl'",
        ),
    ],
)
def test_a_command_that_does_not_fit(words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, error = run("validate", *words, capsys=capsys)
    assert code == 2
    assert message in error
    assert len(error.splitlines()) == 1


def test_no_subject_is_refused() -> None:
    with pytest.raises(UsageError, match="^wanted at least 1 subject, found 0$"):
        validate(["dino_i"], subjects=0)


def test_a_total_of_other_metrics_is_refused() -> None:
    told = "^wanted a metric of samples, found opens2v_total, which is made of other metrics' means; leave it out$"
    with pytest.raises(UsageError, match=told):
        validate(["opens2v_total"])


def test_a_metric_of_answers_is_refused() -> None:
    told = "^wanted a metric of pictures or clips, found recognition@official, which reads text; leave it out$"
    with pytest.raises(UsageError, match=told):
        validate(["recognition"])


@pytest.mark.parametrize(
    ("name", "variant", "battery"),
    [("clip_i", "divrl", "pictures"), ("clip_i", "consis_gcpo", "clips"), ("dreamsim_pairwise", "ensemble", "sets")],
)
def test_a_variant_is_shown_what_it_reads(name: str, variant: str, battery: str) -> None:
    assert battery_of(card(name), variant) == battery
    bare = card(name).model_copy(update={"validity": None})
    assert expectations(bare, variant).battery == battery


def test_a_variant_that_reads_something_else_than_the_card_expects_has_all_but_its_reference_open() -> None:
    assert expectations(card("clip_i"), "divrl") == card("clip_i").validity
    assert expectations(card("clip_i"), "consis_gcpo") == Validity(
        battery="clips", reference="noise", departs="falls", changes={"noise": "responds"}
    )
    (report,) = validate(["clip_i@consis_gcpo"], subjects=FIRST)
    assert tuple(curve.change for curve in report.curves) == BATTERIES["clips"]


def test_a_set_is_told_in_the_parts_that_a_story_has() -> None:
    """Own prompts tell no subject, so that a stranger in the same place fits them as well and the whole prompt worse."""
    reports = validate(["text_alignment@clip_joint", "text_alignment@clip_own"], subjects=FIRST)
    joint, own = (report.first_subjects for report in reports)
    assert joint["others"] != own["others"]
    for row in own["wrong_prompts"]:
        assert (row[-1] or 0) < (row[0] or 0) - 0.1


def test_metrics_of_every_battery_run_side_by_side_and_are_told_in_the_order_asked() -> None:
    asked = ["temporal_consistency", "dino_i", "motion_amplitude", "dreamsim_pairwise"]
    reports = validate(asked, subjects=FIRST)
    assert [report.metric for report in reports] == asked
    for report in reports:
        changes = BATTERIES[expectations(card(report.metric)).battery]
        assert tuple(curve.change for curve in report.curves) == changes
        for change in changes:
            for ours, theirs in zip(
                report.first_subjects[change], stored(report.metric).first_subjects[change], strict=True
            ):
                assert ours == pytest.approx(theirs, abs=LAST_DIGITS * max(map(abs, filter(None, theirs)))), change


def test_describe_tells_what_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    code, told, _ = run("describe", "metric", "lpips", "--json", capsys=capsys)
    assert code == 0
    result, report = json.loads(told)["validity_result"], stored("lpips")
    assert result["ran"] == "alex_256, 40 subjects of the embedded world; `evalkit validate lpips`"
    shown = {
        change for verdict in ("met", "not met", "open") for change in result.get(verdict, "").split(", ") if change
    }
    assert shown == set(CHANGES)
    assert result["met"] == ", ".join(report.named("met"))


def test_a_metric_without_expectations_is_shown_with_all_but_its_reference_open() -> None:
    bare = card("clip_t").model_copy(update={"validity": None})
    assert expectations(bare) == Validity(reference="prompt", departs="falls", changes={"prompt": "responds"})
    bare = card("lpips").model_copy(update={"validity": None})
    assert expectations(bare).departs == "rises"
    assert expectations(bare).reference == "wrong_subject"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"changes": {"wrong_subject": "open"}},
            "the reference 'wrong_subject' must be a change that the metric responds",
        ),
        ({"changes": {"luck": "responds"}}, "changes.luck"),
        ({"changes": {"wrong_subject": "responds", "pose": {"ignores": 1.5}}}, "less than 1"),
        ({"departs": "down"}, "'falls' or 'rises'"),
        ({"battery": "clips"}, "the battery of clips has no change wrong_subject"),
    ],
)
def test_expectations_that_do_not_hold_together(changes: dict[str, Any], told: str) -> None:
    sound: dict[str, Any] = {"reference": "wrong_subject", "departs": "falls", "changes": {"wrong_subject": "responds"}}
    assert Validity.read(sound, where="card").expected("pose") == "open"
    with pytest.raises(DataError) as raised:
        Validity.read(sound | changes, where="card")
    assert told in str(raised.value)


def test_a_damaged_report_names_its_file(tmp_path: Path) -> None:
    assert read_stored(tmp_path / "card.yaml") is None
    (tmp_path / "validity.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match=r"validity\.json: not a report: metric is missing"):
        read_stored(tmp_path / "card.yaml")


def test_the_page_of_metrics_is_what_cards_and_reports_say() -> None:
    spec = importlib.util.spec_from_file_location("write_metrics", ROOT / "docs" / "write_metrics.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert written == module.text(), "run: python docs/write_metrics.py"
    for name in names(METRICS):
        if load(METRICS, name).card_path.is_relative_to(ROOT / "metrics"):
            assert f"| `{name}` |" in written
