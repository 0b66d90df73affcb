"""Reported tables as data: what a cell's digits leave open, and what a file may not say."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from evalkit.errors import DataError, UsageError
from evalkit.leaderboard.printed import Interval, number
from evalkit.leaderboard.reported import names, read_reported
from tests.unit.reported_tables import source, table

ROWS: dict[str, list[str | None]] = {"a": ["0.5", "0.1"], "b": ["0.4", "0.2"]}


@pytest.mark.parametrize(
    ("text", "value", "step", "spread", "mark"),
    [
        ("0.305±0.004*", "0.305", "0.001", "0.004", "*"),
        ("0.300 ± 0.005", "0.300", "0.001", "0.005", ""),
        ("52.87%", "52.87", "0.01", None, ""),
        ("64.06 %", "64.06", "0.01", None, ""),
        ("57.7%", "57.7", "0.1", None, ""),
        ("535,259", "535259", "1", None, ""),
        ("1.8× (Slower)", "1.8", "0.1", None, ""),
        (".258", "0.258", "0.001", None, ""),
        ("-0.30", "-0.30", "0.01", None, ""),
    ],
)
def test_a_cell_keeps_its_digits(text: str, value: str, step: str, spread: str | None, mark: str) -> None:
    found = number(text)
    assert found is not None
    assert (found.value, found.step, found.mark) == (Decimal(value), Decimal(step), mark)
    assert found.spread == (None if spread is None else Decimal(spread))
    assert found.rounded == Interval(found.value - found.step / 2, found.value + found.step / 2)


@pytest.mark.parametrize("text", ["-", "", None, "Single", "7B", "28 /4", "1e-6", "30/40", "0.30.1"])
def test_what_is_no_number_has_none(text: str | None) -> None:
    assert number(text) is None


@pytest.mark.parametrize(
    ("printed", "low", "high", "verdict"),
    [
        ("0.44", "0.435", "0.436", "agrees"),
        ("0.44", "0.445", "0.446", "agrees"),  # a half is rounded either way
        ("0.44", "0.4451", "0.446", "truncated"),
        ("0.44", "0.4499", "0.46", "truncated"),
        ("0.44", "0.45", "0.46", "differs"),
        ("0.44", "0.42", "0.4349", "differs"),
    ],
)
def test_rounding_explains_before_cutting_off_does(printed: str, low: str, high: str, verdict: str) -> None:
    found = number(printed)
    assert found is not None
    assert found.against(Interval(Decimal(low), Decimal(high))) == verdict


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"body": "missing"}, "wanted rows and columns where the body is whole and none else"),
        ({"rows": []}, "wanted rows and columns where the body is whole and none else"),
        ({"rows": [{"key": "a", "label": "A", "cells": ["0.5"]}]}, "table 1, row a: 1 cells, 2 columns"),
        ({"rows": [{"key": "a", "label": "A", "cells": ["1", "2"]}] * 2}, "the row keys ['a'] are there twice"),
        (
            {"rows": [{"key": "a", "label": "A", "cells": ["1", "2"], "bold": ["upp"]}]},
            "'upp' is none of its columns ['up', 'down']",
        ),
        ({"relations": [{"kind": "mean", "column": "up", "of": ["down", "x"]}]}, "'x' is none of its columns"),
        (
            {"relations": [{"kind": "sum_of_rows", "column": "up", "row": "c", "of": ["a", "b"]}]},
            "'c' is none of its rows ['a', 'b']",
        ),
        (
            {"claims": [{"says": "s", "where": "w", "kind": "best", "of": {"row": "c", "column": "up"}}]},
            "'c' is none of its rows ['a', 'b']",
        ),
        ({"what": {"method": "z"}}, "table 1, a, up: two values of 'method'"),
        ({"what": {"metric": "z"}, "columns": [{"key": k, "printed": k} for k in "pq"]}, "the metric 'z' is none of"),
        ({"colour": "red"}, "tables.0.colour is not a known key"),
    ],
)
def test_a_file_that_does_not_hang_together(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        source({**table(ROWS), **change})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ({"kind": "gain"}, "stated is there for"),
        ({"kind": "best", "stated": "1"}, "stated is there for"),
        ({"kind": "better"}, "against names one row, one column or both"),
        ({"kind": "best", "against": {"row": "b"}}, "against names one row, one column or both"),
        ({"kind": "better", "against": {"row": ["a", "b"]}}, "against names one row, one column or both"),
        ({"kind": "better", "against": {"row": "b"}, "among": ["a"]}, "among is there for best and worst alone"),
        ({"kind": "gain", "stated": "1%", "against": {"row": "b"}, "combine": "mean"}, "combine is for several cells"),
        ({"kind": "best", "of": {"row": "a"}}, "of names at least one row and one column"),
    ],
)
def test_a_claim_that_lacks_a_part(claim: dict[str, Any], message: str) -> None:
    whole = {"says": "s", "where": "w", "of": {"row": "a", "column": "up"}, **claim}
    with pytest.raises(DataError) as caught:
        source(table(ROWS, claims=[whole]))
    assert message in str(caught.value)


def test_a_claim_pairs_each_cell_with_the_other_row_or_column() -> None:
    def pairs(**parts: Any) -> list[Any]:
        claim = {"says": "s", "where": "w", "kind": "better", **parts}
        return list(source(table(ROWS, claims=[claim])).tables[0].claims[0].pairs())

    assert pairs(of={"row": "a", "column": ["up", "down"]}, against={"row": "b"}) == [
        (("a", "up"), ("b", "up")),
        (("a", "down"), ("b", "down")),
    ]
    assert pairs(of={"row": ["a", "b"], "column": "up"}, against={"column": "down"}) == [
        (("a", "up"), ("a", "down")),
        (("b", "up"), ("b", "down")),
    ]


def test_every_shipped_file_is_read_and_agrees_with_the_others_on_its_metrics() -> None:
    assert {"asemconsist", "consis_gcpo", "divrl", "id_crafter", "sync_r1"} <= set(names())
    seen: dict[str, tuple[str, str]] = {}
    for name in names():
        for metric, measure in read_reported(name).measures.items():
            found = (measure.unit, measure.direction)
            assert seen.setdefault(metric, found) == found, (name, metric)


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        read_reported("id_craft")
    assert str(caught.value) == "wanted a paper, found 'id_craft', which is none; did you mean 'id_crafter'?"
