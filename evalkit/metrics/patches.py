"""Metrics on the cells of two pictures' feature maps, inside the subject's mask in the target: VSM, nSSM, sDINO.

A variant whose card names a segmenter beside the backbone looks at the subject alone in the sample as well.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING

from evalkit.errors import UsageError
from evalkit.features.spec import FeatureRequest
from evalkit.metrics.base import Bound, Item, Metric, Outcome
from evalkit.metrics.masks import HALF, SEGMENTER, sample_mask_requests, target_masks
from evalkit.nouns import State

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]
    Mask = NDArray[np.bool_]


class PatchMeasure(Metric):
    """A measure of the sample's feature maps against each target's; `outputs` name the maps, in the order of `pair`."""

    def __init__(self, card: Path, *, outputs: tuple[str, ...]) -> None:
        super().__init__(card)
        self.outputs = outputs

    @abstractmethod
    def pair(
        self, gen: Sequence[Array], ref: Sequence[Array], mask: Mask, bound: Bound, *, shown: Mask | None
    ) -> Outcome:
        """The outcome for one target: its maps and the sample's, each [H, W, C], and its mask at any size.

        `shown` is the mask of the target's subject in the sample at any size, None where the variant does not mask it.
        """

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        """The maps of the sample, then of every target, then its masks. Raises Unscorable where a usable mask is missing."""
        target_masks(item)
        pictures = (item.sample, *item.targets)
        maps = [FeatureRequest(bound.extractor, picture, name) for picture in pictures for name in self.outputs]
        segmenter = bound.beside.get(SEGMENTER)
        return maps if segmenter is None else [*maps, *sample_mask_requests(item, segmenter)]

    def count(self, item: Item, bound: Bound) -> int:
        """How many features `requests` asks for."""
        return len(self.outputs) * (1 + len(item.targets)) + (SEGMENTER in bound.beside) * len(item.targets)

    def score(self, items: Sequence[Item], bound: Bound, features: Sequence[Sequence[Array]]) -> list[Outcome]:
        """The mean over targets, weighted by their number; one target without a value leaves the item without."""
        return [self._over_targets(item, bound, row) for item, row in zip(items, features, strict=True)]

    def _over_targets(self, item: Item, bound: Bound, row: Sequence[Array]) -> Outcome:
        count, of_maps = len(self.outputs), len(self.outputs) * (1 + len(item.targets))
        maps = [[as_grid(array) for array in row[i : i + count]] for i in range(0, of_maps, count)]
        shown = [array > HALF for array in row[of_maps:]]
        if not all(mask.any() for mask in shown):
            return no_subject(item)
        masked: Sequence[Mask | None] = shown or [None] * len(item.targets)
        outcomes = [
            self.pair(maps[0], ref, mask, bound, shown=found)
            for ref, mask, found in zip(maps[1:], target_masks(item), masked, strict=True)
        ]
        values = [outcome.value for outcome in outcomes if outcome.value is not None]
        if len(values) < len(outcomes):
            return next(outcome for outcome in outcomes if outcome.value is None)
        return Outcome.scored(bound.card.scale * math.fsum(values) / len(values), weight=len(values))


def as_grid(features: Array) -> Array:
    """[H, W, C] as it is; [N, C] in row order as the square [H, H, C]. Raises UsageError for any other shape."""
    side = math.isqrt(len(features))
    if features.ndim == 3:
        return features
    if features.ndim != 2 or side * side != len(features):
        raise UsageError(f"wanted features [H, W, C], or [N, C] of a square grid, found {list(features.shape)}")
    return features.reshape(side, side, -1)


def no_subject(item: Item) -> Outcome:
    """The outcome where the subject's mask in the sample has no pixel."""
    return Outcome(State.NO_SUBJECT, reason=f"{item.case.case_id}: no pixel of {item.sample.path.name} is in its mask")


def no_cell(grid: tuple[int, int], state: State = State.EMPTY_MASK) -> Outcome:
    """The outcome for a mask that covers no cell by more than half; `NO_SUBJECT` for one of the sample."""
    return Outcome(state, reason=f"the mask covers no cell of {grid[0]} x {grid[1]} by more than half")
