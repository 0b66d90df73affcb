"""The vision transformer that every branch of DreamSim runs on, under the names of its files.

Source: dreamsim 0.2.1 `feature_extraction/vision_transformer.py` and `load_*_as_dino.py`: CLIP's towers are told in
DINO's names, with the norm before the blocks under `pos_drop`, QuickGELU for OpenAI's and a norm epsilon of 1e-5.
DINOv2's blocks follow facebookresearch/dinov2, whose layer scales and interpolation of positions are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.features.weight_files import other_model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import torch

    Tensors = Mapping[str, torch.Tensor]

_HEAD_WIDTH = 64
"""Channels of an attention head in every tower."""
_GRID_OFFSET = 0.1
"""DINOv2 adds this to the grid before it divides, against a rounding fault of older resizers."""


@dataclass(frozen=True)
class Kind:
    """What the weights do not show: `clip` adds the first norm and the projection, `quick` OpenAI's activation."""

    clip: bool
    quick: bool

    @property
    def eps(self) -> float:
        """Added to the variance in every norm."""
        return 1e-5 if self.clip else 1e-6


def embed(state: Tensors, pixels: torch.Tensor, kind: Kind) -> torch.Tensor:
    """Normalised pictures [B, 3, s, s] to [B, D]: CLIP's projection, else the class token before the final norm."""
    import torch
    from torch.nn.functional import conv2d, layer_norm

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        return layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], kind.eps)

    weight = state["patch_embed.proj.weight"]
    patches = (
        conv2d(pixels, weight, state.get("patch_embed.proj.bias"), stride=weight.shape[-1]).flatten(2).transpose(1, 2)
    )
    x = torch.cat([state["cls_token"].expand(len(patches), -1, -1), patches], 1)
    x = x + _positions(state["pos_embed"], patches.shape[1])
    x = norm("pos_drop", x) if kind.clip else x
    for i in range(depth(state)):
        x = _block(state, f"blocks.{i}", x, norm, quick=kind.quick)
    return norm("norm", x[:, 0]) @ state["proj"] if kind.clip else x[:, 0]


def depth(state: Tensors) -> int:
    """How many blocks there are."""
    return 1 + max((int(name.split(".")[1]) for name in state if name.startswith("blocks.")), default=-1)


def shapes(state: Tensors, kind: Kind, *, where: Path) -> dict[str, tuple[int, ...]]:
    """Every weight that a tower of these sizes has. Raises WeightsError where one that tells a size is missing."""
    try:
        width, patch = state["cls_token"].shape[-1], state["patch_embed.proj.weight"].shape[-1]
        positions, hidden = state["pos_embed"].shape[1], state["blocks.0.mlp.fc1.weight"].shape[0]
        projected = state["proj"].shape[-1] if kind.clip else 0
    except KeyError as error:
        raise other_model(where, "a vision transformer of DreamSim", f"no {error.args[0]}") from None
    told: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, positions, width),
        "patch_embed.proj.weight": (width, 3, patch, patch),
        "patch_embed.proj.bias": (width,),
        **_affine("norm", width),
        **(_affine("pos_drop", width) | {"proj": (width, projected)} if kind.clip else {}),
        **({"mask_token": (1, width)} if "mask_token" in state else {}),
    }
    for i in range(depth(state)):
        block = f"blocks.{i}"
        told |= _affine(f"{block}.norm1", width) | _affine(f"{block}.norm2", width)
        for name, rows, columns in (("attn.qkv", 3 * width, width), ("attn.proj", width, width)):
            told |= _affine(f"{block}.{name}", rows, columns)
        for name, rows, columns in (("mlp.fc1", hidden, width), ("mlp.fc2", width, hidden)):
            told |= _affine(f"{block}.{name}", rows, columns)
        if "blocks.0.ls1.gamma" in state:
            told |= {f"{block}.ls1.gamma": (width,), f"{block}.ls2.gamma": (width,)}
    return told


def _affine(name: str, rows: int, columns: int | None = None) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (rows,) if columns is None else (rows, columns), f"{name}.bias": (rows,)}


def _block(
    state: Tensors, name: str, x: torch.Tensor, norm: Callable[[str, torch.Tensor], torch.Tensor], *, quick: bool
) -> torch.Tensor:
    """Attention and perceptron, each on the norm of what it is added to. [B, N, D] to [B, N, D]."""
    import torch
    from torch.nn.functional import gelu, linear, scaled_dot_product_attention

    def dense(part: str, y: torch.Tensor) -> torch.Tensor:
        return linear(y, state[f"{name}.{part}.weight"], state[f"{name}.{part}.bias"])

    def scaled(part: str, y: torch.Tensor) -> torch.Tensor:
        factor = state.get(f"{name}.{part}.gamma")
        return y if factor is None else y * factor

    batch, tokens, width = x.shape
    qkv = dense("attn.qkv", norm(f"{name}.norm1", x)).reshape(batch, tokens, 3, -1, _HEAD_WIDTH)
    query, key, value = qkv.permute(2, 0, 3, 1, 4)
    mixed = scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(batch, tokens, width)
    x = x + scaled("ls1", dense("attn.proj", mixed))
    hidden = dense("mlp.fc1", norm(f"{name}.norm2", x))
    hidden = hidden * torch.sigmoid(1.702 * hidden) if quick else gelu(hidden)
    return x + scaled("ls2", dense("mlp.fc2", hidden))


def _positions(positions: torch.Tensor, patches: int) -> torch.Tensor:
    """Positions [1, 1 + patches, D], interpolated where the tower was trained at another size."""
    import torch
    from torch.nn.functional import interpolate

    trained, side = round((positions.shape[1] - 1) ** 0.5), round(patches**0.5)
    if trained == side:
        return positions
    grid = positions[:, 1:].float().reshape(1, trained, trained, -1).permute(0, 3, 1, 2)
    factor = (side + _GRID_OFFSET) / trained
    grid = interpolate(grid, scale_factor=(factor, factor), mode="bicubic").permute(0, 2, 3, 1).flatten(1, 2)
    return torch.cat([positions[:, :1], grid.to(positions.dtype)], 1)
