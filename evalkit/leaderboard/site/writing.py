"""Every page of a site with what it shows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from evalkit.content import content
from evalkit.errors import EvalkitError
from evalkit.leaderboard.audit import audit_shipped
from evalkit.leaderboard.site.collect import slug
from evalkit.leaderboard.site.curves import curves
from evalkit.leaderboard.site.figures import Line, dots, lines
from evalkit.leaderboard.site.pages import column_of, drawing, ranks, spans
from evalkit.registry import BENCHMARKS, METRICS, load
from evalkit.sandbox.validity.report import Report, read_stored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from evalkit.leaderboard.site.collect import Entry
    from evalkit.leaderboard.site.measure import Measured
    from evalkit.leaderboard.site.media import Media
    from evalkit.leaderboard.site.model import Board, Column, Row
    from evalkit.leaderboard.site.pages import Pages

BEST = 4


class Shown(NamedTuple):
    """One sample on a method's page."""

    small: str | None
    answer: str | None
    case: str
    prompt: str
    value: float


def write_pages(
    pages: Pages, measured: Sequence[Measured], entries: Sequence[Entry], media: Media, *, unstyled: Sequence[str]
) -> None:
    """Overview, boards, methods, metrics, benchmarks and the audit.

    unstyled: ids that the plots' page must hold so that Plotly adds no styles of its own.
    """
    everything = [one.board for one in measured]
    methods = _by_method(everything)
    pages.write("index.html", "index.html", boards=everything, methods=methods, newest=_newest(everything))
    for one in measured:
        _board(pages, one, unstyled)
    by_slug = {entry.slug: entry for entry in entries}
    for name, rows in methods.items():
        runs = [_run(board, row, by_slug[row.slug], media) for board, row in rows]
        pages.write(
            f"methods/{slug(name)}.html", "method.html", name=name, runs=runs, info=by_slug[rows[0][1].slug].info
        )
    _metrics(pages, everything)
    _benchmarks(pages, everything)
    audits = audit_shipped([])
    pages.write("audit.html", "audit.html", audits=audits)
    pages.write("about.html", "about.html")


def _board(pages: Pages, one: Measured, unstyled: Sequence[str]) -> None:
    board = one.board
    at = f"boards/{board.slug}"
    common: dict[str, Any] = {"board": board}
    pages.write(
        f"{at}/index.html", "board.html", scripts=("data.js", "board.js"), spans=spans(board), drawing=drawing, ranks=ranks,
        **common,
    )  # fmt: skip
    pages.write(
        f"{at}/tradeoffs.html",
        "tradeoffs.html",
        scripts=("plotly.min.js", "data.js", "tradeoffs.js"),
        unstyled=unstyled,
        **common,
    )
    pages.write(f"{at}/categories.html", "categories.html", panels=_categories(board), **common)
    pages.write(f"{at}/cases.html", "cases.html", scripts=("data.js", "cases.js"), **common)
    for column in board.columns:
        pages.write(
            f"{at}/matrix-{slug(column.label)}.html", "matrix.html", column=column, **_matrix(one, column), **common
        )  # fmt: skip


def _matrix(one: Measured, column: Column) -> dict[str, Any]:
    """Row against column: difference, adjusted p, and which is better."""
    held = one.ranks.get(column.label)
    if held is None:
        return {"names": [], "cells": {}}
    names = [entry.name for entry in held.ranking.entries]
    sign = 1 if column.direction == "higher" else -1
    cells = {}
    for told in held.pairs:
        apart = told.p_value <= 1 - held.ranking.level
        for a, b, difference in ((told.a, told.b, told.difference), (told.b, told.a, -told.difference)):
            verdict = ("better" if sign * difference > 0 else "worse") if apart else "open"
            cells[a, b] = {
                "difference": difference, "p": told.p_value, "verdict": verdict, "shared": told.n_pairs,
                "all": told.n_pairs + told.n_missing,
            }  # fmt: skip
    return {"names": names, "cells": cells}


def _categories(board: Board) -> list[tuple[Column, list[tuple[str, Markup]]]]:
    """For each column a drawing a category, all on one scale."""
    found = []
    for column in board.columns:
        panels = []
        cells = [
            (row, category, cell)
            for row in board.rows
            for category, told in row.by_category.items()
            if row.other_cases is None
            and (cell := told.get(column.label)) is not None
            and cell.value is not None
            and cell.differs is None
        ]
        ends = [v for row, _, c in cells if row.kind != "control" for v in (c.low, c.high, c.value) if v is not None]
        ends = ends or [v for _, _, c in cells for v in (c.low, c.high, c.value) if v is not None]
        if not ends:
            continue
        room = 0.04 * (max(ends) - min(ends)) or 0.5
        for category in board.categories:
            rows = [(r.name, float(c.value or 0.0), c.low, c.high) for r, k, c in cells if k == category]
            if rows:
                title = f"{column.label}, {category}"
                panels.append((category, dots(rows, title=title, span=(min(ends) - room, max(ends) + room))))
        found.append((column, panels))
    return found


def _by_method(everything: Sequence[Board]) -> dict[str, list[tuple[Board, Row]]]:
    found: dict[str, list[tuple[Board, Row]]] = {}
    for board in everything:
        for row in board.rows:
            found.setdefault(row.method, []).append((board, row))
    return found


def _newest(everything: Sequence[Board]) -> list[tuple[Board, Row]]:
    rows = [(board, row) for board in everything for row in board.rows]
    return sorted(rows, key=lambda told: told[1].finished or "", reverse=True)[:10]


def _run(board: Board, row: Row, entry: Entry, media: Media) -> dict[str, Any]:
    record = entry.scored.run.record
    return {
        "board": board, "row": row, "record": record, "best": _extremes(board, entry, media, best=True),
        "worst": _extremes(board, entry, media, best=False), "curves": curves(entry.scored.run.path / "train"),
        "ranks": ranks,
    }  # fmt: skip


def _extremes(board: Board, entry: Entry, media: Media, *, best: bool) -> tuple[Column, list[Shown]] | None:
    """The samples with the highest or lowest scores on the first column that the method was not trained on."""
    scored = entry.scored
    labels = [c.label for c in board.columns if c.label in scored.result.scores]
    outside = [label for label in labels if label not in scored.result.in_domain] or labels
    if not outside:
        return None
    column = column_of(board, outside[0])
    held = zip(scored.held(column.label).value.tolist(), scored.keys, strict=True)
    rows = [(value, key) for value, key in held if not math.isnan(value)]
    rows.sort(key=lambda told: (told[0], told[1]), reverse=(column.direction == "higher") == best)
    shown = []
    for value, key in rows[:BEST]:
        sample = entry.samples.get(key)
        if sample is None or sample.path is None:
            continue
        seen = media.show(entry.shelf(media), sample.path, sample.pixels_sha256)
        shown.append(Shown(seen.small, seen.answer, key[0], scored.cases[key[0]].prompt, value))
    return column, shown


def _metrics(pages: Pages, everything: Sequence[Board]) -> None:
    """One page for each metric that a board has a column of."""
    used: dict[str, list[tuple[Board, Column]]] = {}
    for board in everything:
        for column in board.columns:
            used.setdefault(column.metric, []).append((board, column))
    for name, places in used.items():
        metric = load(METRICS, name)
        report = read_stored(metric.card_path)
        golden = metric.card_path.with_name("golden.json")
        pages.write(
            f"metrics/{slug(name)}.html", "metric.html", card=metric.card, places=places,
            report=report, panels=_validity(report) if report else [], golden=golden.is_file(),
        )  # fmt: skip


def _validity(report: Report) -> list[tuple[str, str, Markup]]:
    """Change, verdict and curve: the mean effect by grade as a share of the reference effect, with its interval."""
    found: list[tuple[str, str, Markup]] = []
    for curve in report.curves:
        grades = [float(place) for place in range(len(curve.mean))]
        effect = [float("nan") if value is None else value for value in curve.mean]
        low = [float("nan") if value is None else value for value in curve.low]
        high = [float("nan") if value is None else value for value in curve.high]
        drawn = lines(
            [Line(curve.change, grades, effect, low, high)], title=f"{curve.change}: effect by grade", x_title="grade"
        )
        found.append((curve.change, curve.verdict, drawn))
    return found


def _benchmarks(pages: Pages, everything: Sequence[Board]) -> None:
    for name in dict.fromkeys(board.benchmark for board in everything):
        spec = load(BENCHMARKS, name).spec
        try:
            card = content(spec.data_card).read_text(encoding="utf-8")
        except (EvalkitError, OSError):
            card = ""
        own = [board for board in everything if board.benchmark == name]
        pages.write(f"benchmarks/{slug(name)}.html", "benchmark.html", spec=spec, card=card, boards=own)
