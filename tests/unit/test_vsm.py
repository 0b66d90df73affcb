"""VSM against loops, at its extremes, and in batches."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from evalkit.errors import UsageError
from evalkit.metrics.vsm import vsm


def grid(seed: int, batch: int = 3, side: int = 4, channels: int = 3) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).normal(size=(batch, channels, side, side)), dtype=torch.float32)


def looped(
    sem: list[np.ndarray], vis: list[np.ndarray], source: np.ndarray, target: np.ndarray, limits: tuple[float, float]
) -> tuple[float, int]:
    """One picture, cell by cell."""

    def unit(x: np.ndarray) -> np.ndarray:
        flat = x.reshape(len(x), -1).T
        return np.asarray(flat / np.linalg.norm(flat, axis=1, keepdims=True))

    (sg, sr), (vg, vr) = map(unit, sem), map(unit, vis)
    sr, vr = sr * target.ravel()[:, None], vr * target.ravel()[:, None]
    claims: dict[int, tuple[float, int]] = {}
    for cell in np.flatnonzero(source.ravel()):
        scores = sr @ sg[cell]
        match = int(scores.argmax())
        if scores[match] > limits[0] and (match not in claims or scores[match] > claims[match][0]):
            claims[match] = (float(scores[match]), int(cell))
    alike = sum((vr @ vg[cell]).max() > limits[1] for _, cell in claims.values())
    return (alike / len(claims) if claims else math.nan), len(claims)


def test_it_is_the_loop() -> None:
    sem, vis = [grid(0), grid(1)], [grid(2), grid(3)]
    masks = torch.tensor(np.random.default_rng(4).random((2, 3, 4, 4)) < 0.7)
    for limits in ((0.3, 0.5), (0.7, 0.7), (-1.0, 0.9)):
        found = vsm(*sem, *vis, *masks, semantic_threshold=limits[0], visual_threshold=limits[1])
        for i in range(3):
            source, target = (m[i].numpy() for m in masks)
            score, survivors = looped([s[i].numpy() for s in sem], [v[i].numpy() for v in vis], source, target, limits)
            assert found.survivors[i] == survivors
            assert found.score[i].item() == pytest.approx(score, abs=1e-6, nan_ok=True)


def test_a_copy_scores_one_and_keeps_every_cell_of_the_mask() -> None:
    sem, vis = grid(5), grid(6)
    mask = torch.ones(3, 4, 4, dtype=torch.bool)
    mask[0, 0] = False
    found = vsm(sem, sem, vis, vis, mask, mask)
    assert found.score.tolist() == [1.0, 1.0, 1.0]
    assert found.survivors.tolist() == [12, 16, 16]


def test_one_to_one_leaves_the_first_of_equal_claims() -> None:
    same = torch.ones(1, 2, 2, 2)
    mask = torch.ones(1, 2, 2, dtype=torch.bool)
    assert vsm(same, same, same, same, mask, mask).survivors.tolist() == [1]
    assert vsm(same, same, same, same, mask, mask, one_to_one=False).survivors.tolist() == [4]


def test_without_a_survivor_there_is_no_value() -> None:
    sem = grid(7, 1)
    some, none = torch.ones(1, 4, 4, dtype=torch.bool), torch.zeros(1, 4, 4, dtype=torch.bool)
    for masks in ((none, some), (some, none)):
        found = vsm(sem, sem, sem, sem, *masks)
        assert math.isnan(found.score.item())
        assert found.survivors.item() == 0


def test_thresholds_are_strict() -> None:
    same = torch.ones(1, 1, 1, 1)
    mask = torch.ones(1, 1, 1, dtype=torch.bool)
    assert vsm(same, same, same, same, mask, mask, semantic_threshold=1.0).survivors.item() == 0
    assert vsm(same, same, same, same, mask, mask, visual_threshold=1.0).score.item() == 0


def test_a_picture_s_value_does_not_depend_on_its_batch() -> None:
    tensors = [*map(grid, range(4)), torch.ones(3, 4, 4, dtype=torch.bool), torch.ones(3, 4, 4, dtype=torch.bool)]
    whole = vsm(*tensors, semantic_threshold=0.2)
    order = torch.tensor([2, 0, 1])
    again = vsm(*(t[order] for t in tensors), semantic_threshold=0.2)
    assert torch.equal(again.score, whole.score[order])
    alone = [vsm(*(t[i : i + 1] for t in tensors), semantic_threshold=0.2) for i in range(3)]
    assert torch.equal(torch.cat([one.survivors for one in alone]), whole.survivors)
    assert vsm(*(t[:0] for t in tensors)).score.shape == (0,)


def test_what_is_no_number_outside_the_target_s_mask_stays_there() -> None:
    sem_gen, sem_ref, vis_gen, vis_ref = map(grid, range(4))
    mask = torch.ones(3, 4, 4, dtype=torch.bool)
    mask[:, 0] = False
    there = vsm(sem_gen, sem_ref, vis_gen, vis_ref, torch.ones_like(mask), mask, semantic_threshold=0.2)
    sem_ref[:, :, 0, 2] = vis_ref[:, :, 0, 1] = float("nan")
    again = vsm(sem_gen, sem_ref, vis_gen, vis_ref, torch.ones_like(mask), mask, semantic_threshold=0.2)
    assert torch.equal(again.score, there.score)
    assert torch.equal(again.survivors, there.survivors)


def test_shapes_that_do_not_fit_are_refused() -> None:
    mask = torch.ones(3, 4, 4, dtype=torch.bool)
    with pytest.raises(UsageError, match="wanted bool masks, found float32; make them true on the subject"):
        vsm(grid(0), grid(1), grid(2), grid(3), mask, mask * 0.2)
    with pytest.raises(UsageError, match=r"wanted features \[B, C, H, W\] and masks \[B, H, W\] of one size, found"):
        vsm(grid(0), grid(1), grid(2), grid(3), mask, mask[:, :2])
