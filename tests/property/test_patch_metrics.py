"""Properties of VSM, nSSM and sDINO on any features: batches, copies, ranges, scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.metrics.nssm import nssm
from evalkit.metrics.sdino import sdino
from evalkit.metrics.vsm import vsm

if TYPE_CHECKING:
    from torch import Tensor

SEEDS = st.integers(0, 2**32 - 1)
BATCH, SIDE, CHANNELS = 4, 5, 3


def features(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator) + torch.eye(CHANNELS)[0].view(
        *(-1 if size == CHANNELS else 1 for size in shape)
    )


def masks(seed: int) -> Tensor:
    inside = torch.rand(BATCH, SIDE, SIDE, generator=torch.Generator().manual_seed(seed)) > 0.3
    inside[:, :2, :2] = True
    return inside


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.permutations(range(BATCH)))
def test_vsm_rows_do_not_see_each_other(seed: int, order: list[int]) -> None:
    maps = [features(seed + i, BATCH, CHANNELS, SIDE, SIDE) for i in range(4)]
    inside = [masks(seed), masks(seed + 1)]
    together = vsm(*maps, *inside)
    shuffled = vsm(*(m[order] for m in maps), *(m[order] for m in inside))
    assert torch.equal(shuffled.survivors, together.survivors[order])
    assert torch.equal(shuffled.score.nan_to_num(-1), together.score[order].nan_to_num(-1))
    known = together.score[~together.score.isnan()]
    assert bool(((known >= 0) & (known <= 1)).all())
    assert bool((together.score.isnan() == (together.survivors == 0)).all())


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_a_copy_is_wholly_consistent_and_laid_out_the_same(seed: int) -> None:
    semantic, visual = (features(seed + i, BATCH, CHANNELS, SIDE, SIDE) for i in range(2))
    inside = masks(seed)
    everywhere = torch.ones_like(inside)
    for mask in (inside, everywhere):
        assert vsm(semantic, semantic, visual, visual, mask, inside).score.tolist() == [1.0] * BATCH
    grid = visual.permute(0, 2, 3, 1)
    assert nssm(grid, grid, inside, resolution=SIDE).abs().max() < 1e-6
    patches, chosen = grid.flatten(1, 2), inside.flatten(1)
    assert (sdino(patches, patches, chosen, chosen) - 1).abs().max() < 1e-9


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.permutations(range(BATCH)))
def test_nssm_rows_do_not_see_each_other(seed: int, order: list[int]) -> None:
    gen, ref = (features(seed + i, BATCH, SIDE, SIDE, CHANNELS) for i in range(2))
    inside = masks(seed)
    together = nssm(gen, ref, inside, resolution=SIDE)
    torch.testing.assert_close(nssm(gen[order], ref[order], inside[order], resolution=SIDE), together[order])
    torch.testing.assert_close(nssm(ref, gen, inside, resolution=SIDE), together)
    assert bool(((together > -1e-6) & (together < 2 + 1e-6)).all())


@settings(deadline=None)
@given(SEEDS, st.floats(0.01, 100), st.permutations(range(6)))
def test_sdino_knows_neither_scale_nor_order(seed: int, scale: float, order: list[int]) -> None:
    gen, ref = (features(seed + i, BATCH, 6, CHANNELS).double() for i in range(2))
    inside = torch.arange(6).expand(BATCH, 6) < 4
    value = sdino(gen, ref, mask_ref=inside)
    torch.testing.assert_close(sdino(gen * scale, ref, mask_ref=inside), value)
    torch.testing.assert_close(sdino(gen[:, order], ref[:, order], mask_ref=inside[:, order]), value)
    torch.testing.assert_close(
        torch.cat([sdino(gen[i : i + 1], ref[i : i + 1], mask_ref=inside[:1]) for i in range(BATCH)]), value
    )
    assert bool((value.abs() <= 1).all())
