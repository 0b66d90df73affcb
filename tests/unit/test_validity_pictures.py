"""The battery's pictures: known, graded, the same every time, and nothing but what the change names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from evalkit.metrics.validity import CHANGES, Change
from evalkit.sandbox.validity.changes import GRADES, UNITS, Subject, changed_pictures, prompts
from evalkit.sandbox.validity.gallery import open_gallery

if TYPE_CHECKING:
    from pathlib import Path

SUBJECTS = [Subject.of(number) for number in range(3)]
PICTURED = [change for change in CHANGES if change != "prompt"]


def apart(a: object, b: object) -> float:
    return float(np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64)).mean())


def test_every_change_has_grades_and_a_unit() -> None:
    assert set(GRADES) == set(UNITS) == set(CHANGES)


def test_categories_take_turns() -> None:
    assert [subject.identity.category for subject in SUBJECTS] == ["animal", "object", "human"]


@pytest.mark.parametrize("change", PICTURED)
def test_there_is_a_picture_for_every_grade_and_each_differs(change: Change) -> None:
    for subject in SUBJECTS:
        pictures = [subject.reference.image, *changed_pictures(subject, change)]
        assert len(pictures) == len(GRADES[change])
        assert all(p.shape == (96, 96, 3) and p.dtype == np.uint8 for p in pictures)
        assert len({p.tobytes() for p in pictures}) == len(pictures)


@pytest.mark.parametrize("change", ["background", "style", "blur", "jpeg", "scale", "position", "missing_subject"])
def test_a_stronger_grade_is_further_from_the_reference(change: Change) -> None:
    subject = SUBJECTS[0]
    distances = [apart(subject.reference.image, picture) for picture in changed_pictures(subject, change)]
    assert distances == sorted(distances)


def test_the_same_subject_is_drawn_the_same() -> None:
    for change in PICTURED:
        again = changed_pictures(Subject.of(1), change)
        assert [p.tobytes() for p in again] == [p.tobytes() for p in changed_pictures(SUBJECTS[1], change)]


def test_another_background_leaves_the_subject_as_it_is() -> None:
    for subject in SUBJECTS:
        inside = subject.reference.mask.copy()
        for axis in (0, 1):  # away from the edge, where subject and background share a pixel
            inside &= np.roll(subject.reference.mask, 1, axis) & np.roll(subject.reference.mask, -1, axis)
        for picture in changed_pictures(subject, "background"):
            assert apart(picture[inside], subject.reference.image[inside]) < 1
            assert apart(picture[~inside], subject.reference.image[~inside]) > 1


def test_a_missing_subject_is_gone_and_the_rest_is_there() -> None:
    for subject in SUBJECTS:
        *_, empty = changed_pictures(subject, "missing_subject")
        mask = subject.reference.mask
        assert apart(empty[mask], subject.reference.image[mask]) > 20
        assert np.array_equal(empty[:8], subject.reference.image[:8])  # above every subject


def test_prompts_ask_for_more_and_more_else() -> None:
    for subject in SUBJECTS:
        asked = prompts(subject)
        assert len(set(asked)) == len(GRADES["prompt"])
        first, *others = asked
        assert first == f"a photo of a {subject.identity.plan} standing in a studio"
        assert all("in a studio" not in prompt for prompt in others)
        assert all("a photo of" not in prompt for prompt in others[1:])
        assert subject.identity.plan not in others[-1]


def test_the_gallery_is_drawn_once_and_does_not_depend_on_how_many(tmp_path: Path) -> None:
    one = open_gallery(tmp_path, 1)
    written = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.png")}
    two = open_gallery(tmp_path, 2)
    assert two[0] == one[0]
    assert {file: file.stat().st_mtime_ns for file in written} == written
    assert {len(shown.shots) for shown in two} == {1 + sum(len(grades) - 1 for grades in GRADES.values())}
    assert all((tmp_path / shot.picture).is_file() for shown in two for shot in shown.shots)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
