"""NexusScore from boxes: what is kept, what the three versions divide by, and what the plugin asks for."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.errors import UsageError
from evalkit.features.spec import ClipContent, ImageContent, PairContent, TextContent
from evalkit.metrics.base import Bound, Item, Outcome, Unscorable
from evalkit.metrics.nexus import NEXUS_SCORE, nexus_score, sought
from evalkit.nouns import Case, State

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


@pytest.mark.parametrize("variant", VERSIONS)
def test_what_is_no_number_is_told_where_it_decides(variant: Any) -> None:
    for box in ([0.9, math.nan, 0.4], [0.9, 0.5, math.nan], [math.nan, 0.5, 0.4], [0.9, math.nan, math.nan]):
        confidence, alike, named = ([value, other] for value, other in zip(box, (0.9, 0.5, 0.4), strict=True))
        assert math.isnan(nexus_score(confidence, alike, named, [0, 1], [0, 0], variant=variant))
    for box in ([0.5, math.nan, math.nan], [0.9, math.nan, 0.2], [0.9, 0.0, math.nan]):
        assert nexus_score(*([value] for value in (*box, 0, 0)), variant=variant) == 0.0


@pytest.mark.parametrize("variant", VERSIONS)
@pytest.mark.parametrize("zero", ["reference", "label", "cut"])
def test_a_zero_embedding_is_the_state_that_the_card_names(variant: str, zero: str) -> None:
    boxes = [told((0, 0, 5, 5, 0.9)), told()]
    rows = {name: np.ones(2, np.float32) * (name != zero) for name in ("reference", "label", "cut")}
    (found,) = NEXUS_SCORE.score([item(("Cup",))], bound(variant), [[*boxes, *rows.values()]])
    assert found == Outcome(State.UNDEFINED, reason="the formula gave nan")


def test_people_are_looked_for_only_where_they_are_the_case() -> None:
    told = {case: sought("Man", case) for case in ("singleface_1", "multiface_2", "humanobj_3", "singleobj_4")}
    assert told == {"singleface_1": None, "multiface_2": None, "humanobj_3": "human", "singleobj_4": "Man"}
    assert sought("Cat", "singleface_1") == "Cat"


def test_other_shapes_and_variants_are_refused() -> None:
    with pytest.raises(UsageError, match=r"^wanted five lists of one length, a number a box, found \[\[1\], \[2\]\]$"):
        nexus_score([0.9, 0.9], [0.5, 0.5], [0.5, 0.5], [0, 0], [0])
    with pytest.raises(UsageError, match="^wanted variant 'v1_0', 'v1_1' or 'corrected', found 'v2'$"):
        nexus_score(*boxes(), variant="v2")  # type: ignore[arg-type]


def item(labels: tuple[str, ...] = ("Man", "Cup"), case_id: str = "humanobj_1", *, frames: int = 2) -> Item:
    case = Case(
        case_id=case_id, prompt="p", subjects=("a", "b"), references=(), targets=(), category="c", prompt_index=0,
        medium="video",
    )  # fmt: skip
    shots = tuple(ImageContent(f"{n:064d}", Path("a.mp4"), n) for n in range(frames))
    targets = tuple(ImageContent(f"{n:064x}", Path(f"{n}.png")) for n in range(10, 10 + len(labels)))
    clip = ClipContent("c" * 64, Path("a.mp4"), shots, 8.0)
    return Item(case, 0, ImageContent("c" * 64, Path("a.mp4")), targets, clip=clip, target_labels=labels)


def bound(variant: str, *, frames: int = 2) -> Bound:
    card = NEXUS_SCORE.card.variant(variant)
    card = card.model_copy(update={"params": card.params | {"frames": frames}})
    return Bound(variant, card, card.extractor, card.beside)


def told(*rows: tuple[float, ...]) -> Any:
    return np.array(rows, np.float32).reshape(-1, 5)


def test_every_frame_is_searched_for_every_reference_and_each_is_embedded_once() -> None:
    one = item(("Man", "Cup", "Park"))
    asked = NEXUS_SCORE.requests(one, bound("v1_1"))
    assert one.clip is not None
    pairs = [PairContent(frame, target) for frame in one.clip.frames for target in one.targets]
    assert [request.content for request in asked] == [
        *pairs, *one.targets, *(TextContent(word) for word in ("human", "Cup", "Park"))
    ]  # fmt: skip
    assert [request.output for request in asked] == ["boxes"] * 6 + ["embedding"] * 6
    assert {request.spec.family for request in asked[:6]} == {"yolo_world"}
    assert len(NEXUS_SCORE.requests(one, bound("v1_1", frames=32))) == 3 * 32 + 6


def test_what_is_in_a_box_that_may_be_kept_is_cut_out_and_embedded() -> None:
    one, boxes = item(("Cup",)), [told((0.4, 1.5, 9.6, 8.2, 0.9), (1, 1, 5, 5, 0.55)), told((3.2, 1, 3.4, 5, 0.8))]
    (asked,) = NEXUS_SCORE.further(one, bound("v1_1"), [*boxes, *np.zeros((2, 4), np.float32)])
    assert one.clip is not None
    assert asked.content == replace(one.clip.frames[0], box=(0, 2, 10, 8))
    assert asked.content.key != one.clip.frames[0].key


@pytest.mark.parametrize(("variant", "share"), [("corrected", 1.0), ("v1_1", 1 / 2), ("v1_0", 1 / 3)])
def test_a_video_scores_what_its_boxes_say(variant: str, share: float) -> None:
    """Of Man two boxes in the first frame, of Cup an unsure one there and a sure one in the second."""
    sure = told((0, 0, 5, 5, 0.9), (2, 2, 9, 9, 0.7))
    boxes = [sure, told((0, 0, 5, 5, 0.55)), told(), told((1, 1, 8, 8, 0.95))]
    east, north = np.eye(2, dtype=np.float32)
    between = np.array([0.6, 0.8], np.float32)
    known = [east, north, east, between]  # the references, then the labels
    found = NEXUS_SCORE.score([item()], bound(variant), [[*boxes, *known, between, north, between]])
    # cosines with the reference .6, 0 (unlike its label), .8; with the label .6, 0, 1
    assert found[0].value == pytest.approx((0.6 + 0.8) / 2 * share, abs=1e-6)


def test_nothing_found_is_no_score_and_faces_alone_are_not_looked_for() -> None:
    rows: list[Any] = [told(), told(), told(), told(), *np.ones((4, 2), np.float32)]
    (found,) = NEXUS_SCORE.score([item()], bound("v1_1"), [rows])
    assert (found.state, found.reason) == (State.UNDEFINED, "nothing found of human, Cup in any frame")
    with pytest.raises(Unscorable, match=r"^singleface_2 is of faces alone, which are not looked for$") as raised:
        NEXUS_SCORE.requests(item(("Woman",), "singleface_2"), bound("v1_1"))
    assert raised.value.state is State.NOT_APPLICABLE
    words = [r.content.text for r in NEXUS_SCORE.requests(item(("Man", "Bedroom"), "faceobj_1"), bound("v1_1"))
             if isinstance(r.content, TextContent)]  # fmt: skip
    assert words == ["Bedroom"]
