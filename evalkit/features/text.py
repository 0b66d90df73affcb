"""Named text preprocessings: a text to the token ids that a CLIP text tower reads.

Rows are always padded to the tower's context length, so that a text's feature does not depend on the texts beside it.
The towers attend only backwards and read the end token, so padding changes a feature by rounding at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evalkit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Ids = NDArray[np.int64]

OPENAI = ("openai_tokenize", "openai_truncate")
TEXTS = ("hf_pad", "hf_truncate", *OPENAI)


@dataclass(frozen=True)
class TextPreprocess:
    """How texts become token ids.

    - `hf_pad`: the tokenizer's padding, no truncation (yuangpeng/dreambench_plus `metrics/clip_score.py`, 66ca27e).
    - `hf_truncate`: the same, cut at the context length, the end token kept (the reward of QianWangX/DivRL, b0d3f69).
    - `openai_tokenize`: text cleaned as `washed` does, zeros as padding, no truncation (`clip.tokenize` of openai/CLIP).
    - `openai_truncate`: the same, cut at the context length, the end token kept (its `truncate=True`).
    """

    name: str
    length: int
    """The context length: tokens a text may have, start and end token included."""

    def __post_init__(self) -> None:
        if self.name not in TEXTS:
            raise UsageError(f"wanted a text preprocessing ({', '.join(TEXTS)}), found {self.name!r}")

    @property
    def id(self) -> str:
        """Name and context length, as the signature shows them: `hf_pad_77`."""
        return f"{self.name}_{self.length}"

    def problem(self, tokens: int) -> str | None:
        """Why a text of so many tokens cannot be encoded, None where it can."""
        if self.name.endswith("_truncate") or tokens <= self.length:
            return None
        return f"wanted a text of at most {self.length} tokens, found {tokens}; {self.name!r} does not truncate"


def washed(text: str) -> str:
    """The text as the `clip` package cleans it before its tokenizer: encoding mended, HTML unescaped twice, spaces joined.

    Example:
        >>> washed("salt &amp;amp;  pepper")
        'salt & pepper'
    """
    import html

    import ftfy

    return " ".join(html.unescape(html.unescape(ftfy.fix_text(text))).split())


@dataclass(frozen=True)
class TextReader:
    """A text preprocessing with one model's tokenizer."""

    steps: TextPreprocess
    encode: Callable[[str], Sequence[int]]
    """A text to its ids with start and end token, at any length."""
    pad: int

    def problem(self, text: str) -> str | None:
        """Why this text cannot be encoded, None where it can."""
        return self.steps.problem(len(self.encode(text)))

    def batch(self, texts: Sequence[str]) -> tuple[Ids, Ids]:
        """Ids and attention mask, each [B, length]. Raises UsageError on a text that `problem` refuses."""
        length = self.steps.length
        fill = 0 if self.steps.name in OPENAI else self.pad
        ids = np.full((len(texts), length), fill, dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, text in enumerate(texts):
            tokens = list(self.encode(text))
            if (problem := self.steps.problem(len(tokens))) is not None:
                raise UsageError(f"{problem}: {text!r:.60}")
            tokens = tokens if len(tokens) <= length else [*tokens[: length - 1], tokens[-1]]
            ids[row, : len(tokens)], mask[row, : len(tokens)] = tokens, 1
        return ids, mask
