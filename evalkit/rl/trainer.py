"""The loop: sample groups, reward them, compare within the group, move the policy, keep what was learnt.

Whatever is random comes from (seed, epoch, position), so that a training that was killed anywhere goes on from its last
checkpoint to the same parameters as one that was not.

Source: Flow-GRPO (arXiv 2505.05470) and yifan123/flow_grpo `scripts/train_flux_kontext.py` (ac4c86e). Deviations: no
sample without a reward takes part (there it scores 0); groups and seeds are drawn by epoch and not from one stream.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from evalkit.errors import MethodError, UsageError
from evalkit.files import atomic_write_text
from evalkit.nouns.base import digest
from evalkit.progress import progress, warn
from evalkit.rl.advantage import group_advantage
from evalkit.rl.checkpoint import Checkpoint, newest_checkpoint, write_checkpoint
from evalkit.rl.curves import mean, read_table, spread, table
from evalkit.rl.ema import Ema
from evalkit.rl.policy import rows
from evalkit.rl.rollout import Plan, Trajectory, joined, noise_generator, rollout
from evalkit.rl.update import Update, update
from evalkit.rl.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from evalkit.rl.policy import Condition, FlowPolicy
    from evalkit.rl.reward import Reward
    from evalkit.rl.settings import Settings

I = TypeVar("I")  # noqa: E741 - an item: what a policy is told and a reward scores against
FINAL = "adapter"
CURVES, TIMES = "curves.csv", "times.csv"


class Batch(NamedTuple):
    """An epoch's samples of this process."""

    condition: Condition
    trajectory: Trajectory
    rewards: Tensor
    """[B], NaN where there is none."""
    parts: Mapping[str, Tensor]
    groups: Tensor
    """[B] integers."""


class Trainer(Generic[I]):
    """One stage of training a policy's adapters; `run` returns the folder of the trained adapter."""

    def __init__(
        self,
        policy: FlowPolicy[I],
        items: Sequence[I],
        reward: Reward[I],
        settings: Settings,
        folder: Path,
        *,
        config: Mapping[str, Any] | None = None,
        title: str = "train",
    ) -> None:
        """`config` is whatever else a checkpoint must agree with: base weights, data, reward. Raises UsageError without items."""
        import torch

        if not items:
            raise UsageError("wanted items to train on, found none; give data with at least one picture")
        self.policy, self.items, self.reward, self.settings, self.folder = policy, items, reward, settings, folder
        self.config = {**settings.model_dump(mode="json"), **(config or {})}
        self.title, self.workers = title, Workers()
        self.parameters = policy.trainable()
        self.plan = Plan(settings.steps, settings.kind, settings.noise_level, settings.window)
        self._optimizer = torch.optim.AdamW(
            self.parameters.values(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self._ema = Ema(self.parameters, every=settings.ema_every)
        self._epoch, self._updates = 0, 0
        self.curves: list[dict[str, Any]] = []
        self.times: list[dict[str, Any]] = []

    def run(self) -> Path:
        """Trains to the end, going on from the newest checkpoint in the folder; its average is what is saved.

        Raises: MethodError where the loss is not finite (the last checkpoint stays, and the batch is named), RunError
        for a checkpoint of another configuration or a folder that cannot be written.
        """
        final = self.folder / FINAL
        if self._resume() and self._epoch >= self.settings.epochs and final.is_dir():
            return final
        with progress(self.title, self.settings.epochs, done=self._epoch, unit="epochs") as advance:
            while self._epoch < self.settings.epochs:
                self._one_epoch()
                if self._epoch % self.settings.checkpoint_every == 0 or self._epoch == self.settings.epochs:
                    self._keep()
                advance()
        if self.workers.first:
            with self._ema.swapped_in():
                self.policy.save(final)
        self.workers.wait()
        return final

    def _one_epoch(self) -> None:
        started = time.monotonic()
        batch, seconds = self._sampled()
        advantages, row = self._compared(batch)
        before = time.monotonic()
        done = self._moved(batch, advantages)
        self._epoch += 1
        self.curves.append({"epoch": self._epoch, "updates": self._updates, **row, **done.told()})
        self.times.append({
            "epoch": self._epoch, "reward_seconds": seconds, "rollout_seconds": before - started - seconds,
            "update_seconds": time.monotonic() - before,
        })  # fmt: skip

    def _sampled(self) -> tuple[Batch, float]:
        """This process's samples of the epoch with their rewards, and the seconds that rewards took."""
        import torch

        s, generator = self.settings, noise_generator(self.settings.seed, self._epoch)
        order = [int(i) for _ in range(math.ceil(s.groups / len(self.items)))
                 for i in torch.randperm(len(self.items), generator=generator)][: s.groups]  # fmt: skip
        mine = self.workers.mine(s.groups * s.group_size)
        conditions, trajectories, totals, seconds = [], [], [], 0.0
        parts: dict[str, list[Tensor]] = {}
        spoilt: list[int] = []
        for start in range(0, len(mine), s.rollout_batch):
            positions = mine[start : start + s.rollout_batch]
            items = [self.items[order[p // s.group_size]] for p in positions]
            condition = self.policy.encode(items)
            seeds = [int(digest([s.seed, self._epoch, p])[:15], 16) for p in positions]
            trajectory = rollout(self.policy, condition, seeds, self.plan)
            if not torch.isfinite(trajectory.final).all():
                spoilt = positions
            pictures = self.policy.decode(trajectory.final)
            before = time.monotonic()
            rewards = self._rewarded(items, pictures)
            seconds += time.monotonic() - before
            conditions.append(condition)
            trajectories.append(trajectory)
            totals.append(rewards.total)
            for name, values in rewards.parts.items():
                parts.setdefault(name, []).append(values)
        if self.workers.total(float(len(spoilt))):  # told by every process, or the others would wait for this one
            raise self._not_finite(f"a sample of epoch {self._epoch + 1}", spoilt)
        batch = Batch(
            {name: torch.cat([c[name] for c in conditions]) for name in conditions[0]},
            joined(trajectories),
            torch.cat(totals),
            {name: torch.cat(values) for name, values in parts.items()},
            torch.tensor([p // s.group_size for p in mine]),
        )
        return batch, seconds

    def _not_finite(self, what: str, samples: Sequence[int]) -> MethodError:
        return MethodError(
            f"{self.title}: {what} is not a finite number, among its samples {list(samples)}; the checkpoints in "
            f"{self.folder} are whole, start again from there with a lower learning rate"
        )

    def _rewarded(self, items: Sequence[I], pictures: Sequence[NDArray[np.uint8]]) -> Any:
        rewards = self.reward(items, pictures)
        if rewards.total.shape != (len(items),):
            raise MethodError(f"wanted {len(items)} rewards, found {list(rewards.total.shape)}; mend the reward")
        return rewards

    def _compared(self, batch: Batch) -> tuple[Tensor, dict[str, Any]]:
        """Advantages [B] of this process's samples, NaN for those that take no part, and the epoch's row of curves."""
        import torch

        s, count = self.settings, self.settings.groups * self.settings.group_size
        rewards = self.workers.gathered(batch.rewards, count)
        groups = self.workers.gathered(batch.groups, count)
        there = torch.isfinite(rewards)
        sizes = Counter(groups[there].tolist())
        takes_part = there & torch.tensor([sizes[int(group)] >= 2 for group in groups])
        advantages = torch.full_like(rewards, float("nan"))
        if takes_part.any():
            advantages[takes_part] = group_advantage(
                rewards[takes_part], groups[takes_part], std=s.std, clip=s.advantage_clip
            )
        else:
            warn(
                f"{self.title}: no sample of epoch {self._epoch + 1} has a reward to compare; nothing is learnt from it"
            )
        row: dict[str, Any] = {
            "reward": mean(rewards), "reward_std": spread(rewards), "missing": int((~there).sum()),
            "left_out": int((~takes_part).sum()),
        }  # fmt: skip
        for name, values in batch.parts.items():
            everyone = self.workers.gathered(values, count)
            row |= {name: mean(everyone), f"{name}_missing": int((~torch.isfinite(everyone)).sum())}
        return advantages[self.workers.mine(count)], row

    def _moved(self, batch: Batch, advantages: Tensor) -> Update:
        """The epoch's optimiser steps."""
        import torch

        s = self.settings
        taking_part = torch.isfinite(advantages).nonzero().flatten()
        generator = noise_generator(s.seed, -2 - self._epoch)
        shuffled = taking_part[torch.randperm(len(taking_part), generator=generator)]
        total = Update()
        for chosen in shuffled.tensor_split(s.updates):
            everyone = round(self.workers.total(float(len(chosen))))
            if not everyone:
                continue
            done = update(
                self.policy, rows(batch.condition, chosen), batch.trajectory.rows(chosen), advantages[chosen], s,
                samples=everyone,
            ).over(self.workers)  # fmt: skip
            if not math.isfinite(done.loss):
                raise self._not_finite(
                    f"the loss of update {self._updates + 1} in epoch {self._epoch + 1}", chosen.tolist()
                )
            self.workers.sum_gradients(self.parameters.values())
            norm = torch.nn.utils.clip_grad_norm_(list(self.parameters.values()), s.max_grad_norm)
            self._optimizer.step()
            self._optimizer.zero_grad(set_to_none=True)
            self._updates += 1
            self._ema.update(self._updates)
            total = total.plus(done, float(norm))
        return total

    def _keep(self) -> None:
        if self.workers.first:
            adapter = {name: p.detach() for name, p in self.parameters.items()}
            write_checkpoint(
                self.folder,
                Checkpoint(
                    self._epoch, self._updates, adapter, self._ema.values, self._optimizer.state_dict(), self.curves
                ),
                self.config,
                digest(self.config),
            )
            atomic_write_text(self.folder / CURVES, table(self.curves))
            atomic_write_text(self.folder / TIMES, table(self.times))
        self.workers.wait()

    def _resume(self) -> bool:
        import torch

        found = newest_checkpoint(self.folder, self.config, digest(self.config))
        if found is None:
            return False
        lacking = sorted(set(self.parameters) ^ set(found.adapter))
        if lacking:
            raise UsageError(
                f"the checkpoint in {self.folder} and the model differ in {lacking[0]!r}; use another --out"
            )
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.data.copy_(found.adapter[name])
                self._ema.values[name].copy_(found.ema[name])
        self._optimizer.load_state_dict(found.optimizer)
        self._epoch, self._updates, self.curves = found.epoch, found.updates, found.curves
        self.times = [row for row in read_table(self.folder / TIMES) if int(row["epoch"]) <= found.epoch]
        return True
