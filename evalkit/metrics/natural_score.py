"""NaturalScore: how real a video looks to a vision-language judge, from 1, surely generated, to 5, surely real.

Source: franciszzj/OpenS2V-Nexus at ef17513, `eval/get_naturalscore.py`. Deviations: the rubric is our own wording; a reply that
is no number from 1 to 5 is asked for again as the variant says and is then the state `judge_unparsed`, where the source's
later steps fail; a video of fewer frames than are shown is shown whole, as there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.content import content
from evalkit.features.spec import FeatureRequest, QuestionContent
from evalkit.metrics.frames import need_clip
from evalkit.metrics.judged import Judged

if TYPE_CHECKING:
    from evalkit.metrics.base import Bound, Item

LEAST, MOST = 1, 5


def strides(count: int, wanted: int) -> list[int]:
    """At most `wanted` of `count` frames, from the first in whole strides, so that the last need not be among them.

    Example:
        >>> strides(40, 16)[-1], strides(3, 16), len(strides(100, 16))
        (30, [0, 1, 2], 16)
    """
    stride = max(count // wanted, 1)
    return [place for place in range(0, wanted * stride, stride) if place < count]


class NaturalScore(Judged):
    """NaturalScore as a plugin. Further parameter: `frames`, how many are shown."""

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        """The clip's frames, under the rubric of videos."""
        params, frames = bound.card.params, need_clip(item).frames
        question = QuestionContent(
            "video",
            tuple(frames[place] for place in strides(len(frames), int(params["frames"]))),
            runs=int(params["runs"]),
            tries=int(params["tries"]),
            temperature=float(params["temperature"]),
            bounds=(LEAST, MOST),
            need_all=True,
        )
        return [FeatureRequest(bound.extractor, question, "scores")]


NATURAL_SCORE = NaturalScore(content("metrics", "natural_score", "card.yaml"))
