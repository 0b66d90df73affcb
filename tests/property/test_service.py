"""A feature is the same bits whatever was asked beside it, in whatever order and in chunks of whatever size."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.features.service import Missing
from evalkit.features.spec import FeatureRequest, ImageContent, PairContent, TextContent
from tests.fakes import SPEC, FakeBackbones, replace_spec, write_picture

OTHER = replace_spec(SPEC, model="fake/two")


@cache
def contents() -> list[ImageContent]:
    folder = Path(tempfile.mkdtemp(prefix="evalkit-"))
    return [write_picture(folder / f"{i}.png", i) for i in range(5)]


@cache
def requests() -> tuple[FeatureRequest, ...]:
    pictures = contents()
    texts = [TextContent(f"text {i}") for i in range(3)]
    single = [FeatureRequest(spec, c, o) for spec in (SPEC, OTHER) for c in pictures for o in ("embedding", "mean")]
    pairs = [FeatureRequest(SPEC, PairContent(a, b), "distance") for a in pictures for b in pictures]
    return (*single, *pairs, *(FeatureRequest(SPEC, text, "embedding") for text in texts))


def extracted(
    order: list[FeatureRequest], chunk: int, *, batch: int = 4, ahead: bool = False
) -> dict[FeatureRequest, bytes]:
    service = FakeBackbones(forward_batch=batch).service()
    found = {}
    try:
        for start in range(0, len(order), chunk):
            if ahead:
                service.ahead(order[start + chunk : start + 2 * chunk])
            for request, array in service.features(order[start : start + chunk]).items():
                assert not isinstance(array, Missing)
                found[request] = np.asarray(array).tobytes()
    finally:
        service.close()
    return found


@cache
def reference() -> dict[FeatureRequest, bytes]:
    return extracted(list(requests()), len(requests()))


@settings(max_examples=25, deadline=None)
@given(st.data(), st.integers(1, 60), st.booleans())
def test_bits_do_not_depend_on_order_or_chunks(data: st.DataObject, chunk: int, ahead: bool) -> None:
    order = data.draw(st.permutations(requests()))
    assert extracted(order, chunk, ahead=ahead) == reference()


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_bits_do_not_depend_on_what_else_is_asked(data: st.DataObject) -> None:
    some = data.draw(st.lists(st.sampled_from(requests()), min_size=1, max_size=12))
    assert extracted(some, len(some)) == {request: reference()[request] for request in some}


def test_the_fake_would_show_a_batch_of_another_shape() -> None:
    """Without this the properties above could not fail."""
    assert extracted(list(requests()), 10, batch=3) != reference()
