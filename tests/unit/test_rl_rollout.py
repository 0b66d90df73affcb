"""Trajectories: repeatable, independent of their neighbours, and taken up again from any state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from evalkit.errors import UsageError
from evalkit.rl.flow import sde_step
from evalkit.rl.policy import rows
from evalkit.rl.rollout import Plan, rollout
from tests.unit.toy_policy import ToyItem, ToyPolicy

if TYPE_CHECKING:
    from evalkit.rl.policy import Condition

PLAN = Plan(steps=6)
SEEDS = [3, 1, 4, 15]


@pytest.fixture
def condition() -> dict[str, torch.Tensor]:
    return ToyPolicy().encode([ToyItem(float(n)) for n in range(4)])


def test_all_steps_but_the_last_are_recorded(condition: Condition) -> None:
    found = rollout(ToyPolicy(), condition, SEEDS, PLAN)
    assert list(found.steps) == [0, 1, 2, 3, 4]
    assert found.states.shape == (4, 6, 6)
    assert found.log_prob.shape == (4, 5)
    assert found.ended.tolist() == [-1] * 4
    last = ToyPolicy().velocity(found.states[:, -1], found.sigmas[5], condition)
    assert torch.equal(found.final, found.states[:, -1] + last * (found.sigmas[6] - found.sigmas[5]))


def test_the_same_seed_gives_the_same_trajectory_whatever_is_beside_it(condition: Condition) -> None:
    whole = rollout(ToyPolicy(), condition, SEEDS, PLAN)
    again = rollout(ToyPolicy(), condition, SEEDS, PLAN)
    assert torch.equal(whole.states, again.states)
    assert torch.equal(whole.log_prob, again.log_prob)
    order = torch.tensor([2, 0])
    some = rollout(ToyPolicy(), rows(condition, order), [4, 3], PLAN)
    torch.testing.assert_close(some.states, whole.states[order], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", ["flow_sde", "cps", "dance"])
def test_recorded_log_probabilities_are_those_of_the_recorded_states(condition: Condition, kind: str) -> None:
    found = rollout(ToyPolicy(), condition, SEEDS, Plan(steps=6, kind=kind, noise_level=0.7))  # type: ignore[arg-type]
    for position, step in enumerate(found.steps):
        state, after = found.states[:, position], found.states[:, position + 1]
        scored = sde_step(
            state, ToyPolicy().velocity(state, found.sigmas[step], condition), found.sigmas[step], found.sigmas[step + 1],
            sigma_max=found.sigmas[1], noise_level=0.7, kind=kind, next_state=after,  # type: ignore[arg-type]
        )  # fmt: skip
        assert torch.equal(scored.log_prob, found.log_prob[:, position])


def test_outside_the_window_there_is_no_noise(condition: Condition) -> None:
    found = rollout(ToyPolicy(), condition, SEEDS, Plan(steps=6, window=(2, 4)))
    assert list(found.steps) == [2, 3]
    assert found.states.shape == (4, 3, 6)
    state = rollout(ToyPolicy(), condition, SEEDS, Plan(steps=6, window=(0, 2))).states[:, 0]
    for step in range(2):
        state = state + ToyPolicy().velocity(state, found.sigmas[step], condition) * (
            found.sigmas[step + 1] - found.sigmas[step]
        )
    assert torch.equal(found.states[:, 0], state)


@pytest.mark.parametrize("window", [(2, 2), (-1, 3), (4, 7)])
def test_a_window_outside_the_steps_is_refused(condition: Condition, window: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="wanted a window within 6 steps, found"):
        rollout(ToyPolicy(), condition, SEEDS, Plan(steps=6, window=window))


def test_a_counterfactual_that_shares_its_prefix_is_the_naive_one_bit_for_bit(condition: Condition) -> None:
    def without_goal(step: int, told: Condition) -> Condition:
        return {"goal": torch.zeros_like(told["goal"])} if step >= 3 else told

    plan = Plan(steps=6, override=without_goal)
    naive = rollout(ToyPolicy(), condition, SEEDS, plan)
    factual = rollout(ToyPolicy(), condition, SEEDS, PLAN)
    shared = rollout(ToyPolicy(), condition, SEEDS, plan, taken_up=(3, factual.states[:, 3]))
    assert torch.equal(naive.final, shared.final)
    assert list(shared.steps) == [3, 4]
    assert torch.equal(naive.states[:, 3:], shared.states)
    assert not torch.equal(naive.final, factual.final)


def test_a_sample_can_be_ended_early_and_its_neighbours_go_on(condition: Condition) -> None:
    def second(step: int, expected: torch.Tensor) -> torch.Tensor:
        return torch.arange(len(expected)) == (1 if step == 2 else -1)

    policy = ToyPolicy()
    found = rollout(policy, condition, SEEDS, Plan(steps=6, stop=second))
    whole = rollout(ToyPolicy(), condition, SEEDS, PLAN)
    assert found.ended.tolist() == [-1, 2, -1, -1]
    others = torch.tensor([0, 2, 3])
    torch.testing.assert_close(found.final[others], whole.final[others], rtol=1e-6, atol=1e-6)
    state, sigma = whole.states[1, 2], whole.sigmas[2]
    velocity = ToyPolicy().velocity(state[None], sigma, rows(condition, torch.tensor([1])))[0]
    torch.testing.assert_close(found.final[1], state - sigma * velocity)
    everyone = Plan(steps=6, stop=lambda _step, expected: torch.ones(len(expected), dtype=torch.bool))
    policy = ToyPolicy()
    assert rollout(policy, condition, SEEDS, everyone).ended.tolist() == [0] * 4
    assert policy.calls == 1


def test_states_must_fit_the_seeds(condition: Condition) -> None:
    with pytest.raises(UsageError, match="wanted a state for each of 4 seeds, found 2"):
        rollout(ToyPolicy(), condition, SEEDS, PLAN, taken_up=(3, torch.zeros(2, 6)))
