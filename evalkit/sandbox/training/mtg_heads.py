"""Training of the sandbox's Mind-the-Glitch heads: two aggregation networks on the frozen DINO's layers.

The semantic network finds the same part again on whoever has it; the visual one only where the part also looks the
same. Both learn to find the right cell, as in the source; and, so that the published thresholds of .7 mean here what
they mean there, right cells are pushed above them and wrong ones below.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evalkit.features.aggregation import KINDS, Shape, aggregate, new_networks, read_shape
from evalkit.features.building import load_strictly
from evalkit.features.mtg import dino_maps
from evalkit.features.weight_files import read_json, read_state
from evalkit.sandbox.training.data import GRID, Progress
from evalkit.sandbox.training.glitches import CELLS, REFERENCE, SAME, Glitches
from evalkit.sandbox.training.loop import IMAGENET_MEAN, IMAGENET_STD, Budget, Trained, fit, to_pixels

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from evalkit.features.aggregation import Kind

LAYERS = ("layer1", "layer2", "layer3", "layer4")
PROJECTION, GROUPS = 128, 8
BATCH = 16
PEAK = 4e-3
THRESHOLD, MARGIN, SOFTNESS = 0.7, 0.1, 0.05
"""Right cells are pushed above threshold + margin, wrong ones below threshold - margin."""
TEMPERATURE, FINDING_WEIGHT = 0.07, 0.3
THRESHOLD_WEIGHT, STRANGER_WEIGHT = 4.0, 2.0
FULL = 32
"""Pixels of the subject (of 64) from which a cell counts as its own, as where a mask is brought to the grid."""
PICTURES = 64
WEIGHTS, CONFIG = "model.safetensors", "config.json"


@dataclass(frozen=True)
class Truth:
    """The known cells of B groups, as tensors; shapes as in `Glitches`."""

    subject: Tensor
    matches: Tensor
    alike: Tensor
    photo: Tensor

    @classmethod
    def of(cls, data: Glitches, chosen: NDArray[np.int64]) -> Truth:
        """The truth of the chosen groups."""
        import torch

        columns = (data.subject, data.matches, data.alike, data.photo)
        return cls(*(torch.from_numpy(column[chosen].astype(np.int64)) for column in columns))


def train_mtg(
    out: Path, data: Glitches, *, dino: Path, seed: int, budget: Budget, batch: int = BATCH, start: Path | None = None,
    progress: Progress | None = None,
) -> Trained:  # fmt: skip
    """Train on `data` and save the networks and their configuration to `out`, in half precision.

    Args:
        dino: folder of the backbone, which stays as it is.
        start: a folder saved by an earlier training to go on from.
    """
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    layers = layer_maps(dino, data)
    shape = Shape(LAYERS, GRID, PROJECTION, 1, GROUPS)
    networks = new_networks(shape, [layers.shape[3]] * len(LAYERS)) if start is None else load_heads(start, layers)

    def loss_of(_share: float) -> Tensor:
        chosen = np.sort(rng.choice(len(data), batch, replace=False))
        return glitch_loss(both_maps(networks, layers[chosen]), Truth.of(data, chosen))

    trained = fit((networks,), loss_of, budget=budget, peak=PEAK, batch=4 * batch, name="mtg", progress=progress)
    out.mkdir(parents=True, exist_ok=True)
    state = {name: values.to(torch.float16).contiguous() for name, values in networks.state_dict().items()}
    save_file(state, str(out / WEIGHTS))
    (out / CONFIG).write_text(json.dumps(_told(shape), indent=2) + "\n", encoding="utf-8")
    return trained


def load_heads(folder: Path, layers: NDArray[np.float16]) -> torch.nn.Module:
    """Networks trained before, in float32, for maps like `layers`."""
    shape = read_shape(read_json(folder / CONFIG), where=str(folder / CONFIG))
    networks = new_networks(shape, [layers.shape[3]] * len(shape.layers))
    load_strictly(networks, read_state([folder / WEIGHTS]), where=folder / WEIGHTS)
    return networks


def layer_maps(dino: Path, data: Glitches) -> NDArray[np.float16]:
    """The backbone's maps [N, 4, layers, C, 12, 12] of every picture, in half precision to save memory."""
    import torch
    from transformers import Dinov2Model

    model = Dinov2Model.from_pretrained(dino, dtype=torch.float32).eval()
    maps = np.zeros((4 * len(data), len(LAYERS), model.config.hidden_size, GRID, GRID), np.float16)
    pictures = data.images.reshape(-1, *data.images.shape[2:])
    with torch.inference_mode():
        for i in range(0, len(pictures), PICTURES):
            pixels = to_pixels(pictures[i : i + PICTURES], IMAGENET_MEAN, IMAGENET_STD)
            maps[i : i + PICTURES] = torch.stack(dino_maps(model, pixels, LAYERS), 1).numpy()
    return maps.reshape(len(data), 4, *maps.shape[1:])


def both_maps(networks: torch.nn.Module, layers: NDArray[np.float16]) -> dict[Kind, Tensor]:
    """The semantic and the visual vectors [B, 4, 144, C] of B groups of pictures."""
    import torch

    maps = torch.from_numpy(layers.astype(np.float32)).flatten(0, 1).unbind(1)
    return {kind: aggregate(networks, kind, maps).reshape(len(layers), 4, CELLS, -1) for kind in KINDS}


def glitch_loss(found: dict[Kind, Tensor], truth: Truth) -> Tensor:
    """The sum of both networks' losses on B groups."""
    shown, matched = truth.subject[:, SAME:], truth.matches >= 0
    photo = truth.photo[:, None, None] > 0
    return _kind_loss(found["semantic"], truth, right=matched, wrong=shown == 0) + _kind_loss(
        found["visual"],
        truth,
        right=matched & (truth.alike > 0) & photo,
        wrong=(truth.alike < 0) & photo,
        strangers=(shown[:, 0] >= FULL) & photo[:, 0],
    )


def _kind_loss(
    vectors: Tensor, truth: Truth, *, right: Tensor, wrong: Tensor, strangers: Tensor | None = None
) -> Tensor:
    """One network's loss. vectors [B, 4, 144, C].

    `right` [B, 3, 144]: cells that must find their match. `wrong` [B, 3, 144]: cells that must find nothing on the
    reference. `strangers` [B, 144]: cells of `SAME` that must find nothing on the next group's reference.
    """
    import torch
    from torch.nn.functional import cross_entropy

    reference, inside = vectors[:, REFERENCE], truth.subject[:, REFERENCE] >= FULL
    similarity = torch.einsum("bkic,bjc->bkij", vectors[:, SAME:], reference)
    best = similarity.masked_fill(~inside[:, None, None], 0.0).amax(-1)
    true = similarity.gather(-1, truth.matches.clamp(min=0)[..., None])[..., 0]
    target = torch.where(right, truth.matches, -1).flatten()
    finding = cross_entropy((similarity / TEMPERATURE).flatten(0, 2), target, ignore_index=-1, reduction="sum")
    loss = FINDING_WEIGHT * finding / right.sum().clamp(min=1)
    loss = loss + THRESHOLD_WEIGHT * (_mean(_short(true), right) + _mean(_over(best), wrong))
    if strangers is not None:
        strange = torch.einsum("bic,bjc->bij", vectors[:, SAME], reference.roll(1, 0))
        best = strange.masked_fill(~inside.roll(1, 0)[:, None], 0.0).amax(-1)
        loss = loss + STRANGER_WEIGHT * _mean(_over(best), strangers)
    return loss


def _short(similarity: Tensor) -> Tensor:
    """By how much a cosine lies below threshold + margin, softly."""
    from torch.nn.functional import softplus

    return SOFTNESS * softplus((THRESHOLD + MARGIN - similarity) / SOFTNESS)


def _over(similarity: Tensor) -> Tensor:
    """By how much a cosine lies above threshold - margin, softly."""
    from torch.nn.functional import softplus

    return SOFTNESS * softplus((similarity - THRESHOLD + MARGIN) / SOFTNESS)


def _mean(values: Tensor, where: Tensor) -> Tensor:
    """Over the true places of `where`; 0 where there are none."""
    return (values * where).sum() / where.sum().clamp(min=1)


def _told(shape: Shape) -> dict[str, object]:
    """The configuration in the source's form."""
    resnet = {"projection_dim": shape.projection, "num_blocks": shape.blocks, "num_norm_groups": shape.groups}
    return {"model": {"feat_type": list(shape.layers), "final_feat_resolution": shape.resolution, "resnet": resnet}}
