"""What the three trainings share: the budget, the optimiser's schedule, attribute heads, token dropping and averaging."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import UsageError
from evalkit.sandbox.training.data import ATTRIBUTES, Progress

if TYPE_CHECKING:
    import torch
    from torch import Tensor

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
WARM_UP = 0.05
WHOLE_PICTURES = 0.85
EMA_DECAY = 0.99


@dataclass(frozen=True)
class Budget:
    """How long to train: a number of steps (repeatable to the bit) or of minutes (whatever the machine manages)."""

    steps: int | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise UsageError(
                f"a Budget needs steps or minutes; found steps={self.steps!r}, minutes={self.minutes!r}; give one"
            )

    def part(self, share: float) -> Budget:
        """A share of it, of a stage; one step at least."""
        if self.steps is not None:
            return Budget(steps=max(round(self.steps * share), 1))
        return Budget(minutes=(self.minutes or 0) * share)

    def shares(self) -> Iterator[float]:
        """The share of the budget that is spent, in [0, 1), before each step."""
        if self.steps is not None:
            yield from (i / self.steps for i in range(self.steps))
            return
        start = time.monotonic()
        limit = 60 * (self.minutes or 0)
        while (spent := time.monotonic() - start) < limit:
            yield spent / limit


@dataclass(frozen=True)
class Trained:
    """What a training did: for the card."""

    steps: int
    images_seen: int
    seconds: float
    first_loss: float
    last_loss: float


def learning_rate(share: float, peak: float) -> float:
    """Linear warm-up, then a cosine to zero."""
    if share < WARM_UP:
        return peak * (share + 1e-3) / WARM_UP
    return peak * 0.5 * (1 + math.cos(math.pi * (share - WARM_UP) / (1 - WARM_UP)))


def to_pixels(images: NDArray[np.uint8], mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """uint8 [N, H, W, 3] to normalised float32 [N, 3, H, W]."""
    import torch

    scale = torch.tensor([255 * s for s in std]).view(1, 3, 1, 1)
    shift = torch.tensor([255 * m for m in mean]).view(1, 3, 1, 1)
    return (torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float() - shift) / scale


def drop_tokens(tokens: Tensor, keep: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Keep the first token and a random share of the others, the same positions in each picture of the batch.

    Returns:
        Tokens [N, 1 + k, D] and the kept patch positions [k], ascending.
    """
    import torch

    count = tokens.shape[1] - 1
    chosen = np.sort(rng.permutation(count)[: max(round(keep * count), 1)])
    index = torch.from_numpy(chosen)
    return torch.cat([tokens[:, :1], tokens[:, 1:].index_select(1, index)], dim=1), index


def attribute_head(width: int, names: tuple[str, ...]) -> torch.nn.Linear:
    """One linear layer for all the named attributes' logits; used in training only."""
    import torch

    return torch.nn.Linear(width, sum(len(ATTRIBUTES[n]) for n in names))


def attribute_loss(logits: Tensor, labels: Tensor, names: tuple[str, ...]) -> Tensor:
    """Mean over `names` of the cross-entropy; `labels` [N, len(ATTRIBUTES)]."""
    import torch

    order = tuple(ATTRIBUTES)
    parts = torch.split(logits, [len(ATTRIBUTES[n]) for n in names], dim=1)
    losses = [
        torch.nn.functional.cross_entropy(p, labels[:, order.index(n)]) for n, p in zip(names, parts, strict=True)
    ]
    return torch.stack(losses).mean()


class Average:
    """Exponential moving average of a module's parameters."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.values = {k: v.detach().clone() for k, v in module.state_dict().items()}

    def update(self, module: torch.nn.Module) -> None:
        """Move towards the module's present values."""
        for key, value in module.state_dict().items():
            if value.is_floating_point():
                self.values[key].lerp_(value.detach(), 1 - EMA_DECAY)


def fit(
    modules: tuple[torch.nn.Module, ...], loss_of: Callable[[float], Tensor], *, budget: Budget, peak: float, batch: int, name: str,
    progress: Progress | None,
) -> Trained:  # fmt: skip
    """AdamW under the shared schedule; the first module ends with its averaged weights.

    Args:
        loss_of: the loss of one fresh batch, given the share of the budget that is spent.
        batch: pictures a step, for the count of pictures seen.
        progress: called with (name, share done) after each step.
    """
    import torch

    parameters: list[Any] = [p for m in modules for p in m.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=peak, weight_decay=0.05, betas=(0.9, 0.98))
    average, losses, start = Average(modules[0]), [], time.monotonic()
    for share in budget.shares():
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(share, peak)
        loss = loss_of(share)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        average.update(modules[0])
        losses.append(float(loss.detach()))
        if progress is not None:
            progress(name, share)
    modules[0].load_state_dict(average.values)
    tail = losses[-max(len(losses) // 20, 1) :]
    return Trained(len(losses), len(losses) * batch, time.monotonic() - start, losses[0], float(np.mean(tail)))
