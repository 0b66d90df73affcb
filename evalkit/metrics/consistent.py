"""Consistency ratio and diversity over consistency: how many samples keep the subject, and how diverse those are.

A sample is consistent where its identity score is above a gate: VSM above .6, or sDINO above .75. The consistency ratio
is the share of such samples; diversity over consistency is the mean nSSM of such samples alone.

Source: DivRL (arXiv 2606.23950), section 4.1 and figure 3; there is no public code of it. Deviation: the text says
nothing of a sample without a VSM; where no match survives, or no pixel is the subject's, it counts as inconsistent.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING

from evalkit.content import content
from evalkit.metrics.base import Bound, Item, Metric, Outcome
from evalkit.metrics.nssm import DINO_NSSM, MTG_NSSM
from evalkit.metrics.sdino import SDINO
from evalkit.metrics.vsm import VSM
from evalkit.nouns import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evalkit.features.spec import FeatureRequest
    from evalkit.metrics.patches import Array, PatchMeasure

IDENTITY: dict[str, PatchMeasure] = {"mtg": VSM, "dino": SDINO}
DIVERSITY: dict[str, PatchMeasure] = {"mtg": MTG_NSSM, "dino": DINO_NSSM}
"""By family of the backbone: in-domain on the features that DivRL trains on, out of domain on DINOv2."""
LOST = (State.NO_SURVIVORS, State.NO_SUBJECT)
"""Nothing of the subject is found in the sample: no score of identity, and yet a sample that does not keep it."""
IDENTITY_PARAMS = ("semantic_threshold", "visual_threshold", "one_to_one")
DIVERSITY_PARAMS = ("resolution", "grid")


class Gated(Metric):
    """A metric of samples whose identity score is above the variant parameter `gate`, strictly.

    The measures' own parameters stand beside it.
    """

    @abstractmethod
    def judged(self, identity: Outcome, gate: float, diversity: Outcome | None) -> Outcome:
        """The outcome of a sample, given what it scores on identity and, where it was asked for, on diversity."""

    def measures(self, bound: Bound) -> list[tuple[PatchMeasure, Bound]]:
        """What is computed of a sample, with each measure's own parameters."""
        own = replace(_with(bound, IDENTITY_PARAMS), beside=bound.beside)
        return [(IDENTITY[bound.extractor.family], own)]

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        """Those of every measure, one after the other."""
        return [request for measure, own in self.measures(bound) for request in measure.requests(item, own)]

    def score(self, items: Sequence[Item], bound: Bound, features: Sequence[Sequence[Array]]) -> list[Outcome]:
        """Each measure's outcome, judged."""
        columns, start = [], [0] * len(items)
        for measure, own in self.measures(bound):
            ends = [first + measure.count(item, own) for first, item in zip(start, items, strict=True)]
            rows = [row[a:b] for row, a, b in zip(features, start, ends, strict=True)]
            columns.append(measure.score(items, own, rows))
            start = ends
        gate = bound.card.params["gate"]
        return [self.judged(row[0], gate, row[1] if len(row) > 1 else None) for row in zip(*columns, strict=True)]


class ConsistencyRatio(Gated):
    """1 for a consistent sample and 0 for another, so that the mean is the ratio."""

    def judged(self, identity: Outcome, gate: float, diversity: Outcome | None) -> Outcome:
        """A sample in which nothing of the subject is found is inconsistent; any other lack stays one."""
        if identity.state in LOST:
            return Outcome.scored(0.0)
        return identity if identity.value is None else Outcome.scored(float(identity.value > gate))


class DiversityOverConsistency(Gated):
    """nSSM of a consistent sample; an inconsistent one is left out and counted."""

    def measures(self, bound: Bound) -> list[tuple[PatchMeasure, Bound]]:
        """Identity, then diversity."""
        return [*super().measures(bound), (DIVERSITY[bound.extractor.family], _with(bound, DIVERSITY_PARAMS))]

    def judged(self, identity: Outcome, gate: float, diversity: Outcome | None) -> Outcome:
        """`inconsistent` where the sample is not consistent."""
        assert diversity is not None
        if identity.value is None and identity.state not in LOST:
            return identity
        if identity.value is None or identity.value <= gate:
            found = identity.state.meaning if identity.value is None else f"{identity.value:.3f}"
            return Outcome(State.INCONSISTENT, reason=f"not consistent: wanted identity above {gate:g}, found {found}")
        return diversity


def _with(bound: Bound, names: tuple[str, ...]) -> Bound:
    """The variant as a measure reads it: with its own parameters alone, and no backbone beside."""
    params = bound.card.params
    card = bound.card.model_copy(update={"params": {name: params[name] for name in names if name in params}})
    return Bound(bound.name, card, bound.extractor)


CONSISTENCY_RATIO = ConsistencyRatio(content("metrics", "consistency_ratio", "card.yaml"))
DIVERSITY_OVER_CONSISTENCY = DiversityOverConsistency(content("metrics", "diversity_over_consistency", "card.yaml"))
