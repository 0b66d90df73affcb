"""Each rule of the audit on tables made for it: what is clean stays clean, what is wrong is told with its arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from evalkit.errors import DataError
from evalkit.leaderboard.audit import RULES, audit
from evalkit.metrics.opens2v import mapped, total
from tests.unit.reported_tables import source, table

if TYPE_CHECKING:
    from evalkit.leaderboard.finding import Finding
    from evalkit.leaderboard.reported import Reported


def found(*sources: Reported) -> list[Finding]:
    """Every finding in the first source, the others being there to compare with."""
    return list(audit(sources[0], sources).findings)


def only(*sources: Reported) -> Finding:
    findings = found(*sources)
    assert len(findings) == 1, findings
    return findings[0]


def test_a_clean_table_has_no_finding_and_every_rule_looked_at_it() -> None:
    clean = table(
        {"a": ["0.80*", "0.10", "0.45"], "b": ["0.40", "0.20", "0.30"], "c": ["0.30", "0.30", "0.30"], "r": ["0.9", "0", "1"]},
        extra={"a": {"bold": ["up", "down", "mean"]}, "b": {"underlined": ["up", "down"]}, "r": {"ranked": False}},
        marks={"best": "bold", "second": "underlined", "shown": ["bold"]},
        significance={"mark": "*", "level": "0.05", "runs": 6, "against": "b"},
        relations=[{"kind": "mean", "column": "mean", "of": ["up", "down"]}],
        claims=[
            {"says": "A gains.", "where": "w", "kind": "gain", "stated": "100%", "of": {"row": "a", "column": "up"},
             "against": {"row": "b"}},
            {"says": "A is best.", "where": "w", "kind": "best", "of": {"row": "a", "column": ["up", "down"]}},
        ],
    )  # fmt: skip
    clean["rows"][3]["cells"] = ["0.9", "0", "-"]
    result = audit(source(clean, {**clean, "table": "2"}), [source(clean, {**clean, "table": "2"})])
    assert result.findings == ()
    assert set(result.checks) == set(RULES)
    assert all(result.checks.values())


MEAN = [{"kind": "mean", "column": "mean", "of": ["up", "down"]}]


@pytest.mark.parametrize(
    ("mean", "held"),
    [
        ("0.35", True),
        ("0.34", True),
        ("0.345", True),
        ("0.348", True),
        ("0.341", False),
        ("0.36", False),
        ("0.33", False),
    ],
)
def test_a_mean_is_held_to_the_digits_of_its_parts(mean: str, held: bool) -> None:
    """The parts are 0.445 to 0.455 and 0.2395 to 0.2405, so their mean is 0.34225 to 0.34775."""
    findings = found(source(table({"a": ["0.45", "0.240", mean]}, relations=MEAN)))
    assert [f.severity for f in findings] == ([] if held else ["error"])


def test_a_mean_that_was_cut_off_is_a_note() -> None:
    finding = only(source(table({"a": ["0.4500", "0.2480", "0.34"]}, relations=MEAN)))
    assert (finding.severity, finding.gives) == ("note", "0.349")
    assert finding.arithmetic == (
        "(0.4500 + 0.2480) / 2 = 0.349; the parts' digits allow 0.34895 to 0.34905, "
        "the printed one is 0.335 to 0.345; its further digits were cut off instead of rounded"
    )


def test_a_mean_that_is_wrong_says_where_and_how() -> None:
    finding = only(source(table({"a": ["0.45", "0.24", "0.35"], "b": ["0.45", "0.24", "0.39"]}, relations=MEAN)))
    assert (finding.rule, finding.paper, finding.table, finding.row, finding.column) == (
        "derived", "paper_a", "1", "B", "Mean",
    )  # fmt: skip
    assert (finding.printed, finding.gives, finding.severity) == ("0.39", "0.345", "error")
    assert finding.arithmetic.startswith("(0.45 + 0.24) / 2 = 0.345; the parts' digits allow 0.340 to 0.350")


def test_a_row_without_a_part_is_not_checked() -> None:
    result = audit(source(table({"a": ["0.4", "-", "0.9"]}, relations=MEAN)), [])
    assert (result.findings, result.checks["derived"]) == ((), 0)


@pytest.mark.parametrize(("scope", "severity"), [("stated", "error"), ("assumed", "warning")])
def test_a_sum_of_rows(scope: str, severity: str) -> None:
    relation = {"kind": "sum_of_rows", "column": "count", "row": "all", "of": ["a", "b"], "scope": scope}
    rows: dict[str, list[str | None]] = {
        key: ["-", "-", "-", cell] for key, cell in {"all": "1,500", "a": "1,000", "b": "500"}.items()
    }
    assert found(source(table(rows, relations=[relation]))) == []
    rows["b"] = ["-", "-", "-", "400"]
    finding = only(source(table(rows, relations=[relation])))
    assert (finding.severity, finding.gives) == (severity, "1400")
    assert finding.arithmetic.startswith("1000 + 400 = 1400;")


RAW = {
    "aesthetic": 5.2,
    "motion_smoothness": 0.9,
    "motion_amplitude": 0.3,
    "facesim": 0.5,
    "gme": 0.7,
    "nexus": 0.02,
    "natural": 3.8,
}


@pytest.mark.parametrize("version", ["v1.0", "v1.1"])
@pytest.mark.parametrize("domain", ["open", "single", "human"])
def test_opens2v_totals_in_percent_are_those_of_the_metric(version: Any, domain: Any) -> None:
    names = [n for n in RAW if (n, domain) != ("nexus", "human") and (n, version) != ("motion_smoothness", "v1.0")]
    raw = {name: RAW[name] for name in names}
    percent = {name: f"{100 * mapped(name, value):.2f}%" for name, value in raw.items()}
    right = 100 * total(raw, version=version, domain=domain)

    def reported(printed: float) -> Reported:
        relation = {"kind": "opens2v_total", "version": version, "domain": domain, "column": "total",
                    "components": {name: name for name in names}}  # fmt: skip
        columns = [{"key": key, "printed": key} for key in ("total", *names)]
        rows = [{"key": "a", "label": "A", "cells": [f"{printed:.2f}%", *percent.values()]}]
        return source({"table": "1", "caption": "Made up.", "columns": columns, "rows": rows, "relations": [relation]})

    assert found(reported(right)) == []
    finding = only(reported(right + 0.04))
    assert finding.severity == "error"
    assert float(finding.gives) == pytest.approx(right, abs=0.01)
    assert f"×{percent['gme'].removesuffix('%')}" in finding.arithmetic


def test_opens2v_components_that_do_not_fit_the_version() -> None:
    relation = {
        "kind": "opens2v_total",
        "version": "v1.1",
        "domain": "human",
        "column": "up",
        "components": {"gme": "down", "nexus": "up"},
    }
    with pytest.raises(DataError, match="wanted the components aesthetic, .* of OpenS2V v1.1 human, found gme, nexus"):
        found(source(table({"a": ["0.4", "0.2"]}, relations=[relation])))


def test_a_number_that_another_table_has_otherwise() -> None:
    first, second = table({"a": ["0.45"], "b": ["0.30"]}), {**table({"a": ["0.4512"], "b": ["0.3200"]}), "table": "2"}
    finding = only(source(first, second))
    assert (finding.table, finding.row, finding.printed, finding.severity) == ("1", "B", "0.30", "error")
    assert finding.gives == "0.3200 in table 2"
    assert finding.arithmetic == "0.3200 is 0.31995 to 0.32005, 0.30 is 0.295 to 0.305"


@pytest.mark.parametrize(
    ("coarse", "fine", "severity"),
    [("0.443", "0.4436", "note"), ("0.444", "0.4436", None), ("0.442", "0.4436", "error"), ("0.444", "0.4435", None),
     ("0.443", "0.4435", None), ("0.44", "0.45", "note"), ("0.44", "0.46", "error"), ("0.44", "0.44", None)],
)  # fmt: skip
def test_rounding_truncation_and_contradiction(coarse: str, fine: str, severity: str | None) -> None:
    tables = table({"a": [coarse]}), {**table({"a": [fine]}), "table": "2"}
    assert [f.severity for f in found(source(*tables))] == ([severity] if severity else [])


def test_a_paper_is_checked_against_the_leaderboard_it_quotes_and_not_the_reverse() -> None:
    paper = source(table({"a": ["73.27%"]}))
    board = source(table({"a": ["67.27%"]}), name="board", kind="leaderboard")
    finding = only(paper, board)
    assert finding.gives == "67.27% in table 1 of board"
    assert found(board, paper) == []


@pytest.mark.parametrize(
    "other",
    [{"what": {"data": "elsewhere"}}, {"what": {"data": "made_up", "setting": "v2"}}, {"what": {}}],
    ids=["other data", "other setting", "unknown data"],
)
def test_only_the_same_quantity_is_compared(other: dict[str, Any]) -> None:
    assert found(source(table({"a": ["0.4"]}), {**table({"a": ["0.9"]}), "table": "2", **other})) == []


SHOWN = {"best": "bold", "second": "underlined", "shown": ["bold", "underlined"]}


def marked(up: dict[str, str], bold: str = "", underlined: str = "", **marks: Any) -> Reported:
    extra = {key: {"bold": ["up"] * (key in bold), "underlined": ["up"] * (key in underlined)} for key in up}
    return source(table({key: [value] for key, value in up.items()}, extra=extra, marks={**SHOWN, **marks}))


def test_marks_where_they_belong() -> None:
    assert found(marked({"a": "0.3", "b": "0.5", "c": "0.4"}, bold="b", underlined="c")) == []


def test_a_second_best_that_is_third() -> None:
    finding = only(marked({"a": "0.3", "b": "0.5", "c": "0.4"}, bold="b", underlined="a"))
    assert (finding.rule, finding.row, finding.gives, finding.severity) == ("marks", "A", "place 3", "error")
    assert finding.printed == "0.3, underlined as second best"
    assert finding.arithmetic == "in order: 0.5 (B), 0.4 (C), 0.3 (A)"


def test_lower_is_better_where_the_metric_says_so() -> None:
    rows: dict[str, list[str | None]] = {"a": ["0.1", "0.3"], "b": ["0.2", "0.5"]}
    extra = {"b": {"bold": ["up", "down"]}}
    finding = only(source(table(rows, extra=extra, marks={"best": "bold", "shown": ["bold"]})))
    assert (finding.row, finding.column, finding.gives) == ("B", "Down", "place 2")


def test_marks_that_the_text_does_not_show_are_not_missed() -> None:
    assert found(marked({"a": "0.3", "b": "0.5"}, shown=[])) == []


def test_a_missing_mark_is_told_once_a_table() -> None:
    finding = only(marked({"a": "0.3", "b": "0.5"}, bold="b"))
    assert (finding.row, finding.column, finding.printed, finding.severity) == (
        "all",
        "Up",
        "no second best is underlined",
        "note",
    )


def test_ties() -> None:
    assert found(marked({"a": "0.5", "b": "0.5", "c": "0.4"}, bold="ab", underlined="c")) == []
    assert [f.severity for f in found(marked({"a": "0.5", "b": "0.5", "c": "0.4"}, bold="a", underlined="b"))] == [
        "note"
    ]


def test_marks_within_blocks() -> None:
    rows: dict[str, list[str | None]] = {"a": ["0.9"], "b": ["0.8"], "c": ["0.2"], "d": ["0.1"]}
    extra = {key: {"block": block, "bold": bold} for key, block, bold in
             (("a", "x", ["up"]), ("b", "x", []), ("c", "y", ["up"]), ("d", "y", []))}  # fmt: skip
    marks = {"best": "bold", "shown": ["bold"]}
    assert found(source(table(rows, extra=extra, marks={**marks, "within": "block"}))) == []
    assert only(source(table(rows, extra=extra, marks=marks))).row == "C"


@pytest.mark.parametrize(
    ("runs", "level", "count"), [(5, "0.05", 1), (6, "0.05", 0), (5, "0.1", 0), (7, "0.01", 1), (8, "0.01", 0)]
)
def test_stars_that_so_many_runs_cannot_earn(runs: int, level: str, count: int) -> None:
    stars = {"mark": "*", "level": level, "runs": runs, "against": "the best baseline"}
    findings = found(source(table({"a": ["0.50±0.01*", "0.10±0.01*"], "b": ["0.40", "0.20"]}, significance=stars)))
    assert len(findings) == count
    for finding in findings:
        assert (finding.row, finding.column, finding.severity) == ("A", "Up; Down", "warning")
        assert f"2/{2**runs} = {2 / 2**runs}" in finding.arithmetic


def claimed(rows: dict[str, list[str | None]], **claim: Any) -> list[Finding]:
    return found(source(table(rows, claims=[{"says": "S.", "where": "w", **claim}])))


AB: dict[str, list[str | None]] = {"a": ["0.305", "0.20"], "b": ["0.287", "0.30"]}


@pytest.mark.parametrize(
    ("kind", "stated", "of", "against", "severity"),
    [
        ("gain", "6.3%", "a", "b", None),
        ("gain", "6.2%", "a", "b", None),  # 5.9 to 6.6 by the digits
        ("gain", "6.9%", "a", "b", "error"),
        ("gain", "6%", "a", "b", None),
        ("drop", "5.9%", "b", "a", None),
        ("drop", "6.9%", "b", "a", "error"),
        ("difference", "0.018", "a", "b", None),
        ("difference", "0.022", "a", "b", "error"),
        ("above", "0.01", "a", "b", None),
        ("above", "0.02", "a", "b", "error"),
        ("ratio", "1.06", "a", "b", None),
        ("ratio", "1.1", "a", "b", None),
        ("ratio", "1.2×", "a", "b", "error"),
    ],
)
def test_a_stated_size(kind: str, stated: str, of: str, against: str, severity: str | None) -> None:
    findings = claimed(AB, kind=kind, stated=stated, of={"row": of, "column": "up"}, against={"row": against})
    assert [f.severity for f in findings] == ([severity] if severity else [])


def test_a_stated_size_that_is_wrong_shows_the_arithmetic() -> None:
    (finding,) = claimed(AB, kind="gain", stated="7.9%", of={"row": "a", "column": "up"}, against={"row": "b"})
    assert (finding.row, finding.column, finding.printed, finding.gives) == ("A", "Up", "w: S. (7.9%)", "6.27%")
    assert finding.arithmetic == "(0.305 - 0.287) / 0.287 = 6.27% (5.91 to 6.63)"


def test_a_quoted_value() -> None:
    at = {"row": "a", "column": "up"}
    assert claimed(AB, kind="value", stated="0.305", of=at) == []
    assert claimed(AB, kind="value", stated="0.31", of=at) == []
    assert [f.severity for f in claimed(AB, kind="value", stated="0.35", of=at)] == ["error"]


def test_each_cell_has_the_stated_difference_or_is_told() -> None:
    rows: dict[str, list[str | None]] = {"a": ["0.50", "0.60"], "b": ["0.40", "0.40"]}
    (finding,) = claimed(
        rows, kind="difference", stated="0.10", of={"row": "a", "column": ["up", "down"]}, against={"row": "b"}
    )
    assert (finding.column, finding.gives) == ("Down", "0.2")


MEANS: dict[str, list[str | None]] = {"a": ["0.220", "0.820"], "b": ["0.200", "0.800"]}
"""Gains of 10 and 2.5 percent: 6.25 on average, and 4 percent of the means."""


@pytest.mark.parametrize(
    ("combine", "stated", "fits"),
    [("mean", "6.3%", True), ("mean", "4.0%", False), ("mean", "10.0%", False), ("unstated", "6.3%", True),
     ("unstated", "4.0%", True), ("unstated", "10.0%", True), ("unstated", "12.5%", False)],
)  # fmt: skip
def test_readings_of_a_claim_on_several_cells(combine: str, stated: str, fits: bool) -> None:
    of = {"row": "a", "column": ["up", "down"]}
    findings = claimed(MEANS, kind="gain", stated=stated, combine=combine, of=of, against={"row": "b"})
    assert (findings == []) == fits
    for finding in findings:
        assert "mean of (0.220 - 0.200) / 0.200, (0.820 - 0.800) / 0.800 = 6.25%" in finding.arithmetic


def test_better_follows_the_direction_and_tells_ties_apart() -> None:
    both = {"of": {"row": "a", "column": ["up", "down"]}, "against": {"row": "b"}}
    assert claimed(AB, kind="better", **both) == []
    (finding,) = claimed({"a": ["0.3", "0.3"], "b": ["0.2", "0.2"]}, kind="better", **both)
    assert (finding.severity, finding.column, finding.gives) == ("error", "Down", "not better in 1 of 2")
    (tie,) = claimed({"a": ["0.3", "0.2"], "b": ["0.2", "0.2"]}, kind="better", **both)
    assert (tie.severity, tie.gives) == ("note", "no difference in print in 1 of 2")


def test_best_and_worst_among_whom() -> None:
    rows: dict[str, list[str | None]] = {"a": ["0.5", "0.5"], "b": ["0.6", "0.1"], "c": ["0.4", "0.9"], "d": ["-", "-"]}
    best = {"kind": "best", "of": {"row": "a", "column": "up"}}
    (finding,) = claimed(rows, **best)
    assert (finding.severity, finding.arithmetic) == ("error", "Up: 0.5, but 0.6 (B)")
    assert [f.severity for f in claimed(rows, **best, scope="assumed")] == ["warning"]
    assert claimed(rows, **best, among=["c", "d"]) == []
    assert claimed(rows, kind="best", of={"row": ["a", "b"], "column": ["up", "down"]}) == []
    assert claimed(rows, kind="worst", of={"row": "c", "column": ["up", "down"]}) == []
    assert len(claimed(rows, kind="worst", of={"row": "b", "column": "down"})) == 1


def test_a_claim_about_a_cell_without_a_number() -> None:
    with pytest.raises(DataError, match="paper_a, table 1: wanted a number at a, up for the claim 'S.', found '-'"):
        claimed({"a": ["-"]}, kind="value", stated="1", of={"row": "a", "column": "up"})


def test_findings_come_by_severity_and_tables_without_a_body_are_told() -> None:
    rows: dict[str, list[str | None]] = {"a": ["0.4500", "0.2480", "0.34"], "b": ["0.45", "0.24", "0.39"]}
    missing = {"table": "2", "caption": "Made up.", "body": "missing"}
    result = audit(source(table(rows, relations=MEAN), missing), [])
    assert [f.severity for f in result.findings] == ["error", "note"]
    assert (result.tables, result.not_at_hand) == (2, ("2",))
