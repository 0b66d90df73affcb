"""What the small Kontext does with its conditions, on the held-out subjects of the embedded benchmark.

The same prompts and seeds are sampled with the subject's own reference, with another subject's, with none, and with another
prompt. Identity is read by the embedded DINO and by the subject's true colours, prompts by the embedded CLIP.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.sandbox.benchmark import KINDS, PROMPTS, WorldCase, true_scene, world_record
from evalkit.sandbox.kontext.sample import Request, sample
from evalkit.sandbox.training.data import SIZE
from evalkit.sandbox.training.loop import CLIP_MEAN, CLIP_STD, IMAGENET_MEAN, IMAGENET_STD, to_pixels
from evalkit.sandbox.world import Scene, render

F32 = NDArray[np.float32]
Pictures = NDArray[np.uint8]
Figures = dict[str, float]

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
ASKED = (0, 4, 7)
"""Prompts of each subject that are sampled: one photorealistic, one stylised, one imaginative."""
CONDITIONS = ("true", "other_reference", "no_reference", "other_prompt")
TOLERANCE = 0.22
"""Distance in RGB, components in [0, 1], within which a pixel counts as of the subject's colour."""
WINDOW = slice(SIZE // 5, SIZE - SIZE // 6)
BATCH = 64


@dataclass(frozen=True)
class Bench:
    """S subjects and N = 3 S cases: `subject` and `prompt` [N] index `references` [S, ...] and a subject's nine `prompts`."""

    references: Pictures
    prompts: tuple[tuple[str, ...], ...]
    subject: NDArray[np.int64]
    prompt: NDArray[np.int64]
    true: Pictures
    colours: F32
    """The subject's main colour [S, 3] in [0, 1]."""
    coloured: NDArray[np.bool_]
    """Cases [N] whose colours are the subject's own: photorealistic pictures of something other than a style."""

    @property
    def asked(self) -> list[str]:
        """The prompt of each case."""
        return [self.prompts[s][p] for s, p in zip(self.subject.tolist(), self.prompt.tolist(), strict=True)]


@cache
def bench() -> Bench:
    """The embedded benchmark's subjects, references and true pictures, rendered in a few seconds."""
    subjects = world_record()["subjects"]
    cases = [(s, k) for s in range(len(subjects)) for k in ASKED]
    scenes = [
        true_scene(WorldCase(subjects[s]["subject"], k, prompt["prompt"], Scene.from_json(prompt["scene"])), seed=0)
        for s, k in cases
        for prompt in [subjects[s]["prompts"][k]]
    ]
    return Bench(
        references=np.stack([render(Scene.from_json(s["reference"]), size=SIZE).image for s in subjects]),
        prompts=tuple(tuple(prompt["prompt"] for prompt in s["prompts"]) for s in subjects),
        subject=np.array([s for s, _ in cases]), prompt=np.array([k for _, k in cases]),
        true=np.stack([render(scene, size=SIZE).image for scene in scenes]),
        colours=np.array([s["identity"]["main"] for s in subjects], np.float32),
        coloured=np.array([KINDS[k] == "photorealistic" and subjects[s]["identity"]["category"] != "style" for s, k in cases]),
    )  # fmt: skip


def other_subjects(count: int) -> NDArray[np.int64]:
    """For each subject another one, seven places on: of the same category for most, of another identity for all."""
    return (np.arange(count) + 7) % count


def requests(data: Bench, condition: str) -> list[Request]:
    """One request a case; the same seeds under every condition."""
    other = other_subjects(len(data.references))
    out = []
    for number, (subject, prompt) in enumerate(zip(data.subject.tolist(), data.prompt.tolist(), strict=True)):
        shown = other[subject] if condition == "other_reference" else subject
        told = (prompt + 1) % PROMPTS if condition == "other_prompt" else prompt
        reference = None if condition == "no_reference" else data.references[shown]
        out.append(Request(data.prompts[subject][told], reference, number))
    return out


def unit_images(model: str, images: Pictures) -> F32:
    """Unit embeddings [N, D] by the embedded `dino` (class token) or `clip`."""
    import torch
    from transformers import CLIPModel, Dinov2Model

    kind, mean, std = (
        (Dinov2Model, IMAGENET_MEAN, IMAGENET_STD) if model == "dino" else (CLIPModel, CLIP_MEAN, CLIP_STD)
    )
    loaded: Any = kind.from_pretrained(WEIGHTS / model, dtype=torch.float32)
    loaded.eval()

    def embed(pixels: Any) -> Any:
        if model == "dino":
            return loaded(pixels).last_hidden_state[:, 0]
        return loaded.get_image_features(pixels).pooler_output

    with torch.inference_mode():
        parts = [embed(to_pixels(images[i : i + BATCH], mean, std)).numpy() for i in range(0, len(images), BATCH)]
    return _unit(np.concatenate(parts))


def unit_texts(texts: list[str]) -> F32:
    """Unit embeddings [N, D] by the embedded CLIP."""
    import torch
    from transformers import CLIPModel, CLIPTokenizer

    model = CLIPModel.from_pretrained(WEIGHTS / "clip", dtype=torch.float32).eval()
    tokens = CLIPTokenizer.from_pretrained(WEIGHTS / "clip")(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        return _unit(model.get_text_features(**tokens).pooler_output.numpy())


def _unit(features: F32) -> F32:
    unit: F32 = features / np.linalg.norm(features, axis=-1, keepdims=True)
    return unit


def identity_figures(data: Bench, images: Pictures) -> Figures:
    """Likeness to the own reference, how often it is the most alike of all, and the share of pixels of the subject's colour."""
    likeness = unit_images("dino", images) @ unit_images("dino", data.references).T
    rows = np.arange(len(images))
    pixels = images[data.coloured][:, WINDOW, WINDOW].astype(np.float32) / 255
    colour = data.colours[data.subject[data.coloured]][:, None, None]
    near = np.linalg.norm(pixels - colour, axis=-1) < TOLERANCE
    return {
        "dino": float(likeness[rows, data.subject].mean()),
        "dino_top1": float((likeness.argmax(axis=1) == data.subject).mean()),
        "own_colour": float(near.mean()),
    }


def prompt_figures(data: Bench, images: Pictures) -> Figures:
    """Similarity to the prompt, and how often it is the most similar of the subject's nine."""
    texts = unit_texts([text for nine in data.prompts for text in nine]).reshape(len(data.prompts), PROMPTS, -1)
    scores = np.einsum("nd,nkd->nk", unit_images("clip", images), texts[data.subject])
    return {
        "clip": float(scores[np.arange(len(images)), data.prompt].mean()),
        "clip_top1_of_9": float((scores.argmax(axis=1) == data.prompt).mean()),
    }


def evaluate(pipeline: Any, **options: Any) -> dict[str, Figures]:
    """Figures by condition, and of the true pictures (`real`); `options` go to `sample`."""
    data = bench()
    made = {"real": data.true}
    for condition in CONDITIONS:
        made[condition] = np.stack(list(sample(pipeline, requests(data, condition), **options)))
    return {name: identity_figures(data, images) | prompt_figures(data, images) for name, images in made.items()}
