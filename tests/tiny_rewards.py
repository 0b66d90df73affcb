"""Small checkpoints of the metrics of preference in their published form, filled by `tiny_weights.formula`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.tiny_weights import fill, formula

if TYPE_CHECKING:
    from pathlib import Path

    import torch

HPS_FILES = {"v2.0": "HPS_v2_compressed.pt", "v2.1": "HPS_v2.1_compressed.pt"}
WORDS = (
    "a an the of in on at by photo blue red grey tea ##pot ##s stone night cup cafe window dog beach snow & ; , ! ' \""
)
VOCABULARY = ("[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS.split(), "amp", "“", "”", "’")
ADDED = 2
"""[DEC] and [ENC], which BLIP adds."""
PICTURE, TEXT = 128, 64
"""Widths of BLIP's encoders here, told apart as they are in the published file."""
BERT: dict[str, Any] = {
    "hidden_act": "gelu",
    "hidden_size": TEXT,
    "intermediate_size": 96,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 64,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "vocab_size": len(VOCABULARY) + ADDED,
}


def write_hps(folder: Path, *, version: str) -> Path:
    """open_clip's CLIP that reads 224 x 224, in half precision in a training checkpoint, and its configuration."""
    import torch
    from open_clip.model import CLIP

    towers: dict[str, Any] = {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 224, "layers": 2, "width": 64, "patch_size": 32},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
    }
    model = fill(CLIP(**towers))
    shift = 0.02 if version == "v2.1" else 0.0
    state = {
        name: (tensor + shift * formula(tuple(tensor.shape), 3.0)).half() for name, tensor in model.state_dict().items()
    }
    folder.mkdir(parents=True)
    torch.save({"epoch": 1, "name": version, "state_dict": state}, folder / HPS_FILES[version])
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": towers}), encoding="utf-8")
    return folder


def write_aesthetic(folder: Path, *, width: int = 24) -> Path:
    """The head on a CLIP of that projection width, under LAION's names."""
    import torch

    folder.mkdir(parents=True)
    torch.save(head_state(width), folder / "aesthetic-model.pth")
    return folder


def write_image_reward(folder: Path) -> Path:
    """ImageReward.pt with what it holds beside the parts that are used, and med_config.json."""
    import torch

    state = {f"blip.visual_encoder.{name}": tensor for name, tensor in vision().state_dict().items()}
    state |= {
        f"blip.text_encoder.{name}": tensor for name, tensor in text().state_dict().items() if "token_type" not in name
    }
    state["blip.text_encoder.embeddings.position_ids"] = torch.arange(BERT["max_position_embeddings"])[None]
    for name, width in (("vision_proj", PICTURE), ("text_proj", TEXT)):
        state |= {f"blip.{name}.weight": formula((16, width), 1.0), f"blip.{name}.bias": formula((16,), 2.0)}
    state |= {f"mlp.{name}": tensor for name, tensor in head_state(TEXT).items()}
    folder.mkdir(parents=True)
    torch.save(state, folder / "ImageReward.pt")
    told = BERT | {
        "add_type_embeddings": False,
        "encoder_width": TEXT,
        "add_cross_attention": True,
        "model_type": "bert",
    }
    (folder / "med_config.json").write_text(json.dumps(told), encoding="utf-8")
    return folder


def write_vocabulary(folder: Path) -> Path:
    """vocab.txt as BERT's."""
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    return folder


def vision() -> Any:
    """timm's ViT, whose names BLIP's file has, without a classifier."""
    from timm.models.vision_transformer import VisionTransformer

    shape = {"img_size": 224, "patch_size": 16, "embed_dim": PICTURE, "depth": 2, "num_heads": 2}
    return fill(VisionTransformer(**shape, num_classes=0, global_pool="")).eval()


def text() -> Any:
    """transformers' BERT with attention to tokens of width PICTURE, each text token seeing all others; without types."""
    import torch
    from transformers import BertConfig, BertModel

    config = BertConfig(**BERT, is_decoder=True, add_cross_attention=True, attn_implementation="eager")
    model = BertModel(config, add_pooling_layer=False)
    for layer in model.encoder.layer:
        attention = layer.crossattention.self
        attention.key, attention.value = (torch.nn.Linear(PICTURE, TEXT) for _ in range(2))
    fill(model)
    torch.nn.init.zeros_(model.embeddings.token_type_embeddings.weight)
    model.config.is_decoder = False
    return model.eval()


def head_state(width: int) -> dict[str, torch.Tensor]:
    """`layers.0.weight` and so on."""
    return {f"layers.{name}": tensor for name, tensor in fill(new_head(width)).state_dict().items()}


def new_head(width: int) -> Any:
    """The head as LAION and ImageReward train it, dropouts included."""
    from torch.nn import Dropout, Linear, Sequential

    wide = (Linear(width, 1024), Dropout(0.2), Linear(1024, 128), Dropout(0.2))
    return Sequential(*wide, Linear(128, 64), Dropout(0.1), Linear(64, 16), Linear(16, 1))
