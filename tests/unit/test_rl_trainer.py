"""The trainer on a toy policy: what it learns, what it refuses, and that an interruption changes nothing."""

from __future__ import annotations

import csv
import math
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from evalkit.errors import MethodError, RunError, UsageError
from evalkit.rl.ema import Ema
from evalkit.rl.loss import clipped_surrogate, kl_of_means, kl_of_velocities
from evalkit.rl.reward import Rewards
from evalkit.rl.rollout import Plan, rollout
from evalkit.rl.settings import Settings
from evalkit.rl.trainer import Trainer
from evalkit.rl.update import update
from tests.unit.toy_policy import ToyItem, ToyPolicy, closeness

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = Settings(
    epochs=6, groups=4, group_size=6, steps=5, beta=0.01, learning_rate=0.05, clip=0.2, rollout_batch=8, micro_batch=5,
    ema_every=2,
)  # fmt: skip
ITEMS = [ToyItem(goal) for goal in (-1.0, 0.0, 2.0)]


def trained(folder: Path, *, reward: Any = closeness, policy: ToyPolicy | None = None, **changes: Any) -> ToyPolicy:
    policy = policy or ToyPolicy()
    settings = Settings.model_validate(SETTINGS.model_dump() | changes)
    Trainer(policy, ITEMS, reward, settings, folder, config={"data": "toy"}).run()
    return policy


def curves(folder: Path) -> list[dict[str, str]]:
    with (folder / "curves.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_reward_rises(tmp_path: Path) -> None:
    trained(tmp_path, epochs=40, groups=8, beta=0.0)
    rewards = [float(row["reward"]) for row in curves(tmp_path)]
    assert sum(rewards[-5:]) / 5 > sum(rewards[:5]) / 5 + 0.1
    assert (tmp_path / "adapter" / "bias.npy").is_file()


def test_the_first_update_is_on_the_policy_that_sampled(tmp_path: Path) -> None:
    trained(tmp_path, epochs=1, updates=1)
    (row,) = curves(tmp_path)
    assert abs(float(row["ratio"]) - 1) < 1e-6
    assert float(row["worst_ratio"]) < 1e-6
    assert float(row["clip_fraction"]) == 0
    assert int(row["missing"]) == 0


def test_the_second_update_is_not(tmp_path: Path) -> None:
    trained(tmp_path, epochs=1, updates=2)
    assert float(curves(tmp_path)[0]["worst_ratio"]) > 1e-4


def test_zero_advantage_leaves_the_gradient_of_the_distance_alone() -> None:
    policy = ToyPolicy()
    with torch.no_grad():
        policy.bias.add_(0.1)
    condition = policy.encode([ToyItem(0.0), ToyItem(1.0)])
    went = rollout(policy, condition, [1, 2], Plan(SETTINGS.steps))

    def gradient(beta: float) -> torch.Tensor:
        policy.bias.grad = None
        settings = SETTINGS.model_copy(update={"beta": beta})
        update(policy, condition, went, torch.zeros(2), settings, samples=2)
        assert policy.bias.grad is not None
        return policy.bias.grad.clone()

    assert torch.equal(gradient(0.0), torch.zeros_like(policy.bias))
    one, two = gradient(0.5), gradient(1.0)
    assert one.abs().sum() > 0
    torch.testing.assert_close(two, 2 * one)


def test_micro_batches_do_not_change_the_gradient() -> None:
    condition = ToyPolicy().encode([ToyItem(float(n)) for n in range(6)])
    went = rollout(ToyPolicy(), condition, range(6), Plan(SETTINGS.steps))
    gradients = []
    for size in (1, 4, 6):
        policy = ToyPolicy()
        settings = SETTINGS.model_copy(update={"micro_batch": size})
        update(policy, condition, went, torch.linspace(-1, 1, 6), settings, samples=6)
        gradients.append(policy.mix.grad)
    torch.testing.assert_close(gradients[0], gradients[1])
    torch.testing.assert_close(gradients[0], gradients[2])


class Killed(BaseException):
    """A process that is gone."""


class Until:
    """A reward that ends the process at its `last` call."""

    def __init__(self, last: int) -> None:
        self.calls, self.last = 0, last

    def __call__(self, items: Any, pictures: Any) -> Rewards:
        self.calls += 1
        if self.calls == self.last:
            raise Killed
        return closeness(items, pictures)


@pytest.mark.parametrize("last", [2, 4, 8, 11])
def test_killed_in_a_rollout_it_goes_on_to_the_same_parameters(tmp_path: Path, last: int) -> None:
    whole = trained(tmp_path / "whole")
    with pytest.raises(Killed):
        trained(tmp_path / "cut", reward=Until(last))
    cut = trained(tmp_path / "cut")
    for name, parameter in whole.trainable().items():
        assert torch.equal(parameter, cut.trainable()[name]), name
    assert (tmp_path / "cut" / "curves.csv").read_bytes() == (tmp_path / "whole" / "curves.csv").read_bytes()
    times = (tmp_path / "cut" / "times.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[0] for line in times] == ["epoch", "1", "2", "3", "4", "5", "6"]


@pytest.mark.parametrize("call", [40, 120, 250])
def test_killed_in_an_update_it_goes_on_to_the_same_parameters(tmp_path: Path, call: int) -> None:
    class Dying(ToyPolicy):
        def velocity(self, *told: Any) -> torch.Tensor:
            if self.calls == call:
                raise Killed
            return super().velocity(*told)

    whole = trained(tmp_path / "whole")
    assert whole.calls > call
    with pytest.raises(Killed):
        trained(tmp_path / "cut", policy=Dying())
    cut = trained(tmp_path / "cut")
    assert torch.equal(whole.bias, cut.bias)
    assert torch.equal(whole.mix, cut.mix)


def test_a_training_that_is_done_is_not_done_again(tmp_path: Path) -> None:
    trained(tmp_path)
    policy = trained(tmp_path)
    assert policy.calls == 0


def test_samples_without_a_reward_take_no_part_and_are_counted(tmp_path: Path) -> None:
    seen: list[float] = []

    def sometimes(items: Any, pictures: Any) -> Rewards:
        told = closeness(items, pictures).total
        told[::3] = float("nan")
        seen.extend(told[torch.isfinite(told)].tolist())
        return Rewards(told, {"distance": -told})

    trained(tmp_path, reward=sometimes, epochs=1)
    (row,) = curves(tmp_path)
    assert int(row["missing"]) == int(row["distance_missing"]) == 24 - len(seen) > 0
    assert float(row["reward"]) == pytest.approx(sum(seen) / len(seen), rel=1e-6)


def test_no_reward_at_all_teaches_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def never(items: Any, pictures: Any) -> Rewards:
        return Rewards(torch.full((len(items),), float("nan")), {})

    policy = trained(tmp_path, reward=never, epochs=2)
    assert torch.equal(policy.bias, torch.zeros_like(policy.bias))
    assert [row["reward"] for row in curves(tmp_path)] == ["", ""]
    assert "no sample of epoch 1 has a reward to compare" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spoil", "what"), [(0.48, r"a sample of epoch 3"), (0.55, r"the loss of update 6 in epoch 3")]
)
def test_numbers_that_are_not_finite_stop_with_the_last_checkpoint(tmp_path: Path, spoil: float, what: str) -> None:
    with pytest.raises(
        MethodError, match=rf"^train: {what} is not a finite number, among its samples \[\d+, .*are whole"
    ):
        trained(tmp_path, policy=ToyPolicy(spoil=spoil))
    assert [path.name for path in sorted(tmp_path.glob("checkpoint-*"))] == ["checkpoint-000001", "checkpoint-000002"]
    assert math.isfinite(float(curves(tmp_path)[-1]["loss"]))


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    trained(tmp_path, epochs=2)
    with pytest.raises(RunError, match=r"is of another training: wanted beta 0.5, found 0.01; use the same settings"):
        trained(tmp_path, epochs=2, beta=0.5)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    trained(tmp_path)
    newest = sorted(tmp_path.glob("checkpoint-*"))[-1]
    (newest / "adapter.safetensors").write_bytes(b"")
    with pytest.raises(RunError, match=rf"^{newest} is damaged .*; remove it to go on from the one before"):
        trained(tmp_path)


def test_two_checkpoints_stay_and_nothing_unfinished(tmp_path: Path) -> None:
    (tmp_path / ".checkpoint-killed").mkdir()
    trained(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["adapter", "checkpoint-000005", "checkpoint-000006", "curves.csv", "times.csv"]


def test_there_must_be_something_to_train_on(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="wanted items to train on, found none"):
        Trainer(ToyPolicy(), [], closeness, SETTINGS, tmp_path)


TWO = """
import sys
from pathlib import Path
import torch
from tests.unit.test_rl_trainer import trained
torch.set_num_threads(1)
trained(Path(sys.argv[1]), updates=1)
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    script = tmp_path / "two.py"
    script.write_text(TWO, encoding="utf-8")
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc_per_node",
        "2",
        "--master_port",
        "0",
        "--standalone",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run(
        [*launch, str(script), str(tmp_path / "two")], check=True, env=environment, capture_output=True, timeout=240
    )
    one = trained(tmp_path / "one", updates=1)
    found = np.load(tmp_path / "two" / "adapter" / "bias.npy")
    np.testing.assert_allclose(found, np.load(tmp_path / "one" / "adapter" / "bias.npy"), atol=1e-5)
    assert one.bias.abs().sum() > 0.05
    for ours, theirs in zip(curves(tmp_path / "one"), curves(tmp_path / "two"), strict=True):
        assert {name: float(told) for name, told in ours.items()} == pytest.approx(
            {name: float(told) for name, told in theirs.items()}, abs=1e-5
        )


def test_the_average_follows_its_schedule() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    ema = Ema({"p": parameter}, every=2)
    expected = 0.0
    for step in range(1, 9):
        parameter.data.fill_(float(step))
        ema.update(step)
        if step % 2 == 0:
            decay = min(0.9, (1 + step) / (10 + step))
            expected = decay * expected + (1 - decay) * step
    assert float(ema.values["p"]) == pytest.approx(expected)
    with ema.swapped_in():
        assert parameter.item() == pytest.approx(expected)
    assert parameter.item() == 8


def test_the_surrogate_is_the_clipped_one() -> None:
    new, old = torch.tensor([0.0, 0.3, -0.3, 0.3, -0.3]), torch.zeros(5)
    advantage = torch.tensor([1.0, 1.0, 1.0, -1.0, -1.0])
    found = clipped_surrogate(new, old, advantage, clip=0.1)
    e = math.e
    assert found.loss.tolist() == pytest.approx([-1, -1.1, -(e**-0.3), e**0.3, 0.9], rel=1e-6)
    assert found.clipped.tolist() == [False, True, True, True, True]


def test_distances_from_the_reference() -> None:
    mean, base = torch.tensor([[1.0, 3.0], [0.0, 0.0]]), torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    assert kl_of_means(mean, base, torch.tensor(2.0)).tolist() == [2.0 / 8, 0.0]
    assert kl_of_velocities(mean, base).tolist() == [2.0, 0.0]
