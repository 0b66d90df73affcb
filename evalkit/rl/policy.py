"""The contract of a flow model that is trained: conditions, velocities, pictures, and the weights that learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

Condition = Mapping[str, "Tensor"]
"""What a model is told, by name; every tensor has one row a sample."""
Item_contra = TypeVar("Item_contra", contravariant=True)


class FlowPolicy(Protocol[Item_contra]):
    """A flow model with trainable adapters."""

    def encode(self, items: Sequence[Item_contra]) -> Condition:
        """The conditions of the items, one row each, without gradients."""
        ...

    def sigmas(self, steps: int) -> list[float]:
        """Noise levels of so many steps: `steps` + 1 values from 1 down to 0."""
        ...

    def start(self, condition: Condition, generators: Sequence[torch.Generator]) -> Tensor:
        """Pure noise [B, ...] float32, each row from its own generator."""
        ...

    def velocity(self, state: Tensor, sigma: float, condition: Condition) -> Tensor:
        """The guided velocity [B, ...] at one noise level; the same guidance in rollout and update."""
        ...

    def decode(self, state: Tensor) -> list[NDArray[np.uint8]]:
        """Clean states [B, ...] to pictures uint8 [H, W, 3]."""
        ...

    def trainable(self) -> dict[str, torch.nn.Parameter]:
        """The parameters that learn, by the name under which they are saved."""
        ...

    def reference(self) -> AbstractContextManager[Any]:
        """Within it the model is what it was before training: its adapters are off."""
        ...

    def save(self, folder: Any) -> None:
        """Writes the adapters into `folder` in the form that generation loads."""
        ...


def rows(condition: Condition, index: Tensor) -> dict[str, Tensor]:
    """The conditions of the samples at `index`."""
    return {name: values[index.to(values.device)] for name, values in condition.items()}
