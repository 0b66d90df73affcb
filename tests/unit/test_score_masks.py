"""Masks on their way to a metric: resolved in the benchmark's folder, beside their own targets, part of what a score is of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from evalkit.benchmarks.base import Loaded
from evalkit.features.pictures import Pictures
from evalkit.media import write_mask
from evalkit.metrics.base import Bound, Item, Outcome
from evalkit.metrics.masks import target_masks
from evalkit.nouns import State
from tests.fakes import FakeMetric, World, column, moved, targets_of, world, write_card

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from evalkit.features.spec import FeatureRequest


class MaskedMetric(FakeMetric):
    """How many pixels the masks of the targets have, all together."""

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        target_masks(item)
        return super().requests(item, bound)

    def score(
        self, items: Sequence[Item], bound: Bound, features: Sequence[Sequence[NDArray[np.float32]]]
    ) -> list[Outcome]:
        return [Outcome.scored(float(sum(mask.sum() for mask in target_masks(item)))) for item in items]


@pytest.fixture
def masked(tmp_path: Path) -> MaskedMetric:
    path = write_card(tmp_path / "cards", "masked")
    told = path.read_text(encoding="utf-8").replace("targets, prompt]", "targets, target_masks, prompt]")
    path.write_text(told, encoding="utf-8")
    return MaskedMetric(path)


@pytest.fixture
def plain(tmp_path: Path) -> FakeMetric:
    return FakeMetric(write_card(tmp_path / "cards", "fake"))


def with_masks(benchmark: Loaded, *, of: Sequence[int] = (0, 1)) -> Loaded:
    """Every subject's reference r of `of` gets a mask of r + 1 pixels, drawn below the benchmark's root."""
    cases = []
    for case in benchmark.cases:
        targets = []
        for r, target in enumerate(case.targets):
            name = f"masks/{target.subject}-{r}.png" if r in of else None
            if name is not None:
                write_mask(benchmark.root / name, np.arange(48).reshape(6, 8) <= r)
            targets.append(target.model_copy(update={"mask": name}))
        cases.append(case.model_copy(update={"targets": tuple(targets)}))
    return moved(benchmark, cases=tuple(cases))


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, prompts=1, references=2) as found:
        give(found, with_masks(found.benchmark))
        yield found


def give(made: World, benchmark: Loaded) -> None:
    """The world with this benchmark's cases."""
    by_id = {case.case_id: case for case in benchmark.cases}
    made.benchmark = benchmark
    made.expected = [(by_id[case.case_id], seed) for case, seed in made.expected]


def test_each_target_comes_with_its_own_mask(made: World, masked: MaskedMetric, plain: FakeMetric) -> None:
    made.score(column(masked), column(plain))
    assert {s.value for s in made.scores().values() if s.metric == "masked@plain"} == {3.0}
    assert made.states() == {State.SCORED: 4}


def test_a_true_picture_leaves_its_own_mask_out_too(made: World, masked: MaskedMetric) -> None:
    made.write_sample("s0.p0", 0, drawn=0, true_picture=True)
    made.write_sample("s1.p0", 0, drawn=101, true_picture=True)
    made.score(column(masked))
    values = {key[0]: score.value for key, score in made.scores().items()}
    assert values == {"s0.p0": 2.0, "s1.p0": 1.0}


def test_a_target_without_mask_is_a_state_that_coverage_shows(
    made: World, masked: MaskedMetric, plain: FakeMetric
) -> None:
    give(made, with_masks(made.benchmark, of=(0,)))
    made.score(column(masked), column(plain))
    assert made.states() == {State.MASK_MISSING: 2, State.SCORED: 2}
    assert made.scores()["s0.p0", 0, "masked@plain"].reason == "s0.p0: no mask of the subject in its target 1.png"
    give(made, with_masks(made.benchmark))
    assert made.score(column(masked), column(plain)) == 4
    assert made.states() == {State.SCORED: 4}


def test_a_mask_that_cannot_be_decoded_costs_only_who_needs_it(
    made: World, masked: MaskedMetric, plain: FakeMetric
) -> None:
    (made.benchmark.root / "masks" / "s1-0.png").write_bytes(b"no picture")
    made.score(column(masked), column(plain))
    assert made.states() == {State.SCORED: 3, State.REFERENCE_ERROR: 1}
    lost = made.scores()["s1.p0", 0, "masked@plain"]
    assert lost.state is State.REFERENCE_ERROR
    assert "s1-0.png" in str(lost.reason)


def test_another_mask_is_another_score(made: World, masked: MaskedMetric, plain: FakeMetric) -> None:
    made.score(column(masked))
    before = made.scores()["s0.p0", 0, "masked@plain"]
    write_mask(made.benchmark.root / "masks" / "s0-0.png", np.ones((6, 8), bool))
    assert made.score(column(masked)) == 1
    after = made.scores()["s0.p0", 0, "masked@plain"]
    assert (before.value, after.value) == (3.0, 50.0)
    assert before.inputs != after.inputs


def test_masks_are_told_by_path(made: World) -> None:
    targets = targets_of(made.benchmark, Pictures())
    root = made.benchmark.root
    assert targets.masks(made.benchmark.cases[0]) == (root / "masks" / "s0-0.png", root / "masks" / "s0-1.png")
    bare = made.benchmark.cases[0].model_copy(update={"targets": ()})
    assert targets.masks(bare) == ()
