"""Correspondence: exact on the surface, one to one with itself, symmetric up to rounding."""

from __future__ import annotations

import numpy as np
import pytest

from evalkit.errors import UsageError
from evalkit.sandbox.world import Pose, Rendered, Scene, View, correspondences, render, sample_identity


def picture(action: str, azimuth: float, index: int = 0, **changes: object) -> Rendered:
    identity = sample_identity("animal", index, split="train")
    return render(Scene((identity,), (Pose(action, jitter=7),), View(azimuth), **changes))  # type: ignore[arg-type]


def test_a_picture_corresponds_to_itself_pixel_by_pixel() -> None:
    a = picture("standing", 20)
    pairs = correspondences(a, a)
    assert len(pairs) == a.mask.sum()
    assert np.array_equal(pairs[:, :2], pairs[:, 2:])


def test_corresponding_pixels_show_the_same_point_of_the_same_part() -> None:
    a, b = picture("standing", 0), picture("sitting", 30, place="beach", scale=0.9)
    pairs = correspondences(a, b)
    assert len(pairs) > 150
    ya, xa, yb, xb = pairs.T
    assert np.array_equal(a.parts[ya, xa], b.parts[yb, xb])
    assert np.median(np.linalg.norm(a.surface[ya, xa] - b.surface[yb, xb], axis=1)) < 0.1


def test_correspondence_is_symmetric_up_to_rounding() -> None:
    a, b = picture("standing", 0), picture("waving", 20)
    forth = {tuple(p[:2]): tuple(p[2:]) for p in correspondences(a, b).tolist()}
    back = correspondences(b, a).tolist()
    errors = [max(abs(ya - y), abs(xa - x)) for yb, xb, ya, xa in back for y, x in [(ya, xa)] if (ya, xa) in forth]
    assert len(errors) > 100
    returned = [
        max(abs(forth[ya, xa][0] - yb), abs(forth[ya, xa][1] - xb)) for yb, xb, ya, xa in back if (ya, xa) in forth
    ]
    assert np.quantile(returned, 0.95) <= 2


def test_front_and_back_share_little() -> None:
    front, back = picture("standing", 0), picture("standing", 180)
    assert len(correspondences(front, back)) < 0.1 * front.mask.sum()


def test_the_second_of_two_subjects_is_found() -> None:
    pair = tuple(sample_identity("animal", i, split="train") for i in (0, 1))
    both = render(Scene(pair, (Pose(), Pose())))
    alone = picture("standing", 0, index=1)
    pairs = correspondences(alone, render(Scene((pair[1],), (Pose(jitter=7),), View(0))))
    assert len(pairs) == alone.mask.sum()
    assert both.subject_masks[1].any()
    own = correspondences(both, both, subject=1)
    assert len(own) == both.subject_masks[1].sum()


def test_another_plan_or_a_missing_subject_is_refused() -> None:
    with pytest.raises(UsageError, match="need the same identity as subject 0"):
        correspondences(picture("standing", 0), picture("standing", 0, index=9))
    with pytest.raises(UsageError, match="subject 1"):
        correspondences(picture("standing", 0), picture("standing", 0), subject=1)
