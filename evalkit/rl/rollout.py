"""Sampling with memory: trajectories with the log-probability of every step that will be trained.

Each sample's noise comes from (seed, step) alone, so that a sample does not depend on what is sampled beside it, and a
trajectory can be taken up again from any of its states: a counterfactual that shares a prefix equals the one computed
from the start, bit for bit.

Source: yifan123/flow_grpo (ac4c86e), `flow_grpo/diffusers_patch/flux_kontext_pipeline_with_logprob.py`. Deviation: noise
is seeded by sample and step instead of drawn from one stream.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from evalkit.errors import UsageError
from evalkit.rl.flow import Kind, sde_step
from evalkit.rl.policy import rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch
    from torch import Tensor

    from evalkit.rl.policy import Condition, FlowPolicy

TRAINED_SHARE = 0.99
"""int(steps * 0.99) steps are trained: the last one's noise vanishes and its log-probability with it."""


@dataclass(frozen=True)
class Plan:
    """How to sample."""

    steps: int
    kind: Kind = "flow_sde"
    noise_level: float = 0.9
    window: tuple[int, int] | None = None
    """First and last (exclusive) step that is stochastic and recorded; None for all but the last. Others are `ode`."""
    override: Callable[[int, Condition], Condition] | None = None
    """The condition of a step, given its number and the sample's own; row for row."""
    stop: Callable[[int, Tensor], Tensor] | None = None
    """Which samples to end after a step, bool [B], given its number and the clean states [B, ...] expected from there."""

    @property
    def recorded(self) -> range:
        """The steps with a log-probability. Raises UsageError for a window outside the steps."""
        first, last = self.window or (0, max(1, int(self.steps * TRAINED_SHARE)))
        if not 0 <= first < last <= self.steps:
            raise UsageError(f"wanted a window within {self.steps} steps, found {first} to {last}")
        return range(first, last)


@dataclass(frozen=True)
class Trajectory:
    """What a batch of B samples went through, T steps of it recorded."""

    states: Tensor
    """[B, T + 1, ...] float32: before each recorded step, and after the last."""
    log_prob: Tensor
    """[B, T] float32."""
    final: Tensor
    """[B, ...] float32: the clean states; of a sample that was ended, what was expected when it was."""
    steps: range
    """Numbers of the recorded steps."""
    sigmas: tuple[float, ...]
    ended: Tensor
    """[B] integers: after which step a sample was ended, -1 where it went all the way."""

    def rows(self, index: Tensor) -> Trajectory:
        """Those of the samples at `index`."""
        kept = {name: getattr(self, name)[index] for name in _BY_SAMPLE}
        return replace(self, **kept)


_BY_SAMPLE = ("states", "log_prob", "final", "ended")


def joined(parts: Sequence[Trajectory]) -> Trajectory:
    """Trajectories of one plan after one another."""
    import torch

    values: dict[str, Any] = {name: torch.cat([getattr(part, name) for part in parts]) for name in _BY_SAMPLE}
    return replace(parts[0], **values)


def noise_generator(seed: int, step: int) -> torch.Generator:
    """The generator of one sample's noise at one step; step -1 is the start."""
    import torch

    digest = hashlib.sha256(f"{seed}\x00{step}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def rollout(
    policy: FlowPolicy[Any],
    condition: Condition,
    seeds: Sequence[int],
    plan: Plan,
    *,
    taken_up: tuple[int, Tensor] | None = None,
) -> Trajectory:
    """Samples one state a seed without gradients.

    `taken_up` = (step, states [B, ...]) goes on from states that another rollout of the same seeds had before that step;
    steps before it are not recorded. Raises UsageError where a window or the states do not fit.
    """
    import torch

    with torch.no_grad():
        sigmas = tuple(policy.sigmas(plan.steps))
        if taken_up is None:
            first, state = 0, policy.start(condition, [noise_generator(seed, -1) for seed in seeds]).float()
        else:
            first, state = taken_up[0], taken_up[1].float()
        if len(state) != len(seeds):
            raise UsageError(f"wanted a state for each of {len(seeds)} seeds, found {len(state)}")
        recorded = range(max(plan.recorded.start, first), plan.recorded.stop)
        states = [state] if recorded and recorded.start == first else []
        log_probs: list[Tensor] = []
        ended = torch.full((len(seeds),), -1, dtype=torch.int64)
        for step in range(first, plan.steps):
            active = (ended < 0).nonzero().flatten()
            if not len(active):
                break
            state, log_prob = _step(policy, condition, seeds, plan, sigmas, step, state, active, ended)
            if step in recorded:
                log_probs.append(log_prob)
            if step + 1 in recorded or (step in recorded and step + 1 == recorded.stop):
                states.append(state)
        missing = len(recorded) - len(log_probs)  # every sample was ended early
        states += [state] * missing
        log_probs += [torch.zeros(len(seeds))] * missing
        stacked = torch.stack(states, dim=1) if states else state[:, None]
        probabilities = torch.stack(log_probs, dim=1) if log_probs else torch.zeros(len(seeds), 0)
    return Trajectory(stacked, probabilities, state, recorded, sigmas, ended)


def _step(
    policy: FlowPolicy[Any],
    condition: Condition,
    seeds: Sequence[int],
    plan: Plan,
    sigmas: Sequence[float],
    step: int,
    state: Tensor,
    active: Tensor,
    ended: Tensor,
) -> tuple[Tensor, Tensor]:
    """The states after one step, and its log-probabilities [B]; samples that were ended stay where they are."""
    import torch

    told = condition if plan.override is None else plan.override(step, condition)
    everyone = len(active) == len(state)
    x = state if everyone else state[active]
    velocity = policy.velocity(x, sigmas[step], told if everyone else rows(told, active)).float()
    went = sde_step(
        x, velocity, sigmas[step], sigmas[step + 1], sigma_max=sigmas[1], noise_level=plan.noise_level,
        kind=plan.kind if step in plan.recorded else "ode",
        generator=[noise_generator(seeds[row], step) for row in active.tolist()],
    )  # fmt: skip
    after, log_prob = state.clone(), torch.zeros(len(state))
    after[active], log_prob[active] = went.next_state, went.log_prob.cpu()
    if plan.stop is not None and step + 1 < plan.steps:
        expected = x - sigmas[step] * velocity
        stopped = plan.stop(step, expected).to(ended.device)
        after[active[stopped]] = expected[stopped]
        ended[active[stopped]] = step
    return after, log_prob
