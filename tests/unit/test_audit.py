"""The audit of what is shipped, and the command that prints it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from evalkit import cli
from evalkit.leaderboard.audit import audit_shipped
from evalkit.leaderboard.reported import names

if TYPE_CHECKING:
    from evalkit.leaderboard.audit import Audit
    from evalkit.leaderboard.finding import Finding

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def audits() -> dict[str, Audit]:
    return {found.paper: found for found in audit_shipped([])}


def at(audits: dict[str, Audit], paper: str, rule: str, table: str, row: str, column: str) -> Finding:
    (found,) = [f for f in audits[paper].findings if (f.rule, f.table, f.row, f.column) == (rule, table, row, column)]
    return found


@pytest.mark.parametrize(
    ("row", "printed", "gives"),
    [
        ("VACE-14B [24]", "52.87%", "53.585"),
        ("Ours-1.3B (Base Model)", "54.33%", "54.677"),
        ("Ours-1.3B (Base Model + online RL)", "55.16%", "56.212"),
        ("Ours-14B (Large-scale Model)", "57.05%", "57.112"),
    ],
)
def test_totals_of_id_crafter_that_its_components_do_not_give(
    audits: dict[str, Audit], row: str, printed: str, gives: str
) -> None:
    finding = at(audits, "id_crafter", "derived", "1", row, "Total Score ↑")
    assert (finding.printed, finding.gives, finding.severity) == (printed, gives, "error")
    terms, value = finding.arithmetic.split(";")[0].split(" = ")
    weighed = [float(weight) * float(cell) for weight, cell in (term.split("×") for term in terms.split(" + "))]
    assert sum(weighed) == pytest.approx(float(value))
    assert f"{float(value):.3f}" == gives


def test_every_other_total_of_id_crafter_is_explained_by_rounding_or_truncation(audits: dict[str, Audit]) -> None:
    others = [
        f for f in audits["id_crafter"].findings if f.rule == "derived" and f.table == "1" and f.severity != "error"
    ]
    assert [(f.row, f.severity) for f in others] == [("SkyReels-A2-P14B [10]", "note")]
    assert audits["id_crafter"].checks["derived"] == 11 + 1


def test_a_quoted_number_that_its_source_has_otherwise(audits: dict[str, Audit]) -> None:
    finding = at(audits, "id_crafter", "repeats", "1", "VACE-14B [24]", "GmeScore ↑")
    assert (finding.printed, finding.severity) == ("73.27%", "error")
    assert finding.gives == "67.27% in table Open-Domain of opens2v_v1_0, row VACE-14B"


def test_one_model_with_two_scores_in_one_paper(audits: dict[str, Audit]) -> None:
    finding = at(audits, "id_crafter", "repeats", "S.5", "Full Model (3 Stages)", "NexusScore ↑")
    assert (finding.printed, finding.severity) == ("45.1%", "error")
    assert finding.gives.startswith("43.45% in table 1")


@pytest.mark.parametrize(
    ("row", "printed", "fine"), [("CharaConsist", "0.443", "0.4436"), ("1Prompt1Story", "0.258", "0.2588")]
)
def test_a_table_that_cuts_digits_off(audits: dict[str, Audit], row: str, printed: str, fine: str) -> None:
    finding = at(audits, "asemconsist", "repeats", "1", row, "CQS_har ↑")
    assert (finding.printed, finding.gives, finding.severity) == (printed, f"{fine} in table A2", "note")


def test_statements_that_a_table_contradicts(audits: dict[str, Audit]) -> None:
    lowest, gap = [f for f in audits["asemconsist"].findings if f.rule == "claims"]
    assert (lowest.row, lowest.gives, lowest.severity) == ("FLUX", "not the worst in 10 of 10 columns", "error")
    assert "0.2692 (1Prompt1Story)" in lowest.arithmetic
    assert (gap.row, gap.severity) == ("Ours", "error")
    assert "0.5291 - 0.5230 = 0.0061" in gap.arithmetic


def test_gains_that_the_cells_do_not_give(audits: dict[str, Audit]) -> None:
    told = {f.printed.split("(")[-1]: f.gives for f in audits["sync_r1"].findings if f.severity == "error"}
    assert told == {"14.1%)": "7.01% or 13.09% or 0.94% or 4.8%", "17.9%)": "20.93%"}


def test_stars_on_five_runs(audits: dict[str, Audit]) -> None:
    findings = [f for f in audits["consis_gcpo"].findings if f.rule == "significance"]
    assert [f.table for f in findings] == ["1", "1", "2", "2"]
    assert all("2/32 = 0.0625 > 0.05" in f.arithmetic for f in findings)


def test_a_leaderboard_s_own_totals(audits: dict[str, Audit]) -> None:
    assert audits["opens2v_v1_1"].findings == ()
    assert audits["opens2v_v1_1"].checks["derived"] == 42


def test_tables_without_a_body_are_told(audits: dict[str, Audit]) -> None:
    assert audits["divrl"].not_at_hand == ("2", "3", "4")
    assert all(found.not_at_hand == () for name, found in audits.items() if name != "divrl")


def test_the_means_of_consis_gcpo_hold(audits: dict[str, Audit]) -> None:
    assert audits["consis_gcpo"].checks["derived"] == 4 + 3 + 2 * 6
    assert not [f for f in audits["consis_gcpo"].findings if f.rule == "derived"]


def test_the_command_prints_each_finding_with_its_place_and_arithmetic(
    capsys: Capture, audits: dict[str, Audit]
) -> None:
    assert cli.main(["audit", "id_crafter"]) == 0
    printed = capsys.readouterr().out
    for finding in audits["id_crafter"].findings:
        assert f"{finding.severity}  table {finding.table} | {finding.row} | {finding.column}\n" in printed
        assert f"{finding.arithmetic}\n" in printed
    assert "asemconsist" not in printed
    assert printed.splitlines()[-1].startswith(f"findings: {len(audits['id_crafter'].findings)} in ")


def test_all_of_them_and_as_json(capsys: Capture, audits: dict[str, Audit]) -> None:
    assert cli.main(["audit", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["audits"]
    assert [found["paper"] for found in told] == names()
    assert told == [audits[name].model_dump(mode="json") for name in names()]


def test_a_table_without_a_body_is_printed(capsys: Capture) -> None:
    assert cli.main(["audit", "divrl"]) == 0
    assert "1 of 4 tables at hand" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("papers", "message"),
    [
        (["id_crater"], "wanted a paper, found 'id_crater', which is none; did you mean 'id_crafter'?"),
        (["qqqq"], "wanted a paper, found 'qqqq', which is none; `evalkit audit` shows the 7 there are"),
    ],
)
def test_an_unknown_name(capsys: Capture, papers: list[str], message: str) -> None:
    assert cli.main(["audit", *papers]) == 2
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", f"evalkit: error: {message}\n")


def test_unknown_names_are_told_together(capsys: Capture) -> None:
    assert cli.main(["audit", "id_crater", "divrl", "qqqq"]) == 2
    told = capsys.readouterr().err
    assert "no such tables (2 problems):" in told
    assert "'id_crater'" in told
    assert "'qqqq'" in told
