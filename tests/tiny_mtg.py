"""A small Mind-the-Glitch in the published format: three models' folders, their weights filled by a formula."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from evalkit.features.aggregation import Shape, new_networks
from tests.tiny_weights import fill

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import torch

MTG, CLEANDIFT, DIFFUSION = (
    "abdo-eldesokey--mind-the-glitch",
    "CompVis--cleandift",
    "stabilityai--stable-diffusion-2-1",
)
SIDE = 64
WIDTHS = (32, 64, 96, 128)
"""Of the UNet's four blocks, all different so that a map of the wrong block does not fit."""
CHANNELS = {"us1": 128, "us3": 128, "us4": 96, "us6": 96, "us7": 64, "us9": 64, "us10": 32}
TIMESTEP = 260.5
UNET = {
    "sample_size": SIDE // 8,
    "block_out_channels": WIDTHS,
    "layers_per_block": 2,
    "cross_attention_dim": 16,
    "attention_head_dim": [2, 4, 6, 8],
    "use_linear_projection": True,
    "upcast_attention": True,
}
AUTOENCODER = {
    "block_out_channels": (8, 8, 16, 16),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "norm_num_groups": 4,
    "sample_size": SIDE,
}
TEXT = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 7,
    "bos_token_id": 0,
    "eos_token_id": 2,
}


def models() -> tuple[Any, Any, Any]:
    """The UNet, the autoencoder and the text encoder."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    text = CLIPTextModel(CLIPTextConfig(**TEXT))
    return tuple(fill(model).eval() for model in (UNet2DConditionModel(**UNET), AutoencoderKL(**AUTOENCODER), text))  # type: ignore[return-value]


def write_mtg(root: Path, *, layers: Sequence[str] = ("us3", "us6"), inside: bool = False, blocks: int = 1) -> Path:
    """Fills three folders below `root` as `org--name`. With `inside` Mind-the-Glitch's file holds CleanDIFT as well."""
    import torch
    from safetensors.torch import save_file

    unet, autoencoder, text = models()
    for part, model in (("unet", unet), ("vae", autoencoder)):
        (root / DIFFUSION / part).mkdir(parents=True, exist_ok=True)
        model.save_config(root / DIFFUSION / part)
    text.save_pretrained(root / DIFFUSION / "text_encoder")
    cleandift = {f"unet_feature_extractor_cleandift.{name}": t.clone() for name, t in unet.state_dict().items()}
    cleandift |= {f"ae.ae.{name}": t.clone() for name, t in autoencoder.state_dict().items()}
    cleandift |= {"timestep": torch.tensor(TIMESTEP), "adapters.us6.layers.0.norm.linear.weight": torch.zeros(3, 4)}
    shape = Shape(tuple(layers), 6, 32, blocks, 4)
    networks = fill(new_networks(shape, [CHANNELS[name] for name in layers])).state_dict()
    for folder in (MTG, CLEANDIFT):
        (root / folder).mkdir(parents=True, exist_ok=True)
    wrong = {name: torch.zeros_like(tensor) for name, tensor in cleandift.items()}
    save_file(wrong if inside else cleandift, root / CLEANDIFT / "cleandift_sd21_full.safetensors")
    told = {f"cleandift_model.{name}": tensor for name, tensor in cleandift.items()} if inside else {}
    save_file(networks | told, root / MTG / "mtg_weights.safetensors")
    (root / MTG / "experiment_cfg.yaml").write_text(yaml.safe_dump(config(shape)), encoding="utf-8")
    return root


def config(shape: Shape) -> dict[str, Any]:
    """experiment_cfg.yaml, with an entry that nobody reads."""
    resnet = {"num_blocks": shape.blocks, "projection_dim": shape.projection, "num_norm_groups": shape.groups}
    model = {"name": "MindTheGlitchModel", "feat_type": list(shape.layers), "final_feat_resolution": shape.resolution}
    return {"dtype": "bfloat16", "model": {**model, "resnet": resnet}, "losses": ["semantic_in"]}


def reference(networks: dict[str, torch.Tensor], kind: str, maps: Sequence[torch.Tensor], groups: int) -> torch.Tensor:
    """The aggregation written again from its description, cell by cell where that is plain: [B, H, W, C]."""
    import torch
    from torch.nn.functional import pad

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        grouped = x.reshape(len(x), groups, -1)
        centred = grouped - grouped.mean(-1, keepdim=True)
        scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        weight, bias = networks[f"{name}.norm.weight"], networks[f"{name}.norm.bias"]
        return scaled.reshape(x.shape) * weight[None, :, None, None] + bias[None, :, None, None]

    def one(x: torch.Tensor, name: str) -> torch.Tensor:
        return norm(torch.einsum("oi,bihw->bohw", networks[f"{name}.weight"][:, :, 0, 0], x), name)

    def three(x: torch.Tensor, name: str) -> torch.Tensor:
        weight, (height, width) = networks[f"{name}.weight"], x.shape[-2:]
        around = pad(x, (1, 1, 1, 1))
        total = torch.zeros(len(x), len(weight), height, width)
        for dy in range(3):
            for dx in range(3):
                part = around[:, :, dy : dy + height, dx : dx + width]
                total = total + torch.einsum("oi,bihw->bohw", weight[:, :, dy, dx], part)
        return norm(total, name)

    mixing = networks[f"mixing_weights_{kind}"].exp()
    mixing = mixing / mixing.sum()
    total = torch.zeros(())
    for index, values in enumerate(maps):
        x, block = values, 0
        while f"bottleneck_layers_{kind}.{index}.{block}.conv1.weight" in networks:
            name = f"bottleneck_layers_{kind}.{index}.{block}"
            hidden = three(one(x, f"{name}.conv1").clamp(min=0), f"{name}.conv2").clamp(min=0)
            short = one(x, f"{name}.shortcut") if f"{name}.shortcut.weight" in networks else x
            x, block = (one(hidden, f"{name}.conv3") + short).clamp(min=0), block + 1
        total = total + (x if index == 0 else mixing[index] * x)
    unit: torch.Tensor = total / total.square().sum(1, keepdim=True).sqrt().clamp(min=1e-12)
    return unit.permute(0, 2, 3, 1)
