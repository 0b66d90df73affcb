"""Properties that every cosine measure has, on any embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evalkit.metrics.clip_t import clip_t
from evalkit.metrics.cosine import cosine, mean_target_cosine
from evalkit.metrics.dreamsim import dreamsim

if TYPE_CHECKING:
    from numpy.typing import NDArray

NUMBERS = st.floats(-(2.0**40), 2.0**40, width=32, allow_subnormal=False)


def vectors(*shape: int) -> st.SearchStrategy[NDArray[np.float32]]:
    return arrays(np.float32, shape, elements=NUMBERS)


@given(vectors(4, 6), vectors(4, 6))
def test_cosine_is_bounded_symmetric_and_nan_only_for_zero(a: Any, b: Any) -> None:
    found = cosine(a, b)
    zero = ~a.any(-1) | ~b.any(-1)
    assert (np.isnan(found) == zero).all()
    assert (np.abs(found[~zero]) <= 1).all()
    assert np.array_equal(found, cosine(b, a), equal_nan=True)
    assert np.array_equal(found, -cosine(a, -b), equal_nan=True)


@given(vectors(6), vectors(3, 6))
def test_a_mean_lies_between_its_pairs(sample: Any, targets: Any) -> None:
    pairs, mean = cosine(sample, targets), mean_target_cosine(sample, targets)
    if np.isnan(pairs).any():
        assert np.isnan(mean)
    else:
        assert pairs.min() - 1e-15 <= mean <= pairs.max() + 1e-15
        assert -1 <= mean <= 1


@given(vectors(6), vectors(3, 6))
def test_dreamsim_is_a_distance_of_the_same_pairs(sample: Any, targets: Any) -> None:
    distance, mean = dreamsim(sample, targets), mean_target_cosine(sample, targets)
    assert np.isnan(distance) == np.isnan(mean)
    assert np.isnan(distance) or (0 <= distance <= 2 and distance == 1 - mean)


@given(vectors(3, 6), vectors(3, 6))
def test_the_floor_changes_only_what_is_negative(image: Any, text: Any) -> None:
    plain, floored = clip_t(image, text), clip_t(image, text, floor_at_zero=True)
    assert np.array_equal(floored, np.where(plain < 0, 0.0, plain), equal_nan=True)


@settings(max_examples=50)
@given(vectors(5, 4), st.permutations(range(5)))
def test_rows_do_not_see_each_other(a: Any, order: list[int]) -> None:
    b = np.ones(4)
    assert cosine(a[order], b).tobytes() == cosine(a, b)[order].tobytes()
