"""Metrics over other columns of the same table: a benchmark's total, which has no value of a single sample."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from evalkit.metrics.base import Bound, Item, Metric, Outcome, Unscorable
from evalkit.nouns import State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from evalkit.features.spec import FeatureRequest


class DerivedMetric(Metric):
    """A metric that is computed once for a table, from the scores of other columns, and again whenever they change.

    The engine asks neither `requests` nor `score`; it calls `derive` where every column of `components` is in the table and
    has a value of some sample. Else the derived column has none, and the state `component_missing` for every sample.
    """

    @abstractmethod
    def components(self, bound: Bound) -> dict[str, str]:
        """The columns that it is made of, each `metric@variant`, by what `derive` calls them; of several the table's first."""

    @abstractmethod
    def derive(self, values: Mapping[str, Sequence[float]], bound: Bound) -> float:
        """The value, from each component's values of all samples that have one; never empty.

        It must be of the card's range and unit, before the variant's scale.
        """

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        """Nothing. Raises Unscorable (`not_applicable`): a single sample has no value."""
        raise Unscorable(State.NOT_APPLICABLE, f"{self.card.name} is of a whole table, not of a sample")

    def score(
        self, items: Sequence[Item], bound: Bound, features: Sequence[Sequence[NDArray[np.float32]]]
    ) -> list[Outcome]:
        """That no item has a value."""
        reason = f"{self.card.name} is of a whole table, not of a sample"
        return [Outcome(State.NOT_APPLICABLE, reason=reason) for _ in items]
