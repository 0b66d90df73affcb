"""Training of the small Kontext, and the card that says what came out."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.sandbox.kontext.assemble import (
    MODELS,
    TOKENS,
    assemble,
    load,
    new_scheduler,
    new_text_encoders,
    new_tokenizer,
    new_transformer,
    save,
)
from evalkit.sandbox.kontext.evaluate import WEIGHTS, evaluate
from evalkit.sandbox.kontext.flow import Batches, Tensors, flow_loss, guided_loss, packed_latents
from evalkit.sandbox.kontext.pairs import PairPlan, PairSet, render_pairs
from evalkit.sandbox.kontext.sample import GUIDANCE, STEPS
from evalkit.sandbox.kontext.vae import decoder_loss, fit_patch_vae
from evalkit.sandbox.training.data import Progress
from evalkit.sandbox.training.loop import Budget, Trained, fit
from evalkit.sandbox.world import WORLD_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

TRAIN_PAIRS = PairPlan(subjects=8000, targets=3, split="train", seed=3)
BATCH, DECODER_BATCH = 32, 16
FLOW_PEAK, GUIDED_PEAK, DECODER_PEAK = 2e-3, 4e-4, 2e-3
SHARES = {"decoder": 0.28, "flow": 0.64, "guided": 0.08}
"""Of the budget, in this order."""
VAE_PICTURES = 1500
BUDGET = Budget(steps=14_000)
"""About 80 minutes on one idle core."""
CARD = "card.yaml"


def train_kontext(
    out: Path, data: PairSet, *, seed: int, budget: Budget, batch: int = BATCH, double: int = 2, single: int = 4,
    progress: Progress | None = None,
) -> dict[str, Trained]:  # fmt: skip
    """Train on `data` and save the pipeline's parts to `out`, in half precision.

    Args:
        double, single: blocks with two streams and with one.

    Returns:
        By stage: the decoder's network, flow matching, the distillation of guidance.
    """
    import torch

    torch.manual_seed(seed)
    pipeline = new_pipeline(out, data, double=double, single=single)
    trained = {
        "decoder": train_decoder(
            pipeline.vae, data, seed=seed, budget=budget.part(SHARES["decoder"]), progress=progress
        )
    }
    parts = trained_parts(pipeline)
    tensors, empty = tensors_of(pipeline, data)
    for stage, peak in (("flow", FLOW_PEAK), ("guided", GUIDED_PEAK)):
        batches = Batches(tensors, seed=seed, batch=batch)
        teacher = deepcopy(parts).requires_grad_(False)

        def loss_of(share: float, batches: Batches = batches, teacher: Any = teacher, stage: str = stage) -> Tensor:
            if stage == "flow":
                return flow_loss(parts, batches, empty, share)
            return guided_loss(parts, teacher, batches, empty)

        trained[stage] = fit(
            (parts,),
            loss_of,
            budget=budget.part(SHARES[stage]),
            peak=peak,
            batch=batch,
            name=f"kontext {stage}",
            progress=progress,
        )
    save(pipeline, out)
    return trained


def new_pipeline(out: Path, data: PairSet, *, double: int, single: int) -> Any:
    """The untrained pipeline, its autoencoder fitted to `data`, its tokenizer written to `out`."""
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = new_tokenizer(out / "tokenizer")
    clip, t5 = new_text_encoders(tokenizer.get_vocab())
    vae = fit_patch_vae(np.array(data.pictures[:: max(len(data.pictures) // VAE_PICTURES, 1)]))
    transformer = new_transformer(double=double, single=single)
    return assemble({
        "transformer": transformer, "text_encoder": clip, "text_encoder_2": t5, "vae": vae, "tokenizer": tokenizer,
        "tokenizer_2": tokenizer, "scheduler": new_scheduler(),
    })  # fmt: skip


def trained_parts(pipeline: Any) -> Any:
    """The models that flow matching trains, as one module."""
    import torch

    return torch.nn.ModuleDict({name: getattr(pipeline, name) for name in MODELS if name != "vae"})


def tensors_of(pipeline: Any, data: PairSet) -> tuple[Tensors, Tensor]:
    """`data` as latents and ids, and the ids [1, T] of the empty prompt."""
    import torch

    def ids(texts: Sequence[str]) -> Tensor:
        options = {"padding": "max_length", "max_length": TOKENS, "truncation": True, "return_tensors": "pt"}
        found: Tensor = pipeline.tokenizer(list(texts), **options).input_ids
        return found

    references, pictures = packed_latents(pipeline.vae, data.references), packed_latents(pipeline.vae, data.pictures)
    return Tensors(references, pictures, torch.from_numpy(data.subject), ids(data.prompts)), ids([""])


def train_decoder(vae: Any, data: PairSet, *, seed: int, budget: Budget, progress: Progress | None = None) -> Trained:
    """Train the autoencoder's convolutional network; its linear parts stay."""
    import torch

    vae.requires_grad_(False)
    for module in (vae.enter, vae.blocks, vae.leave):
        module.requires_grad_(True)
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)

    def loss_of(_share: float) -> Tensor:
        chosen = np.sort(rng.integers(len(data.pictures), size=DECODER_BATCH))
        pixels = torch.from_numpy(np.array(data.pictures[chosen])).permute(0, 3, 1, 2).float() / 127.5 - 1
        return decoder_loss(vae, pixels, generator=generator)

    return fit(
        (vae,),
        loss_of,
        budget=budget,
        peak=DECODER_PEAK,
        batch=DECODER_BATCH,
        name="kontext decoder",
        progress=progress,
    )


def train_from_world(
    out: Path, *, seed: int, work: Path, budget: Budget | None = None, workers: int = 1, threads: int = 1,
    progress: Progress | None = None, pairs: PairPlan = TRAIN_PAIRS,
) -> dict[str, Any]:  # fmt: skip
    """Render the pairs under `work`, train the small Kontext into `out`, and write its card; `BUDGET` where none is given.

    Returns:
        The card.
    """
    import torch

    torch.set_num_threads(threads)
    data = render_pairs(work / "pairs", pairs, workers=workers, progress=progress)
    trained = train_kontext(out, data, seed=seed, budget=budget or BUDGET, progress=progress)
    stages = {name: [{"seed": seed, "threads": threads, **asdict(done)}] for name, done in trained.items()}
    return write_kontext_card(out, stages, train=pairs)


def write_kontext_card(
    out: Path, stages: Mapping[str, Sequence[Mapping[str, Any]]], *, train: PairPlan = TRAIN_PAIRS
) -> dict[str, Any]:
    """Evaluate the pipeline under `out` on the held-out subjects and write what it is and does to `out`/card.yaml.

    Args:
        stages: by name, each training so far: seed, threads, and the fields of `Trained`.
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
        "class": "diffusers.FluxKontextPipeline",
        "transformer": {
            "double_blocks": transformer.num_layers, "single_blocks": transformer.num_single_layers,
            "width": transformer.num_attention_heads * transformer.attention_head_dim, "token": transformer.in_channels,
            "parameters": sum(p.numel() for p in pipeline.transformer.parameters()),
        },
        "vae": {"patch": vae.patch, "channels": vae.latent_channels},
        "batch": BATCH, "peak_learning_rates": {"flow": FLOW_PEAK, "guided": GUIDED_PEAK, "decoder": DECODER_PEAK},
        "training_set": asdict(train),
        "stages": {
            name: [{k: round(v, 4) for k, v in one.items()} for one in several] for name, several in stages.items()
        },
        "sampling": {"steps": STEPS, "guidance": GUIDANCE},
        "read_by": {name: sha256_of([WEIGHTS / name / "model.safetensors"]) for name in ("dino", "clip")},
        "held_out": {
            name: {k: round(v, 4) for k, v in figures.items()} for name, figures in evaluate(pipeline).items()
        },
    }  # fmt: skip
    (out / CARD).write_text(yaml.safe_dump(card, sort_keys=False), encoding="utf-8")
    return card
