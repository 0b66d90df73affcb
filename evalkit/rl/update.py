"""Gradients of one policy update, accumulated over micro-batches and recorded steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from evalkit.rl.flow import sde_step
from evalkit.rl.loss import clipped_surrogate, kl_of_means, kl_of_velocities
from evalkit.rl.policy import rows

if TYPE_CHECKING:
    from torch import Tensor

    from evalkit.rl.policy import Condition, FlowPolicy
    from evalkit.rl.rollout import Trajectory
    from evalkit.rl.settings import Settings
    from evalkit.rl.workers import Workers


@dataclass(frozen=True)
class Update:
    """What updates did, summed over (sample, step) pairs until `told`."""

    loss: float = 0.0
    """Of the last update, the mean over samples and steps."""
    pairs: int = 0
    ratio: float = 0.0
    worst_ratio: float = 0.0
    """Largest distance of a ratio from 1."""
    clipped: float = 0.0
    kl: float = 0.0
    norm: float = 0.0
    """Largest gradient norm before clipping."""
    count: int = 0

    def plus(self, other: Update, norm: float) -> Update:
        """Both; `norm` is the other's gradient norm."""
        return replace(
            other, pairs=self.pairs + other.pairs, ratio=self.ratio + other.ratio, clipped=self.clipped + other.clipped,
            worst_ratio=max(self.worst_ratio, other.worst_ratio), kl=self.kl + other.kl, norm=max(self.norm, norm),
            count=self.count + 1,
        )  # fmt: skip

    def over(self, workers: Workers) -> Update:
        """All processes' parts of one update together."""
        return replace(
            self, loss=workers.total(self.loss), pairs=round(workers.total(self.pairs)), ratio=workers.total(self.ratio),
            worst_ratio=workers.largest(self.worst_ratio), clipped=workers.total(self.clipped), kl=workers.total(self.kl),
        )  # fmt: skip

    def told(self) -> dict[str, float | None]:
        """Means for the curves; None where there was no update."""
        if not self.pairs:
            return dict.fromkeys(("loss", "ratio", "worst_ratio", "clip_fraction", "kl", "grad_norm"))
        return {
            "loss": self.loss, "ratio": self.ratio / self.pairs, "worst_ratio": self.worst_ratio,
            "clip_fraction": self.clipped / self.pairs, "kl": self.kl / self.pairs, "grad_norm": self.norm,
        }  # fmt: skip


def update(
    policy: FlowPolicy[Any],
    condition: Condition,
    trajectory: Trajectory,
    advantages: Tensor,
    settings: Settings,
    *,
    samples: int,
) -> Update:
    """Adds to the gradients those of the mean loss over `samples` samples, of which these B are this process's part.

    advantages: [B], the same for every step of a sample. With `beta` the distance from the policy without adapters is
    added to every (sample, step).
    """
    import torch

    pairs = samples * len(trajectory.steps)
    found = Update(pairs=len(advantages) * len(trajectory.steps))
    for start in range(0, len(advantages), settings.micro_batch):
        index = torch.arange(start, min(start + settings.micro_batch, len(advantages)))
        told = rows(condition, index)
        for position, step in enumerate(trajectory.steps):
            state, following = trajectory.states[index, position], trajectory.states[index, position + 1]
            advantage, old = advantages[index].to(state.device), trajectory.log_prob[index, position].to(state.device)
            sigmas = trajectory.sigmas
            velocity = policy.velocity(state, sigmas[step], told).float()

            def scored(v: Tensor) -> Any:
                return sde_step(
                    state, v, sigmas[step], sigmas[step + 1], sigma_max=sigmas[1],  # noqa: B023 - called in this turn
                    noise_level=settings.noise_level, kind=settings.kind, next_state=following,  # noqa: B023
                )  # fmt: skip

            here = scored(velocity)
            surrogate = clipped_surrogate(here.log_prob, old, advantage, clip=settings.clip)
            loss, kl = surrogate.loss, torch.zeros_like(surrogate.loss)
            if settings.beta:
                with torch.no_grad(), policy.reference():
                    base = policy.velocity(state, sigmas[step], told).float()
                if settings.kl == "mean":
                    kl = kl_of_means(here.mean, scored(base).mean, here.std)
                else:
                    kl = kl_of_velocities(velocity, base)
                loss = loss + settings.beta * kl
            total = loss.sum() / pairs
            total.backward()  # type: ignore[no-untyped-call]
            found = replace(
                found,
                loss=found.loss + float(total.detach()),
                ratio=found.ratio + float(surrogate.ratio.detach().sum()),
                worst_ratio=max(found.worst_ratio, float((surrogate.ratio.detach() - 1).abs().max())),
                clipped=found.clipped + float(surrogate.clipped.sum()),
                kl=found.kl + float(kl.detach().sum()),
            )
    return found
