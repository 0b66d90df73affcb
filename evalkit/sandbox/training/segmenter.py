"""The small segmenter: a U-Net that finds the subject of a picture of the world, whichever it is."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.features.unet import logits, new_unet
from evalkit.sandbox.training.data import SIZE, Progress
from evalkit.sandbox.training.loop import IMAGENET_MEAN, IMAGENET_STD, Budget, Trained, fit, to_pixels
from evalkit.sandbox.training.masks import MaskPlan, MaskSet, render_masks
from evalkit.sandbox.world import WORLD_VERSION

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import Tensor

WIDTHS = (8, 24, 48, 64)
BATCH, PEAK = 16, 4e-3
BUDGET = Budget(steps=600)
TRAIN_MASKS = MaskPlan(subjects=2600, empty=100, split="train", seed=21)
HELD_OUT_MASKS = MaskPlan(subjects=320, empty=40, split="bench", seed=22)
BLURRED = 0.25
"""Share of batches that are seen at half their size and enlarged again, as softer pictures than the renderer's are."""
CARD = "card.yaml"
MEANING = (
    "finds what a picture of the world shows, whichever subject it is: no word and no reference tells it which; where "
    "several are shown it finds all"
)


def train_segmenter(
    out: Path, data: MaskSet, *, seed: int, budget: Budget = BUDGET, progress: Progress | None = None
) -> Trained:
    """Train the U-Net on `data` and write its weights in half precision, with their configuration, to `out`."""
    import torch
    from safetensors.torch import save_file
    from torch.nn.functional import binary_cross_entropy_with_logits, interpolate

    torch.manual_seed(seed)
    network, rng = new_unet(WIDTHS), np.random.default_rng(seed)

    def loss_of(_share: float) -> Tensor:
        chosen = np.sort(rng.integers(len(data), size=BATCH))
        pixels = to_pixels(data.images[chosen], IMAGENET_MEAN, IMAGENET_STD)
        masks = torch.from_numpy(data.masks[chosen]).float()
        if rng.uniform() < 0.5:
            pixels, masks = pixels.flip(-1), masks.flip(-1)
        if rng.uniform() < BLURRED:
            small = interpolate(pixels, scale_factor=0.5, mode="bilinear", antialias=True)
            pixels = interpolate(small, (SIZE, SIZE), mode="bilinear", align_corners=False)
        found = logits(network, pixels)
        return binary_cross_entropy_with_logits(found, masks) + _overlap_loss(found, masks)

    done = fit((network,), loss_of, budget=budget, peak=PEAK, batch=BATCH, name="segmenter", progress=progress)
    out.mkdir(parents=True, exist_ok=True)
    save_file({n: x.half().contiguous() for n, x in network.state_dict().items()}, out / "model.safetensors")
    (out / "config.json").write_text(json.dumps({"image_size": SIZE, "widths": list(WIDTHS)}) + "\n", encoding="utf-8")
    return done


def _overlap_loss(found: Tensor, masks: Tensor) -> Tensor:
    """One minus the batch's Dice overlap, so that small subjects count as large ones do; [B, H, W] both."""
    share = found.sigmoid()
    both, either = (share * masks).sum((1, 2)), (share + masks).sum((1, 2))
    return (1 - (2 * both + 1) / (either + 1)).mean()


def found_masks(folder: Path, data: MaskSet) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """What the segmenter under `folder` finds in each picture, bool [N, 96, 96], through the ordinary backbone."""
    from evalkit.features.loading import load_extractor
    from evalkit.features.spec import ExtractorSpec

    spec = ExtractorSpec(family="segmenter", model=str(folder), preprocess="dino_squash")
    backbone = load_extractor(spec, device="cpu")
    rows = [backbone.prepare(np.asarray(picture)) for picture in data.images]
    size = backbone.forward_batch
    batches = [np.stack(rows[i : i + size]) for i in range(0, len(rows), size)]
    return np.concatenate([backbone.encode_images(batch)["mask"] > 0 for batch in batches])


def measure(folder: Path, data: MaskSet) -> dict[str, float]:
    """IoU with the true masks of subjects that it never saw, and the share of pixels found in places without one."""
    found = found_masks(folder, data)
    shown = data.masks.any((1, 2))
    both, either = (found & data.masks).sum((1, 2)), (found | data.masks).sum((1, 2))
    iou = both[shown] / either[shown]
    photo = data.photo[shown]
    middle = np.zeros_like(data.masks[0])
    middle[SIZE // 4 : -SIZE // 4, SIZE // 4 : -SIZE // 4] = True
    central = (middle & data.masks).sum((1, 2)) / (middle | data.masks).sum((1, 2))
    return {
        "pictures": float(shown.sum()),
        "iou": float(iou.mean()),
        "iou_photo": float(iou[photo].mean()),
        "iou_stylised": float(iou[~photo].mean()),
        "iou_least_tenth": float(np.quantile(iou, 0.1)),
        "iou_of_the_middle_square": float(central[shown].mean()),
        "pixels_found_without_subject": float(found[~shown].mean()),
    }


def train_from_world(
    out: Path, *, seed: int, work: Path, budget: Budget | None = None, workers: int = 1, threads: int = 1,
    progress: Progress | None = None, train: MaskPlan = TRAIN_MASKS, held_out: MaskPlan = HELD_OUT_MASKS,
) -> dict[str, Any]:  # fmt: skip
    """Render the pictures under `work`, train the segmenter into `out`, and write its card; `BUDGET` where none is given.

    Returns:
        The card.
    """
    import torch
    import yaml

    torch.set_num_threads(threads)
    data = render_masks(work / "masks", train, workers=workers, progress=progress)
    unseen = render_masks(work / "bench-masks", held_out, workers=workers, progress=progress)
    done = train_segmenter(out, data, seed=seed, budget=budget or BUDGET, progress=progress)
    stage = {"seed": seed, "threads": threads, **asdict(done)}
    card = {
        "world_version": WORLD_VERSION,
        "versions": {"torch": torch.__version__.split("+")[0]},
        "meaning": MEANING,
        "class": "a U-Net of four levels",
        "widths": list(WIDTHS),
        "parameters": _parameters(new_unet(WIDTHS)),
        "batch": BATCH,
        "peak_learning_rate": PEAK,
        "training_set": asdict(train),
        "held_out_set": asdict(held_out),
        "stages": [{key: round(value, 4) for key, value in stage.items()}],
        "bytes": sum(file.stat().st_size for file in out.iterdir()),
        "held_out": {key: round(value, 4) for key, value in measure(out, unseen).items()},
    }
    (out / CARD).write_text(yaml.safe_dump(card, sort_keys=False), encoding="utf-8")
    return card


def _parameters(network: torch.nn.Module) -> int:
    return sum(values.numel() for values in network.parameters())
