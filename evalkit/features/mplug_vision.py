"""The eyes of mPLUG-Owl2: a vision transformer, and learnt queries that gather its tokens.

Source: Q-Future/Q-Align `q_align/model/visual_encoder.py` (14dfdff), whose names of weights these functions read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    Config = Mapping[str, Any]
    Shapes = dict[str, tuple[int, ...]]

EPS = 1e-5
"""Added to the variance by norms whose configuration says nothing."""


class Part:
    """The weights under a prefix, and what the layers among them do."""

    def __init__(self, state: Mapping[str, torch.Tensor], prefix: str = "") -> None:
        self._state, self._prefix = state, prefix

    def under(self, name: str) -> Part:
        """The weights of one of its parts."""
        return Part(self._state, f"{self._prefix}{name}.")

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._state[self._prefix + name]

    def linear(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """[..., I] to [..., O], with a bias where there is one."""
        from torch.nn.functional import linear

        return linear(x, self[f"{name}.weight"], self._state.get(f"{self._prefix}{name}.bias"))

    def norm(self, name: str, x: torch.Tensor, eps: float = EPS) -> torch.Tensor:
        """The layer norm of [..., D]."""
        from torch.nn.functional import layer_norm

        return layer_norm(x, x.shape[-1:], self[f"{name}.weight"], self[f"{name}.bias"], eps)


def see(part: Part, config: Config, pixels: torch.Tensor) -> torch.Tensor:
    """Pictures [B, 3, s, s] to tokens [B, 1 + (s / patch)^2, D], the class token first, after the last norm."""
    import torch
    from torch.nn.functional import conv2d

    eps, places = config["layer_norm_eps"], part.under("embeddings")
    patches = conv2d(pixels, places["patch_embed.weight"], stride=config["patch_size"]).flatten(2).transpose(1, 2)
    tokens = torch.cat([places["cls_token"].expand(len(patches), -1, -1), patches], dim=1)
    hidden = places.norm("pre_layernorm", tokens + places["position_embedding"], eps)
    for number in range(config["num_hidden_layers"]):
        hidden = _seeing(part.under(f"encoder.layers.{number}"), config, hidden)
    return part.norm("post_layernorm", hidden, eps)


def gather(part: Part, config: Config, seen: torch.Tensor) -> torch.Tensor:
    """Tokens of pictures [B, N, D] gathered by learnt queries, and an end token: [B, queries + 1, width]."""
    import torch

    hidden = part["query_embeds"].expand(len(seen), -1, -1)
    for number in range(config["num_hidden_layers"]):
        hidden = _gathering(part.under(f"encoder.layers.{number}.crossattention"), config, hidden, seen)
    return torch.cat([part.linear("visual_fc", hidden), part["vit_eos"].expand(len(seen), -1, -1)], dim=1)


def split_heads(tokens: torch.Tensor, heads: int) -> torch.Tensor:
    """[B, L, D] to [B, heads, L, D / heads]."""
    rows, length, width = tokens.shape
    return tokens.view(rows, length, heads, width // heads).transpose(1, 2)


def joined_heads(tokens: torch.Tensor) -> torch.Tensor:
    """The inverse of `split_heads`."""
    return tokens.transpose(1, 2).flatten(2)


def _seeing(part: Part, config: Config, hidden: torch.Tensor) -> torch.Tensor:
    """One layer; queries, keys and values of a head lie beside each other. [B, N, D] to [B, N, D]."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    eps, heads = config["layer_norm_eps"], config["num_attention_heads"]
    told = part.linear("self_attn.query_key_value", part.norm("input_layernorm", hidden, eps))
    rows, length, width = hidden.shape
    asked, keys, values = told.view(rows, length, heads, 3, width // heads).permute(3, 0, 2, 1, 4)
    read = joined_heads(scaled_dot_product_attention(asked, keys, values))
    hidden = hidden + part.linear("self_attn.dense", read)
    inner = part.linear("mlp.fc1", part.norm("post_attention_layernorm", hidden, eps))
    return hidden + part.linear("mlp.fc2", inner * torch.sigmoid(1.702 * inner))


def _gathering(part: Part, config: Config, hidden: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """Queries attend to themselves and to the picture; what is added to is the queries after their norm."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention, silu

    heads, attention, output = config["num_attention_heads"], part.under("attention"), part.under("output")
    hidden = part.norm("norm1", hidden)
    both = torch.cat([hidden, part.norm("normk", seen)], dim=1)
    own = attention["q_pos_embed"]
    told = (
        attention.linear("query", hidden + own),
        attention.linear("key", both + torch.cat([own, attention["k_pos_embed"]])),
        attention.linear("value", both),
    )
    asked, keys, values = (split_heads(tokens, heads) for tokens in told)
    hidden = hidden + output.linear("out_proj", joined_heads(scaled_dot_product_attention(asked, keys, values)))
    normed = output.norm("norm2", hidden)
    gated = silu(output.linear("mlp.w1", normed)) * output.linear("mlp.w3", normed)
    return hidden + output.linear("mlp.w2", output.norm("mlp.ffn_ln", gated, config["layer_norm_eps"]))


def vision_shapes(config: Config, prefix: str) -> Shapes:
    """Every weight of `see`, by name."""
    width, inner, patch = config["hidden_size"], config["intermediate_size"], config["patch_size"]
    places = (config["image_size"] // patch) ** 2 + 1
    told: Shapes = {
        "embeddings.cls_token": (1, 1, width),
        "embeddings.patch_embed.weight": (width, 3, patch, patch),
        "embeddings.position_embedding": (1, places, width),
        **affine("embeddings.pre_layernorm", width),
        **affine("post_layernorm", width),
    }
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layers.{number}"
        told |= affine(f"{layer}.input_layernorm", width) | affine(f"{layer}.post_attention_layernorm", width)
        told |= affine(f"{layer}.self_attn.query_key_value", 3 * width, width)
        told |= affine(f"{layer}.self_attn.dense", width, width)
        told |= affine(f"{layer}.mlp.fc1", inner, width) | affine(f"{layer}.mlp.fc2", width, inner)
    return {prefix + name: shape for name, shape in told.items()}


def abstractor_shapes(config: Config, width: int, prefix: str) -> Shapes:
    """Every weight of `gather`, whose tokens become `width` wide, by name."""
    own, inner, seen = config["hidden_size"], config["intermediate_size"], config["encoder_hidden_size"]
    queries, places = config["num_learnable_queries"], config["grid_size"] ** 2 + 1
    told: Shapes = {"query_embeds": (1, queries, own), "vit_eos": (1, 1, width), **affine("visual_fc", width, own)}
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layers.{number}.crossattention"
        told |= affine(f"{layer}.norm1", own) | affine(f"{layer}.normk", seen)
        told |= {f"{layer}.attention.q_pos_embed": (queries, own), f"{layer}.attention.k_pos_embed": (places, seen)}
        told |= affine(f"{layer}.attention.query", own, own)
        told |= affine(f"{layer}.attention.key", own, seen) | affine(f"{layer}.attention.value", own, seen)
        told |= affine(f"{layer}.output.out_proj", own, own) | affine(f"{layer}.output.norm2", own)
        told |= affine(f"{layer}.output.mlp.w1", inner, own) | affine(f"{layer}.output.mlp.w3", inner, own)
        told |= affine(f"{layer}.output.mlp.w2", own, inner) | affine(f"{layer}.output.mlp.ffn_ln", inner)
    return {prefix + name: shape for name, shape in told.items()}


def affine(name: str, rows: int, columns: int | None = None) -> Shapes:
    """Weight and bias of a linear layer, or of a norm."""
    return {f"{name}.weight": (rows,) if columns is None else (rows, columns), f"{name}.bias": (rows,)}
