"""How good the small backbones are, on identities held out from their training; every figure stands beside its chance level."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.sandbox.training.data import ATTRIBUTES, GRID, WorldSet
from evalkit.sandbox.training.loop import CLIP_MEAN, CLIP_STD, IMAGENET_MEAN, IMAGENET_STD, to_pixels
from evalkit.sandbox.training.lpips_trunk import load_trunk
from evalkit.sandbox.world.captions import PLACE_PHRASES, STYLE_PHRASES, TWIST_PHRASES
from evalkit.sandbox.world.vocabulary import actions_of

F32 = NDArray[np.float32]
Figures = dict[str, float]

BATCH = 64
CANDIDATES = 64
RIDGE = 1.0


def _unit(features: F32) -> F32:
    unit: F32 = features / np.linalg.norm(features, axis=-1, keepdims=True)
    return unit


def _batches(data: WorldSet, mean: tuple[float, ...], std: tuple[float, ...]) -> Iterator[Any]:
    for start in range(0, len(data.images), BATCH):
        yield to_pixels(data.images[start : start + BATCH], mean, std)


# --- clip -----------------------------------------------------------------------------------------------------------------


class ClipEncoder:
    """Unit image and text embeddings of the CLIP in `folder`."""

    def __init__(self, folder: Path) -> None:
        import torch
        from transformers import CLIPModel, CLIPTokenizer

        self.model = CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = CLIPTokenizer.from_pretrained(folder)

    def images(self, data: WorldSet) -> F32:
        """[N, D] for every picture of `data`."""
        import torch

        with torch.inference_mode():
            parts = [
                self.model.get_image_features(p).pooler_output.numpy() for p in _batches(data, CLIP_MEAN, CLIP_STD)
            ]
        return _unit(np.concatenate(parts))

    def texts(self, texts: list[str]) -> F32:
        """[N, D] for every text."""
        import torch

        with torch.inference_mode():
            tokens = self.tokenizer(texts, padding=True, return_tensors="pt")
            return _unit(self.model.get_text_features(**tokens).pooler_output.numpy())


def retrieval(images: F32, texts: F32, captions: list[str], *, seed: int, draws: int = 20) -> tuple[float, float]:
    """Top-1 and top-5 of caption to image among 64 pictures with distinct captions, mean over `draws` random sets."""
    rng = np.random.default_rng(seed)
    top1, top5 = [], []
    for _ in range(draws):
        order = rng.permutation(len(captions)).tolist()
        chosen = list({captions[i]: i for i in order}.values())[:CANDIDATES]
        scores = texts[chosen] @ images[chosen].T
        rank = (scores > np.diag(scores)[:, None]).sum(axis=1)
        top1.append((rank < 1).mean())
        top5.append((rank < 5).mean())
    return float(np.mean(top1)), float(np.mean(top5))


def _swapped(data: WorldSet, index: int) -> dict[str, tuple[list[str], int]]:
    """The plain caption of a picture with its place, style or action replaced by every other one, and which is true."""
    plan, _, _, _, place, style, action = (
        names[k] for names, k in zip(ATTRIBUTES.values(), data.labels[index], strict=True)
    )
    where = {**PLACE_PHRASES, **TWIST_PHRASES}
    article = "an" if plan[0] in "aeiou" else "a"
    actions = actions_of(plan)

    def text(style: str, action: str, place: str) -> str:
        return f"{STYLE_PHRASES[style]} {article} {plan} {action} {where[place]}"

    return {
        "place": ([text(style, action, p) for p in ATTRIBUTES["place"]], ATTRIBUTES["place"].index(place)),
        "style": ([text(s, action, place) for s in ATTRIBUTES["style"]], ATTRIBUTES["style"].index(style)),
        "action": ([text(style, a, place) for a in actions], actions.index(action)),
    }


def evaluate_clip(folder: Path, data: WorldSet, *, seed: int = 0) -> Figures:
    """Retrieval among 64, and zero-shot accuracy of place, style and action (the rest of the caption being true)."""
    encoder = ClipEncoder(folder)
    images = encoder.images(data)
    plain = [c[0] for c in data.captions]
    top1, top5 = retrieval(images, encoder.texts(plain), plain, seed=seed)
    figures: Figures = {"retrieval_top1": top1, "retrieval_top5": top5, "retrieval_top1_chance": 1 / CANDIDATES,
                        "retrieval_top5_chance": 5 / CANDIDATES}  # fmt: skip
    hits: dict[str, list[float]] = {}
    chance: dict[str, list[float]] = {}
    for i in range(0, len(data.images), 3):
        for name, (texts, true) in _swapped(data, i).items():
            hits.setdefault(name, []).append(float((encoder.texts(texts) @ images[i]).argmax() == true))
            chance.setdefault(name, []).append(1 / len(texts))
    for name, values in hits.items():
        figures |= {
            f"zero_shot_{name}": float(np.mean(values)),
            f"zero_shot_{name}_chance": float(np.mean(chance[name])),
        }
    return figures


# --- dino -----------------------------------------------------------------------------------------------------------------


def dino_tokens(folder: Path, data: WorldSet) -> F32:
    """Tokens after the last norm [N, 145, D] of every picture."""
    import torch
    from transformers import Dinov2Model

    model = Dinov2Model.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        return np.concatenate([model(p).last_hidden_state.numpy() for p in _batches(data, IMAGENET_MEAN, IMAGENET_STD)])


def area_under_curve(positive: NDArray[np.floating], negative: NDArray[np.floating]) -> float:
    """Chance that a positive scores above a negative, ties counted half."""
    order = np.sort(negative)
    below, upto = np.searchsorted(order, positive, "left"), np.searchsorted(order, positive, "right")
    return float(((below + upto) / 2).mean() / len(negative))


def evaluate_identity(features: F32, identity: NDArray[np.int64], plan: NDArray[np.int64]) -> Figures:
    """Retrieval of the same identity among all other pictures, and separation of same and different identities.

    `auc_same_plan` sets the pictures of one identity against those of other identities of the same plan.
    """
    scores = features @ features.T
    others = ~np.eye(len(scores), dtype=bool)
    same = (identity[:, None] == identity[None, :]) & others
    ranked = np.argsort(np.where(others, -scores, np.inf), axis=1, kind="stable")[:, :-1]
    hits = np.take_along_axis(same, ranked, axis=1)
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    average = (precision * hits).sum(axis=1) / hits.sum(axis=1)
    alike = (plan[:, None] == plan[None, :]) & ~same & others
    base = float(same.sum() / others.sum())
    return {
        "identity_top1": float(hits[:, 0].mean()), "identity_top1_chance": base,
        "identity_map": float(average.mean()), "identity_map_chance": base,
        "auc": area_under_curve(scores[same], scores[others & ~same]),
        "auc_same_plan": area_under_curve(scores[same], scores[alike]), "auc_chance": 0.5,
    }  # fmt: skip


def evaluate_patches(patches: F32, data: WorldSet) -> Figures:
    """Share of matched patches whose nearest patch in the other picture is within 1 or 2 patches of the true one."""
    first, second = patches[data.matched[:, 0]], patches[data.matched[:, 1]]
    pair, source = np.nonzero(data.matches >= 0)
    true = data.matches[pair, source].astype(np.int64)
    found = np.einsum("nd,npd->np", first[pair, source], second[pair]).argmax(axis=1)
    grid = np.stack(np.divmod(np.arange(GRID * GRID), GRID), axis=1)
    every = np.abs(grid[None, :] - grid[true][:, None]).max(axis=2)
    error = every[np.arange(len(true)), found]
    figures: Figures = {"patches_matched": float(len(true))}
    for k in (1, 2):
        figures |= {f"pck_{k}": float((error <= k).mean()), f"pck_{k}_chance": float((every <= k).mean())}
    return figures


def evaluate_dino(folder: Path, data: WorldSet) -> Figures:
    """Identity retrieval, separation and patch correspondence on `data`."""
    tokens = _unit(dino_tokens(folder, data))
    known = data.identity >= 0
    plan = data.labels[known][:, list(ATTRIBUTES).index("plan")]
    return evaluate_identity(tokens[known][:, 0], data.identity[known], plan) | evaluate_patches(tokens[:, 1:], data)


# --- lpips ----------------------------------------------------------------------------------------------------------------


def evaluate_lpips_trunk(folder: Path, data: WorldSet) -> Figures:
    """Accuracy of a ridge probe on the trunk's mean activations, fitted on half of the held-out identities, read on the others."""
    import torch

    trunk = load_trunk(folder)
    with torch.inference_mode():
        pooled = np.concatenate(
            [trunk(p).mean(dim=(2, 3)).numpy() for p in _batches(data, IMAGENET_MEAN, IMAGENET_STD)]
        )
    known = np.flatnonzero(data.identity >= 0)
    middle = (int(data.identity.max()) + 1) / 2
    train, test = known[data.identity[known] < middle], known[data.identity[known] >= middle]
    spread = (pooled - pooled[train].mean(axis=0)) / (pooled[train].std(axis=0) + 1e-6)
    x = np.concatenate([spread, np.ones((len(spread), 1))], axis=1)
    gram = x[train].T @ x[train] + RIDGE * len(train) * 0.05 * np.eye(x.shape[1])
    figures: Figures = {}
    for k, (name, values) in enumerate(ATTRIBUTES.items()):
        if name not in ("plan", "palette", "pattern", "place", "style"):
            continue
        weights = np.linalg.solve(gram, x[train].T @ np.eye(len(values))[data.labels[train, k]])
        most_common = np.bincount(data.labels[train, k]).argmax()
        figures[f"probe_{name}"] = float(((x[test] @ weights).argmax(axis=1) == data.labels[test, k]).mean())
        figures[f"probe_{name}_chance"] = float((data.labels[test, k] == most_common).mean())
    return figures
