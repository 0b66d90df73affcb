"""All trainings in one call, and the card that says what came out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evalkit.errors import UsageError
from evalkit.sandbox.training import clip, dino, lpips_trunk, mtg_heads
from evalkit.sandbox.training.data import Progress, SetPlan, WorldSet, render_set
from evalkit.sandbox.training.evaluate import Figures, evaluate_clip, evaluate_dino, evaluate_lpips_trunk
from evalkit.sandbox.training.evaluate_mtg import evaluate_mtg
from evalkit.sandbox.training.glitches import Glitches, GlitchPlan, render_glitches
from evalkit.sandbox.training.loop import Budget, Trained
from evalkit.sandbox.world import WORLD_VERSION

MODELS = ("clip", "dino", "lpips", "mtg")
"""In the order of their training: the Mind-the-Glitch heads stand on DINO."""
TRAIN_SET = SetPlan(identities=2400, styles=1600, pairs=800, split="train", seed=1)
HELD_OUT_SET = SetPlan(identities=160, styles=64, pairs=0, split="bench", seed=2, lookalikes=0.0)
TRAIN_GLITCHES = GlitchPlan(groups=3000, split="train", seed=4)
HELD_OUT_GLITCHES = GlitchPlan(groups=240, split="bench", seed=6, stylised=0.0)
DEFAULT_BUDGET = Budget(minutes=12)
CARD = "card.yaml"


def _mtg(out: Path, sets: Sets, **options: Any) -> Trained:
    return mtg_heads.train_mtg(out, sets.train_glitches, dino=out.parent / "dino", **options)


_TRAIN: Mapping[str, Callable[..., Trained]] = {
    "clip": lambda out, sets, **options: clip.train_clip(out, sets.train, **options),
    "dino": lambda out, sets, **options: dino.train_dino(out, sets.train, **options),
    "lpips": lambda out, sets, **options: lpips_trunk.train_lpips_trunk(out, sets.train, **options),
    "mtg": _mtg,
}
_EVALUATE: Mapping[str, Callable[[Path, WorldSet, Glitches], Figures]] = {
    "clip": lambda folder, data, _: evaluate_clip(folder, data),
    "dino": lambda folder, data, _: evaluate_dino(folder, data),
    "lpips": lambda folder, data, _: evaluate_lpips_trunk(folder, data),
    "mtg": lambda folder, _, glitches: evaluate_mtg(folder, glitches, dino=folder.parent / "dino"),
}
_CONFIG: Mapping[str, Mapping[str, Any]] = {
    "clip": {"class": "transformers.CLIPModel", "width": clip.WIDTH, "depth": clip.DEPTH, "patch": clip.PATCH,
             "text_width": clip.TEXT_WIDTH, "text_depth": clip.TEXT_DEPTH, "embedding": clip.EMBEDDING, "batch": clip.BATCH,
             "peak_learning_rate": clip.PEAK, "patches_kept": clip.KEEP},
    "dino": {"class": "transformers.Dinov2Model", "width": dino.WIDTH, "depth": dino.DEPTH, "patch": 8,
             "batch": 2 * (dino.PAIRS + 1) * dino.IDENTITIES, "peak_learning_rate": dino.PEAK, "patches_kept": dino.KEEP},
    "lpips": {"class": "torchvision squeezenet1_1 features", "batch": lpips_trunk.BATCH, "peak_learning_rate": lpips_trunk.PEAK},
    "mtg": {"class": "two aggregation networks on dino", "layers": list(mtg_heads.LAYERS), "embedding": mtg_heads.PROJECTION,
            "batch": 4 * mtg_heads.BATCH, "peak_learning_rate": mtg_heads.PEAK, "threshold": mtg_heads.THRESHOLD,
            "margin": mtg_heads.MARGIN},
}  # fmt: skip


@dataclass(frozen=True)
class Plans:
    """What to render: pictures and groups of pictures to train on, and those of held-out identities to evaluate on."""

    train: SetPlan = TRAIN_SET
    held_out: SetPlan = HELD_OUT_SET
    train_glitches: GlitchPlan = TRAIN_GLITCHES
    held_out_glitches: GlitchPlan = HELD_OUT_GLITCHES


PLANS = Plans()


@dataclass(frozen=True)
class Sets:
    """What was rendered, as `Plans` names it."""

    train: WorldSet
    held_out: WorldSet
    train_glitches: Glitches
    held_out_glitches: Glitches


def render_sets(work: Path, *, plans: Plans = PLANS, workers: int = 1, progress: Progress | None = None) -> Sets:
    """Render every set under `work`, or open those that are complete."""
    return Sets(
        render_set(work / "train", plans.train, workers=workers, progress=progress),
        render_set(work / "bench", plans.held_out, workers=workers, progress=progress),
        render_glitches(work / "train-glitches", plans.train_glitches, workers=workers, progress=progress),
        render_glitches(work / "bench-glitches", plans.held_out_glitches, workers=workers, progress=progress),
    )


def train_all(
    out: Path, *, seed: int, work: Path, budgets: Mapping[str, Budget] | None = None, plans: Plans = PLANS,
    start: Path | None = None, workers: int = 1, threads: int = 1, progress: Progress | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Render, train the models one after the other into `out`, evaluate them, and write `out`/card.yaml.

    Args:
        seed: of the weights and the batches; the pictures have their own seeds in the plans.
        work: folder for the rendered sets (about 1 GB); kept, so that a second call need not render again.
        budgets: by model; 12 minutes each where not given.
        start: folder of an earlier `train_all` to go on from; its stages stay on the card.

    Returns:
        The card.

    Raises:
        UsageError: `out` holds a card already, `start` holds none, or `budgets` names an unknown model.
    """
    import torch

    chosen = dict.fromkeys(MODELS, DEFAULT_BUDGET) | dict(budgets or {})
    if set(chosen) != set(MODELS):
        raise UsageError(f"budgets go to {', '.join(MODELS)}; found {sorted(chosen)!r}; use those names")
    if (out / CARD).exists():
        raise UsageError(
            f"wanted a new folder for the weights; found {CARD} in {str(out)!r}; choose another or delete it"
        )
    stages = earlier_stages(start)
    torch.set_num_threads(threads)
    sets = render_sets(work, plans=plans, workers=workers, progress=progress)
    for name in MODELS:
        origin = None if start is None else start / name
        done = _TRAIN[name](out / name, sets, seed=seed, budget=chosen[name], start=origin, progress=progress)
        stages[name].append({"seed": seed, "threads": threads, **asdict(done)})
    return write_card(out, sets, stages, plans=plans)


def earlier_stages(start: Path | None) -> dict[str, list[dict[str, Any]]]:
    """What the card in `start` says of each model's training so far; nothing for None.

    Raises:
        UsageError: no card there.
    """
    import yaml

    if start is None:
        return {name: [] for name in MODELS}
    if not (start / CARD).is_file():
        raise UsageError(
            f"wanted {CARD} among the weights to go on from; found none in {str(start)!r}; give a trained folder"
        )
    models = yaml.safe_load((start / CARD).read_text(encoding="utf-8"))["models"]
    return {name: models[name]["stages"] for name in MODELS}


def measure(name: str, folder: Path, data: WorldSet, glitches: Glitches) -> Figures:
    """The figures of the model `name` under `folder` on held-out pictures and groups of pictures."""
    return _EVALUATE[name](folder / name, data, glitches)


def write_card(
    out: Path, sets: Sets, stages: Mapping[str, list[dict[str, Any]]], *, plans: Plans = PLANS
) -> dict[str, Any]:
    """Evaluate the weights under `out` and write what they are and how good they are to `out`/card.yaml.

    Args:
        stages: by model, each training so far: seed, threads, and the fields of `Trained`.
    """
    import torch
    import transformers
    import yaml

    card = {
        "world_version": WORLD_VERSION,
        "versions": {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__},
        "training_set": {**asdict(plans.train), "images": len(sets.train.images)},
        "held_out_set": {**asdict(plans.held_out), "images": len(sets.held_out.images)},
        "training_glitches": asdict(plans.train_glitches),
        "held_out_glitches": asdict(plans.held_out_glitches),
        "models": {
            name: model_card(name, out, stages[name], measure(name, out, sets.held_out, sets.held_out_glitches))
            for name in MODELS
        },
    }
    (out / CARD).write_text(yaml.safe_dump(card, sort_keys=False), encoding="utf-8")
    return card


def model_card(name: str, out: Path, stages: list[dict[str, Any]], figures: Figures) -> dict[str, Any]:
    """What the card says of one model under `out`."""
    return {
        **_CONFIG[name],
        "stages": [{k: round(v, 4) for k, v in stage.items()} for stage in stages],
        "images_seen": sum(stage["images_seen"] for stage in stages),
        "bytes": sum(f.stat().st_size for f in (out / name).iterdir()),
        "held_out": {k: round(v, 4) for k, v in figures.items()},
    }
