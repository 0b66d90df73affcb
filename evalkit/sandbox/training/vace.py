"""Training of the small VACE, and the card that says what came out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.sandbox.kontext.evaluate import WEIGHTS
from evalkit.sandbox.training.data import Progress
from evalkit.sandbox.training.loop import Budget, Trained, fit
from evalkit.sandbox.vace.assemble import FLOW_SHIFT, load, new_pipeline, save
from evalkit.sandbox.vace.clips import FRAMES, ClipPlan, ClipSet, render_clips
from evalkit.sandbox.vace.evaluate import HELD_OUT, evaluate
from evalkit.sandbox.vace.flow import Batches, empty_of, flow_loss, tensors_of
from evalkit.sandbox.vace.sample import GUIDANCE, STEPS
from evalkit.sandbox.vace.vae import decoder_loss, fit_clip_vae
from evalkit.sandbox.world import WORLD_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

TRAIN_PICTURES = ClipPlan(cases=3200, frames=1, split="train", seed=41)
TRAIN_CLIPS = ClipPlan(cases=960, frames=FRAMES, split="train", seed=42)
LAYERS, VACE_LAYERS = 4, (0, 2)
BATCHES = {"decoder": 6, "pictures": 8, "clips": 8}
PEAKS = {"decoder": 2e-3, "pictures": 1.5e-3, "clips": 1e-3}
SHARES = {"decoder": 0.08, "pictures": 0.6, "clips": 0.32}
"""Of the budget's steps, in this order: first what pictures are, which is cheap, and then how they move."""
VAE_CLIPS = 200
BUDGET = Budget(steps=12_000)
"""About 80 minutes on one core."""
CARD = "card.yaml"


def train_vace(
    out: Path, pictures: ClipSet, clips: ClipSet, *, seed: int, budget: Budget, layers: int = LAYERS,
    vace_layers: tuple[int, ...] = VACE_LAYERS, progress: Progress | None = None,
) -> dict[str, Trained]:  # fmt: skip
    """Train on both sets and save the pipeline's parts to `out`, in half precision.

    Returns:
        By stage: the decoder's network, flow matching on pictures, flow matching on clips.
    """
    import torch

    torch.manual_seed(seed)
    out.mkdir(parents=True, exist_ok=True)
    vae = fit_clip_vae(np.array(clips.clips[:: max(len(clips.clips) // VAE_CLIPS, 1)]))
    pipeline = new_pipeline(out, vae, layers=layers, vace_layers=vace_layers)
    trained = {
        "decoder": train_decoder(vae, clips, seed=seed, budget=budget.part(SHARES["decoder"]), progress=progress)
    }
    parts = torch.nn.ModuleDict({name: getattr(pipeline, name) for name in ("transformer", "text_encoder")})
    for stage, data in (("pictures", pictures), ("clips", clips)):
        tensors = tensors_of(pipeline, data)
        batches = Batches(tensors, empty_of(pipeline, tensors.clips), seed=seed, batch=BATCHES[stage])

        def loss_of(_share: float, batches: Batches = batches) -> Tensor:
            return flow_loss(parts, batches)

        trained[stage] = fit(
            (parts,),
            loss_of,
            budget=budget.part(SHARES[stage]),
            peak=PEAKS[stage],
            batch=BATCHES[stage],
            name=f"vace {stage}",
            progress=progress,
        )
    save(pipeline, out)
    return trained


def train_decoder(vae: Any, data: ClipSet, *, seed: int, budget: Budget, progress: Progress | None = None) -> Trained:
    """Train the autoencoder's convolutional network; its linear parts stay."""
    import torch

    vae.requires_grad_(False)
    for module in (vae.enter, vae.blocks, vae.leave):
        module.requires_grad_(True)
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)

    def loss_of(_share: float) -> Tensor:
        chosen = np.sort(rng.integers(len(data.clips), size=BATCHES["decoder"]))
        pixels = torch.from_numpy(np.array(data.clips[chosen])).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
        return decoder_loss(vae, pixels, generator=generator)

    return fit(
        (vae,),
        loss_of,
        budget=budget,
        peak=PEAKS["decoder"],
        batch=BATCHES["decoder"],
        name="vace decoder",
        progress=progress,
    )


def train_from_world(
    out: Path, *, seed: int, work: Path, budget: Budget | None = None, workers: int = 1, threads: int = 1,
    progress: Progress | None = None, pictures: ClipPlan = TRAIN_PICTURES, clips: ClipPlan = TRAIN_CLIPS,
    held_out: ClipPlan = HELD_OUT,
) -> dict[str, Any]:  # fmt: skip
    """Render both sets under `work`, train the small VACE into `out`, and write its card; `BUDGET` where none is given.

    Returns:
        The card.
    """
    import torch

    torch.set_num_threads(threads)
    rendered = [
        render_clips(work / name, plan, workers=workers, progress=progress)
        for name, plan in (("vace-pictures", pictures), ("vace-clips", clips))
    ]
    trained = train_vace(out, *rendered, seed=seed, budget=budget or BUDGET, progress=progress)
    stages = {name: {"seed": seed, "threads": threads, **asdict(done)} for name, done in trained.items()}
    return write_vace_card(out, stages, train=(pictures, clips), held_out=held_out)


def write_vace_card(
    out: Path, stages: Mapping[str, Mapping[str, Any]], *, train: tuple[ClipPlan, ClipPlan] = (TRAIN_PICTURES, TRAIN_CLIPS),
    held_out: ClipPlan = HELD_OUT,
) -> dict[str, Any]:  # fmt: skip
    """Evaluate the pipeline under `out` on held-out subjects and write what it is and does to `out`/card.yaml.

    Args:
        stages: by name, what was trained: seed, threads, and the fields of `Trained`.
    """
    import diffusers
    import torch
    import yaml

    from evalkit.features.weight_files import sha256_of

    pipeline = load(out)
    transformer, vae = pipeline.transformer.config, pipeline.vae.config
    card = {
        "world_version": WORLD_VERSION,
        "versions": {"torch": torch.__version__.split("+")[0], "diffusers": diffusers.__version__},
        "class": "diffusers.WanVACEPipeline",
        "transformer": {
            "blocks": transformer.num_layers, "vace_blocks": list(transformer.vace_layers),
            "width": transformer.num_attention_heads * transformer.attention_head_dim,
            "parameters": sum(p.numel() for p in pipeline.transformer.parameters()),
        },
        "vae": {
            "patch": pipeline.vae_scale_factor_spatial, "frames": pipeline.vae_scale_factor_temporal, "channels": vae.z_dim,
        },
        "batches": BATCHES, "peak_learning_rates": PEAKS,
        "training_sets": [asdict(plan) for plan in train],
        "stages": {name: {k: round(v, 4) for k, v in one.items()} for name, one in stages.items()},
        "sampling": {"steps": STEPS, "guidance": GUIDANCE, "flow_shift": FLOW_SHIFT},
        "read_by": {name: sha256_of([WEIGHTS / name / "model.safetensors"]) for name in ("dino", "clip")},
        "held_out_set": asdict(held_out),
        "held_out": {
            name: {k: round(v, 4) for k, v in figures.items()}
            for name, figures in evaluate(pipeline, held_out).items()
        },
    }  # fmt: skip
    (out / CARD).write_text(yaml.safe_dump(card, sort_keys=False), encoding="utf-8")
    return card
