"""Small vision-language models in the published format, filled by `tiny_weights.formula`, and what they are shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.tiny_weights import fill, formula

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
PENALTY = 1.05
QWEN_PICTURES = {
    "do_convert_rgb": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "image_processor_type": "Qwen2VLImageProcessor",
    "merge_size": 2,
    "patch_size": 14,
    "temporal_patch_size": 2,
}


SHOWN = ((120, 203), (300, 170), (96, 96))
"""Height and width of the pictures."""
SAID = ("a dog", "A red car in the snow, seen from above.", "nothing {at} all")


def picture(number: int) -> NDArray[np.uint8]:
    """Blocks of colour under noise, of the size that `SHOWN` says."""
    rng, (height, width) = np.random.default_rng(number), SHOWN[number]
    blocks = np.kron(rng.integers(0, 200, (5, 4, 3)), np.ones((height // 5 + 1, width // 4 + 1, 1)))[:height, :width]
    return (blocks + rng.integers(0, 56, (height, width, 3))).astype(np.uint8)


def write_qwen_vqa(folder: Path) -> Path:
    """Qwen2.5-VL with its settings of `generate`, sharded by no file."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    vision = {
        "depth": 3, "fullatt_block_indexes": [1], "hidden_size": 32, "in_channels": 3, "intermediate_size": 48,
        "num_heads": 2, "out_hidden_size": 32, "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2,
        "tokens_per_second": 2, "window_size": 112,
    }  # fmt: skip
    _save(folder, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, vision)
    settings = {"do_sample": True, "repetition_penalty": PENALTY, "temperature": 0.000001}
    (folder / "generation_config.json").write_text(json.dumps(settings), encoding="utf-8")
    _write_pictures(folder, (4, 16384))
    return folder


def write_gme(folder: Path) -> Path:
    """Qwen2-VL as GME has it."""
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    vision = {
        "depth": 2, "embed_dim": 32, "hidden_size": 32, "in_channels": 3, "mlp_ratio": 2, "num_heads": 2, "patch_size": 14,
        "spatial_merge_size": 2, "temporal_patch_size": 2,
    }  # fmt: skip
    _save(folder, Qwen2VLConfig, Qwen2VLForConditionalGeneration, vision)
    _write_pictures(folder, (256, 1280))
    return folder


def _save(folder: Path, config_class: Any, model_class: Any, vision: dict[str, Any]) -> None:
    tokens = write_tokenizer(folder)
    text = {
        "hidden_size": 32, "intermediate_size": 48, "max_position_embeddings": 4096, "num_attention_heads": 4,
        "num_hidden_layers": 2, "num_key_value_heads": 2, "rms_norm_eps": 1e-6, "vocab_size": len(tokens),
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]},
    }  # fmt: skip
    ids = {f"{name}_token_id": tokens[f"<|{token}|>"] for name, token in (
        ("image", "image_pad"), ("video", "video_pad"), ("vision_start", "vision_start"), ("vision_end", "vision_end"),
    )}  # fmt: skip
    model: Any = fill(
        model_class(config_class(vision_config=vision, text_config=text, tie_word_embeddings=False, **ids))
    )
    model.save_pretrained(folder)


def _write_pictures(folder: Path, tokens: tuple[int, int]) -> None:
    limits = dict(zip(("min_pixels", "max_pixels"), (count * 28**2 for count in tokens), strict=True))
    (folder / "preprocessor_config.json").write_text(json.dumps(QWEN_PICTURES | limits), encoding="utf-8")


def write_tokenizer(folder: Path) -> dict[str, int]:
    """A byte-level tokenizer that knows `Yes` and Qwen's special tokens; returns its vocabulary."""
    from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: n for n, token in enumerate([*alphabet, "Ye", "Yes"])}
    tokenizer = Tokenizer(BPE(vocabulary, [("Y", "e"), ("Ye", "s")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    told = {"tokenizer_class": "Qwen2TokenizerFast", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(told), encoding="utf-8")
    return dict(tokenizer.get_vocab())


def write_flan_tokenizer(folder: Path) -> Path:
    """tokenizer.json with T5's pieces: words by characters, an end token after each text."""
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import Unigram
    from tokenizers.processors import TemplateProcessing

    characters = [chr(code) for code in range(33, 127)]
    pieces = ["<pad>", "</s>", "<unk>", "▁", "▁Yes", *characters]
    model = Unigram([(piece, 0.0 if n < 3 else -1.0) for n, piece in enumerate(pieces)], unk_id=2)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def write_clip_336(folder: Path) -> Path:
    """A small CLIP that reads 336 x 336, as the published one is laid out."""
    from transformers import CLIPConfig, CLIPModel

    small = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2}
    vision = small | {"num_hidden_layers": 3, "image_size": 336, "patch_size": 56}
    text = small | {"num_hidden_layers": 1, "vocab_size": 99}
    model: Any = fill(CLIPModel(CLIPConfig(vision_config=vision, text_config=text, projection_dim=16)))
    model.save_pretrained(folder)
    said = {
        "crop_size": 336, "do_center_crop": True, "do_normalize": True, "do_resize": True, "resample": 3, "size": 336,
        "image_processor_type": "CLIPImageProcessor", "image_mean": QWEN_PICTURES["image_mean"],
        "image_std": QWEN_PICTURES["image_std"],
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(said), encoding="utf-8")
    return folder


def write_clip_flant5(folder: Path, *, tower: bool = True) -> Path:
    """CLIP-FlanT5 in two shards of torch files, with its own copy of CLIP's tower where `tower`."""
    from transformers import CLIPConfig, CLIPVisionModel, T5Config, T5ForConditionalGeneration

    told = {
        "d_ff": 48, "d_kv": 16, "d_model": 40, "decoder_start_token_id": 0, "eos_token_id": 1, "pad_token_id": 0,
        "feed_forward_proj": "gated-gelu", "num_heads": 2, "num_layers": 2, "num_decoder_layers": 2, "vocab_size": 101,
        "tie_word_embeddings": False,
    }  # fmt: skip
    t5: Any = fill(T5ForConditionalGeneration(T5Config(**told)))
    state = dict(t5.state_dict())
    state["lm_head.weight"] = formula((101, 40), 5.0, scale=0.3)
    for alias in ("", "encoder.", "decoder."):
        state[f"{alias}embed_tokens.weight"] = state["shared.weight"]
    for phase, (name, shape) in enumerate(
        (("0.weight", (40, 32)), ("0.bias", (40,)), ("2.weight", (40, 40)), ("2.bias", (40,)))
    ):
        state[f"mm_projector.{name}"] = formula(shape, phase + 0.5, scale=0.4)
    if tower:
        vision = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2, "num_hidden_layers": 3}
        own: Any = fill(
            CLIPVisionModel(CLIPConfig(vision_config=vision | {"image_size": 336, "patch_size": 56}).vision_config)
        )
        state |= {
            f"vision_tower.vision_tower.vision_model.{name.removeprefix('vision_model.')}": 0.9 * tensor
            for name, tensor in own.state_dict().items()
        }
    folder.mkdir(parents=True, exist_ok=True)
    _save_shards(folder, state)
    mm = {
        "mm_hidden_size": 32, "mm_projector_type": "mlp2x_gelu", "mm_vision_select_feature": "patch",
        "mm_vision_select_layer": -2, "mm_vision_tower": "openai/clip-vit-large-patch14-336", "model_type": "clip_t5",
        "architectures": ["CLIPT5ForConditionalGeneration"],
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(told | mm), encoding="utf-8")
    return folder


def _save_shards(folder: Path, state: dict[str, Any]) -> None:
    """Two torch files and their index."""
    import torch

    names = sorted(state)
    shards = {"pytorch_model-00001-of-00002.bin": names[::2], "pytorch_model-00002-of-00002.bin": names[1::2]}
    for file, held in shards.items():
        torch.save({name: state[name].clone() for name in held}, folder / file)
    index = {"metadata": {}, "weight_map": {name: file for file, held in shards.items() for name in held}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index), encoding="utf-8")


def write_one_align(folder: Path, *, side: int = 56) -> Path:
    """mPLUG-Owl2 in shards of torch files, with a trained sentence-piece model; pictures of `side` pixels."""
    import torch

    from evalkit.features.mplug_owl2 import shapes

    vision = {
        "hidden_size": 32, "image_size": side, "intermediate_size": 48, "layer_norm_eps": 1e-6, "num_attention_heads": 2,
        "num_hidden_layers": 2, "patch_size": 14,
    }  # fmt: skip
    abstractor = {
        "encoder_hidden_size": 32, "grid_size": side // 14, "hidden_size": 32, "intermediate_size": 48,
        "layer_norm_eps": 1e-6, "num_attention_heads": 2, "num_hidden_layers": 2, "num_learnable_queries": 4,
    }  # fmt: skip
    folder.mkdir(parents=True)
    config = {
        "architectures": ["MPLUGOwl2LlamaForCausalLM"], "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu",
        "hidden_size": 40, "intermediate_size": 64, "max_position_embeddings": 2048, "model_type": "mplug_owl2",
        "num_attention_heads": 4, "num_hidden_layers": 2, "num_key_value_heads": 4, "rms_norm_eps": 1e-5,
        "rope_scaling": None, "tie_word_embeddings": False, "vocab_size": write_pieces(folder),
        "visual_config": {"visual_model": vision, "visual_abstractor": abstractor},
    }  # fmt: skip
    state = {}
    for phase, (name, shape) in enumerate(sorted(shapes(config).items())):
        scale = 0.1 if len(shape) == 1 else 0.5 if name == "lm_head.weight" else 0.35
        state[name] = formula(shape, phase + 1.0, scale=scale) + float("norm" in name and name.endswith("weight"))
    state["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(5)
    _save_shards(folder, state)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    said = {
        "crop_size": side, "do_center_crop": True, "do_normalize": True, "do_resize": True, "resample": 3, "size": side,
        "feature_extractor_type": "CLIPFeatureExtractor", "image_mean": QWEN_PICTURES["image_mean"],
        "image_std": QWEN_PICTURES["image_std"],
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(said), encoding="utf-8")
    return folder


def write_pieces(folder: Path) -> int:
    """tokenizer.model with the words that Q-Align uses; returns how many pieces it has."""
    from sentencepiece import SentencePieceTrainer

    words = (
        "excellent good fair poor bad USER: How would you rate the quality aesthetics of this image? ASSISTANT: The is"
    )
    text = folder / "words.txt"
    text.write_text("\n".join(words.split() * 9), encoding="utf-8")
    SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / "tokenizer"), vocab_size=330, model_type="bpe", byte_fallback=True,
        hard_vocab_limit=False, normalization_rule_name="identity", remove_extra_whitespaces=False, minloglevel=2,
    )  # fmt: skip
    for spare in ("words.txt", "tokenizer.vocab"):
        (folder / spare).unlink()
    from sentencepiece import SentencePieceProcessor

    return int(SentencePieceProcessor(model_file=str(folder / "tokenizer.model")).vocab_size())
