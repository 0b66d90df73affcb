"""Character BLEU against NLTK and by hand; recognition's two rules; choice; the segments of a dense prompt."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from evalkit.errors import UsageError
from evalkit.metrics.text import (
    char_bleu,
    choice_accuracy,
    recognised,
    recognition,
    segment_score,
    segments,
)


def test_bleu_by_hand() -> None:
    """Of "abcd", 3 of 4 letters and 1 of 3 pairs are the reference's, which is one longer."""
    wanted = math.exp(1 - 5 / 4) * (3 / 4) ** 0.7 * (1 / 3) ** 0.3
    assert char_bleu("abxcy", "abcd") == pytest.approx(wanted, abs=1e-15)
    assert char_bleu("ab", "ba") == pytest.approx(0.1**0.3, abs=1e-15)
    assert char_bleu("aab", "aaaa") == pytest.approx((2 / 4) ** 0.7 * (1 / 3) ** 0.3, abs=1e-15)


def test_bleu_at_its_extremes() -> None:
    assert char_bleu("a cat", "a cat") == 1.0
    assert char_bleu("a", "a") == pytest.approx(0.1**0.3, abs=1e-15)
    for reference, candidate in (("", ""), ("a cat", ""), ("", "a cat"), ("abc", "xyz")):
        assert char_bleu(reference, candidate) == 0.0


def test_bleu_is_nltks_on_random_strings() -> None:
    nltk = pytest.importorskip("nltk.translate.bleu_score", reason="nltk is not installed")
    smooth = nltk.SmoothingFunction().method1
    rng = np.random.default_rng(0)
    for _ in range(300):
        reference, candidate = ("".join(rng.choice(list("aabc é"), rng.integers(0, 9))) for _ in range(2))
        theirs = nltk.sentence_bleu([list(reference)], list(candidate), weights=(0.7, 0.3), smoothing_function=smooth)
        assert char_bleu(reference, candidate) == pytest.approx(float(theirs), abs=1e-12), (reference, candidate)


@pytest.mark.parametrize(
    ("answer", "prediction", "official", "corrected"),
    [
        ("Yes.", "Yes, it is him.", True, True),
        ("Yes.", "No.", False, False),
        ("No.", "no", True, True),
        ("No.", "I don't know.", True, False),
        ("No.", "Yes, there is nothing else.", True, False),
        ("No.", "YES", False, False),
        ("Yes.", "No, yes would be wrong.", True, False),
        ("Yes.", "His eyes are blue.", True, False),
        ("Yes.", "It is a dog.", False, False),
        ("Yes.", "Yesterday he was here.", True, False),
        ("Yes.", "", False, False),
        ("No", "No", False, True),
    ],
)
def test_recognition_by_letters_and_by_words(answer: str, prediction: str, official: bool, corrected: bool) -> None:
    assert recognised(answer, prediction, variant="official") is official
    assert recognised(answer, prediction, variant="corrected") is corrected


def test_the_weighted_accuracy_is_the_mean_of_the_recalls() -> None:
    answers, predictions = ["Yes.", "No.", "No.", "No.", "No."], ["Yes", "Yes", "No", "No", "No"]
    found = recognition(answers, predictions, variant="official")
    assert found == (1.0, 0.75, 0.8, 0.875)


def test_a_class_without_items_has_no_recall_and_the_other_stands_alone() -> None:
    found = recognition(["Yes.", "Yes."], ["Yes", "No"], variant="corrected")
    assert math.isnan(found.recall_no)
    assert found[0] == found.accuracy == found.weighted == 0.5
    assert all(math.isnan(value) for value in recognition([], [], variant="official"))


def test_a_choice_is_held_letter_for_letter() -> None:
    assert choice_accuracy(["A", "A", "red hat"], ["(A) a hat", "(a) a hat", "the red hat."]) == pytest.approx(2 / 3)
    assert math.isnan(choice_accuracy([], []))


def test_what_does_not_fit_is_refused() -> None:
    wrong: Any = "strict"
    with pytest.raises(UsageError, match="wanted variant 'official' or 'corrected', found 'strict'"):
        recognised("Yes.", "Yes", variant=wrong)
    with pytest.raises(UsageError, match="wanted an expected answer with 'yes' or 'no' in it, found 'A cat'"):
        recognition(["A cat"], ["Yes"], variant="corrected")
    for measure in (lambda: recognition(["Yes."], [], variant="official"), lambda: choice_accuracy(["A"], [])):
        with pytest.raises(UsageError, match="wanted a prediction for each of 1 answers, found 0"):
            measure()
    with pytest.raises(UsageError, match="wanted an expected choice for every item, found '' as answer 2"):
        choice_accuracy(["A", ""], ["A", "B"])


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("a red hat, on a dog; at night", ["a red hat", "on a dog", "at night"]),
        ("It costs 1,000 or 2.5, not 3. Really!?", ["It costs 1,000 or 2.5", "not 3", "Really"]),
        ("at v2.x, .5 m: ok", ["at v2", "x", "5 m", "ok"]),
        ("红帽子，狗。夜晚；雨", ["红帽子", "狗", "夜晚", "雨"]),
        (" ,, . ", []),
        ("", []),
    ],
)
def test_segments_end_at_punctuation_but_not_inside_numbers(prompt: str, parts: list[str]) -> None:
    assert segments(prompt) == parts


def test_a_segment_score_is_a_share() -> None:
    assert segment_score([True, False, True, True]) == 0.75
    assert math.isnan(segment_score([]))
