"""The head that LAION's aesthetic predictor and ImageReward put on an embedding: five linear layers, nothing between.

Source: christophschuhmann/improved-aesthetic-predictor `simple_inference.py`; THUDM/ImageReward
`ImageReward/ImageReward.py` (c1392c6). Both files name the layers by their place among the dropouts of training.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from evalkit.features.building import load_strictly

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

WIDTHS = (1024, 128, 64, 16, 1)
"""What the layers give, one after the other."""
PLACES = (0, 2, 4, 6, 7)


def linear_head(width: int, state: Mapping[str, torch.Tensor], *, where: Path) -> Any:
    """The module [B, width] to [B, 1] with the weights `state` (`layers.0.weight` and so on), in float32.

    Raises WeightsError naming the first layer that is missing, unknown or of another shape.
    """
    import torch

    with torch.device("meta"):
        steps = zip(PLACES, pairwise((width, *WIDTHS)), strict=True)
        layers = torch.nn.ModuleDict({str(place): torch.nn.Linear(a, b) for place, (a, b) in steps})
    load_strictly(torch.nn.ModuleDict({"layers": layers}), dict(state), where=where)
    return torch.nn.Sequential(*layers.values())
