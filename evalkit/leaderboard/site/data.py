"""What the scripts of a site read: JSON inside script files, because pages opened from disk may load nothing else."""

from __future__ import annotations

import json
import math
import os
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
    from evalkit.nouns import Case, Reference
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
        [_short(float(means.covariance[a, b])) if a is not None and b is not None else None for b in wanted]
        for a in wanted
    ]


def case_data(cases: Mapping[str, Case], media: Media, roots: Mapping[str, Path | None]) -> dict[str, Any]:
    """The cases of a board, with small copies of their references where the data are at hand."""
    shown: dict[str, str | None] = {}

    def picture(case: Case, reference: Reference) -> str | None:
        root = roots.get(case.case_id)
        if reference.path not in shown:
            path = None if root is None else root / reference.path
            there = path is not None and path.is_file()
            shown[reference.path] = media.small(path, _content(path)) if there and path is not None else None
        return shown[reference.path]

    return {
        "cases": [
            {
                "id": case.case_id,
                "prompt": case.prompt,
                "category": case.category,
                "subject": "+".join(case.subjects),
                "references": [
                    {"label": reference.label, "picture": picture(case, reference)} for reference in case.references
                ],
                "expected": case.texts.get("expected_answer"),
            }
            for case in cases.values()
        ]
    }


def _content(path: Path) -> str:
    from evalkit.files import sha256_file

    return sha256_file(path)


def run_data(entry: Entry, board: Board, order: list[str], media: Media) -> dict[str, Any]:
    """Each sample of a run in the order of the board's cases and of its seeds: its picture and its scores.

    `scores[label]` holds a number or, as text, the state of a sample without one; null where the run was not asked.
    `answers` and `why` say by position what was answered, and why there is no sample.
    """
    scored = entry.scored
    seeds = list(scored.seeds)
    keys = [(case, seed) for case in order for seed in seeds]
    small: list[str | None] = []
    full: list[str | None] = []
    why: dict[str, str] = {}
    answers: dict[str, str] = {}
    base = str(scored.run.media_folder)
    for place, key in enumerate(keys):
        sample = entry.samples.get(key)
        made = sample is not None and sample.state == "made" and sample.path is not None
        if sample is None or not made:
            small.append(None)
            full.append(None)
            if key[0] in scored.cases:
                why[str(place)] = (sample.reason if sample is not None else None) or "no sample"
            continue
        path = os.path.join(base, sample.path or "")  # noqa: PTH118 - a Path takes ten times as long
        if (answer := media.answer(path)) is not None:
            answers[str(place)] = answer
            small.append(None)
            full.append(None)
            continue
        small.append(media.small(path, str(sample.pixels_sha256)))
        full.append(media.original(path, str(sample.pixels_sha256)))
    scores: dict[str, list[float | str | None]] = {}
    own = {key: place for place, key in enumerate(scored.keys)}
    places = [own.get(key) for key in keys]
    for column in board.columns:
        if column.label not in scored.result.scores:
            continue
        held = scored.held(column.label)
        shown = [
            (state or None) if math.isnan(value) else value
            for value, state in zip(_shortened(held.value), held.state, strict=True)
        ]
        scores[column.label] = [None if at is None else shown[at] for at in places]
    told: dict[str, Any] = {"seeds": seeds, "small": small, "scores": scores, "why": why, "answers": answers}
    return told | ({"full": full} if any(full) else {})


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")


def _shortened(values: Floats) -> list[float]:
    """Numbers with so many digits, NaN left as it is: `_short` of very many."""
    size = np.abs(values)
    plain = (size >= 1e-10) & (
        size < 1
    )  # a power of ten above 1 is exact, and so is the nearest number to the quotient
    found = np.array(
        [v if p or math.isnan(v) else _short(v) for v, p in zip(values.tolist(), plain.tolist(), strict=True)]
    )
    power = 10.0 ** (DIGITS - 1 - np.floor(np.log10(size[plain])))
    found[plain] = np.rint(values[plain] * power) / power
    told: list[float] = found.tolist()
    return told
