"""What a metric made of the battery, as data: one curve a change with its verdict; how it is kept beside the card."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal, NamedTuple

from evalkit.errors import DataError
from evalkit.files import atomic_write_text
from evalkit.metrics.validity import BATTERIES, Battery, Change, Expectation, Ignores
from evalkit.nouns import Name, Noun

if TYPE_CHECKING:
    from pathlib import Path

Verdict = Literal["met", "not met", "open"]
VERDICTS: tuple[Verdict, ...] = ("met", "not met", "open")
FILE = "validity.json"


class Interval(NamedTuple):
    """A value with its 95 % interval over subjects."""

    value: float
    low: float
    high: float


class Curve(Noun):
    """One change: the metric's mean over subjects at each grade, the unchanged picture first."""

    change: Change
    grades: tuple[float, ...]
    mean: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    """95 % intervals over subjects. None where no subject is scored."""
    scored: tuple[int, ...]
    """Of how many subjects each is the mean."""
    monotonic: float | None
    """Spearman's correlation of grade and mean, positive where the metric departs, 0 for a flat curve; None where fewer
    than 3 grades have enough subjects scored.
    """
    effect: Interval | None
    """Mean change from the first grade, over subjects scored at both, as a share of the reference effect; positive where
    the metric departs. That of the strongest grade, for `ignores` of the one that reaches furthest; None where too few
    subjects are scored.
    """
    expected: Expectation
    verdict: Verdict
    why: str


class Report(Noun):
    """A metric's run through the battery."""

    metric: Name
    variant: Name
    signature: str
    subjects: int
    seed: int
    versions: dict[str, str]
    """Of evalkit, the world, the battery and the packages that its pictures and numbers depend on."""
    reference: Change
    departs: Literal["falls", "rises"]
    reference_effect: Interval | None
    """In the metric's own unit, positive where it departs; None where too few subjects are scored."""
    curves: tuple[Curve, ...]
    first_subjects: dict[Change, tuple[tuple[float | None, ...], ...]]
    """The values of the first subjects at each grade: what a quick run can be compared with."""

    @property
    def battery(self) -> Battery:
        """The battery whose changes the curves are of."""
        changes = tuple(curve.change for curve in self.curves)
        return next(battery for battery, those in BATTERIES.items() if those == changes)

    def named(self, verdict: Verdict) -> tuple[Change, ...]:
        """The changes of this verdict, in the battery's order."""
        return tuple(curve.change for curve in self.curves if curve.verdict == verdict)


def told(expected: Expectation) -> str:
    """An expectation in a word: `responds`, `ignores .25`."""
    return f"ignores {expected.ignores:g}" if isinstance(expected, Ignores) else expected


def read_stored(card: Path) -> Report | None:
    """The report kept beside a card, None where there is none. Raises DataError naming what is wrong with it."""
    path = card.with_name(FILE)
    if not path.is_file():
        return None
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}; `evalkit validate METRIC --write` writes it anew") from error
    return Report.read(text, where=str(path))


def write_stored(card: Path, report: Report) -> Path:
    """Keeps a report beside the card, in the place of an earlier one; returns the file.

    Raises: RunError where it cannot be written.
    """
    path = card.with_name(FILE)
    atomic_write_text(path, stored_text(report))
    return path


def stored_text(report: Report) -> str:
    """JSON of a report, a line for each curve, so that a change shows where it is."""
    data = report.model_dump(mode="json")
    curves = ",\n".join(f"  {_compact(curve)}" for curve in data.pop("curves"))
    rows = [f" {_compact(key)}: {_compact(value)}" for key, value in data.items()]
    return "{\n" + ",\n".join([*rows, f' "curves": [\n{curves}\n ]']) + "\n}\n"


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
