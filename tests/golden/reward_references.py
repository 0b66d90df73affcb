"""The metrics of preference as their sources compute them, through open_clip, timm, transformers and torchvision.

One picture and one text at a time, from files, in float32 on the CPU. Nothing here calls evalkit.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torchvision import transforms as t
from torchvision.transforms import functional

from tests import tiny_rewards

if TYPE_CHECKING:
    from pathlib import Path

BICUBIC = t.InterpolationMode.BICUBIC
OPENAI = t.Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
SIDE, TOKENS = 224, 35
MEAN, DEVIATION = 0.16717362830052426, 1.0333394966054072


def hps(weights: Path, picture: Path, prompt: str, version: str) -> float:
    """The dot product of both embeddings at length 1."""
    from open_clip.tokenizer import SimpleTokenizer

    model = _hps(weights / f"ViT-H-14--hps_{version}", version)
    seen = model.encode_image(OPENAI(fitted(Image.open(picture)))[None], normalize=True)
    return float(seen @ model.encode_text(SimpleTokenizer()([prompt], 77), normalize=True).T)


def fitted(picture: Image.Image) -> Any:
    """The picture as a tensor, whole in the middle of a black square."""
    tensor = functional.to_tensor(picture)
    longest = max(picture.size)
    height, width = (round(length * (SIDE / float(longest))) for length in tensor.shape[1:])
    small = functional.resize(tensor, [height, width], BICUBIC)
    left, top = (SIDE - width) // 2, (SIDE - height) // 2
    return functional.pad(small, [left, top, SIDE - width - left, SIDE - height - top])


def aesthetic(weights: Path, picture: Path) -> float:
    """The head on CLIP's image embedding at length 1."""
    from transformers import CLIPImageProcessorPil

    clip = weights / "openai--clip-vit-large-patch14"
    pixels = CLIPImageProcessorPil.from_pretrained(clip)(Image.open(picture), return_tensors="pt")
    model, head = _aesthetic(clip, weights / "aesthetic--sac_logos_ava1" / "aesthetic-model.pth")
    embedding = model.get_image_features(**pixels).pooler_output
    return float(head(embedding / torch.linalg.vector_norm(embedding, dim=-1, keepdim=True)))


def image_reward(weights: Path, picture: Path, prompt: str) -> float:
    """The head on the prompt's first token, after it has attended to the picture's tokens, normalised."""
    vision, text, head = _image_reward(weights / "THUDM--ImageReward")
    tokenizer = _bert(weights / "google-bert--bert-base-uncased")
    words = tokenizer(prompt, padding="max_length", truncation=True, max_length=TOKENS, return_tensors="pt")
    steps = t.Compose([t.Resize(SIDE, BICUBIC), t.CenterCrop(SIDE), t.ToTensor(), OPENAI])
    pictures = vision.forward_features(steps(Image.open(picture))[None])
    asked = {"attention_mask": words.attention_mask, "encoder_hidden_states": pictures}
    read = text(words.input_ids, **asked).last_hidden_state[:, 0]
    return (float(head(read)) - MEAN) / DEVIATION


@cache
def _hps(folder: Path, version: str) -> Any:
    from open_clip.model import CLIP

    towers = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))["model_cfg"]
    model = CLIP(**towers)
    model.load_state_dict(torch.load(folder / tiny_rewards.HPS_FILES[version], weights_only=True)["state_dict"])
    return model.eval()


@cache
def _aesthetic(clip: Path, head: Path) -> tuple[Any, Any]:
    from transformers import CLIPModel

    model = CLIPModel.from_pretrained(clip, dtype=torch.float32)
    return model.eval(), _head(torch.load(head, weights_only=True), "layers.")


@cache
def _image_reward(folder: Path) -> tuple[Any, Any, Any]:
    state = torch.load(folder / "ImageReward.pt", weights_only=True)
    vision, text = tiny_rewards.vision(), tiny_rewards.text()
    vision.load_state_dict(_part(state, "blip.visual_encoder."))
    told = _part(state, "blip.text_encoder.") | {
        name: tensor for name, tensor in text.state_dict().items() if "token_type" in name
    }
    text.load_state_dict({name: tensor for name, tensor in told.items() if not name.endswith("position_ids")})
    return vision, text, _head(state, "mlp.layers.")


@cache
def _bert(folder: Path) -> Any:
    from transformers import BertTokenizer

    return BertTokenizer.from_pretrained(folder)


def _head(state: dict[str, torch.Tensor], prefix: str) -> Any:
    layers = _part(state, prefix)
    head = tiny_rewards.new_head(layers["0.weight"].shape[1])
    head.load_state_dict(layers)
    return head.eval()


def _part(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
