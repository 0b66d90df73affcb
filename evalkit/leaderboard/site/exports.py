"""A board as a table for elsewhere: CSV, Markdown and LaTeX, and an entry to cite it by."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evalkit.leaderboard.site.model import Board, Cell, Column, Leaderboard

_HEAD = (
    "run", "method", "kind", "metric", "direction", "value", "low", "high", "scored", "cases", "in_domain", "best_rank",
    "worst_rank", "ties", "differs", "signature",
)  # fmt: skip
_TEX_ARROWS = {"higher": r"$\uparrow$", "lower": r"$\downarrow$"}
ARROWS = {"higher": "\u2191", "lower": "\u2193"}
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip


def to_csv(board: Board) -> str:
    """One line a run and metric, everything that the board says of it.

    A text that a spreadsheet would take for a formula gets a quote before it.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        [
            "run",
            "method",
            "kind",
            "metric",
            "direction",
            "value",
            "low",
            "high",
            "scored",
            "cases",
            "in_domain",
            "best_rank",
            "worst_rank",
            "ties",
            "differs",
            "signature",
        ]
    )
    for row in board.rows:
        for column in board.columns:
            if (cell := row.cells.get(column.label)) is None:
                continue
            told = (
                row.name, row.method, row.kind, column.label, column.direction, _or(cell.value), _or(cell.low),
                _or(cell.high), cell.n_scored, cell.n_cases, int(cell.in_domain), _or(cell.highest), _or(cell.lowest),
                cell.groups, cell.differs or "", column.signature,
            )  # fmt: skip
            writer.writerow([_safe(value) if isinstance(value, str) else value for value in told])
    return out.getvalue()


def to_markdown(board: Board) -> str:
    """A table with one line a run; `[a, b]` is the interval, `*` marks what the method was trained on."""
    head = ["run", *(f"{c.label} {ARROWS[c.direction]}" for c in board.columns)]
    lines = [_markdown_row(head), "|" + "---|" + "---:|" * len(board.columns)]
    lines += [
        _markdown_row([row.name, *(_told(row.cells.get(c.label), c, star="\\*") for c in board.columns)])
        for row in board.rows
    ]
    return "\n".join([*lines, "", _note(board)]) + "\n"


def to_latex(board: Board) -> str:
    """A booktabs table; `*` marks what the method was trained on."""
    heads = [f"{_tex(c.label)} {_TEX_ARROWS[c.direction]}" for c in board.columns]
    columns = "l" + "r" * len(board.columns)
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", " & ".join(["run", *heads]) + r" \\", r"\midrule"]
    for row in board.rows:
        cells = [_tex(_told(row.cells.get(c.label), c, star="*")) for c in board.columns]
        lines.append(" & ".join([_tex(row.name), *cells]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", f"% {_note(board)}"]) + "\n"


def to_bibtex(board: Board, site: Leaderboard) -> str:
    """An entry that names the board, the version that made it, and the date of its newest run."""
    year = (site.newest or "")[:4]
    fields = {
        "title": f"{{{_tex(site.title)}: {_tex(board.title)} by the protocol {_tex(board.protocol)}}}",
        "howpublished": f"{{evalkit {_tex(site.evalkit)}, profile {board.profile}}}",
        **({"year": f"{{{year}}}"} if year else {}),
        "note": f"{{{len(board.rows)} runs{', newest of ' + site.newest if site.newest else ''}}}",
    }
    inner = ",\n".join(f"  {key} = {value}" for key, value in fields.items())
    return f"@misc{{{board.slug},\n{inner}\n}}\n"


def _told(cell: Cell | None, column: Column, *, star: str) -> str:
    if cell is None:
        return ""
    if cell.value is None:
        return "-"
    text = f"{cell.value:.{column.decimals}f}"
    if cell.low is not None and cell.high is not None:
        text += f" [{cell.low:.{column.decimals}f}, {cell.high:.{column.decimals}f}]"
    return text + star * cell.in_domain


def _note(board: Board) -> str:
    caution = "small embedded models, not comparable with published numbers; " if board.profile == "sandbox" else ""
    return (
        f"{board.title}, protocol {board.protocol}, profile {board.profile}: {caution}95 % bootstrap intervals over "
        f"{board.unit}s ({board.design}); * the method was trained on this metric's family"
    )


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|").replace("<", "&lt;") for cell in cells) + " |"


def _tex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in " ".join(text.split()))


def _or(value: float | None) -> float | str:
    return "" if value is None else value


def _safe(text: str) -> str:
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
