"""What a leaderboard says, as data: the nouns behind every page, and the documented form of `leaderboard.json`."""

from __future__ import annotations

from typing import Final, Literal

from evalkit.nouns import Medium, Noun, Profile

FORMAT: Final = 1
"""Raised whenever a key changes its meaning or goes."""


class Cell(Noun):
    """One run on one metric."""

    value: float | None
    """As the run's own table has it; None where nothing was scored."""
    low: float | None = None
    high: float | None = None
    """95 % bootstrap interval over the benchmark's units; None where there is none."""
    n_scored: int
    n_cases: int
    states: dict[str, int] = {}
    """How many samples have no score, by state."""
    in_domain: bool = False
    """The method was trained on this metric's family."""
    differs: str | None = None
    """Why the number may not be compared with the others of its column, None where it may."""
    highest: int | None = None
    lowest: int | None = None
    """The ranks that the run may have, all at once with 95 % confidence; 1 is best."""
    groups: str = ""
    """Letters of its tie groups: runs that share a letter cannot be told apart."""
    above_ceiling: bool = False
    """The whole interval is better than the real images' mean, which no method should be."""


class Column(Noun):
    """One metric of a board."""

    label: str
    metric: str
    variant: str
    title: str
    meaning: str
    unit: str
    direction: Literal["higher", "lower"]
    scale: float
    decimals: int
    family: str
    signature: str
    """Of the numbers that are compared; the most frequent one among the runs."""
    unranked: str | None = None
    """Why there are no ranks, None where there are."""


class Row(Noun):
    """One run of a board."""

    slug: str
    """Names the run in addresses; unique in the site."""
    name: str
    """What it is called beside the others."""
    method: str
    title: str
    kind: Literal["control", "baseline", "method", "folder"]
    """`folder`: somebody's folder of samples, scored."""
    subjects: int
    n_cases: int
    samples: int
    """(case, seed) pairs that the run was asked for."""
    rewards: tuple[str, ...]
    finished: str | None
    """When its last invocation ended, ISO 8601."""
    other_cases: str | None = None
    """How its cases differ from the board's, None where they are the same."""
    cells: dict[str, Cell]
    by_category: dict[str, dict[str, Cell]] = {}
    """Cells of each category alone; ranks are not given for them."""


class Reported(Noun):
    """A row that a paper or another leaderboard prints; never ranked."""

    paper: str
    source: str
    table: str
    label: str
    method: str
    cells: dict[str, str]
    """As printed, by the board's column."""


class Board(Noun):
    """All runs of one benchmark by one protocol and profile."""

    slug: str
    benchmark: str
    protocol: str
    profile: Profile
    world: str | None
    title: str
    protocol_title: str
    source: str
    medium: Medium
    design: str
    unit: str
    note: str
    categories: tuple[str, ...]
    cases: int
    resamples: int
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    reported: tuple[Reported, ...] = ()
    reported_note: str = ""


class Leaderboard(Noun):
    """The whole site as data."""

    format: Literal[1] = FORMAT
    evalkit: str
    """Version that built it."""
    title: str
    newest: str | None
    """When the newest run ended; the site has no other date."""
    boards: tuple[Board, ...]
