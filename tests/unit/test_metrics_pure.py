"""The pure functions against formulas written another way, by other libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cosine as scipy_cosine

from evalkit.metrics.clip_i import clip_i
from evalkit.metrics.clip_t import clip_t
from evalkit.metrics.cosine import cosine, mean_target_cosine
from evalkit.metrics.dino_i import dino_i
from evalkit.metrics.dreamsim import dreamsim

if TYPE_CHECKING:
    from numpy.typing import NDArray


def embeddings(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_cosine_is_torchs_and_scipys() -> None:
    a, b = embeddings(7, 16), embeddings(7, 16, seed=1)
    found = cosine(a, b)
    theirs = torch.nn.functional.cosine_similarity(torch.from_numpy(a).double(), torch.from_numpy(b).double())
    assert np.abs(found - theirs.numpy()).max() < 1e-14
    assert (
        np.abs(found - [1 - scipy_cosine(x.astype(float), y.astype(float)) for x, y in zip(a, b, strict=True)]).max()
        < 1e-14
    )


def test_cosine_by_hand() -> None:
    assert cosine([1.0, 0.0], [1.0, 1.0]).item() == pytest.approx(2**-0.5, abs=1e-15)
    assert cosine([1.0, 2.0, 2.0], [2.0, 1.0, 2.0]).item() == pytest.approx(8 / 9, abs=1e-15)


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e18])
def test_cosine_does_not_depend_on_length(scale: float) -> None:
    a, b = embeddings(5, 8), embeddings(5, 8, seed=1)
    assert np.allclose(cosine(a * np.float32(scale), b), cosine(a, b), rtol=0, atol=1e-6)


def test_cosine_stays_in_its_range() -> None:
    a = embeddings(2000, 3)
    assert cosine(a, a).max() <= 1.0
    assert cosine(a, -a).min() >= -1.0
    assert np.allclose(cosine(a, a), 1.0, rtol=0, atol=1e-15)


@pytest.mark.parametrize(("a", "b"), [([0.0, 0.0], [1.0, 0.0]), ([1.0, 0.0], [0.0, 0.0]), ([0.0, 0.0], [0.0, 0.0])])
def test_a_zero_vector_has_no_cosine(a: list[float], b: list[float]) -> None:
    assert np.isnan(cosine(a, b))
    assert np.isnan(clip_t(a, b))
    assert np.isnan(clip_t(a, b, floor_at_zero=True))
    assert np.isnan(clip_i(a, [b]))
    assert np.isnan(dreamsim(a, [b]))


def test_one_zero_target_leaves_no_mean() -> None:
    assert np.isnan(mean_target_cosine([1.0, 0.0], [[1.0, 0.0], [0.0, 0.0]]))


def test_no_target_has_no_mean() -> None:
    assert np.isnan(mean_target_cosine(embeddings(3, 4), np.zeros((3, 0, 4)))).all()


def test_mean_target_cosine_is_the_normalised_matrix_product() -> None:
    sample, targets = embeddings(4, 16), embeddings(4, 5, 16, seed=1)
    s, t = (torch.nn.functional.normalize(torch.from_numpy(x).double(), dim=-1) for x in (sample, targets))
    theirs = torch.einsum("bd,brd->br", s, t).mean(1).numpy()
    assert np.abs(mean_target_cosine(sample, targets) - theirs).max() < 1e-14


def test_a_copy_of_every_target_is_the_best() -> None:
    one = embeddings(16)
    copies = np.stack([one, one])
    assert clip_i(one, copies).item() == pytest.approx(1.0, abs=1e-15)
    assert dino_i(one, copies).item() == pytest.approx(1.0, abs=1e-15)
    assert dreamsim(one, copies).item() == pytest.approx(0.0, abs=1e-15)


def test_dreamsim_is_the_packages_distance() -> None:
    a, b = embeddings(6, 32), embeddings(6, 32, seed=1)
    theirs = 1 - torch.nn.functional.cosine_similarity(torch.from_numpy(a).double(), torch.from_numpy(b).double())
    assert np.abs(dreamsim(a, b[:, None]) - theirs.numpy()).max() < 1e-14


def test_dreamsim_ends_at_two() -> None:
    assert dreamsim([1.0, -1.0], [[-1.0, 1.0]]).item() == pytest.approx(2.0, abs=1e-15)


def test_clip_t_floors_only_where_asked() -> None:
    assert clip_t([1.0, 0.0], [-3.0, 0.0]).item() == -1.0
    assert clip_t([1.0, 0.0], [-3.0, 0.0], floor_at_zero=True).item() == 0.0
    assert clip_t([1.0, 0.0], [3.0, 0.0], floor_at_zero=True).item() == 1.0


@pytest.mark.parametrize("measure", [clip_i, dino_i, dreamsim])
def test_a_value_does_not_depend_on_what_is_beside_it(measure: Any) -> None:
    sample, targets = embeddings(9, 16), embeddings(9, 3, 16, seed=1)
    whole, order = measure(sample, targets), np.random.default_rng(2).permutation(9)
    assert measure(sample[order], targets[order]).tobytes() == whole[order].tobytes()
    alone = np.array([measure(s, t) for s, t in zip(sample, targets, strict=True)])
    assert np.abs(alone - whole).max() < 1e-15


@pytest.mark.parametrize("measure", [clip_i, dino_i, dreamsim])
def test_the_order_of_targets_does_not_matter(measure: Any) -> None:
    sample, targets = embeddings(16), embeddings(5, 16, seed=1)
    assert measure(sample, targets).item() == pytest.approx(measure(sample, targets[::-1]).item(), abs=1e-15)


def test_half_precision_inputs_are_computed_in_double() -> None:
    a, b = embeddings(4, 64).astype(np.float16), embeddings(4, 64, seed=1).astype(np.float16)
    assert cosine(a, b).dtype == np.float64
    assert cosine(a, b).tobytes() == cosine(a.astype(float), b.astype(float)).tobytes()
