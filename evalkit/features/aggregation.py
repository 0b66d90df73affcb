"""Mind-the-Glitch's two aggregation networks: maps of several layers in, one semantic and one visual map out.

A layer's map goes through bottleneck blocks: convolutions of 1, 3 and 1 cells, each with a group norm, and a shortcut
where the channels change. The layers' results are added up, weighted by the softmax of learnt numbers; but the first
layer's is added without its weight, which is how the published networks were trained. Each cell is scaled to length 1.

Source: Mind-the-Glitch (arXiv 2509.21989), `mtg/models/mtg_model.py` in its public copies; the block is detectron2's
`BottleneckBlock`, as in diffusion-hyperfeatures/diffusion_hyperfeatures `archs/detectron2/resnet.py` (4a5ec2b).
Names of the weights, for `KIND` semantic and visual, layer l and block b: `bottleneck_layers_KIND.l.b.conv1.weight`,
`.conv1.norm.weight`, `.conv1.norm.bias`, the same for `conv2`, `conv3` and `shortcut`, and `mixing_weights_KIND`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from evalkit.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

Kind = Literal["semantic", "visual"]
KINDS: tuple[Kind, ...] = ("semantic", "visual")
DEFAULT_LAYERS = ("us6",)
"""What the source reads where its configuration names no layer."""


@dataclass(frozen=True)
class Shape:
    """What the weights' configuration says of the networks."""

    layers: tuple[str, ...]
    """Names of the maps that go in, in the order of the networks' layers."""
    resolution: int
    """Cells a side of what comes out; every map is resized to it first."""
    projection: int
    """Channels of what comes out."""
    blocks: int
    groups: int
    """Of every group norm."""


def read_shape(config: Mapping[str, Any], *, where: str) -> Shape:
    """From a configuration in the source's form. Raises WeightsError naming the entry that is missing or no number."""
    model = config.get("model")
    model = model if isinstance(model, dict) else {}
    resnet = model.get("resnet")
    resnet = resnet if isinstance(resnet, dict) else {}
    layers = model.get("feat_type", DEFAULT_LAYERS)
    layers = [layers] if isinstance(layers, str) else layers
    if not isinstance(layers, list | tuple) or not layers or not all(isinstance(name, str) for name in layers):
        raise WeightsError(f"{where}: wanted names of layers in model.feat_type, found {layers!r}; get the file again")

    def whole(name: str, value: object) -> int:
        if not isinstance(value, int) or value < 1:
            raise WeightsError(f"{where}: wanted a whole number for {name}, found {value!r}; get the file again")
        return value

    return Shape(
        layers=tuple(layers),
        resolution=whole("model.final_feat_resolution", model.get("final_feat_resolution")),
        projection=whole("model.resnet.projection_dim", resnet.get("projection_dim")),
        blocks=whole("model.resnet.num_blocks", resnet.get("num_blocks")),
        groups=whole("model.resnet.num_norm_groups", resnet.get("num_norm_groups")),
    )


def new_networks(shape: Shape, channels: Sequence[int]) -> torch.nn.Module:
    """Both networks, untrained, for maps of `channels`."""
    import torch

    class AggregationNetworks(torch.nn.Module):
        """Named, so that errors about its weights say whose they are."""

    networks = AggregationNetworks()
    for kind in KINDS:
        layers = torch.nn.ModuleList(_layer(count, shape) for count in channels)
        networks.add_module(f"bottleneck_layers_{kind}", layers)
        networks.register_parameter(f"mixing_weights_{kind}", torch.nn.Parameter(torch.randn(len(channels))))
    return networks


def aggregate(networks: torch.nn.Module, kind: Kind, maps: Sequence[torch.Tensor]) -> torch.Tensor:
    """One map [B, H, W, C], each cell of length 1, from the layers' maps [B, C_l, H, W] of one size.

    A cell that is zero stays zero.
    """
    import torch
    from torch.nn.functional import normalize

    weights = torch.softmax(networks.get_parameter(f"mixing_weights_{kind}"), 0)
    total = None
    for index, (layer, values) in enumerate(zip(_layers(networks, kind), maps, strict=True)):
        for block in layer:
            values = _bottleneck(block, values)  # noqa: PLW2901
        total = values if total is None else total + weights[index] * values
    assert total is not None
    return normalize(total, dim=1).permute(0, 2, 3, 1)


def resized(values: torch.Tensor, resolution: int) -> torch.Tensor:
    """A map [B, C, h, w] at `resolution` cells a side, bilinear without antialiasing, as the source resizes."""
    from torch.nn.functional import interpolate

    if values.shape[-2:] == (resolution, resolution):
        return values
    return interpolate(values, (resolution, resolution), mode="bilinear", align_corners=False)


def _layers(networks: torch.nn.Module, kind: Kind) -> Any:
    return networks.get_submodule(f"bottleneck_layers_{kind}")


def _layer(channels: int, shape: Shape) -> torch.nn.Sequential:
    import torch

    incoming = [channels, *[shape.projection] * (shape.blocks - 1)]
    return torch.nn.Sequential(*(_new_block(count, shape.projection, shape.groups) for count in incoming))


def _new_block(incoming: int, outgoing: int, groups: int) -> torch.nn.Module:
    import torch

    def convolution(a: int, b: int, side: int) -> torch.nn.Conv2d:
        layer = torch.nn.Conv2d(a, b, side, padding=side // 2, bias=False)
        layer.add_module("norm", torch.nn.GroupNorm(groups, b))
        torch.nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        return layer

    block, narrow = torch.nn.Module(), outgoing // 4
    if incoming != outgoing:
        block.add_module("shortcut", convolution(incoming, outgoing, 1))
    for name, layer in zip(
        ("conv1", "conv2", "conv3"),
        (convolution(incoming, narrow, 1), convolution(narrow, narrow, 3), convolution(narrow, outgoing, 1)),
        strict=True,
    ):
        block.add_module(name, layer)
    return block


def _bottleneck(block: torch.nn.Module, values: torch.Tensor) -> torch.Tensor:
    """[B, C, H, W] to [B, C', H, W]."""
    from torch.nn.functional import relu

    parts = dict(block.named_children())

    def convolved(name: str, x: torch.Tensor) -> torch.Tensor:
        layer = parts[name]
        normed: torch.Tensor = layer.get_submodule("norm")(layer(x))
        return normed

    hidden = relu(convolved("conv2", relu(convolved("conv1", values))))
    return relu(convolved("conv3", hidden) + (convolved("shortcut", values) if "shortcut" in parts else values))
