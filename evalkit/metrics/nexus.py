"""NexusScore: how much the things in a video look like their reference pictures, from a detector's boxes and embeddings.

A detector shown each reference finds boxes in each of 32 frames; of those that it is sure of and that look like the
reference's label, the cosine of box and reference is averaged.

Source: franciszzj/OpenS2V-Nexus (ef17513), `eval/get_nexusscore.py` for `v1_1`; PKU-YuanGroup/OpenS2V-Nexus (b452831) for
`v1_0`. The detector is `evalkit.features.yolo_world`, the embeddings are `evalkit.features.gme`'s. Deviations: a video
without any box is `undefined`, where the source fails and leaves the video out; of boxes that are not sure, which count but
are never kept, nothing is embedded; a box that rounds to no pixel, on which the source fails, is one of these; a sure box
whose cosine is no number, which the source drops where that is the label's, leaves the video `undefined`; a rule of exactly
0 for unlike boxes is kept.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Literal, NamedTuple

from evalkit.content import content
from evalkit.errors import UsageError
from evalkit.features.spec import FeatureRequest, PairContent, TextContent
from evalkit.metrics.base import Bound, Item, Metric, Outcome, Unscorable
from evalkit.metrics.cosine import cosine
from evalkit.metrics.frames import seen
from evalkit.nouns import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from evalkit.features.spec import ImageContent

    Array = NDArray[np.float32]

Variant = Literal["v1_0", "v1_1", "corrected"]
SURE = 0.6
"""The detector's confidence that a box must be above."""
LIKE_LABEL = 0.30
"""The cosine of box and label that a box must be above."""
PEOPLE = ("Man", "Woman")
HUMAN = "human"
DETECTOR = "detector"
"""What cards call the backbone, beside the main one, that finds the things."""


def sought(label: str, case_id: str) -> str | None:
    """What a reference's boxes are compared with in words, None for a reference that is not looked for.

    People are not looked for in cases of faces, and go by one word in cases of humans; places are looked for like things.

    Example:
        >>> sought("Woman", "singlehuman_3"), sought("Man", "faceobj_1"), sought("Office", "faceobj_1")
        ('human', None, 'Office')
    """
    if label not in PEOPLE:
        return label
    if "face" in case_id:
        return None
    return HUMAN if "human" in case_id else label


def nexus_score(
    confidence: ArrayLike,
    to_reference: ArrayLike,
    to_label: ArrayLike,
    frame: ArrayLike,
    reference: ArrayLike,
    *,
    variant: Variant = "corrected",
) -> float:
    """NexusScore of one video.

    All [N], one number a box: the detector's confidence, the cosines of the box with its reference picture and with its
    label, and which frame and which reference it is of. Boxes that are sure, like their label and not exactly 0 alike are
    kept. `corrected`: the mean of their cosines with the reference, in [-1, 1]; `v1_1` divides that by the number of frames
    with a box, `v1_0` by the number of frames and references with one, so that a thing that is there more often scores
    less. 0 where no box is kept, NaN without any box or where a number of a box that the others would keep is NaN.

    Raises: UsageError for other or unequal shapes, or an unknown variant.

    Example:
        >>> boxes = [0.9, 0.9, 0.5], [0.8, 0.6, 0.1], [0.4, 0.4, 0.4], [0, 1, 1], [0, 0, 0]
        >>> round(nexus_score(*boxes), 6), round(nexus_score(*boxes, variant="v1_1"), 6)
        (0.7, 0.35)
    """
    import numpy as np

    sure, alike, named = (np.asarray(values, np.float64) for values in (confidence, to_reference, to_label))
    places = [np.asarray(values) for values in (frame, reference)]
    shapes = {values.shape for values in (sure, alike, named, *places)}
    if len(shapes) != 1 or sure.ndim != 1:
        raise UsageError(f"wanted five lists of one length, a number a box, found {sorted(map(list, shapes))}")
    if variant not in ("v1_0", "v1_1", "corrected"):
        raise UsageError(f"wanted variant 'v1_0', 'v1_1' or 'corrected', found {variant!r}")
    if not len(sure):
        return math.nan
    kept = ~((sure <= SURE) | (named <= LIKE_LABEL) | (alike == 0))
    if not kept.any():
        return 0.0
    if np.isnan([sure[kept], named[kept], alike[kept]]).any():
        return math.nan
    found = {"v1_0": len(set(zip(*(p.tolist() for p in places), strict=True))), "v1_1": len(set(places[0].tolist()))}
    return float(alike[kept].mean()) / found.get(variant, 1)


class _Box(NamedTuple):
    """A box in one of the frames that are looked at, of one of the references that are looked for."""

    frame: int
    reference: int
    confidence: float
    cut: ImageContent | None
    """What is in it, None where it cannot be kept whatever it shows."""


class NexusScore(Metric):
    """NexusScore as a plugin. Variant parameters `formula`, as `variant` of `nexus_score`, and `frames`, as of `seen`."""

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        """The boxes of every frame and reference that is looked for, and the embeddings of these references and labels."""
        item.need_targets()
        words = _words(item)
        pairs = product(seen(item, bound), words)
        boxes = [
            FeatureRequest(bound.beside[DETECTOR], PairContent(frame, item.targets[place]), "boxes")
            for frame, place in pairs
        ]
        pictures = [FeatureRequest(bound.extractor, item.targets[place], "embedding") for place in words]
        labels = [FeatureRequest(bound.extractor, TextContent(word), "embedding") for word in words.values()]
        return [*boxes, *pictures, *labels]

    def further(self, item: Item, bound: Bound, features: Sequence[Array]) -> list[FeatureRequest]:
        """The embeddings of what is in the boxes that may be kept."""
        found = _found(item, bound, features)
        return [FeatureRequest(bound.extractor, box.cut, "embedding") for box in found if box.cut is not None]

    def score(self, items: Sequence[Item], bound: Bound, features: Sequence[Sequence[Array]]) -> list[Outcome]:
        """One value a video; `undefined` where nothing was found in any frame."""
        return [self._one(item, bound, row) for item, row in zip(items, features, strict=True)]

    def _one(self, item: Item, bound: Bound, row: Sequence[Array]) -> Outcome:
        words, found = _words(item), _found(item, bound, row)
        if not found:
            return Outcome(State.UNDEFINED, reason=f"nothing found of {', '.join(words.values())} in any frame")
        first = len(seen(item, bound)) * len(words)
        references, labels = row[first : first + len(words)], row[first + len(words) : first + 2 * len(words)]
        cuts = iter(row[first + 2 * len(words) :])
        shown = [None if box.cut is None else next(cuts) for box in found]
        to_reference, to_label = (
            [
                0.0 if cut is None else cosine(cut, told[box.reference]).item()
                for box, cut in zip(found, shown, strict=True)
            ]
            for told in (references, labels)
        )
        value = nexus_score(
            [box.confidence for box in found],
            to_reference,
            to_label,
            [box.frame for box in found],
            [box.reference for box in found],
            variant=bound.card.params["formula"],
        )
        return Outcome.scored(bound.card.scale * value)


def _words(item: Item) -> dict[int, str]:
    """The references that are looked for, by their place among the targets, with what they are called.

    Raises Unscorable (`not_applicable`) where none is.
    """
    labels = item.target_labels or tuple(target.label for target in item.case.targets)
    told = ((place, sought(label, item.case.case_id)) for place, label in enumerate(labels))
    words = {place: word for place, word in told if word is not None}
    if not words:
        reason = f"{item.case.case_id} is of faces alone, which are not looked for"
        raise Unscorable(State.NOT_APPLICABLE, reason)
    return words


def _found(item: Item, bound: Bound, features: Sequence[Array]) -> list[_Box]:
    """Every box, frame by frame, reference by reference; `features` begin with the detector's."""
    pairs = product(enumerate(seen(item, bound)), range(len(_words(item))))
    found = []
    for ((number, frame), reference), boxes in zip(pairs, features, strict=False):
        for *sides, confidence in boxes.tolist():
            left, top, right, bottom = (round(side) for side in sides)
            fits = confidence > SURE and left < right and top < bottom
            cut = replace(frame, box=(left, top, right, bottom)) if fits else None
            found.append(_Box(number, reference, confidence, cut))
    return found


NEXUS_SCORE = NexusScore(content("metrics", "nexus_score", "card.yaml"))
