"""The pages of a site, from templates: everything that comes from names, prompts and files is escaped on its way in."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from evalkit.content import content
from evalkit.files import atomic_write_text
from evalkit.leaderboard.site.collect import slug
from evalkit.leaderboard.site.figures import extent, interval

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.leaderboard.site.model import Board, Cell, Column, Leaderboard

EMPTY_STYLE = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
"""Of the empty text: Plotly makes an empty style element and fills it through the object model, which a policy allows."""
POLICY = (
    f"default-src 'none'; script-src 'self'; style-src 'self' '{EMPTY_STYLE}'; img-src 'self' data:; media-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
KINDS = {"method": "methods", "baseline": "baselines", "folder": "folders", "control": "controls"}


class Pages:
    """Renders templates into files below `site`."""

    def __init__(self, site: Path, leaderboard: Leaderboard) -> None:
        import jinja2

        self._site, self._leaderboard = site, leaderboard
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(content("leaderboard", "templates")),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals |= {"policy": POLICY, "site": leaderboard, "KINDS": KINDS}
        self._environment.filters |= {
            "number": number, "link": safe_link, "markdown": markdown, "signature": signature_parts, "day": day, "slug": slug,
        }  # fmt: skip

    def write(self, path: str, template: str, *, scripts: tuple[str, ...] = (), **values: Any) -> None:
        """Renders `template` to `path`, a relative address such as `boards/x/index.html`."""
        depth = len(PurePosixPath(path).parts) - 1
        text = self._environment.get_template(template).render(root="../" * depth, here=path, scripts=scripts, **values)
        to = self._site / path
        to.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_text(to, text)


def number(value: float | None, decimals: int) -> str:
    """A number with so many decimals; a true minus but for what rounds to 0, and a dash where there is none.

    Example:
        >>> number(-0.5, 2), number(None, 2)
        ('\u22120.50', '\u2013')
    """
    if value is None:
        return "\u2013"
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "\u2212")


def spans(board: Board) -> dict[str, tuple[float, float]]:
    """By column: the values that the drawings in its cells reach over; beside two rivals or more controls may lie outside."""
    found = {}
    for column in board.columns:
        held = [(row, c) for row in board.rows if (c := row.cells.get(column.label)) and c.value is not None]
        rivals = [c for row, c in held if row.kind != "control"]
        found[column.label] = extent([_bounds(c) for c in (rivals if len(rivals) > 1 else [c for _, c in held])])
    return found


def drawing(cell: Cell, span: tuple[float, float]) -> Markup:
    """The interval in a cell."""
    return interval(cell.value, cell.low, cell.high, span) if cell.value is not None else Markup("")


def ranks(cell: Cell) -> str:
    """`1` or `1-3`.

    Example:
        >>> from evalkit.leaderboard.site.model import Cell
        >>> ranks(Cell(value=1.0, n_scored=1, n_cases=1, highest=1, lowest=3))
        '1\u20133'
    """
    if cell.highest is None or cell.lowest is None:
        return ""
    low, high = sorted((cell.highest, cell.lowest))
    return str(low) if low == high else f"{low}\u2013{high}"


def signature_parts(text: str) -> list[tuple[str, str]]:
    """A signature's parts, for a list."""
    return [(key, value) for key, _, value in (part.partition(":") for part in text.split("|"))]


def safe_link(address: str | None) -> str | None:
    """The address where it is http or https, None for any other: a link must not run anything.

    Example:
        >>> safe_link("https://a.org/b"), safe_link("javascript:alert(1)"), safe_link(None)
        ('https://a.org/b', None, None)
    """
    told = (address or "").strip()
    return told if told.lower().startswith(("https://", "http://")) else None


def markdown(text: str) -> Markup:
    """Markdown as HTML; markup in the text is shown and not obeyed, and links go to http(s) alone."""
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    reader.validateLink = lambda url: safe_link(url) is not None  # type: ignore[method-assign]
    return Markup(reader.render(text))


def day(text: str | None) -> str:
    """The day of a moment in ISO 8601."""
    return (text or "")[:10]


def column_of(board: Board, label: str) -> Column:
    """The column of that label."""
    return next(column for column in board.columns if column.label == label)


def _bounds(cell: Cell) -> tuple[float, float]:
    assert cell.value is not None
    return (
        cell.low if cell.low is not None else cell.value,
        cell.high if cell.high is not None else cell.value,
    )
