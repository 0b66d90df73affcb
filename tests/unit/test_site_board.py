"""Boards: what may stand beside what, intervals, ranks, marks; and how a table leaves the site."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import numpy as np
import pytest

from evalkit.errors import ProblemsError, UsageError
from evalkit.leaderboard.site.build import build
from evalkit.leaderboard.site.collect import boards, collect, slug
from evalkit.leaderboard.site.data import board_data
from evalkit.leaderboard.site.exports import to_bibtex, to_csv, to_latex, to_markdown
from evalkit.leaderboard.site.measure import measure
from evalkit.leaderboard.site.model import Leaderboard
from evalkit.leaderboard.site.pages import number, ranks, safe_link, spans
from evalkit.leaderboard.site.printed_rows import with_reported
from evalkit.nouns import State
from tests.unit.scored_runs import PROMPTS, SUBJECTS, values, write_run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from evalkit.leaderboard.site.measure import Measured


def board(paths: Sequence[Path], *, resamples: int = 499) -> Measured:
    """The one board of these runs."""
    (found,) = boards(collect(paths)).items()
    return measure(*found, resamples=resamples)


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    """One run clearly better, two alike."""
    told = (("best", 4.0), ("one", 0.0), ("two", 0.05))
    return [
        write_run(tmp_path / name, {"clip_t": values(mean, seed=k), "lpips": values(-mean, seed=9 + k)}, method=name)
        for k, (name, mean) in enumerate(told)
    ]


def test_a_cell_has_the_run_s_own_value_inside_its_interval(three: list[Path]) -> None:
    found = board(three)
    row = next(row for row in found.board.rows if row.name == "best")
    cell = row.cells["clip_t"]
    assert cell.value == pytest.approx(values(4.0, seed=0).mean())
    assert cell.value is not None
    assert cell.low is not None
    assert cell.high is not None
    assert cell.low < cell.value < cell.high
    assert (cell.n_scored, cell.n_cases, row.subjects) == (SUBJECTS * PROMPTS, SUBJECTS * PROMPTS, SUBJECTS)


def test_ranks_tell_apart_what_differs_and_share_letters_where_it_does_not(three: list[Path]) -> None:
    rows = {row.name: row.cells["clip_t"] for row in board(three).board.rows}
    assert (rows["best"].highest, rows["best"].lowest) == (1, 1)
    assert {rows["one"].lowest, rows["two"].lowest} == {2, 3} or rows["one"].lowest != rows["one"].highest
    assert rows["one"].groups == rows["two"].groups
    assert not set(rows["best"].groups.split()) & set(rows["one"].groups.split())
    assert ranks(rows["best"]) == "1"


def test_lower_is_better_where_the_card_says_so(three: list[Path]) -> None:
    cell = next(row for row in board(three).board.rows if row.name == "best").cells["lpips"]
    assert (cell.highest, cell.lowest) == (1, 1)


def test_another_signature_is_shown_marked_and_not_ranked(tmp_path: Path, three: list[Path]) -> None:
    odd = write_run(tmp_path / "odd", {"clip_t": values(9.0, seed=5)}, method="odd", weights="others")
    rows = {row.name: row for row in board([*three, odd]).board.rows}
    cell = rows["odd"].cells["clip_t"]
    assert cell.value is not None
    assert cell.differs == "weights is others, with most runs w"
    assert (cell.highest, cell.groups) == (None, "")
    assert rows["best"].cells["clip_t"].lowest == 1


def test_a_run_on_other_cases_is_marked_and_not_ranked(tmp_path: Path, three: list[Path]) -> None:
    part = write_run(tmp_path / "part", {"clip_t": values(9.0, seed=5)[:12]}, method="part")
    row = next(row for row in board([*three, part]).board.rows if row.name == "part")
    assert row.other_cases is not None
    assert row.other_cases.startswith(f"{12 * PROMPTS} cases x 1 seeds, {12 * PROMPTS} of them among")
    assert row.cells["clip_t"].highest is None


def test_another_prompt_under_the_same_name_is_another_case(tmp_path: Path, three: list[Path]) -> None:
    worded = write_run(tmp_path / "w", {"clip_t": values(30.0, seed=5)}, method="worded", prompt="a cat")
    row = next(row for row in board([*three, worded]).board.rows if row.name == "worded")
    assert (
        row.other_cases
        == f"{SUBJECTS * PROMPTS} cases x 1 seeds, 0 of them among the {SUBJECTS * PROMPTS} of the others"
    )
    assert row.cells["clip_t"].highest is None


def test_controls_stand_last_without_ranks_and_the_ceiling_marks_what_is_surely_above(tmp_path: Path) -> None:
    runs = [
        write_run(
            tmp_path / name, {m: values(mean, seed=k, spread=0.1) for m in ("clip_t", "dino_i")}, method=name
        )
        for k, (name, mean) in enumerate((("real_images", 0.0), ("low", 1.0), ("high", 30.0), ("noise", -9.0)))
    ]  # fmt: skip
    found = board(runs).board
    assert [row.kind for row in found.rows] == ["folder", "folder", "control", "control"]
    cells = {row.name: row.cells for row in found.rows}
    assert cells["high"]["dino_i"].above_ceiling
    assert not cells["low"]["dino_i"].above_ceiling  # above the ceiling's mean, within its interval
    assert not cells["high"]["clip_t"].above_ceiling  # true pictures are no bound on following a prompt
    assert cells["noise"]["clip_t"].highest is None
    assert found.columns[0].unranked is None


def test_a_pair_says_of_how_many_samples_it_is(tmp_path: Path) -> None:
    gone = {("clip_t", s, p): State.NO_FACE for s in range(12) for p in range(2)}
    runs = [
        write_run(tmp_path / name, {"clip_t": values(mean, seed=k)}, method=name, states=gone if name == "b" else None)
        for k, (name, mean) in enumerate((("a", 0.0), ("b", 1.0), ("c", 2.0)))
    ]
    told = {(one.a, one.b): one for one in board(runs).ranks["clip_t"].pairs}
    whole = SUBJECTS * PROMPTS
    assert (told["a", "b"].n_pairs, told["a", "b"].n_missing) == (whole - 24, 24)
    assert (told["a", "c"].n_pairs, told["a", "c"].n_missing) == (whole, 0)
    site = build(runs, tmp_path / "site", resamples=199).path
    (page,) = site.rglob("matrix-clip_t.html")
    assert page.read_text(encoding="utf-8").count(f", on {whole - 24} of {whole}") == 4


def test_what_cannot_be_ranked_says_why(tmp_path: Path) -> None:
    alone = write_run(tmp_path / "alone", {"clip_t": values(0.0)}, method="alone")
    assert board([alone]).board.columns[0].unranked == "fewer than two methods can be compared on it"
    flat = np.full((SUBJECTS, PROMPTS), 50.0)
    same = [write_run(tmp_path / f"s{k}", {"clip_t": flat}, method=f"s{k}") for k in range(2)]
    assert "wanted scores that vary" in str(board(same).board.columns[0].unranked)


def test_categories_have_their_own_numbers(three: list[Path]) -> None:
    row = next(row for row in board(three).board.rows if row.name == "one")
    animal = row.by_category["animal"]["clip_t"]
    assert animal.value == pytest.approx(values(0.0, seed=1)[:12].mean())
    assert (animal.n_scored, animal.n_cases) == (12 * PROMPTS, 12 * PROMPTS)


def test_missing_scores_show_in_coverage_and_never_as_numbers(tmp_path: Path) -> None:
    states = {("clip_t", 0, 0): State.NO_FACE, ("clip_t", 1, 1): State.NO_FACE}
    told = [
        write_run(tmp_path / n, {"clip_t": values(0.0, seed=k)}, method=n, states=states) for k, n in enumerate("ab")
    ]
    cell = board(told).board.rows[0].cells["clip_t"]
    assert (cell.n_cases - cell.n_scored, cell.states) == (2, {"no_face": 2})


def test_in_domain_cells_are_marked(tmp_path: Path, three: list[Path]) -> None:
    trained = write_run(tmp_path / "t", {"clip_t": values(1.0, seed=8)}, method="trained", in_domain=("clip_t",))
    found = board([*three, trained])
    cells = {row.name: row.cells["clip_t"] for row in found.board.rows}
    assert cells["trained"].in_domain
    assert not cells["best"].in_domain
    assert "trained" in to_markdown(found.board)
    line = next(line for line in to_markdown(found.board).splitlines() if "trained |" in line)
    assert "\\*" in line


def test_digits_go_by_the_interval(three: list[Path]) -> None:
    column = board(three).board.columns[0]
    assert column.decimals == 1  # half an interval is about 2
    assert number(12.345, column.decimals) == "12.3"
    assert number(-0.0001, 2) == "0.00"


def test_profiles_and_protocols_are_boards_of_their_own(tmp_path: Path, three: list[Path]) -> None:
    paper = write_run(tmp_path / "p", {"clip_t": values(0.0)}, method="paper_run", profile="paper")
    assert [key.profile for key in boards(collect([*three, paper]))] == ["sandbox", "paper"]


def test_two_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / name / "run", {"clip_t": values(0.0, seed=k)}, method="m") for k, name in enumerate("ab")
    ]
    found = collect(runs)
    assert [entry.scored.name for entry in found] == ["m (run)", "m (run) #2"]
    assert len({entry.slug for entry in found}) == 2


def test_runs_have_addresses_of_their_own_whatever_methods_are_called(tmp_path: Path) -> None:
    """Two boards with a method of one name, and a method called as the second of them would be."""
    told = (("flux", "sandbox"), ("flux", "paper"), ("flux-2", "sandbox"), ("flux-2", "paper"))
    runs = [
        write_run(tmp_path / f"{k}", {"clip_t": values(k, seed=k)}, method=method, profile=profile)
        for k, (method, profile) in enumerate(told)
    ]
    again = [
        write_run(tmp_path / f"{k}/x", {"clip_t": values(k, seed=k)}, method=method)
        for k, method in ((7, "m"), (8, "m"), (9, "m (x) #2"))
    ]
    for order in ([*runs, *again], [*reversed(runs), *reversed(again)]):
        found = collect(order)
        assert len({entry.slug for entry in found}) == len(found)
        names = [(entry.key, entry.scored.name) for entry in found]
        assert len(set(names)) == len(names)
        for entry in found[:4]:
            value = entry.scored.result.scores["clip_t"].value
            assert value == pytest.approx(
                values(int(entry.scored.run.path.name), seed=int(entry.scored.run.path.name)).mean()
            )


def test_methods_whose_pages_would_be_one_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [write_run(tmp_path / f"{k}", {"clip_t": values()}, method=m) for k, m in enumerate(("A a", "a A"))]
    assert len(collect(runs)) == 2
    monkeypatch.setattr("evalkit.leaderboard.site.collect.digest", lambda _text: "0" * 64)
    with pytest.raises(ProblemsError, match="its method 'a A' has the page of another, 'A a'; rename one"):
        collect(runs)


def test_what_is_no_scored_run_is_named_and_nothing_given_twice(tmp_path: Path, three: list[Path]) -> None:
    with pytest.raises(ProblemsError, match=r"these runs cannot be shown \(2 problems\)"):
        collect([*three, tmp_path / "none", tmp_path])
    with pytest.raises(UsageError, match="wanted different runs, found"):
        collect([three[0], three[0]])
    with pytest.raises(UsageError, match="wanted scored runs, found none"):
        collect([])


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "a/b",
        "../x",
        "A b",
        "<script>",
        "\U0001f600",
        "x" * 500,
        "",
        "\u202eabc",
        "a-2",
        slug("A b"),
        slug("<script>"),
    ],
)
def test_slugs_are_safe_and_differ(name: str) -> None:
    made = slug(name)
    assert made
    assert set(made) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")
    assert len(made) <= 70
    others = {slug(other) for other in ("a", "a/b", "../x", "A b", "<script>", "a b") if other != name}
    assert made not in others


def test_reported_rows_stand_on_their_benchmark_s_board_alone(three: list[Path]) -> None:
    found = with_reported(board(three).board)
    told = {row.label: row.cells for row in found.reported if row.paper.startswith("DivRL")}
    assert told["Flux-Kontext"] == {"clip_t": "0.283"}
    assert "not on one scale" in found.reported_note
    other = found.model_copy(update={"benchmark": "stories"})
    assert not any(row.paper.startswith("DivRL") for row in with_reported(other).reported)


def test_exports_hold_the_same_numbers_and_cannot_run(tmp_path: Path) -> None:
    hostile = "=cmd|'/C calc'!A1_&%{}\\"
    runs = [
        write_run(tmp_path / f"r{k}", {"clip_t": values(k, seed=k)}, method=m) for k, m in enumerate((hostile, "b"))
    ]
    found = board(runs).board
    rows = list(csv.DictReader(io.StringIO(to_csv(found))))
    assert {row["run"] for row in rows} == {f"'{hostile}", "b"}
    assert float(rows[0]["low"]) < float(rows[0]["value"]) < float(rows[0]["high"])
    assert rows[0]["signature"].startswith("metric:clip_t|")
    tex = to_latex(found)
    assert r"=cmd|'/C calc'!A1\_\&\%\{\}\textbackslash{}" in tex
    assert tex.count(r"\\") == 3
    assert r"\|" in to_markdown(found)
    site = Leaderboard(evalkit="1", title="A & B", newest="2026-01-02T00:00:00", boards=(found,))
    assert to_bibtex(found, site).startswith(f"@misc{{{found.slug},\n  title = {{A \\& B: ")
    assert "year = {2026}" in to_bibtex(found, site)


def test_the_data_form_holds_every_cell_and_reads_back(three: list[Path]) -> None:
    found = board(three)
    told = board_data(found)
    assert [row["name"] for row in told["rows"]] == [row.name for row in found.board.rows]
    assert all(len(row["cells"]) == len(told["columns"]) == 2 for row in told["rows"])
    covariance = np.array(told["rows"][0]["covariance"])
    assert covariance == pytest.approx(covariance.T)
    assert (np.diag(covariance) > 0).all()
    site = Leaderboard(evalkit="1", title="t", newest=None, boards=(found.board,))
    assert Leaderboard.read(site.to_json(), where="x") == site


def test_drawings_span_the_rivals_and_not_the_controls(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / name, {"clip_t": values(mean, seed=k)}, method=name)
        for k, (name, mean) in enumerate((("a", 0.0), ("b", 1.0), ("noise", -40.0)))
    ]
    low, high = spans(board(runs).board)["clip_t"]
    assert low > 40
    assert high < 60
    alone, _ = spans(board(runs[1:]).board)["clip_t"]
    assert alone < 20  # one rival has nothing but controls to be seen beside


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "data:text/html,x", "//a.org", "ftp://a.org", " JAVASCRIPT:x", ""]
)
def test_links_lead_to_the_web_alone(address: str) -> None:
    assert safe_link(address) is None
