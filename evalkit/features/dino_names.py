"""DINO and DINOv2 weights under the names of their own repositories, told in transformers' names.

Source: the state dicts of facebookresearch/dino `vision_transformer.py` and facebookresearch/dinov2
`dinov2/models/vision_transformer.py`; transformers' ViT and Dinov2 files.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from evalkit.features.weight_files import other_model

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    State = dict[str, torch.Tensor]

_HEAD_WIDTH = 64
"""Channels of an attention head in every released DINO and DINOv2 model."""
_OUTSIDE = {
    "cls_token": "embeddings.cls_token",
    "mask_token": "embeddings.mask_token",
    "register_tokens": "embeddings.register_tokens",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
    "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
    "norm.weight": "layernorm.weight",
    "norm.bias": "layernorm.bias",
}
_SHARED = {"attn.proj": "attention.output.dense"}
_V1 = {
    **_SHARED,
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}
_V2 = {
    **_SHARED,
    "ls1.gamma": "layer_scale1.lambda1",
    "ls2.gamma": "layer_scale2.lambda1",
    "mlp.w12": "mlp.weights_in",
    "mlp.w3": "mlp.weights_out",
}
_BLOCK = re.compile(r"blocks\.(\d+)\.(.+)")


def is_original(state: State) -> bool:
    """Whether the names are those of DINO's own repositories."""
    return "blocks.0.attn.qkv.weight" in state


def config_of(state: State, *, where: Path) -> dict[str, Any]:
    """A transformers configuration read off the shapes. Raises WeightsError where a name that it needs is missing."""
    try:
        width = state["pos_embed"].shape[2]
        places, patch = state["pos_embed"].shape[1] - 1, state["patch_embed.proj.weight"].shape[-1]
        qkv = state["blocks.0.attn.qkv.weight"]
    except KeyError as error:
        raise other_model(where, "the weights of DINO or DINOv2", f"no {error.args[0]}") from None
    v2 = "blocks.0.ls1.gamma" in state
    registers = state["register_tokens"].shape[1] if "register_tokens" in state else 0
    config = {
        "model_type": ("dinov2_with_registers" if registers else "dinov2") if v2 else "vit",
        "hidden_size": width,
        "num_hidden_layers": 1 + max(int(match[1]) for name in state if (match := _BLOCK.match(name))),
        "num_attention_heads": width // _HEAD_WIDTH,
        "image_size": round(places**0.5) * patch,
        "patch_size": patch,
        "qkv_bias": "blocks.0.attn.qkv.bias" in state,
        "layer_norm_eps": 1e-6,
    }
    if qkv.shape[0] != 3 * width or width % _HEAD_WIDTH:
        wanted = f"blocks.0.attn.qkv.weight of {3 * width} rows in heads of {_HEAD_WIDTH} channels"
        raise other_model(where, wanted, f"shape {list(qkv.shape)}")
    if v2:
        return config | {
            "use_swiglu_ffn": "blocks.0.mlp.w12.weight" in state,
            "num_register_tokens": registers,
        }
    return config | {"intermediate_size": state["blocks.0.mlp.fc1.weight"].shape[0]}


def renamed(state: State) -> State:
    """The same weights under transformers' names; the fused query, key and value rows are taken apart."""
    blocks = _V2 if "blocks.0.ls1.gamma" in state else _V1
    told: State = {}
    for name, tensor in state.items():
        if (match := _BLOCK.match(name)) is None:
            told[_OUTSIDE.get(name, name)] = tensor
            continue
        layer, inside = f"encoder.layer.{match[1]}", match[2]
        if inside.startswith("attn.qkv."):
            kind = inside.rpartition(".")[2]
            for part, rows in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                told[f"{layer}.attention.attention.{part}.{kind}"] = rows.clone()
        else:
            told[f"{layer}.{_inside(inside, blocks)}"] = tensor
    return told


def _inside(name: str, blocks: dict[str, str]) -> str:
    if name in blocks:
        return blocks[name]
    module, _, kind = name.rpartition(".")
    return f"{blocks.get(module, module)}.{kind}"
