"""Which frames of a clip a metric of pictures looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.metrics.base import Unscorable
from evalkit.nouns import State

if TYPE_CHECKING:
    from evalkit.features.spec import ClipContent, ImageContent
    from evalkit.metrics.base import Bound, Item

ALL = "all"


def spread(count: int, wanted: int) -> list[int]:
    """`wanted` frame numbers from the first of `count` frames to the last, evenly, rounded down; short clips repeat some.

    Source: franciszzj/OpenS2V-Nexus (ef17513), the frame sampling of `eval/get_aesscore.py` and its neighbours.

    Example:
        >>> spread(10, 4), spread(2, 4), spread(5, 1)
        ([0, 3, 6, 9], [0, 0, 0, 1], [0])
    """
    import numpy as np

    return [int(place) for place in np.linspace(0, count - 1, wanted)]


def seen(item: Item, bound: Bound) -> tuple[ImageContent, ...]:
    """The pictures that a variant looks at: the sample itself, or of a clip what the parameter `frames` says.

    `frames` is `all`, which it is where it is left out, or a number of frames, spread over the clip.
    """
    wanted = bound.card.params.get("frames", ALL)
    if item.clip is None or wanted == ALL:
        return item.frames
    return tuple(item.frames[place] for place in spread(len(item.frames), int(wanted)))


def need_clip(item: Item) -> ClipContent:
    """The item's clip. Raises Unscorable (`not_applicable`) where the sample is none."""
    if item.clip is None:
        raise Unscorable(State.NOT_APPLICABLE, f"{item.case.case_id}: the sample is no video")
    return item.clip
