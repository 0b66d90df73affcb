"""What a policy update minimises: the clipped surrogate, and the distance from the reference policy.

Source: yifan123/flow_grpo `scripts/train_flux_kontext.py` (ac4c86e); the velocity form is Flow-Factory's. Deviation:
nothing is averaged over the batch here, so that samples weigh alike however they are split into micro-batches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class Surrogate(NamedTuple):
    """The surrogate of a batch."""

    loss: Tensor
    """[B], to be minimised."""
    ratio: Tensor
    """[B]: new over old probability."""
    clipped: Tensor
    """[B] bool: where the ratio left the trusted range."""


def clipped_surrogate(log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, *, clip: float) -> Surrogate:
    """max(-A r, -A clip(r, 1 - clip, 1 + clip)) with r = exp(log_prob - old_log_prob).

    All [B]; gradients flow through `log_prob`. With equal log-probabilities r is 1 and the loss is -A.
    """
    import torch

    ratio = torch.exp(log_prob - old_log_prob)
    bounded = ratio.clamp(1 - clip, 1 + clip)
    return Surrogate(torch.maximum(-advantage * ratio, -advantage * bounded), ratio, (ratio - 1).abs() > clip)


def kl_of_means(mean: Tensor, reference_mean: Tensor, std: Tensor) -> Tensor:
    """Squared distance of two steps' means over twice the squared noise scale, averaged over all but the first dimension.

    mean, reference_mean: [B, ...]; std: scalar, `Step.std` (the step's length is left out, as in the source). Returns [B].
    """
    return ((mean - reference_mean) ** 2).flatten(1).mean(1) / (2 * std.to(mean.device) ** 2)


def kl_of_velocities(velocity: Tensor, reference_velocity: Tensor) -> Tensor:
    """Squared distance of two velocities, averaged over all but the first dimension; wants a beta of about a hundredth.

    velocity, reference_velocity: [B, ...]. Returns [B].
    """
    return ((velocity.float() - reference_velocity.float()) ** 2).flatten(1).mean(1)
