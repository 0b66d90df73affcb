"""What a metric should respond to and what it should ignore: the card's section `validity`, written from what it means.

The battery (`evalkit validate`) changes pictures in known, graded ways and holds the metric to this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from evalkit.nouns import Noun

PictureChange = Literal[
    "identity", "pose", "view", "scale", "position", "background", "style", "crop", "blur", "jpeg", "wrong_subject",
    "missing_subject", "prompt",
]  # fmt: skip
"""The changes of single pictures. All but `prompt` change the picture; `prompt` asks the same picture for something else."""
ClipChange = Literal["speed", "still", "shake", "flicker", "noise", "drift"]
"""The changes of clips."""
SetChange = Literal["others", "strangers", "wrong_prompts", "jpeg"]
"""The changes of sets of pictures."""
Change = PictureChange | ClipChange | SetChange
Battery = Literal["pictures", "clips", "sets"]
CHANGES: tuple[Change, ...] = get_args(PictureChange)
CLIP_CHANGES: tuple[Change, ...] = get_args(ClipChange)
SET_CHANGES: tuple[Change, ...] = get_args(SetChange)
BATTERIES: Mapping[Battery, tuple[Change, ...]] = {"pictures": CHANGES, "clips": CLIP_CHANGES, "sets": SET_CHANGES}
"""The changes of each battery, in order."""


class Ignores(Noun):
    """The metric should not see the change."""

    ignores: Annotated[float, Field(gt=0, lt=1)]
    """Largest share of the reference effect that it may move, either way."""


Expectation = Literal["responds", "leaves_out", "open"] | Ignores
"""`responds`: it departs further the stronger the change; `leaves_out`: the strongest change leaves it without a value;
`open`: its meaning does not say.
"""


class Validity(Noun):
    """What is expected of a metric."""

    battery: Battery = "pictures"
    """Of what the metric reads: single pictures, clips, or all pictures of a set."""
    variant: str | None = None
    """Which variant is run where none is named, and whose report is kept; None for the default one."""
    reference: Change
    """The change whose strongest grade is the effect that others are shares of."""
    departs: Literal["falls", "rises"]
    """Which way the value goes as a sample departs from its target or its prompt."""
    changes: dict[Change, Expectation]
    """A change that is not named is `open`."""

    @model_validator(mode="after")
    def _responds_to_its_reference(self) -> Self:
        if strange := sorted({*self.changes, self.reference} - set(BATTERIES[self.battery])):
            raise ValueError(f"the battery of {self.battery} has no change {', '.join(strange)}")
        if self.expected(self.reference) != "responds":
            raise ValueError(f"the reference {self.reference!r} must be a change that the metric responds to")
        return self

    def expected(self, change: Change) -> Expectation:
        """The expectation for a change."""
        return self.changes.get(change, "open")
