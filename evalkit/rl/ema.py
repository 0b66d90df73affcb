"""An exponential moving average of trained parameters, for evaluation and for what is kept."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import torch
    from torch import Tensor

CEILING = 0.9
EVERY = 8


class Ema:
    """The average of some parameters. Decay is min(0.9, (1 + step) / (10 + step)), taken every 8 optimiser steps.

    Source: yifan123/flow_grpo `flow_grpo/ema.py` (ac4c86e).
    """

    def __init__(
        self, parameters: Mapping[str, torch.nn.Parameter], *, every: int = EVERY, ceiling: float = CEILING
    ) -> None:
        self._parameters, self._every, self._ceiling = dict(parameters), every, ceiling
        self.values: dict[str, Tensor] = {name: p.detach().clone() for name, p in parameters.items()}

    def update(self, step: int) -> None:
        """Takes in the parameters after optimiser step `step` (the first is 1), where it is one that counts."""
        if step % self._every:
            return
        decay = min(self._ceiling, (1 + step) / (10 + step))
        for name, parameter in self._parameters.items():
            self.values[name].lerp_(parameter.detach(), 1 - decay)

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Within it the parameters are their averages."""
        import torch

        kept = {name: p.detach().clone() for name, p in self._parameters.items()}
        with torch.no_grad():
            self._set(self.values)
            try:
                yield
            finally:
                self._set(kept)

    def _set(self, values: Mapping[str, Tensor]) -> None:
        for name, parameter in self._parameters.items():
            parameter.data.copy_(values[name])
