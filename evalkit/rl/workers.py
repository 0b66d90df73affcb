"""One process or several: who samples what, and sums over all of them.

With `accelerate launch` each process takes every n-th sample; rewards are gathered, so that advantages are the same
everywhere, and gradients of the small adapters are summed by hand. Without it there is one process and nothing to do.
The first process alone opens the run, makes samples and scores them; the others help to train.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from evalkit.processes import launched

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

T = TypeVar("T")


class Workers:
    """The processes of this training."""

    def __init__(self) -> None:
        self.rank, self.count = launched()
        if self.count > 1:
            import torch
            from accelerate import PartialState

            state = PartialState(cpu=not torch.cuda.is_available())
            self.rank, self.count = state.process_index, state.num_processes

    @property
    def first(self) -> bool:
        """Whether this process writes checkpoints and curves."""
        return self.rank == 0

    def told(self, value: T) -> T:
        """The first process's value, in every process."""
        if self.count == 1:
            return value
        from accelerate.utils import broadcast_object_list

        values = [value]
        broadcast_object_list(values)
        return values[0]

    def mine(self, count: int) -> list[int]:
        """The positions of `count` samples that this process takes."""
        return list(range(self.rank, count, self.count))

    def gathered(self, values: Tensor, count: int) -> Tensor:
        """The values [count, ...] of all samples, from each process's own rows in the order of `mine`."""
        if self.count == 1:
            return values
        import torch

        everything = torch.zeros(count, *values.shape[1:], dtype=values.dtype)
        everything[self.mine(count)] = values.cpu()
        return self._summed(everything)

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replaces each gradient by its sum over the processes; a process without samples adds nothing."""
        if self.count == 1:
            return
        import torch

        for parameter in parameters:
            parameter.grad = self._summed(torch.zeros_like(parameter) if parameter.grad is None else parameter.grad)

    def total(self, value: float) -> float:
        """The sum of the processes' values: not finite everywhere where it is so in one."""
        if self.count == 1:
            return value
        import torch

        return float(self._summed(torch.tensor([value], dtype=torch.float64)))

    def largest(self, value: float) -> float:
        """The largest of the processes' values."""
        if self.count == 1:
            return value
        import torch

        return float(self.gathered(torch.tensor([value], dtype=torch.float64), self.count).max())

    def wait(self) -> None:
        """Until every process is here."""
        if self.count > 1:
            from accelerate import PartialState

            PartialState().wait_for_everyone()

    @staticmethod
    def _summed(values: Tensor) -> Tensor:
        from accelerate import PartialState
        from accelerate.utils import reduce

        device = PartialState().device
        total: Tensor = reduce(values.to(device), reduction="sum")
        return total.to(values.device)
