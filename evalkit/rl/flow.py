"""One stochastic step of a flow model's sampler, with the log-probability of where it went.

Source: yifan123/flow_grpo `flow_grpo/diffusers_patch/sd3_sde_with_logprob.py` (ac4c86e) for `flow_sde` and `cps`,
XueZeyue/DanceGRPO (15cc71d) for `dance`. Deviations: `dance` keeps the Gaussian's normaliser; arithmetic is float32
whatever the inputs' dtype, and the log-probability is that of the state rounded to the dtype it is stored in, so that
the ratio is 1 before the first update.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

from evalkit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import Tensor

Kind = Literal["flow_sde", "cps", "dance", "ode"]


class Step(NamedTuple):
    """Where a step went."""

    next_state: Tensor
    """[B, ...] in the dtype of x."""
    log_prob: Tensor
    """[B], the mean over all other dimensions."""
    mean: Tensor
    """[B, ...] float32: where the step goes without noise."""
    std: Tensor
    """Scalar float32: the noise's scale before the step's length, s of the kind's table; 0 for `ode`."""


def sde_step(
    x: Tensor,
    v: Tensor,
    sigma: float | Tensor,
    sigma_next: float | Tensor,
    *,
    sigma_max: float | Tensor,
    noise_level: float,
    kind: Kind = "flow_sde",
    next_state: Tensor | None = None,
    generator: torch.Generator | Sequence[torch.Generator] | None = None,
) -> Step:
    """One step from noise level `sigma` down to `sigma_next`.

    x, v: [B, ...], the state and the model's velocity. `sigma_max` stands in for sigma = 1, where the flow_sde noise
    scale diverges: the scheduler's second sigma. `noise_level`: a of flow_sde and cps, eta of dance. With `next_state`
    the step is scored and not drawn. Of several generators each draws for its own row, whatever is beside it. For `ode`
    there is no noise and the log-probability is 0.

    Raises: UsageError for an unknown kind, or sigmas that do not fall.
    """
    import torch

    s, s_next = float(sigma), float(sigma_next)
    if not 1 >= s > s_next >= 0:
        raise UsageError(f"wanted 1 >= sigma > sigma_next >= 0, found sigma {s} and sigma_next {s_next}")
    x32, v32, dt = x.float(), v.float(), s_next - s
    if kind == "ode":
        mean, std, spread = x32 + v32 * dt, 0.0, 0.0
    elif kind == "flow_sde":
        std = noise_level * math.sqrt(s / (1 - (float(sigma_max) if s == 1 else s)))
        mean = x32 * (1 + std**2 / (2 * s) * dt) + v32 * (1 + std**2 * (1 - s) / (2 * s)) * dt
        spread = std * math.sqrt(-dt)
    elif kind == "cps":
        std = spread = s_next * math.sin(noise_level * math.pi / 2)
        clean, noise = x32 - s * v32, x32 + (1 - s) * v32
        mean = (1 - s_next) * clean + math.sqrt(s_next**2 - std**2) * noise
    elif kind == "dance":
        std, spread = noise_level, noise_level * math.sqrt(-dt)
        clean = x32 - s * v32
        mean = x32 + v32 * dt + 0.5 * noise_level**2 * (x32 - (1 - s) * clean) / s**2 * dt
    else:
        raise UsageError(f"wanted a kind of step (flow_sde, cps, dance, ode), found {kind!r}")
    if next_state is None:
        next_state = mean if spread == 0 else mean + spread * _noise(mean, generator)
    next_state = next_state.to(x.dtype)
    return Step(next_state, _log_prob(next_state.float(), mean, spread, kind), mean, torch.tensor(std))


def _noise(like: Tensor, generator: torch.Generator | Sequence[torch.Generator] | None) -> Tensor:
    import torch

    if generator is not None and not isinstance(generator, torch.Generator):
        if len(generator) != len(like):
            raise UsageError(f"wanted a generator for each of {len(like)} rows, found {len(generator)}")
        return torch.cat([_noise(row[None], own) for row, own in zip(like, generator, strict=True)])

    device = generator.device if generator is not None else like.device
    return torch.randn(like.shape, generator=generator, device=device, dtype=torch.float32).to(like.device)


def _log_prob(state: Tensor, mean: Tensor, spread: float, kind: Kind) -> Tensor:
    """The Gaussian's, averaged over all but the first dimension; cps leaves out scale and constants, as its source does."""
    squared = (state.detach() - mean) ** 2
    if kind == "cps":
        value = -squared
    elif spread == 0:
        value = squared * 0
    else:
        value = -squared / (2 * spread**2) - math.log(spread) - 0.5 * math.log(2 * math.pi)
    return value.flatten(1).mean(1)
