"""A small YOLO-World with an image prompt in its published form, filled by `tiny_weights.formula`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from evalkit.features.yolo_world_names import Sizes, shapes
from tests.tiny_weights import formula, write_published_clip

if TYPE_CHECKING:
    from pathlib import Path

    import torch

FILE = "yolo_world_v2_l_image_prompt_adapter-719a7afb.pth"
SIZES = Sizes(8, (16, 32, 64, 64), (1, 2, 2, 1), 1, (2, 4, 4), 16, 32, 4, 24)
"""The published configuration at an eighth of its width and a third of its depth, with heads and bins to suit."""
AIM, SPREAD = -0.5, 3.0
"""Of a box's logit where nothing is like the prompt, and the logarithm of what likeness counts, so that some boxes are sure."""


def write_yolo_world(root: Path) -> None:
    """The detector and its CLIP below `root`, under the names by which EVALKIT_WEIGHTS finds them."""
    import torch

    folder = root / "yolo_world--v2_l_image_prompt"
    folder.mkdir(parents=True)
    beside = {
        "image_prompt_encoder.img_mean": torch.zeros(1, 3, 1, 1),
        "backbone.text_model.model.logit_scale": torch.ones(()),
    }
    torch.save({"meta": {"epoch": 80}, "state_dict": weights() | beside}, folder / FILE)
    write_published_clip(root / "openai--clip-vit-base-patch32", patch=32)


def weights() -> dict[str, torch.Tensor]:
    """Every weight that is used, by its published name."""
    return {
        name: _filled(name, shape, phase + 1.0) for phase, (name, shape) in enumerate(sorted(shapes(SIZES).items()))
    }


def _filled(name: str, shape: tuple[int, ...], phase: float) -> torch.Tensor:
    import torch

    if name.endswith("num_batches_tracked"):
        return torch.tensor(1)
    if not shape:
        return torch.tensor(AIM if name.endswith("bias") else SPREAD)
    if len(shape) > 1:
        return formula(shape, phase, scale=2.5 / math.sqrt(math.prod(shape[1:])))
    return formula(shape, phase, scale=0.1) + float(name.endswith(("weight", "running_var")))
