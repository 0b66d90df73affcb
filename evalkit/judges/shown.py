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
    """A picture squashed to `side` x `side` (PIL bicubic) and written as JPEG by Pillow."""

    name: str
    side: int
    quality: int
    """The writer's scale."""
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


@dataclass(frozen=True)
class LongestSide(ShowRule):
    """A picture at its own shape, its longer side `side` (OpenCV's area filter), written as JPEG by OpenCV."""

    def encode(self, pixels: NDArray[np.uint8]) -> bytes:
        """RGB pixels [H, W, 3] to a JPEG without metadata."""
        import cv2

        longer = max(pixels.shape[:2])
        height, width = (max(1, int(side * self.side / longer)) for side in pixels.shape[:2])
        small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
        _, written = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, self.quality])
        return bytes(written)


# Source: yuangpeng/dreambench_plus at df0b960, `eval_concept_preservation.py` and `utils/gpt_utils.py`, whose filter and
# quality are Pillow's defaults; franciszzj/OpenS2V-Nexus at ef17513, `eval/get_naturalscore.py`, whose quality is OpenCV's
# default and which leaves the detail to the server.
_RULES = {
    "judge_512": ShowRule("judge_512", side=512, quality=75, detail="high"),
    "judge_long_512": LongestSide("judge_long_512", side=512, quality=95, detail="auto"),
}
SHOW_RULES = tuple(_RULES)


def show_rule(name: str) -> ShowRule:
    """The rule of that name. Raises UsageError."""
    if name not in _RULES:
        raise UsageError(f"wanted a way of showing pictures to a judge ({', '.join(_RULES)}), found {name!r}")
    return _RULES[name]
