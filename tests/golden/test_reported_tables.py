"""The reported tables against the papers' texts and the leaderboard's files, where these are at hand."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from evalkit.leaderboard.reported import Row, Table, names, read_reported

SHARED = Path(__file__).resolve().parents[3] / "shared"
PAPERS, BOARD = SHARED / "papers", SHARED / "data" / "opens2v" / "leaderboard_v1.1"
TOKEN = re.compile(r"(?<![\w.])-(?=\s|$)|\d[\d,]*\.?\d*")
"""A number's digits, or a dash that stands alone."""
FOREIGN = 2
"""Numbers that the text may have between two of a row's own: damaged ones, which the data leaves out."""


def lines_of(table: Table) -> list[tuple[str, list[str]]]:
    """What each printed row has, cells in order: our rows, or our columns where the table is transposed."""
    if table.transposed:
        heads = [(c.key, TOKEN.findall(c.printed)) for c in table.columns]
        cells = list(zip(*(row.cells for row in table.rows), strict=True))
        return [(key, own + tokens(column)) for (key, own), column in zip(heads, cells, strict=True)]
    return [(row.key, tokens(row.cells)) for row in table.rows]


def tokens(cells: tuple[str | None, ...]) -> list[str]:
    return [token for cell in cells for token in TOKEN.findall(cell or "")]


def stands_in(text: list[str], wanted: list[str]) -> bool:
    """Whether the tokens stand in the text in this order, with at most `FOREIGN` others between two of them."""
    for start, token in enumerate(text):
        at = start if token == wanted[0] else -1
        for following in wanted[1:]:
            if at < 0:
                break
            window = text[at + 1 : at + 2 + FOREIGN]
            at = at + 1 + window.index(following) if following in window else -1
        if at >= 0:
            return True
    return False


def test_the_search_for_a_row_can_fail() -> None:
    text = TOKEN.findall("A [24] 0.305 \\pm 0.004* - 52.87% (209 12")
    assert text == ["24", "0.305", "0.004", "-", "52.87", "209", "12"]
    assert stands_in(text, ["0.305", "0.004", "-", "52.87", "12"])
    assert not stands_in(text, ["0.305", "12"])
    assert not stands_in(text, ["0.305", "0.005"])
    assert not stands_in(text, ["0.304"])
    assert not stands_in(text, ["0.004", "0.305"])


@pytest.mark.parametrize("name", [name for name in names() if read_reported(name).kind == "paper"])
def test_every_row_stands_in_the_paper_s_text(name: str) -> None:
    path = PAPERS / f"{name}.txt"
    if not path.is_file():
        pytest.skip("the papers' texts are not beside this checkout")
    text = TOKEN.findall(path.read_text(encoding="utf-8"))
    rows = [(table.table, key, wanted) for table in read_reported(name).tables for key, wanted in lines_of(table)]
    assert rows
    assert [(table, key) for table, key, wanted in rows if wanted and not stands_in(text, wanted)] == []


@pytest.mark.parametrize("name", [name for name in names() if read_reported(name).kind == "paper"])
def test_every_stated_size_stands_in_the_paper_s_text(name: str) -> None:
    path = PAPERS / f"{name}.txt"
    if not path.is_file():
        pytest.skip("the papers' texts are not beside this checkout")
    text = set(TOKEN.findall(path.read_text(encoding="utf-8")))
    stated = {c.stated for table in read_reported(name).tables for c in table.claims if c.stated is not None}
    assert {value for value in stated if not set(TOKEN.findall(value)) <= text} == set()


@pytest.mark.parametrize("domain", ["Open-Domain", "Human-Domain", "Single-Domain"])
def test_the_leaderboard_is_the_published_one(domain: str) -> None:
    path = BOARD / f"results_{domain}.csv"
    if not path.is_file():
        pytest.skip("the leaderboard's files are not beside this checkout")
    table = next(table for table in read_reported("opens2v_v1_1").tables if table.table == domain)
    with path.open(encoding="utf-8", newline="") as file:
        published = {re.sub(r"\[(.*?)\].*", r"\1", row["Model"]): row for row in csv.DictReader(file)}

    def cells(row: Row) -> dict[str, str | None]:
        return dict(zip((column.printed for column in table.columns), row.cells, strict=True))

    assert {row.label for row in table.rows} == set(published)
    assert all(cells(row).items() <= published[row.label].items() for row in table.rows)
