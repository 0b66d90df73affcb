"""Motion smoothness: the flagging of jumps against the source's steps, and the windows that Q-Align rates."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import UsageError
from evalkit.features.loading import load_extractor
from evalkit.features.q_align import QAlign, windows
from evalkit.features.spec import ClipContent, ExtractorSpec, ImageContent
from evalkit.metrics.base import Bound, Item, Outcome, Unscorable
from evalkit.metrics.smoothness import MOTION_SMOOTHNESS, motion_smoothness
from evalkit.nouns import Case, State
from tests import tiny_vlms
from tests.unit.video_samples import moving

CARD = MOTION_SMOOTHNESS.card.variant("opens2v")
BOUND = Bound("opens2v", CARD, CARD.extractor)


def flagged_one_by_one(ratings: list[float], threshold: float) -> float:
    """Frame by frame: rough where the rating before or after is further away than the threshold."""
    rough = 0
    for place, rating in enumerate(ratings):
        beside = [ratings[other] for other in (place - 1, place + 1) if 0 <= other < len(ratings)]
        rough += any(abs(rating - other) > threshold for other in beside)
    return 1 - rough / len(ratings)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.sampled_from([0.0, 0.025, 0.5]))
def test_the_share_is_that_of_frames_beside_no_jump(ratings: list[float], threshold: float) -> None:
    found = motion_smoothness(ratings, threshold=threshold)
    assert found == pytest.approx(flagged_one_by_one(ratings, threshold), abs=1e-12)
    assert 0 <= found <= 1
    assert motion_smoothness(ratings[::-1], threshold=threshold) == pytest.approx(found, abs=1e-12)


def test_a_single_dip_flags_three_frames_and_a_step_two() -> None:
    """The authors' demo video of 69 frames has .8985507, seven of them flagged: two dips and what a step adds to one."""
    ratings = np.full(69, 0.5)
    ratings[[10, 20]] = 0.53
    assert motion_smoothness(ratings) == pytest.approx(1 - 6 / 69)
    ratings[22:] = 0.6
    assert motion_smoothness(ratings) == pytest.approx(0.8985507246376812)


def test_what_has_no_value() -> None:
    assert math.isnan(motion_smoothness([]))
    assert math.isnan(motion_smoothness([0.5, float("nan")]))
    with pytest.raises(UsageError, match=r"wanted one rating a frame \[T\], found \[1, 2\]"):
        motion_smoothness([[0.5, 0.5]])


def item(frames: int | None) -> Item:
    path = Path("a.mp4")
    case = Case(
        case_id="a",
        prompt="a",
        subjects=("a",),
        references=(),
        targets=(),
        category="c",
        prompt_index=0,
        medium="video",
    )
    shots = tuple(ImageContent(f"{n:064d}", path, n) for n in range(frames or 0))
    clip = None if frames is None else ClipContent("0" * 64, path, shots, 8.0)
    return Item(case, 0, ImageContent("0" * 64, path), (), clip=clip)


def test_the_plugin_puts_the_words_shares_together() -> None:
    one = item(4)
    (request,) = MOTION_SMOOTHNESS.requests(one, BOUND)
    assert (request.content, request.output) == (one.clip, "windows")
    shares = np.eye(5, dtype=np.float32)[[0, 0, 1, 1]]
    assert MOTION_SMOOTHNESS.score([one], BOUND, [[shares]]) == [Outcome.scored(0.5)]
    with pytest.raises(Unscorable) as raised:
        MOTION_SMOOTHNESS.requests(item(None), BOUND)
    assert raised.value.state is State.NOT_APPLICABLE


@given(st.integers(1, 40))
def test_a_window_for_each_frame_around_it(count: int) -> None:
    found = windows(count)
    assert len(found) == count
    assert all(len(window) == 3 and set(window) <= set(range(count)) for window in found)
    assert found[0] == (0, 0, 0)
    assert all(found[place] == (place - 1, place, place + 1) for place in range(1, count - 1))


@pytest.fixture(scope="module")
def q_align(tmp_path_factory: pytest.TempPathFactory) -> QAlign:
    folder: Path = tmp_path_factory.mktemp("vlms") / "q-future--one-align"
    tiny_vlms.write_one_align(folder)
    spec: ExtractorSpec = CARD.extractor.model_copy(update={"dtype": "float32", "model": str(folder)})
    found = load_extractor(spec, device="cpu")
    assert isinstance(found, QAlign)
    return found


def test_a_window_is_rated_as_one_video_of_three_frames(q_align: QAlign) -> None:
    frames = [*moving(5)]
    found = q_align.watch(frames)["windows"]
    assert found.shape == (5, 5)
    assert found.sum(1) == pytest.approx(1, abs=1e-5)
    model, levels = q_align._model, q_align._levels
    question = q_align._around["windows"]
    with torch.inference_mode():
        for row, window in zip(found, windows(5), strict=True):
            pixels = torch.from_numpy(np.stack([q_align.prepare(frames[place]) for place in window]))
            tokens = model.seen(pixels).flatten(0, 1)[None]
            shares = model.logits(tokens, *question)[0, levels].softmax(-1)
            np.testing.assert_allclose(row, shares.numpy(), atol=1e-5)


def test_a_frame_is_in_its_own_windows_alone_and_pictures_are_asked_otherwise(q_align: QAlign) -> None:
    frames = [*moving(6)]
    before = q_align.watch(frames)["windows"]
    after = q_align.watch([*frames[:3], frames[3][::-1], *frames[4:]])["windows"]
    assert [bool(np.array_equal(a, b)) for a, b in zip(before, after, strict=True)] == [
        True,
        True,
        False,
        False,
        False,
        True,
    ]
    still = q_align.watch([frames[0]])["windows"]
    assert still.shape == (1, 5)
    assert not np.allclose(still[0], q_align.encode_images(q_align.prepare(frames[0])[None])["quality"][0])
