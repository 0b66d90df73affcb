"""Training of the sandbox's DINO: a small `Dinov2Model` whose class token tells identities apart across pose, view, place and
style, and whose patch tokens agree where two pictures show the same surface."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.sandbox.training.data import GRID, IMAGES_PER_IDENTITY, PATCH, SIZE, Progress, WorldSet
from evalkit.sandbox.training.loop import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    WHOLE_PICTURES,
    Budget,
    Trained,
    attribute_head,
    attribute_loss,
    drop_tokens,
    fit,
    to_pixels,
)
from evalkit.sandbox.training.save import save_half

if TYPE_CHECKING:
    from torch import Tensor

WIDTH, DEPTH, HEADS = 128, 4, 4
IDENTITIES = 16
PAIRS = 1
KEEP = 0.5
PEAK = 1.5e-3
TEMPERATURE = 0.1
PATCH_TEMPERATURE = 0.07
PATCH_WEIGHT = 0.6
HEAD_WEIGHT = 0.6
HEADS_FOR = ("plan", "palette", "pattern", "accessory")


def dino_config(*, width: int = WIDTH, depth: int = DEPTH) -> Any:
    """The model's configuration."""
    from transformers import Dinov2Config

    return Dinov2Config(
        hidden_size=width, num_hidden_layers=depth, num_attention_heads=HEADS, mlp_ratio=4, image_size=SIZE, patch_size=PATCH,
        layerscale_value=1.0, hidden_act="relu",
    )  # fmt: skip


def tokens_of(model: Any, pixels: Tensor, keep: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Tokens after the last norm [N, 1 + k, D] and the patch positions [k] that were read."""
    import torch

    tokens, position = model.embeddings(pixels), torch.arange(GRID * GRID)
    if keep < 1:
        tokens, position = drop_tokens(tokens, keep, rng)
    return model.layernorm(model.encoder(tokens).last_hidden_state), position


def identity_loss(features: Tensor, identity: Tensor) -> Tensor:
    """Supervised contrastive loss: for each picture, the mean log-probability of the other pictures of its identity."""
    import torch

    unit = torch.nn.functional.normalize(features, dim=-1)
    itself = torch.eye(len(unit), dtype=torch.bool)
    logits = (unit @ unit.T / TEMPERATURE).masked_fill(itself, -1e4)
    positive = (identity[:, None] == identity[None, :]) & ~itself
    log_probability = logits.log_softmax(dim=1)
    return -((log_probability * positive).sum(dim=1) / positive.sum(dim=1).clamp(min=1)).mean()


def patch_loss(tokens: Tensor, position: Tensor, matches: Tensor) -> Tensor:
    """Cross-entropy of finding, for each matched patch of picture 2i, its patch among those of picture 2i + 1.

    Args:
        tokens: patch tokens [2 P, k, D], pictures of a pair side by side.
        position: grid positions [k] of the tokens.
        matches: [P, 144] matching grid position in the second picture, -1 for none.
    """
    import torch

    unit = torch.nn.functional.normalize(tokens, dim=-1)
    logits = unit[0::2] @ unit[1::2].transpose(1, 2) / PATCH_TEMPERATURE
    lookup = torch.full((GRID * GRID + 1,), -1)
    lookup[position] = torch.arange(len(position))
    target = lookup[matches[:, position]]
    if not bool((target >= 0).any()):
        return logits.sum() * 0
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=-1)


def _batch(data: WorldSet, identities: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Picture indices, `PAIRS` matched pairs of each of `identities` identities (half of them with the next one, which may be a
    lookalike), and the indices of those pairs."""
    total = len(data.matched) // (IMAGES_PER_IDENTITY // 2)
    seeds = rng.choice(total - 1, identities // 2, replace=False)
    chosen = np.unique(np.concatenate([seeds, seeds + 1]))
    per = IMAGES_PER_IDENTITY // 2
    pairs = (chosen[:, None] * per + np.argsort(rng.uniform(size=(len(chosen), per)), axis=1)[:, : PAIRS + 1]).ravel()
    return data.matched[pairs].ravel(), pairs


def train_dino(
    out: Path, data: WorldSet, *, seed: int, budget: Budget, identities: int = IDENTITIES, width: int = WIDTH, depth: int = DEPTH,
    start: Path | None = None, progress: Progress | None = None,
) -> Trained:  # fmt: skip
    """Train on `data` and save model and preprocessor configuration to `out`, in half precision.

    `start` is a folder saved by an earlier training to go on from.
    """
    import torch
    from transformers import Dinov2Model

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = Dinov2Model(dino_config(width=width, depth=depth))
    if start is not None:
        model = Dinov2Model.from_pretrained(start, dtype=torch.float32)
    model.embeddings.mask_token.requires_grad_(False)
    head = attribute_head(width, HEADS_FOR)

    def loss_of(share: float) -> Tensor:
        chosen, pairs = _batch(data, identities, rng)
        pixels = to_pixels(data.images[chosen], IMAGENET_MEAN, IMAGENET_STD)
        tokens, position = tokens_of(model, pixels, KEEP if share < WHOLE_PICTURES else 1.0, rng)
        matches = torch.from_numpy(data.matches[pairs].astype(np.int64))
        labels = torch.from_numpy(data.labels[chosen])
        same = identity_loss(tokens[:, 0], torch.from_numpy(data.identity[chosen]))
        dense = patch_loss(tokens[:, 1:], position, matches)
        return same + PATCH_WEIGHT * dense + HEAD_WEIGHT * attribute_loss(head(tokens[:, 0]), labels, HEADS_FOR)

    batch = 2 * (PAIRS + 1) * identities
    trained = fit((model, head), loss_of, budget=budget, peak=PEAK, batch=batch, name="dino", progress=progress)
    save_half(model, out)
    (out / "preprocessor_config.json").write_text(json.dumps(_PREPROCESSOR, indent=2) + "\n", encoding="utf-8")
    return trained


_PREPROCESSOR = {
    "image_processor_type": "BitImageProcessor", "crop_size": {"height": SIZE, "width": SIZE}, "do_center_crop": True,
    "do_convert_rgb": True, "do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": list(IMAGENET_MEAN),
    "image_std": list(IMAGENET_STD), "resample": 3, "rescale_factor": 1 / 255, "size": {"shortest_edge": SIZE},
}  # fmt: skip
