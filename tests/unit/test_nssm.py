"""nSSM against the formula written out, at its extremes, and in batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from evalkit.errors import UsageError
from evalkit.metrics.nssm import nssm


def features(seed: int, batch: int = 2, side: int = 6, channels: int = 5) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).normal(size=(batch, side, side, channels)), dtype=torch.float32)


def written_out(gen: torch.Tensor, ref: torch.Tensor, mask: torch.Tensor) -> float:
    """One pair at full resolution: both matrices formed, numpy's own correlation of their entries off the diagonal."""
    inside = mask.flatten().numpy()
    vectors = []
    for picture in (gen, ref):
        cells = picture.reshape(-1, picture.shape[-1]).double().numpy()[inside]
        cells /= np.linalg.norm(cells, axis=1, keepdims=True)
        similarity = cells @ cells.T
        vectors.append(similarity[~np.eye(len(cells), dtype=bool)])
    return float(1 - np.corrcoef(*vectors)[0, 1])


def test_it_is_the_formula_written_out() -> None:
    gen, ref = features(0), features(1)
    mask = torch.ones(2, 6, 6, dtype=torch.bool)
    mask[1, :3] = False
    wanted = [written_out(g, r, m) for g, r, m in zip(gen, ref, mask, strict=True)]
    np.testing.assert_allclose(nssm(gen, ref, mask, resolution=6).numpy(), wanted, atol=1e-6)


def test_a_copy_is_zero_whatever_its_length_or_rotation_of_features() -> None:
    gen = features(2)
    mask = torch.ones(2, 6, 6, dtype=torch.bool)
    rotation, _ = torch.linalg.qr(features(3, 1, 5, 1).reshape(5, 5))
    for other in (gen, 3 * gen, gen @ rotation):
        torch.testing.assert_close(nssm(gen, other, mask, resolution=6), torch.zeros(2), atol=1e-6, rtol=0)


def test_it_is_symmetric_for_one_mask_and_does_not_look_outside_it() -> None:
    gen, ref = features(4), features(5)
    mask = torch.zeros(2, 6, 6, dtype=torch.bool)
    mask[:, 1:5, 1:5] = True
    there = nssm(gen, ref, mask, resolution=6)
    torch.testing.assert_close(nssm(ref, gen, mask, resolution=6), there)
    changed = gen.clone()
    changed[:, 0] = 7.0
    assert torch.equal(nssm(changed, ref, mask, resolution=6), there)


@pytest.mark.parametrize(
    ("variant", "wanted"), [("paper", float("nan")), ("corrected", float("nan")), ("official", 0.0)]
)
def test_without_pairs_or_variation_there_is_no_value_but_the_official_zero(variant: str, wanted: float) -> None:
    one = torch.zeros(1, 6, 6, dtype=torch.bool)
    one[0, 2, 2] = True
    whole = torch.ones(1, 6, 6, dtype=torch.bool)
    constant = torch.ones(1, 6, 6, 5)
    for gen, mask in ((features(6, 1), one), (constant, whole), (features(6, 1), torch.zeros_like(one))):
        value = nssm(gen, features(7, 1), mask, resolution=6, variant=variant)  # type: ignore[arg-type]
        torch.testing.assert_close(value, torch.tensor([wanted]), equal_nan=True)


def test_the_official_value_is_biased_by_one_over_the_number_of_pairs() -> None:
    gen = features(8, 1)
    mask = torch.zeros(1, 6, 6, dtype=torch.bool)
    mask[0, :2, :2] = True
    assert nssm(gen, gen, mask, resolution=6, variant="official").item() == pytest.approx(1 / 12, abs=1e-5)
    assert nssm(gen, gen, mask, resolution=6).item() == pytest.approx(0, abs=1e-6)


def test_a_pair_s_value_does_not_depend_on_its_batch() -> None:
    gen, ref, mask = features(9, 5), features(10, 5), torch.ones(5, 6, 6, dtype=torch.bool)
    whole = nssm(gen, ref, mask, resolution=3)
    order = torch.tensor([3, 0, 4, 2, 1])
    torch.testing.assert_close(nssm(gen[order], ref[order], mask[order], resolution=3), whole[order])
    alone = [nssm(gen[i : i + 1], ref[i : i + 1], mask[i : i + 1], resolution=3) for i in range(5)]
    assert torch.equal(torch.cat(alone), whole)
    assert nssm(gen[:0], ref[:0], mask[:0]).shape == (0,)


@pytest.mark.parametrize("resolution", [3, 4, 5, 6, 8])
def test_samples_of_several_masks_in_any_order_are_taken_as_each_alone(resolution: int) -> None:
    gen, ref, mask = features(11, 13), features(12, 13), torch.zeros(13, 6, 6, dtype=torch.bool)
    for i in range(13):
        mask[i, i % 3 : 4 + i % 2, 1 : 5 + i % 2] = True
    mask[7] = False
    whole = nssm(gen, ref, mask, resolution=resolution)
    alone = [nssm(gen[i : i + 1], ref[i : i + 1], mask[i : i + 1], resolution=resolution) for i in range(13)]
    torch.testing.assert_close(torch.cat(alone), whole, equal_nan=True)
    assert whole[7].isnan()
    assert whole.isfinite().sum() > 1


@pytest.mark.parametrize("resolution", [4, 6])
def test_what_is_no_number_outside_the_mask_stays_there(resolution: int) -> None:
    gen, ref, mask = features(13, 1, 12), features(14, 1, 12), torch.zeros(1, 12, 12, dtype=torch.bool)
    mask[0, :6, :6] = mask[0, 6:, 6:] = True
    there = nssm(gen, ref, mask, resolution=resolution)
    gen[0, 0, 11] = ref[0, 11, 0] = float("nan")  # inside the mask's box
    assert torch.equal(nssm(gen, ref, mask, resolution=resolution), there)
    assert there.isfinite().all()


def test_what_does_not_fit_is_refused() -> None:
    mask = torch.ones(2, 6, 6, dtype=torch.bool)
    with pytest.raises(UsageError, match="wanted bool masks, found float32; make them true on the subject"):
        nssm(features(0), features(1), mask * 0.3)
    for thin in ((features(0)[:, :0], mask), (features(0), mask[:, :0])):
        with pytest.raises(UsageError, match="wanted cells and channels, found features"):
            nssm(thin[0], thin[0], thin[1])
    with pytest.raises(UsageError, match=r"wanted gen and ref \[B, H, W, C\] of one shape and mask"):
        nssm(features(0), features(1, 1), mask)
    with pytest.raises(UsageError, match="wanted variant 'paper', 'official' or 'corrected', found 'fast'"):
        nssm(features(0), features(1), mask, variant="fast")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="wanted a resolution of 2 cells a side or more, found 1"):
        nssm(features(0), features(1), mask, resolution=1)
