"""A small U-Net: from a picture to a logit a pixel of whether the pixel shows the subject.

Two convolutions a level, each with a group norm; halved by means on the way down, doubled bilinearly on the way up, where
what the way down saw at that size joins in.

Source: Ronneberger et al., U-Net, MICCAI 2015. Deviations: group norms, padded convolutions, sums of halves in place of
maxima and of transposed convolutions, and widths of the embedded world's size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evalkit.errors import WeightsError

if TYPE_CHECKING:
    import torch

GROUPS = 8


def read_widths(config: Mapping[str, Any], *, where: str) -> tuple[int, ...]:
    """Channels a level, the picture's own size first. Raises WeightsError where the configuration names none."""
    widths = config.get("widths")
    fits = isinstance(widths, list) and len(widths) > 1
    if not fits or not all(isinstance(w, int) and w > 0 and w % GROUPS == 0 for w in widths or ()):
        raise WeightsError(
            f"{where}: wanted widths, two or more multiples of {GROUPS}, found {widths!r}; get the file again"
        )
    return tuple(widths or ())


def new_unet(widths: Sequence[int]) -> torch.nn.Module:
    """The network, untrained, for pictures whose sides can be halved once a level but the last."""
    import torch

    class SmallUNet(torch.nn.Module):
        """Named, so that errors about its weights say whose they are."""

    incoming = [3, *widths[:-1]]
    network = SmallUNet()
    network.add_module("down", torch.nn.ModuleList(_block(a, b) for a, b in zip(incoming, widths, strict=True)))
    rising = list(zip(widths[::-1], widths[-2::-1], strict=False))
    network.add_module("up", torch.nn.ModuleList(_block(deep + here, here) for deep, here in rising))
    network.add_module("head", torch.nn.Conv2d(widths[0], 1, 1))
    return network


def logits(network: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """Normalised pictures [B, 3, s, s] to [B, s, s], above 0 on the subject."""
    from torch.nn.functional import avg_pool2d, interpolate
    from torch.nn.modules.container import ModuleList

    down, up = network.get_submodule("down"), network.get_submodule("up")
    assert isinstance(down, ModuleList)
    assert isinstance(up, ModuleList)
    x, seen = pixels, []
    for level, block in enumerate(down):
        x = block(avg_pool2d(x, 2) if level else x)
        seen.append(x)
    for block, beside in zip(up, seen[-2::-1], strict=True):
        wide = interpolate(x, beside.shape[-2:], mode="bilinear", align_corners=False)
        x = block(_joined(wide, beside))
    found: torch.Tensor = network.get_submodule("head")(x)
    return found[:, 0]


def _joined(deep: torch.Tensor, beside: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.cat([deep, beside], 1)


def _block(incoming: int, outgoing: int) -> torch.nn.Sequential:
    from torch import nn

    layers: list[nn.Module] = []
    for count in (incoming, outgoing):
        layers += [nn.Conv2d(count, outgoing, 3, padding=1, bias=False), nn.GroupNorm(GROUPS, outgoing), nn.SiLU()]
    return nn.Sequential(*layers)
