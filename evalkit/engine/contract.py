"""What a metric plugin gives is held to the contract before it is stored; what breaks it is a state of its scores."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from evalkit.features.spec import FeatureRequest
from evalkit.metrics.base import Outcome
from evalkit.nouns import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evalkit.engine.columns import Column

RANGE_ROOM = 1e-4
"""How far a value may lie outside its card's range, before the variant's scale: arithmetic in half precision rounds."""


def broken(error: Exception) -> Outcome:
    """The outcome of an item on which a plugin's code failed."""
    return Outcome(State.METRIC_ERROR, reason=f"{type(error).__name__}: {error}")


def checked_requests(requests: Iterable[object]) -> tuple[FeatureRequest, ...]:
    """What the metric asks for, where it keeps the contract. Raises TypeError where it does not."""
    checked = []
    for request in requests:
        if not isinstance(request, FeatureRequest):
            raise TypeError(f"wanted FeatureRequests from the metric, found {request!r:.80}")
        checked.append(request)
    return tuple(checked)


def checked(outcome: object, column: Column) -> Outcome:
    """The outcome where it keeps the contract. Raises TypeError or ValueError where it does not."""
    if not (
        isinstance(outcome, Outcome) and isinstance(outcome.state, State) and isinstance(outcome.reason, str | None)
    ):
        raise TypeError(f"wanted an Outcome from the metric, found {outcome!r:.80}")
    if (outcome.state is State.SCORED) != (outcome.value is not None and math.isfinite(outcome.value)):
        raise ValueError(f"wanted a finite value with state 'scored' and with no other, found {outcome!r:.80}")
    if not (outcome.weight > 0 and math.isfinite(outcome.weight)):
        raise ValueError(f"wanted a positive, finite weight, found {outcome.weight!r}")
    if outcome.value is not None:
        _check_range(outcome.value, column)
    return outcome


def _check_range(value: float, column: Column) -> None:
    """Raises ValueError where the value lies outside the card's range, with room for rounding."""
    scale = column.bound.card.scale
    low, high = column.metric.card.range
    room = RANGE_ROOM * scale
    if (low is not None and value < scale * low - room) or (high is not None and value > scale * high + room):
        bottom = "no lower bound" if low is None else f"{scale * low:g}"
        top = "no upper bound" if high is None else f"{scale * high:g}"
        raise ValueError(f"wanted a value within the card's range ({bottom} to {top}), found {value!r}")
