"""The three batteries, of pictures, of clips and of sets of pictures: their changes, grades and units."""

from __future__ import annotations

from collections.abc import Mapping

from evalkit.metrics.validity import Battery, Change
from evalkit.sandbox.validity import changes, clips, sets

GRADES: Mapping[Battery, Mapping[Change, tuple[float, ...]]] = {
    "pictures": changes.GRADES,
    "clips": clips.GRADES,
    "sets": sets.GRADES,
}
"""How strong, none first."""
UNITS: Mapping[Battery, Mapping[Change, str]] = {
    "pictures": changes.UNITS,
    "clips": clips.UNITS,
    "sets": sets.UNITS,
}
