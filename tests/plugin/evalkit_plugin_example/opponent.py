"""The extractor family `opponent`: means and deviations of a picture's two opponent colours.

Its two axes are the weights, in a file of their own, so that they are part of every signature.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evalkit.errors import UsageError
from evalkit.features.base import Fingerprint
from evalkit.nouns import digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from evalkit.features.spec import ExtractorSpec
    from evalkit.features.weights import WeightsSource

    Array = NDArray[np.float32]

WEIGHTS = Path(__file__).parent / "weights"
CODE_VERSION = 1
_SIDE = 64
_PREPROCESS = f"squash_{_SIDE}"


def describe(spec: ExtractorSpec, weights: WeightsSource) -> Fingerprint:
    """What `load` gives features of, without loading anything."""
    if spec.preprocess != _PREPROCESS:
        raise UsageError(f"wanted the preprocessing {_PREPROCESS!r} for 'opponent', found {spec.preprocess!r}")
    parts = (("backbone", "opponent"), ("weights", weights.sha256[:12]), ("pre", _PREPROCESS), ("dtype", "float32"))
    told = digest(["opponent", CODE_VERSION, weights.sha256, _PREPROCESS])
    return Fingerprint(told, parts, None)  # type: ignore[arg-type] # the steps of evalkit's own families, not used here


def load(spec: ExtractorSpec, weights: WeightsSource, *, device: str) -> Opponent:
    """The extractor; it has nothing that a device would make quicker."""
    from safetensors.numpy import load_file

    return Opponent(spec, describe(spec, weights), load_file(weights.files[0])["axes"])


class Opponent:
    """`moments` [4] of a picture: the means of both opponent colours, then their deviations."""

    def __init__(self, spec: ExtractorSpec, described: Fingerprint, axes: Array) -> None:
        self.spec, self.fingerprint, self.forward_batch = spec, described.digest, 8
        self.preprocess_key = _PREPROCESS
        self._parts, self._axes = dict(described.parts), axes

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
        opponent = np.einsum("kc,bchw->bkhw", self._axes, batch).reshape(len(batch), 2, -1)
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
