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


def test_what_does_not_fit_is_refused() -> None:
    mask = torch.ones(2, 6, 6, dtype=torch.bool)
    with pytest.raises(UsageError, match=r"wanted gen and ref \[B, H, W, C\] of one shape and mask"):
        nssm(features(0), features(1, 1), mask)
    with pytest.raises(UsageError, match="wanted variant 'paper', 'official' or 'corrected', found 'fast'"):
        nssm(features(0), features(1), mask, variant="fast")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="wanted a resolution of 2 cells a side or more, found 1"):
        nssm(features(0), features(1), mask, resolution=1)
