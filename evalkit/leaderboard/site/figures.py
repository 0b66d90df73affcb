"""Small drawings as SVG text, made of numbers alone: they need no script and print as they are.

Colours come from the style sheet by class, so that they follow light and dark.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Sequence

CELL_WIDTH = 64.0
PANEL_WIDTH, PANEL_HEIGHT, LEFT, BOTTOM, TOP = 260.0, 150.0, 38.0, 22.0, 8.0


class Scale(NamedTuple):
    """A linear map from values to places."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The place of a value, kept within the ends."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)


class Line(NamedTuple):
    """One curve with its name and, where it has one, a band."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


def extent(bounds: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The span of all bounds with a little room, (0, 1) where there are none.

    Example:
        >>> extent([(1.0, 2.0), (1.5, 3.0)])
        (0.92, 3.08)
    """
    if not bounds:
        return 0.0, 1.0
    low, high = min(b[0] for b in bounds), max(b[1] for b in bounds)
    room = 0.04 * (high - low) or abs(high) * 0.05 or 0.5
    return round(low - room, 10), round(high + room, 10)


DOT = "a1.7 1.7 0 1 0 3.4 0a1.7 1.7 0 1 0-3.4 0"
"""Of a path, around what is 1.7 to the right."""


def interval(value: float, low: float | None, high: float | None, span: tuple[float, float]) -> Markup:
    """A dot with its interval on a line, for a table cell: one path, since a board may have thousands."""
    place = Scale(*span, 2.0, CELL_WIDTH - 2.0)
    line = "" if low is None or high is None else f"M{place(low):.1f} 4H{place(high):.1f}"
    return Markup(
        f'<svg class="iv" viewBox="0 0 {CELL_WIDTH:g} 8"><path d="{line}M{place(value) - 1.7:.1f} 4{DOT}"/></svg>'
    )


def ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Round numbers from low to high.

    Example:
        >>> ticks(0.0, 1.0)
        [0.0, 0.5, 1.0]
    """
    if not high > low:
        return [low]
    raw = (high - low) / wanted
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def lines(curves: Sequence[Line], *, title: str, x_title: str, y: tuple[float, float] | None = None) -> Markup:
    """Curves in one panel with axes; the title is read to those who do not see it."""
    points = [(x, v) for c in curves for x, v in zip(c.x, c.y, strict=True) if math.isfinite(v)]
    bands = [
        (a, b) for c in curves if c.low is not None and c.high is not None for a, b in zip(c.low, c.high, strict=True)
        if math.isfinite(a) and math.isfinite(b)
    ]  # fmt: skip
    span = y or extent([(v, v) for _, v in points] + bands)
    xs = [x for x, _ in points] or [0.0, 1.0]
    across = Scale(min(xs), max(xs), LEFT, PANEL_WIDTH - 8)
    up = Scale(*span, PANEL_HEIGHT - BOTTOM, TOP)
    parts = [_axes(across, up, x_title)]
    for number, curve in enumerate(curves):
        kind = f"s{number % 6}"
        if curve.low is not None and curve.high is not None:
            held = [(x, a, b) for x, a, b in zip(curve.x, curve.low, curve.high, strict=True) if math.isfinite(a + b)]
            there = [f"{across(x):.1f} {up(b):.1f}" for x, _, b in held]
            back = [f"{across(x):.1f} {up(a):.1f}" for x, a, _ in reversed(held)]
            if held:
                parts.append(f'<path class="band {kind}" d="M{"L".join(there + back)}Z"/>')
        path = [f"{across(x):.1f} {up(v):.1f}" for x, v in zip(curve.x, curve.y, strict=True) if math.isfinite(v)]
        if len(path) > 1:
            parts.append(f'<path class="line {kind}" d="M{"L".join(path)}"/>')
        elif path:
            x, v = path[0].split(" ")
            parts.append(f'<circle class="dot {kind}" cx="{x}" cy="{v}" r="2.5"/>')
    return _panel(title, parts)


def dots(
    rows: Sequence[tuple[str, float, float | None, float | None]], *, title: str, span: tuple[float, float]
) -> Markup:
    """A dot with interval for each named row, one below the other."""
    height = 18.0 * len(rows) + TOP + BOTTOM
    label = 118.0
    place = Scale(*span, label, PANEL_WIDTH + 92)
    parts = []
    for tick in ticks(*span):
        x = place(tick)
        parts.append(f'<path class="grid" d="M{x:.1f} {TOP:g}V{height - BOTTOM:g}"/>')
        parts.append(f'<text class="tick mid" x="{x:.1f}" y="{height - 6:g}">{tick:g}</text>')
    for number, (name, value, low, high) in enumerate(rows):
        y = TOP + 18.0 * number + 9
        shown = name if len(name) <= 20 else name[:19] + "\u2026"
        parts.append(f'<text class="tick end" x="{label - 8:g}" y="{y + 3.5:g}">{escape(shown)}</text>')
        if low is not None and high is not None:
            parts.append(f'<path class="line s0" d="M{place(low):.1f} {y:g}H{place(high):.1f}"/>')
        parts.append(f'<circle class="dot s0" cx="{place(value):.1f}" cy="{y:g}" r="3"/>')
    return _panel(title, parts, PANEL_WIDTH + 100, height)


def _axes(across: Scale, up: Scale, x_title: str) -> str:
    parts = []
    for tick in ticks(up.low, up.high, 3):
        y = up(tick)
        parts.append(f'<path class="grid" d="M{LEFT:g} {y:.1f}H{PANEL_WIDTH - 8:g}"/>')
        parts.append(f'<text class="tick end" x="{LEFT - 4:g}" y="{y + 3.5:.1f}">{tick:g}</text>')
    for tick in ticks(across.low, across.high, 4):
        parts.append(f'<text class="tick mid" x="{across(tick):.1f}" y="{PANEL_HEIGHT - 9:g}">{tick:g}</text>')
    parts.append(f'<text class="tick end" x="{PANEL_WIDTH - 8:g}" y="{PANEL_HEIGHT - 0.5:g}">{escape(x_title)}</text>')
    return "".join(parts)


def _panel(title: str, parts: Sequence[str], width: float = PANEL_WIDTH, height: float = PANEL_HEIGHT) -> Markup:
    return Markup(
        f'<svg class="panel" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )
