"""Small checkpoints in the published formats, their weights filled by a formula, so that no version changes them.

Each `write_*` fills a folder as the hub (or torchvision, or dreamsim) would and returns it. Put the folder under a
directory named by EVALKIT_WEIGHTS as `org--name` and the published id finds it.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    import torch

SIDE = 32
WORDS = ("a", "photo", "of", "red", "blue", "dog", "cat", "toy", "in", "the", "snow", "on", "beach", "teapot")


def formula(shape: tuple[int, ...], phase: float, *, scale: float = 0.2) -> torch.Tensor:
    """Numbers in [-scale, scale] that depend on position and `phase` alone, without a visible period."""
    import torch

    i = np.arange(math.prod(shape), dtype=np.float64)
    values = np.sin(i * 12.9898 + phase * 78.233) * 43758.5453
    return torch.from_numpy(((values - np.floor(values)) * 2 - 1).astype(np.float32).reshape(shape)) * scale


def fill(module: torch.nn.Module) -> torch.nn.Module:
    """Every parameter by the formula; norms and layer scales around 1, biases small."""
    import torch

    with torch.no_grad():
        for phase, (name, parameter) in enumerate(sorted(module.named_parameters())):
            fan_in = math.prod(parameter.shape[1:]) if parameter.ndim > 1 else 1
            scale = min(0.5, 1.5 / math.sqrt(fan_in)) if parameter.ndim > 1 else 0.1
            about_one = parameter.ndim == 1 and name.endswith(("weight", "lambda1", "gamma"))
            parameter.copy_(formula(tuple(parameter.shape), phase + 1.0, scale=scale) + float(about_one))
    return module


def write_processor(folder: Path, kind: str, *, side: int = SIDE, shortest: int | None = None) -> None:
    """preprocessor_config.json as published: `CLIPImageProcessor` or `BitImageProcessor`."""
    import transformers

    imagenet = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    numbers = imagenet if kind == "BitImageProcessor" else {}
    size, crop = {"shortest_edge": shortest or side}, {"height": side, "width": side}
    getattr(transformers, f"{kind}Pil")(size=size, crop_size=crop, **numbers).save_pretrained(folder)


def write_tokenizer(folder: Path, *, length: int = 77) -> None:
    """A word-level tokenizer with start and end tokens, the end token for padding, as CLIP's has."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    names = ["<|startoftext|>", "<|endoftext|>", "<unk>", *WORDS]
    inner = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="<unk>"))
    inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("<|startoftext|>", 0), ("<|endoftext|>", 1)]
    inner.post_processor = processors.TemplateProcessing(single="<|startoftext|> $A <|endoftext|>", special_tokens=ends)
    told = {"bos_token": ends[0][0], "eos_token": ends[1][0], "pad_token": ends[1][0], "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=length, **told).save_pretrained(folder)


def write_clip_tokenizer(folder: Path) -> None:
    """CLIP's own tokenizer: the vocabulary and merges that open_clip carries, as transformers stores them."""
    from open_clip.tokenizer import SimpleTokenizer
    from transformers import CLIPTokenizer

    told = SimpleTokenizer()
    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocabulary = {names.get(name, name): i for name, i in told.encoder.items()}
    CLIPTokenizer(vocab=vocabulary, merges=list(told.bpe_ranks), model_max_length=77).save_pretrained(folder)


def write_clip(folder: Path, *, length: int = 16) -> Path:
    """A CLIPModel of 2 layers that reads 32 x 32 and a few words, its processor and its tokenizer."""
    words = {"vocab_size": 32, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    _write_clip(folder, {**words, "max_position_embeddings": length}, side=SIDE, patch=8)
    write_tokenizer(folder, length=length)
    return folder


def write_published_clip(folder: Path, *, patch: int) -> Path:
    """A CLIPModel of 2 layers that reads 224 x 224 and CLIP's own 77 tokens, with the token ids of OpenAI's config."""
    words = {"vocab_size": 49408, "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}
    _write_clip(folder, {**words, "max_position_embeddings": 77}, side=224, patch=patch)
    write_clip_tokenizer(folder)
    return folder


def _write_clip(folder: Path, words: dict[str, int], *, side: int, patch: int) -> None:
    from transformers import CLIPConfig, CLIPModel

    shared = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision = {**shared, "image_size": side, "patch_size": patch}
    config = CLIPConfig(text_config=shared | words, vision_config=vision, projection_dim=24)
    _save(fill(CLIPModel(config)), folder)
    write_processor(folder, "CLIPImageProcessor", side=side)


def write_dino(folder: Path, *, side: int = SIDE, patch: int = 8) -> Path:
    """A ViTModel (DINO v1) of 2 layers and heads of 64 that reads `side` x `side`."""
    from transformers import ViTConfig, ViTModel

    shape = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = ViTConfig(**shape, image_size=side, patch_size=patch, layer_norm_eps=1e-6)
    _save(fill(ViTModel(config, add_pooling_layer=False)), folder)
    numbers = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    told = {"image_processor_type": "ViTImageProcessor", "size": side, **numbers}
    (folder / "preprocessor_config.json").write_text(json.dumps(told), encoding="utf-8")
    return folder


def write_dinov2(folder: Path, *, trained: int = SIDE, side: int = SIDE, patch: int = 8, layers: int = 2) -> Path:
    """A Dinov2Model with heads of 64 that reads `side` x `side`, with positions of `trained` x `trained`."""
    from transformers import Dinov2Config, Dinov2Model

    shape = {"hidden_size": 128, "num_hidden_layers": layers, "num_attention_heads": 2}
    _save(fill(Dinov2Model(Dinov2Config(**shape, image_size=trained, patch_size=patch))), folder)
    write_processor(folder, "BitImageProcessor", side=side, shortest=round(256 / 224 * side))
    return folder


def write_open_clip(folder: Path, *, quick_gelu: bool = True) -> Path:
    """A small CLIP in open_clip's form with a configuration of its own; it reads 32 x 32 and open_clip's tokens."""
    from open_clip.model import CLIP
    from safetensors.torch import save_file

    towers: dict[str, Any] = {
        "embed_dim": 24,
        "quick_gelu": quick_gelu,
        "vision_cfg": {"image_size": SIDE, "layers": 2, "width": 64, "patch_size": 8},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(fill(CLIP(**towers)).state_dict(), folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": towers}), encoding="utf-8")
    return folder


def write_trunk(folder: Path, file: str, builder: str) -> Path:
    """A torchvision trunk (`alexnet`, `vgg16`, `squeezenet1_1`) in full size without its classifier."""
    import torch
    import torchvision

    with torch.device("meta"):
        features = getattr(torchvision.models, builder)(weights=None).features
    folder.mkdir(parents=True, exist_ok=True)
    state = {f"features.{name}": tensor for name, tensor in fill(features.to_empty(device="cpu")).state_dict().items()}
    torch.save(state, folder / file)
    return folder


def _save(model: Any, folder: Path) -> None:
    from evalkit.features.building import quiet

    with quiet():
        model.save_pretrained(folder)


def write_dreamsim(folder: Path, kind: str = "ensemble") -> Path:
    """The cache folder of the dreamsim package for one type, its towers 128 wide and 12 deep."""
    import torch
    from safetensors.torch import save_file

    arms = {"ensemble": ("dino_vitb16", "clip_vitb16", "open_clip_vitb16")}.get(kind, (kind,))
    (folder / "checkpoints").mkdir(parents=True)
    for phase, arm in enumerate(arms):
        state = _tower_state(arm, phase * 1000.0)
        if arm == "dino_vitb16":
            torch.save(state, folder / "checkpoints" / "dino_vitbase16_pretrain.pth")
            torch.save({"student": _dino_head()}, folder / "dino_vitb16_pretrain.pth")
        elif arm == "dinov2_vitb14":
            for place in (folder / "checkpoints", folder):
                torch.save(state, place / "dinov2_vitb14_pretrain.pth")
        else:
            torch.save({"state_dict": state}, folder / f"{arm}_pretrain.pth.tar")
    adapter = folder / (f"{kind}_lora" if kind == "ensemble" else f"{kind}_single_lora")
    adapter.mkdir()
    told = {
        "peft_type": "LORA",
        "r": 4,
        "lora_alpha": 6,
        "lora_dropout": 0.3,
        "bias": "none",
        "target_modules": ["qkv"],
    }
    (adapter / "adapter_config.json").write_text(json.dumps(told), encoding="utf-8")
    low_rank = {}
    for i in range(len(arms)):
        for block in range(12):
            name = f"base_model.model.extractor_list.{i}.model.blocks.{block}.attn.qkv.lora"
            low_rank[f"{name}_A.weight"] = formula((4, 128), i * 50.0 + block, scale=0.3)
            low_rank[f"{name}_B.weight"] = formula((384, 4), i * 50.0 + block + 0.5, scale=0.3)
    save_file(low_rank, adapter / "adapter_model.safetensors")
    return folder


def _tower_state(arm: str, phase: float) -> dict[str, torch.Tensor]:
    import torch
    from dreamsim.feature_extraction.vision_transformer import VisionTransformer

    patch = int(arm[-2:])
    side = 518 if arm.startswith("dinov2") else 224
    tower = VisionTransformer([side], patch, embed_dim=128, depth=12, num_heads=2, qkv_bias=True)
    if "clip" in arm:
        tower.pos_drop = torch.nn.LayerNorm(128)
    state = dict(fill(tower).state_dict())
    if "clip" in arm:
        state["proj"] = formula((128, 64), phase + 0.25, scale=0.2)
    if arm.startswith("dinov2"):
        state["mask_token"] = formula((1, 128), phase)
        for i in range(12):
            state |= {f"blocks.{i}.ls{k}.gamma": formula((128,), phase + i + k / 2) + 0.5 for k in (1, 2)}
    return {name: tensor + formula(tuple(tensor.shape), phase, scale=0.01) for name, tensor in state.items()}


def _dino_head() -> dict[str, torch.Tensor]:
    """The projection head that the package reads and, for the class token, never uses."""
    shapes = {"mlp.0": (2048, 768), "mlp.2": (2048, 2048), "mlp.4": (256, 2048)}
    told = {f"module.head.{name}.weight": formula(shape, 1.0) for name, shape in shapes.items()}
    told |= {f"module.head.{name}.bias": formula(shape[:1], 2.0) for name, shape in shapes.items()}
    return told | {"module.head.last_layer.weight": formula((2048, 256), 3.0)}


def write_facenet(folder: Path, file: str, *, phase: float = 0.0, people: int = 3, counts: bool = True) -> Path:
    """An InceptionResnetV1 in full size with the layer that names `people`; its norms have seen noise, so that faces differ.

    Without `counts` it lacks how many batches the norms were trained on, as files of older versions do.
    """
    import torch
    from facenet_pytorch import InceptionResnetV1

    network = fill(InceptionResnetV1(pretrained=None, classify=True, num_classes=people))
    with torch.no_grad():
        for parameter in network.parameters():
            if phase and parameter.ndim > 1:
                parameter.add_(formula(tuple(parameter.shape), phase, scale=0.05))
        for module in network.train().modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.momentum = 1.0
        noise = formula((6, 3, 10, 10), phase + 0.5, scale=1.0)
        network(torch.nn.functional.interpolate(noise, size=(160, 160), mode="bilinear"))
    state = {n: t for n, t in network.state_dict().items() if counts or not n.endswith("num_batches_tracked")}
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(state, folder / file)
    return folder
