"""Flow transitions and group advantages against torch's own distributions and formulas written out."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from evalkit.errors import UsageError
from evalkit.rl.advantage import group_advantage
from evalkit.rl.flow import sde_step

STEP: dict[str, Any] = {"sigma": 0.6, "sigma_next": 0.4, "sigma_max": 0.9, "noise_level": 0.7}


def state(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape or (3, 4, 5), generator=torch.Generator().manual_seed(seed))


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", ["flow_sde", "dance"])
def test_the_log_probability_is_the_normal_s_mean(kind: Any) -> None:
    x, v = state(0), state(1)
    step = sde_step(x, v, **STEP, kind=kind, generator=generator(2))
    normal = torch.distributions.Normal(step.mean, step.std.item() * math.sqrt(0.2))
    wanted = normal.log_prob(step.next_state)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(step.log_prob, wanted.flatten(1).mean(1), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", ["flow_sde", "dance", "cps"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_scoring_a_drawn_step_again_gives_ratio_one(kind: Any, dtype: torch.dtype) -> None:
    x, v = state(3).to(dtype), state(4).to(dtype)
    drawn = sde_step(x, v, **STEP, kind=kind, generator=generator(5))
    assert drawn.next_state.dtype == dtype
    again = sde_step(x, v, **STEP, kind=kind, next_state=drawn.next_state)
    assert torch.equal(again.log_prob, drawn.log_prob)


def test_same_seed_same_step_other_seed_another() -> None:
    x, v = state(6), state(7)
    one, two, three = (sde_step(x, v, **STEP, generator=generator(s)).next_state for s in (8, 8, 9))
    assert torch.equal(one, two)
    assert not torch.equal(one, three)


def test_the_ordinary_step_has_no_noise_and_no_log_probability() -> None:
    x, v = state(10), state(11)
    step = sde_step(x, v, **STEP, kind="ode")
    torch.testing.assert_close(step.next_state, x - 0.2 * v)
    assert step.log_prob.tolist() == [0.0, 0.0, 0.0]
    assert step.std.item() == 0


def test_noise_of_zero_makes_every_kind_the_ordinary_step() -> None:
    x, v = state(12), state(13)
    ordinary = sde_step(x, v, **STEP, kind="ode").next_state
    for kind in ("flow_sde", "cps", "dance"):
        silent = sde_step(x, v, **{**STEP, "noise_level": 0.0}, kind=kind)
        torch.testing.assert_close(silent.next_state, ordinary, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["flow_sde", "cps"])
def test_a_noisy_step_keeps_the_marginal_distribution(kind: Any) -> None:
    """With one clean picture and exact velocity, x at sigma is (1 - sigma) clean + sigma noise, before and after."""
    noise, clean = state(14, 1, 400_000), 0.3
    x = (1 - STEP["sigma"]) * clean + STEP["sigma"] * noise
    after = sde_step(
        x, noise - clean, 0.6, 0.58, sigma_max=0.9, noise_level=0.5, kind=kind, generator=generator(15)
    ).next_state
    assert after.mean().item() == pytest.approx((1 - 0.58) * clean, abs=5e-3)
    assert after.std().item() == pytest.approx(0.58, abs=5e-3)


def test_at_the_first_sigma_the_scheduler_s_second_stands_in() -> None:
    x, v = state(16), state(17)
    first = sde_step(x, v, 1.0, 0.9, sigma_max=0.9, noise_level=0.7, next_state=x)
    assert first.std.item() == pytest.approx(0.7 * math.sqrt(1 / 0.1))


@pytest.mark.parametrize(("sigma", "after"), [(0.4, 0.6), (0.5, 0.5), (1.2, 0.5), (0.5, -0.1)])
def test_sigmas_that_do_not_fall_are_refused(sigma: float, after: float) -> None:
    with pytest.raises(UsageError, match="wanted 1 >= sigma > sigma_next >= 0, found sigma"):
        sde_step(state(0), state(1), sigma, after, sigma_max=0.9, noise_level=0.7)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UsageError, match=r"wanted a kind of step \(flow_sde, cps, dance, ode\), found 'sde'"):
        sde_step(state(0), state(1), **STEP, kind="sde")  # type: ignore[arg-type]


REWARDS = torch.tensor([1.0, 3.0, 2.0, 2.0, 10.0, 0.0])
GROUPS = torch.tensor([4, 4, 7, 7, 9, 9])


def test_advantages_by_hand() -> None:
    group = group_advantage(REWARDS, GROUPS)
    torch.testing.assert_close(group, torch.tensor([-1.0, 1.0, 0.0, 0.0, 1.0, -1.0]), atol=2e-4, rtol=0)
    everyone = REWARDS.std(correction=0) + 1e-4
    torch.testing.assert_close(
        group_advantage(REWARDS, GROUPS, std="global"), torch.tensor([-1.0, 1, 0, 0, 5, -5]) / everyone
    )
    assert group_advantage(REWARDS, GROUPS, std="none").tolist() == [-1, 1, 0, 0, 5, -5]


def test_advantages_sum_to_zero_in_each_group_and_are_clipped() -> None:
    rewards = torch.cat([torch.zeros(99), torch.ones(1)])
    groups = torch.zeros(100, dtype=torch.int64)
    assert group_advantage(rewards, groups, clip=50).sum().item() == pytest.approx(0, abs=1e-3)
    assert group_advantage(rewards, groups).max().item() == 5.0


def test_the_order_of_samples_does_not_matter() -> None:
    order = torch.tensor([5, 0, 3, 2, 4, 1])
    torch.testing.assert_close(group_advantage(REWARDS[order], GROUPS[order]), group_advantage(REWARDS, GROUPS)[order])


def test_missing_rewards_are_refused_and_counted() -> None:
    with pytest.raises(UsageError, match="wanted finite rewards, found 1 of 2 that are not; leave those samples out"):
        group_advantage(torch.tensor([1.0, math.nan]), torch.tensor([0, 0]))
    with pytest.raises(UsageError, match=r"wanted rewards and groups of one shape \[B\], found \[2\] and \[1\]"):
        group_advantage(torch.ones(2), torch.ones(1))
    with pytest.raises(UsageError, match="wanted std 'group', 'global' or 'none', found 'rank'"):
        group_advantage(torch.ones(2), torch.ones(2), std="rank")  # type: ignore[arg-type]
