"""A judge's reply in words to the number in it, or to None where the reply does not keep the form that was asked for.

Source: yuangpeng/dreambench_plus at df0b960, `eval_concept_preservation.py`, for `labelled_score`; arctanxarc/UniCTokens,
`eval/eval_p_mmu.py`, for `gpt_score`; PKU-YuanGroup/OpenS2V-Nexus, `eval/get_naturalscore.py`, for `natural_score`.
"""

from __future__ import annotations

import math
import re
from typing import Literal

from evalkit.errors import UsageError

Rule = Literal["official", "corrected"]

_LABELLED = re.compile(r"[sS]core:\s*[a-zA-Z]*\s*(\d+)")
_GPT_LABEL = "Score::"
GPT_SCORES = (0.0, 0.5, 1.0)
"""Wrong, partly right, right: what UnifyBench's judge is asked to choose from."""
NATURAL_RANGE = (1.0, 5.0)


def labelled_score(reply: str, *, bounds: tuple[int, int] | None) -> int | None:
    """The whole number after `Score:`, which must be there exactly once; a word may stand between ("Score: Good 3").

    `bounds`: the least and the greatest score of the rubric, None to take any number as the reference code does.
    Returns None for no or several such numbers, or one out of bounds.

    Example:
        >>> [labelled_score(reply, bounds=(0, 4)) for reply in ("Score: 3", "score: Fair (2)", "Score: 7")]
        [3, None, None]
        >>> labelled_score("Score: 7", bounds=None)
        7
    """
    found = [int(number) for number in _LABELLED.findall(reply)]
    if len(found) != 1:
        return None
    return found[0] if bounds is None or bounds[0] <= found[0] <= bounds[1] else None


def gpt_score(reply: str, *, variant: Rule) -> float | None:
    """UnifyBench's score of an answer, the number after `Score::` or, without that label, the whole reply.

    `official`: any number in [0, 1]. `corrected`: one of 0, .5 and 1, which is what the judge is asked for.
    Returns None for anything else. Raises: UsageError for an unknown variant.

    Example:
        >>> [gpt_score(reply, variant="official") for reply in ("Score:: 0.5", "1", "0.7", "2", "right")]
        [0.5, 1.0, 0.7, None, None]
        >>> gpt_score("0.7", variant="corrected") is None
        True
    """
    if variant not in ("official", "corrected"):
        raise UsageError(f"wanted variant 'official' or 'corrected', found {variant!r}")
    value = _number(reply.rpartition(_GPT_LABEL)[2])
    if value is None or not 0 <= value <= 1:
        return None
    return value if variant == "official" or value in GPT_SCORES else None


def natural_score(reply: str) -> float | None:
    """NaturalScore's rating: a reply that is a number from 1 to 5 and nothing else. None for any other reply.

    Example:
        >>> [natural_score(reply) for reply in (" 4\\n", "4.5", "0", "I rate it 4")]
        [4.0, 4.5, None, None]
    """
    value = _number(reply)
    return value if value is not None and NATURAL_RANGE[0] <= value <= NATURAL_RANGE[1] else None


def segment_valid(reply: str) -> float | None:
    """Whether a segment is shown: 1 for "valid", 0 for "invalid", whatever their capitals; None for anything else.

    Example:
        >>> [segment_valid(reply) for reply in ("Valid.", "invalid", "valid, but invalid", "yes")]
        [1.0, 0.0, None, None]
    """
    word = reply.strip().strip(".!\"'").lower()
    return {"valid": 1.0, "invalid": 0.0}.get(word)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
