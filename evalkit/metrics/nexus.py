"""NexusScore: how much the things in a video look like their reference pictures, from a detector's boxes and embeddings.

A detector shown each reference finds boxes in each of 32 frames; of those that it is sure of and that look like the
reference's label, the cosine of box and reference is averaged.

Source: franciszzj/OpenS2V-Nexus (ef17513), `eval/get_nexusscore.py` for `v1_1`; PKU-YuanGroup/OpenS2V-Nexus (b452831) for
`v1_0`. The numbers go in as the detector and GME give them: the source's detector, YOLO-World with an image prompt, is under
GPL-3.0 and runs in mmyolo alone, and its thresholds mean nothing for another detector. GME is `evalkit.features.gme`.
Deviations: a video without any box is NaN, where the source fails and leaves the video out; a rule of exactly 0 for unlike
boxes is kept.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from evalkit.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Variant = Literal["v1_0", "v1_1", "corrected"]
SURE = 0.6
"""The detector's confidence that a box must be above."""
LIKE_LABEL = 0.30
"""The cosine of box and label that a box must be above."""
PEOPLE = ("Man", "Woman")
HUMAN = "human"


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
    less. 0 where no box is kept, NaN without any box or where a kept cosine is NaN.

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
    kept = alike[(sure > SURE) & (named > LIKE_LABEL) & (alike != 0)]
    if not len(kept):
        return 0.0
    found = {"v1_0": len(set(zip(*(p.tolist() for p in places), strict=True))), "v1_1": len(set(places[0].tolist()))}
    return float(kept.mean()) / found.get(variant, 1)
