"""How a judge is shown a picture: named rules of size and encoding, pinned, because both change what it sees."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from evalkit.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ShowRule:
    """A picture squashed to `side` x `side` (PIL bicubic) and written as JPEG."""

    name: str
    side: int
    quality: int
    """Pillow's scale."""
    detail: str
    """What a server is told of the resolution to look at."""

    @property
    def id(self) -> str:
        """Everything that can change the JPEG, as the signature shows it."""
        return f"{self.name}_jpeg{self.quality}_{self.detail}"

    def encode(self, pixels: NDArray[np.uint8]) -> bytes:
        """RGB pixels [H, W, 3] to a JPEG without metadata."""
        small = Image.fromarray(pixels).resize((self.side, self.side), Image.Resampling.BICUBIC)
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=self.quality)
        return buffer.getvalue()


# Source: yuangpeng/dreambench_plus at df0b960, `eval_concept_preservation.py` and `utils/gpt_utils.py`, whose filter and
# quality are Pillow's defaults.
_RULES = {"judge_512": ShowRule("judge_512", side=512, quality=75, detail="high")}
SHOW_RULES = tuple(_RULES)


def show_rule(name: str) -> ShowRule:
    """The rule of that name. Raises UsageError."""
    if name not in _RULES:
        raise UsageError(f"wanted a way of showing pictures to a judge ({', '.join(_RULES)}), found {name!r}")
    return _RULES[name]
