"""Training of the sandbox's CLIP: a `CLIPModel` of small size, contrastive on rendered pictures and their captions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.sandbox.training.data import SIZE, Progress, WorldSet
from evalkit.sandbox.training.loop import (
    CLIP_MEAN,
    CLIP_STD,
    WHOLE_PICTURES,
    Budget,
    Trained,
    attribute_head,
    attribute_loss,
    drop_tokens,
    fit,
    to_pixels,
)
from evalkit.sandbox.training.save import save_half
from evalkit.sandbox.training.tokenizer import CONTEXT, write_tokenizer

if TYPE_CHECKING:
    from torch import Tensor

PATCH = 12
WIDTH, DEPTH, HEADS = 128, 5, 4
TEXT_WIDTH, TEXT_DEPTH, TEXT_HEADS = 128, 2, 4
EMBEDDING = 128
BATCH = 96
PEAK = 1.5e-3
KEEP = 0.4
SHIFT = 5
HEADS_FOR = ("plan", "palette", "pattern", "place", "style", "action")
HEAD_WEIGHT = 0.5
PHOTO = "a photo of "


def clip_config(vocabulary: dict[str, int], *, width: int = WIDTH, depth: int = DEPTH) -> Any:
    """The model's configuration; `width` and `depth` are those of the vision tower."""
    from transformers import CLIPConfig

    end, start = vocabulary["<|endoftext|>"], vocabulary["<|startoftext|>"]
    text = {
        "vocab_size": len(vocabulary), "hidden_size": TEXT_WIDTH, "intermediate_size": 4 * TEXT_WIDTH,
        "num_hidden_layers": TEXT_DEPTH, "num_attention_heads": TEXT_HEADS, "max_position_embeddings": CONTEXT,
        "projection_dim": EMBEDDING, "hidden_act": "relu", "bos_token_id": start, "eos_token_id": end, "pad_token_id": end,
    }  # fmt: skip
    vision = {
        "hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": depth, "num_attention_heads": HEADS,
        "image_size": SIZE, "patch_size": PATCH, "projection_dim": EMBEDDING, "hidden_act": "relu",
    }  # fmt: skip
    return CLIPConfig(text_config=text, vision_config=vision, projection_dim=EMBEDDING)


def caption_variant(captions: tuple[str, str], rng: np.random.Generator) -> str:
    """The plain or the detailed caption, half of the photos' without "a photo of"."""
    text = captions[int(rng.integers(2))]
    return text.removeprefix(PHOTO) if rng.uniform() < 0.5 else text


def shifted(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The batch moved by up to `SHIFT` pixels, its border repeated."""
    dy, dx = rng.integers(0, 2 * SHIFT + 1, 2).tolist()
    padded = np.pad(images, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), mode="edge")
    return padded[:, dy : dy + images.shape[1], dx : dx + images.shape[2]]


def contrastive(image: Tensor, text: Tensor, scale: Tensor, same: Tensor) -> Tensor:
    """Symmetric cross-entropy; `same` [N, N] marks captions that are equal, which share the target."""
    from torch.nn.functional import cross_entropy, normalize

    logits = scale.exp().clamp(max=100) * normalize(image, dim=-1) @ normalize(text, dim=-1).T
    target = same / same.sum(dim=1, keepdim=True)
    return (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2


def image_embedding(model: Any, pixels: Tensor, keep: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Class token after the last norm, and its projection; a share `keep` of the patches is read."""
    tower = model.vision_model
    tokens = tower.embeddings(pixels)
    if keep < 1:
        tokens, _ = drop_tokens(tokens, keep, rng)
    hidden = tower.encoder(inputs_embeds=tower.pre_layrnorm(tokens)).last_hidden_state
    pooled = tower.post_layernorm(hidden[:, 0])
    return pooled, model.visual_projection(pooled)


def train_clip(
    out: Path, data: WorldSet, *, seed: int, budget: Budget, batch: int = BATCH, width: int = WIDTH, depth: int = DEPTH,
    start: Path | None = None, progress: Progress | None = None,
) -> Trained:  # fmt: skip
    """Train on `data` and save model, tokenizer and preprocessor configuration to `out`, in half precision.

    `start` is a folder saved by an earlier training to go on from.
    """
    import torch
    from transformers import CLIPModel, CLIPTokenizer

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    out.mkdir(parents=True, exist_ok=True)
    model = CLIPModel(clip_config(write_tokenizer(out), width=width, depth=depth))
    if start is not None:
        model = CLIPModel.from_pretrained(start, dtype=torch.float32)
    tokenizer = CLIPTokenizer.from_pretrained(out)
    head = attribute_head(width, HEADS_FOR)

    def loss_of(share: float) -> Tensor:
        chosen = np.sort(rng.choice(len(data.images), batch, replace=False))
        texts = [caption_variant(data.captions[i], rng) for i in chosen]
        tokens = tokenizer(texts, padding=True, return_tensors="pt")
        pixels = to_pixels(shifted(data.images[chosen], rng), CLIP_MEAN, CLIP_STD)
        pooled, image = image_embedding(model, pixels, KEEP if share < WHOLE_PICTURES else 1.0, rng)
        text = model.get_text_features(**tokens).pooler_output
        same = torch.tensor([[float(a == b) for b in texts] for a in texts])
        labels = torch.from_numpy(data.labels[chosen])
        return contrastive(image, text, model.logit_scale, same) + HEAD_WEIGHT * attribute_loss(
            head(pooled), labels, HEADS_FOR
        )

    trained = fit((model, head), loss_of, budget=budget, peak=PEAK, batch=batch, name="clip", progress=progress)
    save_half(model, out)
    (out / "preprocessor_config.json").write_text(json.dumps(_PREPROCESSOR, indent=2) + "\n", encoding="utf-8")
    return trained


_PREPROCESSOR = {
    "image_processor_type": "CLIPImageProcessor", "crop_size": {"height": SIZE, "width": SIZE}, "do_center_crop": True,
    "do_convert_rgb": True, "do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": list(CLIP_MEAN),
    "image_std": list(CLIP_STD), "resample": 3, "rescale_factor": 1 / 255, "size": {"shortest_edge": SIZE},
}  # fmt: skip
