"""BLIP's two encoders in transformers, built from a file under BLIP's own names.

Source: THUDM/ImageReward `ImageReward/models/BLIP/vit.py` and `med.py` (c1392c6), which are salesforce/BLIP's. The
picture's encoder is told by its weights; the text's by the file `med_config.json` beside them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from evalkit.errors import WeightsError
from evalkit.features.building import build

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    State = Mapping[str, torch.Tensor]

HEAD = 64
"""Width of an attention head of the picture's encoder, at either of its sizes."""
VISION_EPS = 1e-6
_NAMES = (
    (r"^cls_token$", "embeddings.class_embedding"),
    (r"^pos_embed$", "embeddings.position_embedding"),
    (r"^patch_embed\.proj\.", "embeddings.patch_embedding."),
    (r"^norm\.", "post_layernorm."),
    (r"^blocks\.(\d+)\.attn\.qkv\.", r"encoder.layers.\1.self_attn.qkv."),
    (r"^blocks\.(\d+)\.attn\.proj\.", r"encoder.layers.\1.self_attn.projection."),
    (r"^blocks\.(\d+)\.norm(\d)\.", r"encoder.layers.\1.layer_norm\2."),
    (r"^blocks\.(\d+)\.mlp\.", r"encoder.layers.\1.mlp."),
)
"""BLIP's names of the picture's encoder, and what transformers calls them."""


def vision_encoder(state: State, *, where: Path) -> Any:
    """The BlipVisionModel of `state` under BLIP's names, in float32.

    Raises WeightsError where it is another model's.
    """
    from transformers import BlipVisionConfig, BlipVisionModel

    try:
        width, _, _, patch = state["patch_embed.proj.weight"].shape
        grid = round((state["pos_embed"].shape[1] - 1) ** 0.5)
        inner = len(state["blocks.0.mlp.fc1.weight"])
    except (KeyError, IndexError, ValueError) as error:
        raise WeightsError(
            f"{where}: wanted the picture's encoder of BLIP, found {type(error).__name__} {error}; get the file again"
        ) from None
    config = BlipVisionConfig(
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=sum(name.endswith(".norm1.weight") for name in state),
        num_attention_heads=width // HEAD,
        image_size=grid * patch,
        patch_size=patch,
        hidden_act="gelu",
        layer_norm_eps=VISION_EPS,
    )
    return build(BlipVisionModel, config, {_renamed(name): tensor for name, tensor in state.items()}, where=where)


def text_encoder(config: Mapping[str, Any], state: State, *, pictures: int, where: Path) -> Any:
    """The BlipTextModel that `config` describes, reading picture tokens of width `pictures`, in float32.

    Raises WeightsError where `state` is another model's.
    """
    from transformers import BlipTextConfig, BlipTextModel

    told = {name: config[name] for name in BERT if name in config}
    text = BlipTextConfig(**told, encoder_hidden_size=pictures, is_decoder=True)  # without, it has no cross attention
    return build(BlipTextModel, text, dict(state), where=where, add_pooling_layer=False)


BERT = (
    "hidden_act",
    "hidden_size",
    "intermediate_size",
    "layer_norm_eps",
    "max_position_embeddings",
    "num_attention_heads",
    "num_hidden_layers",
    "vocab_size",
)
"""What of `med_config.json` shapes the text's encoder."""


def _renamed(name: str) -> str:
    for blip, ours in _NAMES:
        renamed, found = re.subn(blip, ours, name)
        if found:
            return renamed
    return name
