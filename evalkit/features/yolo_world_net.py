"""YOLO-World v2's network: YOLOv8 with a neck and a head that are told what to look for by an embedding.

Source: Cheng et al., YOLO-World, CVPR 2024; AILab-CVC/YOLO-World as franciszzj/OpenS2V-Nexus (ef17513) carries it, read for
its structure. `yolo_world_names` has the names of the weights that these functions read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.features.mplug_vision import Part
from evalkit.features.yolo_world_names import HEAD, IMAGE, NECK, PROJECTOR, Sizes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

STRIDES = (8, 16, 32)
"""Pixels of a place of each map."""
EPS = 1e-3
"""Added to the variance by every batch norm."""
POOL = 5
"""Side of the windows whose maxima the last stage takes three times over."""


def projected(weights: Part, embedding: torch.Tensor) -> torch.Tensor:
    """CLIP's embedding of what is looked for [B, D], of length 1, as the detector reads it [B, D]."""
    from torch.nn.functional import gelu

    part = weights.under(PROJECTOR)
    return part.linear("2", gelu(part.linear("0", embedding)))


def see(weights: Part, sizes: Sizes, pixels: torch.Tensor) -> list[torch.Tensor]:
    """Pictures [B, 3, h, w] in [0, 1] to three maps [B, C, h / stride, w / stride], the finest first."""
    import torch
    from torch.nn.functional import max_pool2d

    part = weights.under(IMAGE)
    x, maps = convolved(part.under("stem"), pixels, stride=2), []
    for n, depth in enumerate(sizes.depths):
        stage = part.under(f"stage{n + 1}")
        x = _crossed(stage.under("1"), convolved(stage.under("0"), x, stride=2), depth, residual=True)
        maps.append(x)
    pooling = part.under("stage4.2")
    seen = [convolved(pooling.under("conv1"), x)]
    for _ in range(3):
        seen.append(max_pool2d(seen[-1], POOL, stride=1, padding=POOL // 2))
    return [*maps[1:3], convolved(pooling.under("conv2"), torch.cat(seen, 1))]


def find(
    weights: Part, sizes: Sizes, maps: Sequence[torch.Tensor], prompt: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes [N, 4] (left, top, right, bottom in the picture's pixels) and the confidence of each [N], one a place of a map.

    maps: of one picture; prompt: [1, D].
    """
    import torch

    found = [
        _told(weights.under(HEAD), sizes, level, n, prompt)
        for n, level in enumerate(_mixed(weights, sizes, maps, prompt))
    ]
    boxes, confidence = (torch.cat(column) for column in zip(*found, strict=True))
    return boxes, confidence


def convolved(part: Part, x: torch.Tensor, *, stride: int = 1, active: bool = True) -> torch.Tensor:
    """Convolution, batch norm and, where `active`, SiLU."""
    from torch.nn.functional import conv2d, silu

    kernel = part["conv.weight"]
    y = _normed(part.under("bn"), conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2))
    return silu(y) if active else y


def _mixed(weights: Part, sizes: Sizes, maps: Sequence[torch.Tensor], prompt: torch.Tensor) -> list[torch.Tensor]:
    """The neck: coarse maps go up into finer ones, then fine ones down into coarser ones, each told the prompt."""
    import torch
    from torch.nn.functional import interpolate

    part, (fine, middle, coarse) = weights.under(NECK), maps

    def block(name: str, above: torch.Tensor, below: torch.Tensor, level: int) -> torch.Tensor:
        joined = torch.cat([above, below], 1)
        return _crossed(
            part.under(name), joined, sizes.neck_depth, residual=False, prompt=prompt, heads=sizes.heads[level]
        )

    middle = block("top_down_layers.0", interpolate(coarse, scale_factor=2.0), middle, 1)
    fine = block("top_down_layers.1", interpolate(middle, scale_factor=2.0), fine, 0)
    middle = block("bottom_up_layers.0", convolved(part.under("downsample_layers.0"), fine, stride=2), middle, 1)
    coarse = block("bottom_up_layers.1", convolved(part.under("downsample_layers.1"), middle, stride=2), coarse, 2)
    return [fine, middle, coarse]


def _crossed(
    part: Part, x: torch.Tensor, depth: int, *, residual: bool, prompt: torch.Tensor | None = None, heads: int = 0
) -> torch.Tensor:
    """A cross stage partial layer: half goes through bottlenecks one after the other, and all that came of it is joined."""
    import torch

    kept = list(convolved(part.under("main_conv"), x).chunk(2, 1))
    for n in range(depth):
        block = part.under(f"blocks.{n}")
        y = convolved(block.under("conv2"), convolved(block.under("conv1"), kept[-1]))
        kept.append(kept[-1] + y if residual else y)
    if prompt is not None:
        kept.append(_attended(part.under("attn_block"), kept[-1], prompt, heads))
    return convolved(part.under("final_conv"), torch.cat(kept, 1))


def _attended(part: Part, x: torch.Tensor, prompt: torch.Tensor, heads: int) -> torch.Tensor:
    """[B, C, h, w], each head's channels weighed by how much the place is like the prompt that it is most like."""
    import torch

    batch, channels, height, width = x.shape
    split = x.reshape(batch, heads, channels // heads, height, width)
    guide = part.linear("guide_fc", prompt).reshape(-1, heads, channels // heads)
    like = torch.einsum("bmchw,kmc->bmhwk", split, guide).amax(-1) / (channels // heads) ** 0.5
    weight = (like + part["bias"][None, :, None, None]).sigmoid()
    value = convolved(part.under("project_conv"), x, active=False).reshape(batch, heads, -1, height, width)
    weighed: torch.Tensor = value * weight[:, :, None]
    return weighed.reshape(batch, -1, height, width)


def _told(part: Part, sizes: Sizes, x: torch.Tensor, n: int, prompt: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The boxes of one level and their confidence, in the order of the map's rows."""
    import torch
    from torch.nn.functional import normalize

    contrast = part.under(f"cls_contrasts.{n}")
    embedded = _normed(contrast.under("norm"), _branched(part.under(f"cls_preds.{n}"), x))
    alike = torch.einsum("bchw,kc->bkhw", embedded, normalize(prompt, dim=-1))
    confidence = (alike * contrast["logit_scale"].exp() + contrast["bias"]).sigmoid()
    bins = _branched(part.under(f"reg_preds.{n}"), x)[0].reshape(4, sizes.bins, -1).softmax(1)
    sides = torch.einsum("sbp,b->ps", bins, torch.arange(sizes.bins, device=x.device, dtype=x.dtype)) * STRIDES[n]
    rows, columns = (torch.arange(side, device=x.device, dtype=x.dtype) for side in x.shape[2:])
    y, z = torch.meshgrid(rows, columns, indexing="ij")
    centres = (torch.stack([z, y], -1).reshape(-1, 2) + 0.5) * STRIDES[n]
    return torch.cat([centres - sides[:, :2], centres + sides[:, 2:]], 1), confidence[0, 0].flatten()


def _branched(part: Part, x: torch.Tensor) -> torch.Tensor:
    from torch.nn.functional import conv2d

    return conv2d(convolved(part.under("1"), convolved(part.under("0"), x)), part["2.weight"], part["2.bias"])


def _normed(part: Part, x: torch.Tensor) -> torch.Tensor:
    from torch.nn.functional import batch_norm

    return batch_norm(x, part["running_mean"], part["running_var"], part["weight"], part["bias"], eps=EPS)
