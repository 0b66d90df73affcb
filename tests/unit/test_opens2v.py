"""OpenS2V's total against its merge written out, video by video, and what it refuses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from evalkit.errors import UsageError
from evalkit.metrics.opens2v import SCALES, WEIGHTS, component_weights, mapped, total, unmapped, video_mean

WHOLE: dict[str, float | None] = {
    "aesthetic": 5.0,
    "motion_smoothness": 0.9,
    "motion_amplitude": 0.2,
    "facesim": 0.6,
    "gme": 0.7,
    "nexus": 0.02,
    "natural": 3.0,
}


def merged(videos: list[dict[str, float]], weights: dict[str, float]) -> float:
    """A merge as the source does it, but for its zeros of what is missing: clip each video, average, map, weigh."""

    def average(name: str, clip: Any, *, drop_zeros: bool = False) -> float:
        values = [video[name] for video in videos if name in video and not (drop_zeros and video[name] == 0)]
        return float(np.mean([clip(value) for value in values]))

    fractions = {
        "aesthetic": (average("aesthetic", lambda v: np.clip(v, 4, 7)) - 4) / 3,
        "motion_smoothness": average("motion_smoothness", lambda v: min(abs(v), 1)),
        "motion_amplitude": average("motion_amplitude", lambda v: min(abs(v), 1)),
        "facesim": average("facesim", lambda v: min(v, 1)),
        "gme": average("gme", lambda v: min(v, 1)),
        "nexus": average("nexus", lambda v: min(v, 0.05), drop_zeros=True) / 0.05,
        "natural": (average("natural", lambda v: np.clip(v, 1, 5)) - 1) / 4,
    }
    return sum(weight * fractions[name] for name, weight in weights.items())


@pytest.mark.parametrize(
    ("version", "domain", "weights"),
    [
        ("v1.1", "open", (0.16, 0.06, 0.02, 0.20, 0.12, 0.20, 0.24)),
        ("v1.1", "single", (0.16, 0.06, 0.02, 0.20, 0.12, 0.20, 0.24)),
        ("v1.1", "human", (0.18, 0.09, 0.03, 0.25, 0.15, 0, 0.30)),
        ("v1.0", "open", (0.12, 0, 0.12, 0.20, 0.12, 0.20, 0.24)),
        ("v1.0", "single", (0.12, 0, 0.12, 0.20, 0.12, 0.20, 0.24)),
        ("v1.0", "human", (0.15, 0, 0.15, 0.25, 0.15, 0, 0.30)),
    ],
)
def test_the_total_of_many_videos_is_the_merge_written_out(version: Any, domain: Any, weights: Any) -> None:
    rng = np.random.default_rng(0)
    spread = {
        "aesthetic": (3, 8),
        "motion_smoothness": (0, 1.2),
        "motion_amplitude": (-1.5, 1.5),
        "facesim": (0, 1),
        "gme": (-0.1, 0.9),
        "nexus": (-0.01, 0.08),
        "natural": (1, 5),
    }
    videos = [
        {name: float(rng.uniform(*ends)) for name, ends in spread.items() if rng.uniform() < 0.8} for _ in range(60)
    ]
    for video in videos[::5]:
        video["nexus"] = 0.0
    means = {name: video_mean(name, [video.get(name) for video in videos]) for name in SCALES}
    wanted = merged(videos, dict(zip(SCALES, weights, strict=True)))
    assert total(means, version=version, domain=domain) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("domain", WEIGHTS)
@pytest.mark.parametrize("version", ["v1.0", "v1.1"])
def test_weights_sum_to_one_so_the_total_runs_from_nothing_to_all(version: Any, domain: Any) -> None:
    assert math.fsum(component_weights(version=version, domain=domain).values()) == pytest.approx(1, abs=1e-15)
    best, worst = ({name: unmapped(name, end) for name in SCALES} for end in (1.0, 0.0))
    assert total(best, version=version, domain=domain) == pytest.approx(1, abs=1e-15)
    assert total(worst, version=version, domain=domain) == 0


def test_a_component_s_fraction_is_clipped_on_the_sides_that_the_source_clips() -> None:
    ends = {name: (mapped(name, -100.0), mapped(name, 100.0)) for name in SCALES}
    assert {name for name, (low, _) in ends.items() if low < 0} == {"facesim", "gme", "nexus"}
    assert {name for name, (low, _) in ends.items() if low == 1} == {"motion_smoothness", "motion_amplitude"}
    assert {high for _, high in ends.values()} == {1.0}
    assert math.isnan(mapped("aesthetic", math.nan))


def test_the_inverse_leads_back() -> None:
    for name in SCALES:
        for fraction in (0.0, 0.25, 1.0):
            assert mapped(name, unmapped(name, fraction)) == pytest.approx(fraction, abs=1e-12)


def test_a_mean_over_videos_clips_each_and_leaves_out_what_is_missing() -> None:
    assert video_mean("aesthetic", [3.0, 5.0, None, math.nan]) == 4.5
    assert video_mean("motion_amplitude", [-3.0, 0.5]) == 0.75
    assert video_mean("gme", [0.0, 0.5]) == 0.25
    assert video_mean("nexus", [0.0, 0.04]) == 0.04
    assert video_mean("nexus", [0.0]) is None
    assert video_mean("natural", []) is None


@pytest.mark.parametrize("gone", [None, math.nan, "absent"])
def test_what_is_missing_is_refused_and_named(gone: Any) -> None:
    components = dict(WHOLE)
    for name in ("gme", "nexus"):
        if gone == "absent":
            del components[name]
        else:
            components[name] = gone
    with pytest.raises(UsageError, match=r"OpenS2V v1.1 open for its total, found no value of gme, nexus; score what"):
        total(components)
    with pytest.raises(UsageError, match=r"found no value of gme;"):
        total(components, domain="human")


def test_what_a_version_does_not_weigh_may_be_missing_or_given() -> None:
    old = {name: value for name, value in WHOLE.items() if name not in ("motion_smoothness", "nexus")}
    assert total(old, version="v1.0", domain="human") == total(WHOLE, version="v1.0", domain="human")


def test_unknown_names_are_refused() -> None:
    wrong: Any = "v2"
    with pytest.raises(UsageError, match=r"wanted an OpenS2V version \(v1.0, v1.1\), found 'v2'"):
        total(WHOLE, version=wrong)
    with pytest.raises(UsageError, match=r"wanted an OpenS2V domain \(open, single, human\), found 'v2'"):
        total(WHOLE, domain=wrong)
    with pytest.raises(UsageError, match=r"wanted an OpenS2V component \(aesthetic, .*\), found 'aes'"):
        total({**WHOLE, "aes": 5.0})
    for function in (mapped, unmapped):
        with pytest.raises(UsageError, match="found 'aes'"):
            function("aes", 5.0)
    with pytest.raises(UsageError, match="found 'aes'"):
        video_mean("aes", [5.0])
