"""DivRL's sampling, rewards and training steps against the bare transformer, as ratios in one run.

    python perf/divrl.py [--published] [--side PX] [--batch N] [--repeat N]

Without options: the embedded model on the CPU. With `--published`: a transformer of FLUX.1 Kontext's published size with
random weights in bfloat16 on CUDA, its autoencoder, and text encoders of the published width with a single layer, since
prompts are encoded once. Prints

- samples a second of a rollout, and its rate against as many bare forwards of the transformer;
- seconds of a training step (one micro-batch at one time step, KL included), and its rate against a bare forward and
  backward and the reference's forward;
- the rewards' time as a share of the rollout's, with the embedded backbones;
- the peak memory.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from evalkit.methods.divrl.policy import Item, KontextPolicy
    from evalkit.rl.settings import Settings


@dataclass(frozen=True)
class Setup:
    policy: KontextPolicy
    items: list[Item]
    settings: Settings
    reward: Callable[[list[Item], list[Any]], Any] | None
    cuda: bool


def embedded(batch: int) -> Setup:
    """The sandbox preset on the shipped model, with its rewards."""
    from evalkit.methods.divrl.data import read_lessons
    from evalkit.methods.divrl.policy import KontextPolicy
    from evalkit.methods.divrl.preset import preset
    from evalkit.methods.divrl.reward import DivReward
    from evalkit.methods.divrl.train import _item
    from evalkit.methods.divrl.world import world_lessons
    from evalkit.paths import cache_root
    from evalkit.rl.reward import MetricScores
    from evalkit.sandbox.kontext.assemble import load
    from evalkit.sandbox.kontext.sample import fitted

    told, scores = preset("sandbox"), MetricScores(("mtg_nssm@paper_24", "vsm@divrl"), "sandbox", device="cpu")
    base = told.base
    policy = KontextPolicy(
        load(),
        side=base.side,
        guidance=base.guidance,
        text_tokens=base.text_tokens,
        rank=base.rank,
        alpha=base.alpha,
        seed=0,
    )
    lessons = read_lessons(world_lessons(cache_root()))[:batch]
    items = [_item(lesson, scores, fitted) for lesson in lessons]
    settings = told.trainer.model_copy(update={"rollout_batch": batch, "micro_batch": batch})
    return Setup(policy, items, settings, DivReward(scores, told, "gated"), cuda=False)


def published(batch: int, side: int, folder: Path) -> Setup:
    """The published sizes with random weights on CUDA, without rewards."""
    import torch
    from diffusers import AutoencoderKL, FluxTransformer2DModel
    from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

    from evalkit.methods.divrl.policy import Item, KontextPolicy
    from evalkit.methods.divrl.preset import preset
    from evalkit.sandbox.kontext.assemble import assemble, new_scheduler, new_tokenizer

    told = preset("paper")
    tokenizer = new_tokenizer(folder)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        parts = {
            "transformer": FluxTransformer2DModel(
                in_channels=64, num_layers=19, num_single_layers=38, attention_head_dim=128, num_attention_heads=24,
                joint_attention_dim=4096, pooled_projection_dim=768, guidance_embeds=True,
            ),
            "vae": AutoencoderKL(
                down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
                block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=16, scaling_factor=0.3611,
                shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False,
            ),
            "text_encoder": CLIPTextModel(CLIPTextConfig(hidden_size=768, num_hidden_layers=1, num_attention_heads=12)),
            "text_encoder_2": T5EncoderModel(T5Config(d_model=4096, d_kv=64, d_ff=1024, num_layers=1, num_heads=64)),
        }  # fmt: skip
    torch.set_default_dtype(torch.float32)
    pipeline = assemble({**parts, "scheduler": new_scheduler(), "tokenizer": tokenizer, "tokenizer_2": tokenizer})
    base = told.base
    policy = KontextPolicy(
        pipeline, side=side, guidance=base.guidance, text_tokens=20, rank=base.rank, alpha=base.alpha, seed=0,
        save_memory=base.save_memory,
    )  # fmt: skip
    picture = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    subject: Any = None  # a reward alone reads it
    settings = told.trainer.model_copy(update={"rollout_batch": batch, "micro_batch": batch})
    return Setup(policy, [Item("a dog in the snow", picture, subject)] * batch, settings, None, cuda=True)


def measured(setup: Setup, repeat: int) -> dict[str, float]:
    """Median seconds of each part, interleaved so that a slow minute is everybody's."""
    import torch

    from evalkit.rl.rollout import Plan, rollout
    from evalkit.rl.update import update

    policy, settings = setup.policy, setup.settings
    plan = Plan(settings.steps, settings.kind, settings.noise_level)
    condition = policy.encode(setup.items)
    seeds = list(range(len(setup.items)))
    trajectory = rollout(policy, condition, seeds, plan)
    steps, state = len(trajectory.steps), trajectory.states[:, 0]
    advantages = torch.linspace(-1, 1, len(seeds))

    def forwards() -> None:
        with torch.no_grad():
            for _ in range(settings.steps):
                policy.velocity(state, 0.5, condition)

    def both_ways() -> None:
        for _ in range(steps):
            loss: Any = policy.velocity(state, 0.5, condition).float().square().mean()
            loss.backward()
            if settings.beta:
                with torch.no_grad(), policy.reference():
                    policy.velocity(state, 0.5, condition)

    parts: dict[str, Callable[[], Any]] = {
        "forwards": forwards,
        "rollout": lambda: rollout(policy, condition, seeds, plan),
        "both ways": both_ways,
        "update": lambda: update(policy, condition, trajectory, advantages, settings, samples=len(seeds)),
        "decode": lambda: policy.decode(trajectory.final),
    }
    if setup.reward is not None:
        pictures, reward = policy.decode(trajectory.final), setup.reward
        parts["reward"] = lambda: reward(setup.items, pictures)
    found: dict[str, list[float]] = {name: [] for name in parts}
    for turn in range(repeat + 1):
        for name, part in parts.items():
            seconds = _timed(part, setup.cuda)
            if turn:  # the first turn warms up
                found[name].append(seconds)
    return {name: statistics.median(values) for name, values in found.items()} | {"steps": float(steps)}


def _timed(part: Callable[[], Any], cuda: bool) -> float:
    import torch

    start = time.perf_counter()
    part()
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    """Prints one line a figure."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--published", action="store_true")
    parser.add_argument("--side", type=int, default=512, help="pixels of a sample with --published")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    batch = arguments.batch or (3 if arguments.published else 24)
    with tempfile.TemporaryDirectory() as folder:
        setup = published(batch, arguments.side, Path(folder)) if arguments.published else embedded(batch)
    took = measured(setup, arguments.repeat)
    sampled = took["rollout"] + took["decode"]
    print(
        f"rollout          {batch / sampled:.3f} samples/s, {took['forwards'] / took['rollout']:.3f} of the bare forwards' rate"
    )
    print(
        f"training step    {took['update'] / took['steps']:.3f} s, {took['both ways'] / took['update']:.3f} of the bare rate"
    )
    if "reward" in took:
        print(f"rewards          {took['reward'] / sampled:.3f} of a rollout's time")
    peak = (
        torch.cuda.max_memory_allocated() if setup.cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    print(f"peak memory      {peak / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
