"""The sources' own networks on the checkpoints of `tests.tiny_weights`, to compare with; evalkit has no part in them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from tests import original_names

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

LPIPS_TRUNKS = {
    "alex": ("alexnet-owt-7be5be79.pth", "alexnet"),
    "vgg": ("vgg16-397923af.pth", "vgg16"),
    "squeeze": ("squeezenet1_1-b8a52dc0.pth", "squeezenet1_1"),
}
"""By LPIPS's name: torchvision's file of weights and its builder."""


def openai_clip(folder: Path) -> Any:
    """open_clip's network, which is openai/CLIP's, in float32 with the weights of a CLIPModel in `folder`."""
    from open_clip.model import CLIP

    state = original_names.clip_names(folder)
    words, positions = state["token_embedding.weight"], state["positional_embedding"]
    patches, grid = state["visual.conv1.weight"], round((len(state["visual.positional_embedding"]) - 1) ** 0.5)
    hidden, heads = len(state["visual.transformer.resblocks.0.mlp.c_fc.weight"]), 2
    shape = {"layers": 2, "mlp_ratio": hidden / len(patches), "width": len(patches)}
    network = CLIP(
        embed_dim=state["visual.proj"].shape[1],
        vision_cfg={
            **shape,
            "image_size": grid * patches.shape[-1],
            "patch_size": patches.shape[-1],
            "head_width": len(patches) // heads,
        },
        text_cfg={**shape, "context_length": len(positions), "vocab_size": len(words), "heads": heads},
        quick_gelu=True,
    )
    network.load_state_dict(state)
    return network.eval()


def dino(folder: Path, *, side: int, patch: int) -> torch.nn.Module:
    """facebookresearch/dino's network, whose file dreamsim carries, with the weights of a ViTModel in `folder`."""
    network = _vit(patch, side=side, depth=2, mlp_ratio=2)
    network.load_state_dict(original_names.dino_names(folder))
    return network.eval()


def dreamsim(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Callable[[Any], torch.Tensor]]:
    """The package's own model and transform, with small towers and without the repositories that it would run."""
    import dreamsim as package
    from dreamsim.feature_extraction import load_clip_as_dino, load_open_clip_as_dino

    torch.set_num_threads(1)
    monkeypatch.setattr(torch.hub, "load", partial(_hub_network, folder / "checkpoints"))
    monkeypatch.setattr(torch.hub, "set_dir", lambda _: None)
    monkeypatch.setattr(load_clip_as_dino, "vit_base", _vit)
    monkeypatch.setattr(load_open_clip_as_dino, "vit_base", _vit)
    model, transform = package.dreamsim(pretrained=True, device="cpu", cache_dir=str(folder), dreamsim_type=kind)
    return model, transform


def lpips(name: str, folder: Path, **options: Any) -> Any:
    """The package's own model with the trunk's weights in `folder`."""
    import lpips as package

    torch.set_num_threads(1)
    model = package.LPIPS(net=name, pnet_rand=True, verbose=False, **options)
    state = torch.load(folder / LPIPS_TRUNKS[name][0], weights_only=True)
    by_layer = {n.removeprefix("features."): tensor for n, tensor in state.items()}
    own = model.net.state_dict()
    model.net.load_state_dict({n: by_layer[n.partition(".")[2]] for n in own})
    return model.eval()


def _vit(patch_size: int = 16, *, side: int = 224, depth: int = 12, mlp_ratio: int = 4) -> torch.nn.Module:
    from dreamsim.feature_extraction.vision_transformer import VisionTransformer

    shape: dict[str, Any] = {"embed_dim": 128, "depth": depth, "num_heads": 2, "mlp_ratio": mlp_ratio}
    norm = {"norm_layer": partial(torch.nn.LayerNorm, eps=1e-6)}
    network: torch.nn.Module = VisionTransformer([side], patch_size, **shape, **norm, qkv_bias=True)
    return network


def _hub_network(checkpoints: Path, _repository: str, name: str) -> torch.nn.Module:
    if not name.startswith("dinov2"):
        network = _vit()
        network.load_state_dict(torch.load(checkpoints / "dino_vitbase16_pretrain.pth", weights_only=True))
        return network
    return _dinov2(torch.load(checkpoints / "dinov2_vitb14_pretrain.pth", weights_only=True))


def _dinov2(state: dict[str, torch.Tensor]) -> torch.nn.Module:
    """timm's network under facebookresearch/dinov2's names, its positions of 37 x 37 brought to 16 x 16 as there.

    No package carries the repository's own file. It scales positions by (16 + 0.1) / 37, and timm to the exact grid.
    """
    from timm.models.vision_transformer import VisionTransformer

    grid = state["pos_embed"][:, 1:].reshape(1, 37, 37, -1).permute(0, 3, 1, 2)
    grid = torch.nn.functional.interpolate(grid, scale_factor=(16.1 / 37, 16.1 / 37), mode="bicubic")
    state["pos_embed"] = torch.cat([state["pos_embed"][:, :1], grid.flatten(2).transpose(1, 2)], 1)
    del state["mask_token"]
    shape = {"img_size": 224, "patch_size": 14, "embed_dim": 128, "depth": 12, "num_heads": 2}
    network: torch.nn.Module = VisionTransformer(**shape, num_classes=0, init_values=1.0)
    network.load_state_dict(state)
    return network
