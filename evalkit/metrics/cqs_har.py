"""CQS_har as a metric of each picture of a story: `evalkit.metrics.cqs` on features.

Source: ASemConsist, section 5.1; there is no public code of it. Deviations: those of `evalkit.metrics.cqs`; a picture of a
set that is not whole has no value. A share `lam` below 1 and an empirical scale are of whole datasets and so no variants
here: the reason of each score holds its t, a and d, from which `cqs_har` computes them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from evalkit.content import content
from evalkit.errors import UsageError
from evalkit.features.spec import FeatureRequest
from evalkit.metrics.base import Bound, Item, Metric, Outcome
from evalkit.metrics.cqs import cqs_har
from evalkit.metrics.dreamsim import dreamsim
from evalkit.metrics.text_alignment import COSINES, asked, fits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

DREAMSIM = "dreamsim"
"""What the cards call the backbone that compares pictures."""
_TOLD = re.compile(r"t (\S+), a (\S+), d (\S+)")


class Parts(NamedTuple):
    """What CQS_har is made of, for one picture."""

    t: float
    """How well it fits the whole prompt, in [0, 1]."""
    a: float
    """How well it fits its own prompt alone, in [0, 1]."""
    d: float
    """1 - its mean distance to the set's others."""


def parts_told(parts: Parts) -> str:
    """The parts as a score's reason keeps them, to nine digits.

    Example:
        >>> parts_told(Parts(0.5, 0.25, 0.75))
        't 0.5, a 0.25, d 0.75'
    """
    return "t {:.9g}, a {:.9g}, d {:.9g}".format(*parts)


def parts_read(reason: str) -> Parts:
    """The inverse of `parts_told`. Raises: UsageError for any other text.

    Example:
        >>> parts_read("t 0.5, a 0.25, d 0.75").d
        0.75
    """
    found = _TOLD.fullmatch(reason)
    if found is None:
        raise UsageError(f"wanted the parts of a CQS_har like 't 0.5, a 0.25, d 0.75', found {reason!r:.80}")
    return Parts(*map(float, found.groups()))


class CqsHar(Metric):
    """CQS_har as a plugin. Variant parameters: `mu` weighs the penalty, `tau` the bonus; cosines are mapped to [0, 1]."""

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        """What tells t and a, then DreamSim's embeddings of the sample and of every mate."""
        item.need_mates()
        pictures = (item.sample, *(mate.sample for mate in item.mates))
        alike = [FeatureRequest(bound.beside[DREAMSIM], picture, "embedding") for picture in pictures]
        return [*asked(item, bound.extractor, "joint", "own"), *alike]

    def score(
        self, items: Sequence[Item], bound: Bound, features: Sequence[Sequence[NDArray[np.float32]]]
    ) -> list[Outcome]:
        """One value a sample; the reason keeps its parts."""
        params = bound.card.params
        found = []
        for item, row in zip(items, features, strict=True):
            pictures = len(item.mates) + 1
            read, (sample, *mates) = row[:-pictures], row[-pictures:]
            t, a = fits(read, bound.extractor)
            if bound.extractor.family in COSINES:
                t, a = (t + 1) / 2, (a + 1) / 2
            parts = Parts(t, a, 1 - dreamsim(sample, np.stack(mates)).item())
            value = cqs_har([t], [a], [parts.d], mu=params["mu"], tau=params["tau"]).score
            outcome = Outcome.scored(bound.card.scale * value)
            found.append(outcome if outcome.value is None else outcome._replace(reason=parts_told(parts)))
        return found


CQS_HAR = CqsHar(content("metrics", "cqs_har", "card.yaml"))
