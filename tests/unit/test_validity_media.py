"""The batteries of clips and of sets: known, graded, the same every time, and nothing but what the change names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from evalkit.media import decode_video
from evalkit.metrics.validity import BATTERIES, CLIP_CHANGES, SET_CHANGES, Battery, Change
from evalkit.sandbox.clips import FRAMES
from evalkit.sandbox.validity import clips, sets
from evalkit.sandbox.validity.batteries import GRADES, UNITS
from evalkit.sandbox.validity.changes import Subject
from evalkit.sandbox.validity.clips import changed_clips
from evalkit.sandbox.validity.gallery import gallery_name, open_gallery
from evalkit.sandbox.validity.sets import PICTURES, changed_sets

if TYPE_CHECKING:
    from pathlib import Path

SUBJECT = Subject.of(1)
CLIPS, SETS = changed_clips(SUBJECT), changed_sets(SUBJECT)


def apart(a: object, b: object) -> float:
    return float(np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64)).mean())


def steps(clip: object) -> float:
    frames = np.asarray(clip, np.float64)
    return apart(frames[1:], frames[:-1])


def test_every_change_of_every_battery_has_grades_and_a_unit() -> None:
    assert set(BATTERIES) == set(GRADES) == set(UNITS)
    for battery, changes in BATTERIES.items():
        assert tuple(GRADES[battery]) == tuple(UNITS[battery]) == changes


def test_there_is_a_clip_and_a_set_for_every_grade() -> None:
    shown: dict[Battery, Any] = {"clips": CLIPS, "sets": SETS}
    for battery, found in shown.items():
        wanted = {(change, grade) for change, grades in GRADES[battery].items() for grade in range(1, len(grades))}
        assert set(found) == wanted | {(None, 0)}
    assert {clip.shape for clip in CLIPS.values()} == {(FRAMES, 96, 96, 3)}
    assert {len(those) for those in SETS.values()} == {PICTURES}


@pytest.mark.parametrize("change", ["still", "shake", "flicker", "noise"])
def test_a_stronger_grade_of_a_clip_is_further_from_the_walk(change: Change) -> None:
    distances = [apart(CLIPS[None, 0], CLIPS[change, grade]) for grade in range(1, len(clips.GRADES[change]))]
    assert distances[0] > 0
    assert distances == sorted(distances)


@pytest.mark.parametrize("change", ["speed", "still"])
def test_a_slower_or_stiller_clip_moves_less(change: Change) -> None:
    moved = [steps(CLIPS[None, 0]), *(steps(CLIPS[change, g]) for g in range(1, len(clips.GRADES[change])))]
    assert moved == sorted(moved, reverse=True)
    assert (moved[-1] == 0) == (change == "still")


def test_an_identity_that_drifts_begins_as_it_is_and_ends_as_another() -> None:
    plain = CLIPS[None, 0]
    for grade in range(1, 5):
        clip = CLIPS["drift", grade]
        same = [np.array_equal(a, b) for a, b in zip(clip, plain, strict=True)]
        assert same[0]
        assert not same[-1]
        assert same == sorted(same, reverse=True)


@pytest.mark.parametrize("change", ["others", "strangers", "wrong_prompts"])
def test_as_many_pictures_or_prompts_of_a_set_differ_as_the_grade_says(change: Change) -> None:
    plain = SETS[None, 0]
    for grade, count in enumerate(sets.GRADES[change]):
        shown = SETS[change, grade] if grade else plain
        pixels = sum(not np.array_equal(a.pixels, b.pixels) for a, b in zip(shown, plain, strict=True))
        texts = sum(a.prompt != b.prompt for a, b in zip(shown, plain, strict=True))
        assert (pixels, texts) == ((0, count) if change == "wrong_prompts" else (count, 0))


def test_the_same_subject_is_drawn_the_same() -> None:
    again = Subject.of(1)
    assert {key: clip.tobytes() for key, clip in changed_clips(again).items()} == {
        k: c.tobytes() for k, c in CLIPS.items()
    }
    assert [[a.pixels.tobytes() for a in those] for those in changed_sets(again).values()] == [
        [a.pixels.tobytes() for a in those] for those in SETS.values()
    ]


def test_galleries_hold_every_clip_whole_and_every_picture_of_a_set_once(tmp_path: Path) -> None:
    assert len({gallery_name(battery) for battery in BATTERIES}) == len(BATTERIES)
    (shown,) = open_gallery(tmp_path / "clips", 1, "clips")
    assert len(shown.shots) == 1 + sum(len(clips.GRADES[change]) - 1 for change in CLIP_CHANGES)
    first = next(shot for shot in shown.shots if shot.change is None)
    assert len(decode_video(tmp_path / "clips" / first.picture).frames) == FRAMES
    (shown,) = open_gallery(tmp_path / "sets", 1, "sets")
    assert len(shown.shots) == PICTURES * (1 + sum(len(sets.GRADES[change]) - 1 for change in SET_CHANGES))
    files = {shot.picture for shot in shown.shots}
    assert len(files) == len({shot.sha256 for shot in shown.shots}) < len(shown.shots)
    assert open_gallery(tmp_path / "sets", 1, "sets") == [shown]
