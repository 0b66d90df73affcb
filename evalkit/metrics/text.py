"""Answers in words against the expected ones: character BLEU, recognition, choice, and the segments of a dense prompt.

Source: UniCTokens (arctanxarc/UniCTokens, `eval/eval_p_mmu.py` at 9f7a80c) for BLEU and the official rules; the weighted
accuracy is Yo'LLaVA's and MC-LLaVA's; UnifyBench++ (Sync-R1) names segments at punctuation without saying at which.
Deviations: BLEU is written out here, equal to NLTK's; a class without items has no recall, not a recall of 0.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Literal, NamedTuple

from evalkit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

Rule = Literal["official", "corrected"]

BLEU_WEIGHTS = (0.7, 0.3)
"""Of single characters and of pairs."""
BLEU_SMOOTHING = 0.1
"""Stands for a count of no common pair (NLTK's smoothing method 1)."""
SEGMENT_END = r"[,.;:!?，。；]"
"""Where a dense prompt is split, but for a point or comma between two digits."""
_SPLIT = re.compile(rf"(?!(?<=\d)[.,]\d){SEGMENT_END}")
_YES_NO = re.compile(r"\b(yes|no)\b", re.IGNORECASE)


def char_bleu(reference: str, candidate: str) -> float:
    """BLEU of one sentence on characters, of single ones and pairs.

    Case and spaces count. Returns [0, 1]; 1 for a copy of two characters or more, 0 without a common character; not
    symmetric, and a copy of a single character is .501, since it has no pair.

    Example:
        >>> round(char_bleu("a red baseball hat", "red baseball cap"), 6)
        0.751702
    """
    shared, pairs = (_clipped(reference, candidate, size) for size in (1, 2))
    if not shared:
        return 0.0
    singles, doubles = len(candidate), max(1, len(candidate) - 1)
    precisions = (shared / singles, (pairs or BLEU_SMOOTHING) / doubles)
    brevity = min(0.0, 1 - len(reference) / len(candidate))
    return math.exp(brevity + math.fsum(w * math.log(p) for w, p in zip(BLEU_WEIGHTS, precisions, strict=True)))


def _clipped(reference: str, candidate: str, size: int) -> int:
    """How many of the candidate's n-grams are the reference's, each at most as often as there."""
    counts = [Counter(text[i : i + size] for i in range(len(text) - size + 1)) for text in (candidate, reference)]
    return (counts[0] & counts[1]).total()


class Recognition(NamedTuple):
    """How well a subject is recognised. A class without items has no recall: NaN, which marks `weighted` as partial."""

    recall_yes: float
    recall_no: float
    accuracy: float
    """Share of right answers; NaN without items."""
    weighted: float
    """Mean of the recalls there are: UnifyBench's column."""


def recognised(answer: str, prediction: str, *, variant: Rule) -> bool:
    """Whether a prediction gives the expected answer to a question of yes or no.

    `official`: the answer is no where it is exactly "No." and else yes, and a prediction that holds the letters of it
    anywhere is right, so "I don't know" says no. `corrected`: the first "yes" or "no" that stands alone decides on both
    sides; a prediction without either is wrong.

    Raises: UsageError for an unknown variant, or, in `corrected`, an expected answer without yes or no.

    Example:
        >>> [recognised("No.", "I don't know", variant=rule) for rule in ("official", "corrected")]
        [True, False]
    """
    expected = _expected(answer, variant)
    return expected in prediction.lower() if variant == "official" else _first_word(prediction) == expected


def recognition(answers: Sequence[str], predictions: Sequence[str], *, variant: Rule) -> Recognition:
    """Recalls, accuracy and weighted accuracy of predictions, by the rules of `recognised`.

    Raises: UsageError for as many answers as there are not predictions, and as `recognised`.

    Example:
        >>> recognition(["Yes.", "No.", "No."], ["Yes", "Yes", "No"], variant="official").weighted
        0.75
    """
    _check_pairs(answers, predictions)
    right: dict[str, list[bool]] = {"yes": [], "no": []}
    for answer, prediction in zip(answers, predictions, strict=True):
        right[_expected(answer, variant)].append(recognised(answer, prediction, variant=variant))
    yes, no = (_share(right[word]) for word in ("yes", "no"))
    known = [recall for recall in (yes, no) if not math.isnan(recall)]
    weighted = math.fsum(known) / len(known) if known else math.nan
    return Recognition(yes, no, _share(right["yes"] + right["no"]), weighted)


def choice_accuracy(answers: Sequence[str], predictions: Sequence[str]) -> float:
    """Share of predictions that hold the expected choice, letter for letter, anywhere; NaN without items.

    Raises: UsageError for as many answers as there are not predictions, or an empty answer, which anything would hold.

    Example:
        >>> choice_accuracy(["A", "B"], ["A", "The answer is C"])
        0.5
    """
    _check_pairs(answers, predictions)
    if "" in answers:
        raise UsageError(f"wanted an expected choice for every item, found '' as answer {list(answers).index('') + 1}")
    return _share([answer in prediction for answer, prediction in zip(answers, predictions, strict=True)])


def segments(prompt: str) -> list[str]:
    """The parts of a dense prompt between the marks of `SEGMENT_END`, without spaces around them or empty ones.

    Example:
        >>> segments("A cat, 1.5 m tall; it sleeps...")
        ['A cat', '1.5 m tall', 'it sleeps']
    """
    return [part for text in _SPLIT.split(prompt) if (part := text.strip())]


def segment_score(valid: Sequence[bool]) -> float:
    """Dense segment score: the share of a prompt's segments that the picture shows; NaN without segments."""
    return _share(valid)


def _expected(answer: str, variant: Rule) -> str:
    if variant == "official":
        return "no" if answer == "No." else "yes"
    if variant != "corrected":
        raise UsageError(f"wanted variant 'official' or 'corrected', found {variant!r}")
    word = _first_word(answer)
    if word is None:
        raise UsageError(f"wanted an expected answer with 'yes' or 'no' in it, found {answer!r}")
    return word


def _first_word(text: str) -> str | None:
    found = _YES_NO.search(text)
    return found[1].lower() if found else None


def _check_pairs(answers: Sequence[str], predictions: Sequence[str]) -> None:
    if len(answers) != len(predictions):
        raise UsageError(f"wanted a prediction for each of {len(answers)} answers, found {len(predictions)}")


def _share(right: Sequence[bool]) -> float:
    return sum(right) / len(right) if len(right) else math.nan
