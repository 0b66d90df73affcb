"""Motion amplitude on moving pictures of known motion, and against the source's steps one after another."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from evalkit.errors import UsageError
from evalkit.metrics.motion import motion_amplitude

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Frames = NDArray[np.uint8]


def texture(seed: int, height: int, width: int) -> NDArray[np.float64]:
    """A soft pattern that wraps around, three channels in [0, 255]."""
    noise = np.random.default_rng(seed).normal(size=(height, width, 3))
    soft = gaussian_filter(noise, (2.5, 2.5, 0), mode="wrap")
    return np.asarray(np.clip(127 + 60 * soft / soft.std(), 0, 255))


def panned(dx: int, dy: int, *, frames: int = 4, height: int = 96, width: int = 128, seed: int = 0) -> Frames:
    picture = texture(seed, height, width).astype(np.uint8)
    return np.stack([np.roll(picture, (i * dy, i * dx), (0, 1)) for i in range(frames)])


def zoomed(factor: float, frames: int = 3) -> Frames:
    picture = texture(1, 96, 128)
    y, x = np.mgrid[:96, :128]
    shots = []
    for i in range(frames):
        scale = factor**i
        where = [(y - 47.5) / scale + 47.5, (x - 63.5) / scale + 63.5]
        shots.append(np.stack([map_coordinates(picture[..., c], where, order=1, mode="wrap") for c in range(3)], -1))
    return np.stack(shots).astype(np.uint8)


def step_by_step(frames: Frames) -> float:
    """The source's steps: greys that take red for blue, flow, shrunk by areas, mean over time and over all else."""
    greys = [cv2.cvtColor(np.ascontiguousarray(frame[..., ::-1]), cv2.COLOR_RGB2GRAY) for frame in frames]
    maps = []
    for before, after in pairwise(greys):
        room = np.zeros((*before.shape, 2), np.float32)
        flow = cv2.calcOpticalFlowFarneback(before, after, room, 0.5, 3, 15, 3, 5, 1.2, 0)
        size = (16, int(flow.shape[0] * (16 / flow.shape[1])))
        maps.append(cv2.resize(flow, size, interpolation=cv2.INTER_AREA))
    return abs(float(np.mean(np.mean(np.array(maps), axis=0))))


@pytest.mark.parametrize(("height", "width"), [(96, 128), (75, 130), (200, 48), (40, 16)])
def test_the_official_value_is_that_of_the_source_s_steps(height: int, width: int) -> None:
    frames = panned(2, 1, height=height, width=width, seed=height)
    wanted = step_by_step(frames)
    assert wanted > 0.3
    assert motion_amplitude(frames, variant="official") == pytest.approx(wanted, rel=2e-5)


@pytest.mark.parametrize(("dx", "dy"), [(2, 0), (-2, 0), (0, 3), (2, 2), (3, -3)])
def test_a_pan_is_measured_in_pixels_a_frame_by_its_length_or_by_its_signs(dx: int, dy: int) -> None:
    frames = panned(dx, dy)
    assert motion_amplitude(frames, variant="corrected") == pytest.approx(math.hypot(dx, dy), rel=0.05)
    assert motion_amplitude(frames, variant="official") == pytest.approx(abs(dx + dy) / 2, abs=0.06)


def test_what_moves_apart_cancels_in_the_official_value_alone() -> None:
    right, left = panned(2, 0, seed=3), panned(-2, 0, seed=4)
    for frames, length in ((np.concatenate([right, left], axis=1), 2.0), (zoomed(1.05), 2.0)):
        assert motion_amplitude(frames, variant="official") < 0.15
        assert motion_amplitude(frames, variant="corrected") == pytest.approx(length, rel=0.25)


def test_faster_is_more() -> None:
    for variant in ("official", "corrected"):
        speeds = [motion_amplitude(panned(dx, 0), variant=variant) for dx in (0, 1, 2, 4)]
        assert speeds == sorted(speeds)
        assert speeds[0] < 1e-3
        assert motion_amplitude(np.full((3, 40, 40, 3), 90, np.uint8), variant=variant) == 0


def test_a_single_frame_has_no_motion_to_measure() -> None:
    for count in (0, 1):
        assert math.isnan(motion_amplitude(panned(1, 1)[:count], variant="official"))
        assert math.isnan(motion_amplitude(panned(1, 1)[:count], variant="corrected"))


def test_what_does_not_fit_is_refused() -> None:
    frames: Any = panned(1, 0)
    for wrong in (frames.astype(np.float32), frames[0], frames[..., :1], frames[:, :0]):
        with pytest.raises(UsageError, match=r"wanted frames as uint8 \[T, H, W, 3\], found "):
            motion_amplitude(wrong, variant="official")
    variant: Any = "signed"
    with pytest.raises(UsageError, match="wanted variant 'official' or 'corrected', found 'signed'"):
        motion_amplitude(frames, variant=variant)
