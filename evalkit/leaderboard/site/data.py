"""What the scripts of a site read: JSON inside script files, because pages opened from disk may load nothing else."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.files import atomic_write_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from evalkit.leaderboard.site.collect import Entry
    from evalkit.leaderboard.site.measure import Measured
    from evalkit.leaderboard.site.media import Media
    from evalkit.leaderboard.site.model import Board, Cell
    from evalkit.nouns import Reference
    from evalkit.runs.cases import RunCase
    from evalkit.stats.sheet import Floats

DIGITS = 5


def write_data(site: Path, name: str, value: Mapping[str, Any]) -> None:
    """`data/NAME.js`, which hands `value` to whoever asked for NAME."""
    path = site / "data" / f"{name}.js"
    path.parent.mkdir(parents=True, exist_ok=True)
    told = json.dumps(value, separators=(",", ":"), allow_nan=False)
    atomic_write_text(path, f"evalkit.take({json.dumps(name)},{told});\n")


def board_data(measured: Measured) -> dict[str, Any]:
    """Columns, rows and cells of a board, with the covariance of each run's means."""
    board = measured.board
    return {
        "columns": [
            {key: getattr(c, key) for key in ("label", "title", "direction", "decimals", "signature", "unit", "meaning")}
            for c in board.columns
        ],
        "categories": list(board.categories),
        "rows": [
            {
                "slug": row.slug,
                "name": row.name,
                "title": row.title,
                "kind": row.kind,
                "other": row.other_cases is not None,
                "cells": [_cell(row.cells.get(c.label)) for c in board.columns],
                "by": {
                    category: [_cell(cells.get(c.label)) for c in board.columns]
                    for category, cells in row.by_category.items()
                },
                "covariance": _covariance(measured, row.slug, board),
            }
            for row in board.rows
        ],
    }  # fmt: skip


def _cell(cell: Cell | None) -> dict[str, Any] | None:
    """Short keys: v value, l and h interval, n of m scored, d in-domain, x why it is not compared, s states, r ranks, g groups."""
    if cell is None:
        return None
    told: dict[str, Any] = {"v": _short(cell.value), "l": _short(cell.low), "h": _short(cell.high)}
    told |= {"n": cell.n_scored, "m": cell.n_cases}
    extra = {
        "d": cell.in_domain, "x": cell.differs, "s": cell.states, "g": cell.groups, "c": cell.above_ceiling,
        "r": [cell.highest, cell.lowest] if cell.highest is not None else None,
    }  # fmt: skip
    return told | {key: value for key, value in extra.items() if value}


def _covariance(measured: Measured, slug: str, board: Board) -> list[list[float | None]]:
    means = measured.means[slug]
    places = {label: place for place, label in enumerate(means.means)}
    wanted = [places.get(column.label) for column in board.columns]
    return [
        [_known(float(means.covariance[a, b])) if a is not None and b is not None else None for b in wanted]
        for a in wanted
    ]


def _known(value: float) -> float | None:
    return _short(value) if math.isfinite(value) else None


def case_data(cases: Mapping[str, RunCase], media: Media, root: Path | None) -> dict[str, Any]:
    """The cases of a board, with small copies of their references from below `root`, where the data are at hand."""
    shelf = None if root is None else media.shelf(root)

    def picture(held: RunCase, reference: Reference) -> str | None:
        return media.show(shelf, reference.path, held.pixels.get(reference.path)).small if shelf is not None else None

    return {
        "cases": [
            {
                "id": case.case_id,
                "prompt": case.prompt,
                "category": case.category,
                "subject": "+".join(case.subjects),
                "references": [
                    {"label": reference.label, "picture": picture(held, reference)} for reference in case.references
                ],
                "expected": case.texts.get("expected_answer"),
            }
            for held in cases.values()
            for case in (held.case,)
        ]
    }


def run_data(entry: Entry, board: Board, cases: Mapping[str, RunCase], media: Media) -> dict[str, Any]:
    """Each sample of a run in the order of the board's cases and of its seeds: its picture and its scores.

    A sample of a case that has another prompt or other pictures in the run is left out: it is none of the board's.

    `scores[label]` holds a number or, as text, the state of a sample without one; null where the run was not asked.
    `answers` and `why` say by position what was answered, and why there is no sample.
    """
    scored = entry.scored
    seeds = list(scored.seeds)
    keys = [(case, seed) for case in cases for seed in seeds]
    other = {
        name for name, case in cases.items() if name in scored.cases and scored.run.cases[name].sha256 != case.sha256
    }
    small: list[str | None] = []
    full: list[str | None] = []
    why: dict[str, str] = {}
    answers: dict[str, str] = {}
    shelf = entry.shelf(media)
    for place, key in enumerate(keys):
        sample = entry.samples.get(key)
        if key[0] in other:
            why[str(place)] = "the run's case of this name has another prompt or other references"
        elif sample is None or sample.state != "made" or sample.path is None:
            if key[0] in scored.cases:
                why[str(place)] = (sample.reason if sample is not None else None) or "no sample"
        else:
            shown = media.show(shelf, sample.path, sample.pixels_sha256)
            small.append(shown.small)
            full.append(shown.full)
            if shown.answer is not None:
                answers[str(place)] = shown.answer
            continue
        small.append(None)
        full.append(None)
    scores: dict[str, list[float | str | None]] = {}
    own = {key: place for place, key in enumerate(scored.keys) if key[0] not in other}
    places = [own.get(key) for key in keys]
    for column in board.columns:
        if column.label not in scored.result.scores:
            continue
        held = scored.held(column.label)
        told = [
            (state or None) if math.isnan(value) else value
            for value, state in zip(_shortened(held.value), held.state, strict=True)
        ]
        scores[column.label] = [None if at is None else told[at] for at in places]
    data: dict[str, Any] = {"seeds": seeds, "small": small, "scores": scores, "why": why, "answers": answers}
    return data | ({"full": full} if any(full) else {})


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")


def _shortened(values: Floats) -> list[float]:
    """Numbers with so many digits, NaN left as it is: `_short` of very many."""
    size = np.abs(values)
    # There the power of ten is above 1 and exact, and the quotient is the number nearest to the decimal.
    plain = (size >= 1e-10) & (size < 1)
    found = np.array(
        [v if p or math.isnan(v) else _short(v) for v, p in zip(values.tolist(), plain.tolist(), strict=True)]
    )
    power = 10.0 ** (DIGITS - 1 - np.floor(np.log10(size[plain])))
    found[plain] = np.rint(values[plain] * power) / power
    told: list[float] = found.tolist()
    return told
