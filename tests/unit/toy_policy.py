"""A flow model of two numbers that learns in milliseconds."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from evalkit.rl.reward import Rewards

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from evalkit.rl.policy import Condition

SIZE = 6


class ToyItem(NamedTuple):
    """Where the samples should go."""

    goal: float


class ToyPolicy:
    """Velocity = state - pull towards the condition's mean - the adapter's bias; clean states are numbers, not pictures."""

    def __init__(self, *, spoil: float = 0.0) -> None:
        generator = torch.Generator().manual_seed(5)
        self.base = torch.randn(SIZE, SIZE, generator=generator) * 0.2
        self.bias = torch.nn.Parameter(torch.zeros(SIZE))
        self.mix = torch.nn.Parameter(torch.zeros(SIZE, SIZE))
        self.on, self.calls, self.spoil = True, 0, spoil

    def encode(self, items: Sequence[ToyItem]) -> dict[str, torch.Tensor]:
        """The goals [B, 1]."""
        return {"goal": torch.tensor([[item.goal] for item in items])}

    def sigmas(self, steps: int) -> list[float]:
        """Evenly down."""
        return [1 - i / steps for i in range(steps + 1)]

    def start(self, condition: Condition, generators: Sequence[torch.Generator]) -> torch.Tensor:
        """Noise [B, SIZE]."""
        return torch.stack([torch.randn(SIZE, generator=generator) for generator in generators])

    def velocity(self, state: torch.Tensor, sigma: float, condition: Condition) -> torch.Tensor:
        """[B, SIZE]; not a number where it is spoilt."""
        self.calls += 1
        pulled = state @ self.base + condition["goal"] * 0.1 + sigma * 0.05
        if self.on:
            pulled = pulled + self.bias + state @ self.mix
        return pulled + (float("nan") if self.spoil and float(self.bias.detach().abs().sum()) >= self.spoil else 0.0)

    def decode(self, state: torch.Tensor) -> list[NDArray[np.uint8]]:
        """The numbers' bits, so that a reward can read them."""
        return [np.frombuffer(row.numpy().astype(np.float32).tobytes(), np.uint8) for row in state]

    def trainable(self) -> dict[str, torch.nn.Parameter]:
        """Bias and mix."""
        return {"bias": self.bias, "mix": self.mix}

    @contextmanager
    def reference(self) -> Iterator[None]:
        """Without the adapter."""
        self.on = False
        try:
            yield
        finally:
            self.on = True

    def save(self, folder: Path) -> None:
        """The adapter's numbers."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "bias.npy", self.bias.detach().numpy())


def closeness(items: Sequence[ToyItem], pictures: Sequence[NDArray[np.uint8]]) -> Rewards:
    """Minus the distance of a sample's mean from its goal."""
    means = torch.tensor([float(np.frombuffer(p.tobytes(), np.float32).mean()) for p in pictures])
    goals = torch.tensor([item.goal for item in items])
    total = -(means - goals).abs()
    return Rewards(total, {"distance": -total})
