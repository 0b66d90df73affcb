"""The extractor family `opponent`: means and deviations of a picture's two opponent colours, R - G and (R + G)/2 - B.

It has nothing to load, so its cards say `model: none`. Whatever can change a feature is in its fingerprint all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evalkit.errors import UsageError
from evalkit.features.base import Fingerprint, read_no_text
from evalkit.features.weights import NO_WEIGHTS
from evalkit.nouns import digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from evalkit.features.spec import ExtractorSpec
    from evalkit.features.weights import WeightsSource

    Array = NDArray[np.float32]

CODE_VERSION = 1
AXES = ((1.0, -1.0, 0.0), (0.5, 0.5, -1.0))
"""What each opponent colour is of red, green and blue."""
_SIDE = 64
_PREPROCESS = f"squash_{_SIDE}"


def describe(spec: ExtractorSpec, weights: WeightsSource) -> Fingerprint:
    """What `load` gives features of, without loading anything. Raises UsageError for another model or preprocessing."""
    read_no_text(spec)
    if (spec.model, spec.preprocess) != (NO_WEIGHTS, _PREPROCESS):
        raise UsageError(
            f"wanted the model {NO_WEIGHTS!r} and the preprocessing {_PREPROCESS!r} for 'opponent', "
            f"found {spec.model!r} and {spec.preprocess!r}; mend the card"
        )
    parts = (("backbone", "opponent"), ("weights", NO_WEIGHTS), ("pre", _PREPROCESS), ("dtype", "float32"))
    return Fingerprint(digest(["opponent", CODE_VERSION, AXES, _PREPROCESS]), parts)


def load(spec: ExtractorSpec, weights: WeightsSource, *, device: str) -> Opponent:
    """The extractor; it has nothing that a device would make quicker."""
    return Opponent(spec, describe(spec, weights))


class Opponent:
    """`moments` [4] of a picture: the means of both opponent colours, then their deviations."""

    def __init__(self, spec: ExtractorSpec, described: Fingerprint) -> None:
        self.spec, self.fingerprint, self.forward_batch = spec, described.digest, 8
        self.preprocess_key = _PREPROCESS
        self._parts = dict(described.parts)

    def signature_parts(self) -> Mapping[str, str]:
        """What the signature says."""
        return self._parts

    def prepare(self, pixels: NDArray[np.uint8]) -> Array:
        """RGB pixels [H, W, 3] to [3, 64, 64] in [0, 1]."""
        from PIL import Image

        small = Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
        return np.asarray(small).transpose(2, 0, 1).astype(np.float32) / np.float32(255)

    def encode_images(self, batch: Array) -> dict[str, Array]:
        """[B, 3, 64, 64] to `moments` [B, 4]."""
        opponent = np.einsum("kc,bchw->bkhw", np.asarray(AXES, np.float32), batch).reshape(len(batch), 2, -1)
        return {"moments": np.concatenate([opponent.mean(-1), opponent.std(-1)], axis=1).astype(np.float32)}

    def text_problem(self, text: str) -> str | None:
        """Refused: colours are read from pictures."""
        return "the family 'opponent' reads no text"

    def encode_texts(self, texts: Sequence[str]) -> dict[str, Array]:
        """Refused."""
        raise UsageError("wanted features of a text, found the family 'opponent', which reads none")

    def encode_pairs(self, first: Array, second: Array) -> dict[str, Array]:
        """Refused."""
        raise UsageError("wanted a distance of pairs, found the family 'opponent', which reads single pictures")

    def encode_prompted(self, batch: Array, texts: Sequence[str]) -> dict[str, Array]:
        """Refused."""
        raise UsageError("wanted features of a picture with a text, found the family 'opponent', which reads no text")
