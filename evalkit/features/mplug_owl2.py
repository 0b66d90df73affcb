"""mPLUG-Owl2, which one-align is: a vision transformer whose tokens queries gather, read by a Llama that has weights of
its own for a picture's tokens in norms, keys and values.

Source: Q-Future/Q-Align `q_align/model` (14dfdff), `modeling_llama2.py` and `modeling_mplug_owl2.py`, whose names of weights
these functions read; its code does not import with transformers 5. Deviation: all rows of a batch have the same
conversation, so that a picture's tokens are at one place.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from evalkit.features.mplug_vision import (
    Part,
    abstractor_shapes,
    gather,
    joined_heads,
    see,
    split_heads,
    vision_shapes,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from evalkit.features.mplug_vision import Config, Shapes

TEXT, PICTURE = 0, 1
"""Which of two weights is for which tokens."""
THETA = 10000.0
"""Of the rotary positions, where the configuration says nothing."""
_EYES, _QUERIES = "model.vision_model", "model.visual_abstractor"


class Owl:
    """Pictures in the middle of a conversation to the logits of its next token."""

    def __init__(self, state: Mapping[str, torch.Tensor], config: Config) -> None:
        self._part, self._config = Part(state), config
        self._visual = config["visual_config"]["visual_model"], config["visual_config"]["visual_abstractor"]

    def seen(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pictures [B, 3, s, s] to their tokens [B, queries + 1, D]."""
        eyes, queries = self._visual
        return gather(self._part.under(_QUERIES), queries, see(self._part.under(_EYES), eyes, pixels))

    def logits(self, pictures: torch.Tensor, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """Tokens of pictures [B, N, D] between ids [b] and [a] to logits [B, V] of what comes next."""
        import torch

        table, rows = self._part["model.embed_tokens.weight"], len(pictures)
        texts = [table[ids].expand(rows, -1, -1) for ids in (before, after)]
        shown = slice(len(before), len(before) + pictures.shape[1])
        hidden = torch.cat([texts[0], pictures, texts[1]], dim=1)
        for number in range(self._config["num_hidden_layers"]):
            hidden = _read(self._part.under(f"model.layers.{number}"), self._config, hidden, shown)
        last = _rms(hidden[:, -1], self._part["model.norm.weight"], self._config["rms_norm_eps"])
        return self._part.linear("lm_head", last)


def shapes(config: Config) -> Shapes:
    """Every weight of the model, by name."""
    width, inner, words = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    visual = config["visual_config"]
    told: Shapes = {
        "model.embed_tokens.weight": (words, width),
        "model.norm.weight": (width,),
        "lm_head.weight": (words, width),
        **vision_shapes(visual["visual_model"], f"{_EYES}."),
        **abstractor_shapes(visual["visual_abstractor"], width, f"{_QUERIES}."),
    }
    for number in range(config["num_hidden_layers"]):
        layer = f"model.layers.{number}"
        told |= {f"{layer}.self_attn.{name}_proj.weight": (width, width) for name in ("q", "o")}
        told |= {f"{layer}.mlp.{name}_proj.weight": (inner, width) for name in ("gate", "up")}
        told[f"{layer}.mlp.down_proj.weight"] = (width, inner)
        for kind in (TEXT, PICTURE):
            told |= {f"{layer}.self_attn.{name}_proj.multiway.{kind}.weight": (width, width) for name in ("k", "v")}
            told |= {
                f"{layer}.{name}_layernorm.multiway.{kind}.weight": (width,) for name in ("input", "post_attention")
            }
    return told


def _read(part: Part, config: Config, hidden: torch.Tensor, shown: slice) -> torch.Tensor:
    """One layer of Llama. [B, L, D] to [B, L, D]."""
    import torch
    from torch.nn.functional import linear, scaled_dot_product_attention, silu

    heads, eps = config["num_attention_heads"], config["rms_norm_eps"]

    def normed(name: str, x: torch.Tensor) -> torch.Tensor:
        weights = [part[f"{name}.multiway.{kind}.weight"] for kind in (TEXT, PICTURE)]
        return torch.cat([_rms(tokens, weights[kind], eps) for tokens, kind in _kinds(x, shown)], dim=1)

    def told(name: str, x: torch.Tensor) -> torch.Tensor:
        weights = [part[f"self_attn.{name}.multiway.{kind}.weight"] for kind in (TEXT, PICTURE)]
        return torch.cat([linear(tokens, weights[kind]) for tokens, kind in _kinds(x, shown)], dim=1)

    before = normed("input_layernorm", hidden)
    asked, keys, values = part.linear("self_attn.q_proj", before), told("k_proj", before), told("v_proj", before)
    asked, keys, values = (split_heads(tokens, heads) for tokens in (asked, keys, values))
    asked, keys = (_rotated(tokens, config.get("rope_theta", THETA)) for tokens in (asked, keys))
    read = joined_heads(scaled_dot_product_attention(asked, keys, values, is_causal=True))
    hidden = hidden + part.linear("self_attn.o_proj", read)
    after = normed("post_attention_layernorm", hidden)
    gated = silu(part.linear("mlp.gate_proj", after)) * part.linear("mlp.up_proj", after)
    return hidden + part.linear("mlp.down_proj", gated)


def _kinds(x: torch.Tensor, shown: slice) -> list[tuple[torch.Tensor, int]]:
    """The tokens before the picture, the picture's, and those after it."""
    return [(x[:, : shown.start], TEXT), (x[:, shown], PICTURE), (x[:, shown.stop :], TEXT)]


def _rms(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """Llama's norm of [..., D]: the mean square in float32."""
    import torch

    wide = x.float()
    return weight * (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)).to(x.dtype)


def _rotated(tokens: torch.Tensor, theta: float) -> torch.Tensor:
    """Llama's rotary positions 0, 1, ... on [B, heads, L, d], the halves of d as pairs."""
    import torch

    length, width = tokens.shape[-2:]
    steps = torch.arange(0, width, 2, device=tokens.device, dtype=torch.float32) / width
    places = torch.arange(length, device=tokens.device, dtype=torch.float32)
    angles = torch.outer(places, torch.exp(-math.log(theta) * steps))
    cos, sin = (torch.cat([wave, wave], dim=-1).to(tokens.dtype) for wave in (angles.cos(), angles.sin()))
    first, second = tokens.chunk(2, dim=-1)
    return tokens * cos + torch.cat([-second, first], dim=-1) * sin
