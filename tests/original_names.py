"""Weights that transformers stores, under the names of the models' own repositories, for those repositories' networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import torch

_DINO = (
    ("embeddings.patch_embeddings.projection", "patch_embed.proj"),
    ("embeddings.position_embeddings", "pos_embed"),
    ("embeddings.", ""),
    ("encoder.layer.", "blocks."),
    ("attention.output.dense", "attn.proj"),
    ("layernorm_before", "norm1"),
    ("layernorm_after", "norm2"),
    ("intermediate.dense", "mlp.fc1"),
    ("output.dense", "mlp.fc2"),
    ("layer_scale1.lambda1", "ls1.gamma"),
    ("layer_scale2.lambda1", "ls2.gamma"),
    ("layernorm.", "norm."),
)
_CLIP = (
    ("text_model.embeddings.token_embedding", "token_embedding"),
    ("text_model.embeddings.position_embedding.weight", "positional_embedding"),
    ("text_model.encoder.layers.", "transformer.resblocks."),
    ("text_model.final_layer_norm", "ln_final"),
    ("text_projection.weight", "text_projection"),
    ("vision_model.embeddings.class_embedding", "visual.class_embedding"),
    ("vision_model.embeddings.patch_embedding", "visual.conv1"),
    ("vision_model.embeddings.position_embedding.weight", "visual.positional_embedding"),
    ("vision_model.pre_layrnorm", "visual.ln_pre"),
    ("vision_model.encoder.layers.", "visual.transformer.resblocks."),
    ("vision_model.post_layernorm", "visual.ln_post"),
    ("visual_projection.weight", "visual.proj"),
    ("self_attn.in_proj.", "attn.in_proj_"),
    ("self_attn.out_proj", "attn.out_proj"),
    ("layer_norm", "ln_"),
    ("mlp.fc1", "mlp.c_fc"),
    ("mlp.fc2", "mlp.c_proj"),
)


def dino_names(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a ViTModel or Dinov2Model in `folder`, named as facebookresearch/dino and dinov2 do."""
    joined = _joined(folder, "attention.attention.", ("query", "key", "value"), "attn.qkv.")
    return {_renamed(name, _DINO): tensor for name, tensor in joined.items()}


def clip_names(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a CLIPModel in `folder`, named as openai/CLIP does, whose projections are [inputs, outputs]."""
    joined = _joined(folder, "self_attn.", ("q_proj", "k_proj", "v_proj"), "self_attn.in_proj.")
    turned = {name: tensor.T if name.endswith("_projection.weight") else tensor for name, tensor in joined.items()}
    return {_renamed(name, _CLIP): tensor for name, tensor in turned.items()}


def _joined(folder: Path, prefix: str, parts: tuple[str, ...], name: str) -> dict[str, torch.Tensor]:
    """The state with the three projections of every attention joined into one, as both repositories have them."""
    import torch
    from safetensors.torch import load_file

    state, first = load_file(folder / "model.safetensors"), f"{prefix}{parts[0]}."
    told = {}
    for key, tensor in state.items():
        if first in key:
            split = [state[key.replace(first, f"{prefix}{part}.")] for part in parts]
            told[key.replace(first, name)] = torch.cat(split)
        elif not any(f"{prefix}{part}." in key for part in parts):
            told[key] = tensor
    return told


def _renamed(name: str, pairs: tuple[tuple[str, str], ...]) -> str:
    for theirs, ours in pairs:
        name = name.replace(theirs, ours)
    return name
