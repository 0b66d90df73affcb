"""DivRL's stages, one after the other, each from its own checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.errors import MethodError
from evalkit.files import sha256_file
from evalkit.methods.divrl.data import read_lessons, training_folder
from evalkit.methods.divrl.policy import Item, KontextPolicy
from evalkit.methods.divrl.reward import DivReward
from evalkit.nouns.base import digest
from evalkit.rl.reward import MetricScores
from evalkit.rl.trainer import FINAL, Trainer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from evalkit.methods.base import TrainOrder
    from evalkit.methods.divrl.data import Lesson
    from evalkit.methods.divrl.preset import Preset
    from evalkit.nouns import Profile


STAGE_STRIDE = 1_000_003


def train_stages(
    preset: Preset,
    order: TrainOrder,
    *,
    pipeline: Callable[[], Any],
    weights: str,
    data: Path,
    cache: Path,
    profile: Profile,
    device: str,
    fitted: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
) -> Path:
    """Trains every stage into a folder of its name below `order.folder`; returns the last one's adapter.

    `pipeline` loads the base model anew, whose weights go by `weights` in checkpoints; `fitted` makes a reference of the
    size that it takes. Raises: as `read_lessons` and `Trainer.run`; WeightsError where a reward's backbone is missing.
    """
    lessons = read_lessons(training_folder(data, cache))
    scores = MetricScores((preset.nssm, preset.vsm), profile, device=device)
    try:
        items = [_item(lesson, scores, fitted) for lesson in lessons]
        adapter: Path | None = None
        known = {"weights": weights, "rewards": scores.identity, "lessons": _identity(items)}
        for number, stage in enumerate(preset.stages):
            start = adapter if stage.continues else None
            base = preset.base
            policy = KontextPolicy(
                pipeline(), side=base.side, guidance=base.guidance, text_tokens=base.text_tokens, rank=base.rank,
                alpha=base.alpha, seed=order.seed, start=start, save_memory=base.save_memory,
            )  # fmt: skip
            told = preset.model_dump(mode="json", exclude={"trainer", "meaning", "stages"})
            told |= {"reward": stage.reward, "continues": start is not None, **known}
            seed = order.seed + STAGE_STRIDE * number  # else each stage would draw the same prompts and noise again
            adapter = Trainer(
                policy, items, DivReward(scores, preset, stage.reward),
                preset.settings(stage, seed=seed), order.folder / stage.name, config=told,
                title=f"train {stage.name}",
            ).run()  # fmt: skip
    finally:
        scores.close()
    if adapter is None or not adapter.is_dir():
        raise MethodError(f"wanted a trained adapter ({FINAL}/) in {order.folder}, found none; run it again")
    return adapter


def _item(lesson: Lesson, scores: MetricScores, fitted: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> Item:
    subject = scores.subject(lesson.case, lesson.root)
    return Item(lesson.case.prompt, fitted(scores.pictures.pixels(subject.targets[0])), subject)


def _identity(items: list[Item]) -> str:
    """What the training data are, pixels and masks included, whatever folder they lie in."""
    return digest(
        [
            [item.subject.case.model_dump(mode="json"), [target.sha256 for target in item.subject.targets],
             [sha256_file(mask) for mask in item.subject.masks if mask is not None]]
            for item in items
        ]
    )[:16]  # fmt: skip
