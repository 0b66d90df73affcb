"""Training of the sandbox's LPIPS trunk: the convolutions of torchvision's SqueezeNet 1.1 as a classifier of world attributes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.sandbox.training.data import Progress, WorldSet
from evalkit.sandbox.training.loop import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Budget,
    Trained,
    attribute_head,
    attribute_loss,
    fit,
    to_pixels,
)

if TYPE_CHECKING:
    from torch import Tensor

CHANNELS = 512
BATCH = 48
PEAK = 1.0e-3
HEADS_FOR = ("plan", "palette", "pattern", "place", "style")
FILE = "model.safetensors"


def new_trunk() -> Any:
    """`squeezenet1_1().features`, untrained."""
    from torchvision.models import squeezenet1_1

    return squeezenet1_1(weights=None).features


def train_lpips_trunk(
    out: Path,
    data: WorldSet,
    *,
    seed: int,
    budget: Budget,
    batch: int = BATCH,
    start: Path | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train on `data` and save the state dict of the features to `out`/model.safetensors, in half precision.

    `start` is a folder saved by an earlier training to go on from.
    """
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    trunk = new_trunk() if start is None else load_trunk(start)
    head = attribute_head(CHANNELS, HEADS_FOR)

    def loss_of(_share: float) -> Tensor:
        chosen = np.sort(rng.choice(len(data.images), batch, replace=False))
        pixels = to_pixels(data.images[chosen], IMAGENET_MEAN, IMAGENET_STD)
        return attribute_loss(head(trunk(pixels).mean(dim=(2, 3))), torch.from_numpy(data.labels[chosen]), HEADS_FOR)

    trained = fit((trunk, head), loss_of, budget=budget, peak=PEAK, batch=batch, name="lpips", progress=progress)
    out.mkdir(parents=True, exist_ok=True)
    save_file({k: v.to(torch.float16).contiguous() for k, v in trunk.state_dict().items()}, str(out / FILE))
    return trained


def load_trunk(folder: Path) -> Any:
    """The trained features in float32, in evaluation mode."""
    import torch
    from safetensors.torch import load_file

    trunk = new_trunk()
    trunk.load_state_dict({k: v.to(torch.float32) for k, v in load_file(str(folder / FILE)).items()})
    return trunk.eval()
