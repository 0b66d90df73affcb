"""NexusScore from boxes: what is kept, and what the three versions divide by."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from evalkit.errors import UsageError
from evalkit.metrics.nexus import nexus_score, sought

VERSIONS = ("v1_0", "v1_1", "corrected")


def boxes(count: int = 40) -> tuple[Any, ...]:
    rng = np.random.default_rng(5)
    confidence, alike, named = rng.uniform(0.5, 1, count), rng.uniform(-0.2, 1, count), rng.uniform(0, 0.6, count)
    return confidence, alike, named, rng.integers(0, 9, count), rng.integers(0, 2, count)


def by_hand(confidence: Any, alike: Any, named: Any, frame: Any, reference: Any) -> dict[str, float]:
    """The same in plain loops over frames and references, as the source goes through them."""
    kept, frames, pairs = [], 0, 0
    for one in sorted(set(frame)):
        seen = False
        for other in sorted(set(reference)):
            here = [n for n in range(len(frame)) if frame[n] == one and reference[n] == other]
            pairs += bool(here)
            frames += bool(here) and not seen
            seen = seen or bool(here)
            kept += [alike[n] for n in here if confidence[n] > 0.6 and named[n] > 0.30 and alike[n] != 0]
    mean = sum(kept) / len(kept)
    return {"v1_0": mean / pairs, "v1_1": mean / frames, "corrected": mean}


def test_the_versions_are_those_of_plain_loops() -> None:
    wanted = by_hand(*boxes())
    for variant in VERSIONS:
        assert nexus_score(*boxes(), variant=variant) == pytest.approx(wanted[variant], rel=1e-12)  # type: ignore[arg-type]
    assert wanted["v1_0"] < wanted["v1_1"] < wanted["corrected"]


def test_the_order_of_boxes_does_not_count() -> None:
    turned = [values[::-1] for values in boxes()]
    assert nexus_score(*turned) == pytest.approx(nexus_score(*boxes()), rel=1e-12)


@pytest.mark.parametrize("variant", VERSIONS)
def test_no_box_is_no_score_and_none_kept_is_zero(variant: Any) -> None:
    assert math.isnan(nexus_score([], [], [], [], [], variant=variant))
    for unsure in ([0.6, 0.9, 0.4, 0, 0], [0.9, 0.9, 0.30, 0, 0], [0.9, 0.0, 0.9, 0, 0]):
        assert nexus_score(*([value] for value in unsure), variant=variant) == 0.0


def test_what_is_no_number_is_told() -> None:
    assert math.isnan(nexus_score([0.9], [math.nan], [0.4], [0], [0]))


def test_people_are_looked_for_only_where_they_are_the_case() -> None:
    told = {case: sought("Man", case) for case in ("singleface_1", "multiface_2", "humanobj_3", "singleobj_4")}
    assert told == {"singleface_1": None, "multiface_2": None, "humanobj_3": "human", "singleobj_4": "Man"}
    assert sought("Cat", "singleface_1") == "Cat"


def test_other_shapes_and_variants_are_refused() -> None:
    with pytest.raises(UsageError, match=r"^wanted five lists of one length, a number a box, found \[\[1\], \[2\]\]$"):
        nexus_score([0.9, 0.9], [0.5, 0.5], [0.5, 0.5], [0, 0], [0])
    with pytest.raises(UsageError, match="^wanted variant 'v1_0', 'v1_1' or 'corrected', found 'v2'$"):
        nexus_score(*boxes(), variant="v2")  # type: ignore[arg-type]
