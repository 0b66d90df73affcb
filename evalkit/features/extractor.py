"""The contract of a backbone. First-party ones keep it through the same entry points as anybody's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from evalkit.features.service import Missing
    from evalkit.features.spec import ExtractorSpec, ImageContent, QuestionContent


@runtime_checkable
class Extractor(Protocol):
    """A loaded backbone. All arrays in and out are numpy; the extractor owns its device.

    Forward passes always run at `forward_batch` rows (the engine pads), because float results depend on the shape of a
    batch and not on what else is in it: so a feature is the same bytes whatever was computed beside it.
    """

    spec: ExtractorSpec
    forward_batch: int
    fingerprint: str
    """Hexadecimal digest of everything that can change a feature: weights, preprocessing, dtype, code version."""
    preprocess_key: str
    """Two extractors with equal keys prepare equal tensors; the engine prepares once for both."""

    def signature_parts(self) -> Mapping[str, str]:
        """`backbone`, `weights` (first 12 of the sha256), `pre`, `text` where it reads text, `dtype`."""
        ...

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """RGB pixels [H, W, 3] to the model's input [3, h, w]. Pure and thread-safe."""
        ...

    def encode_images(self, batch: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Prepared pictures [B, 3, h, w] to named outputs, each [B, ...]."""
        ...

    def text_problem(self, text: str) -> str | None:
        """Why this text cannot be encoded (too long without truncation), None when it can."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Texts to named outputs, each [B, ...]."""
        ...

    def encode_pairs(self, first: NDArray[np.float32], second: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Prepared picture pairs, each [B, 3, h, w], to named outputs [B]."""
        ...

    def encode_prompted(self, batch: NDArray[np.float32], texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Prepared pictures [B, 3, h, w], each with its text, to named outputs, each [B, ...]."""
        ...


@runtime_checkable
class Watcher(Protocol):
    """What a family's backbone is besides an Extractor where it looks at a whole clip at once: optical flow."""

    def watch(self, frames: Sequence[NDArray[np.uint8]]) -> Mapping[str, NDArray[np.float32]]:
        """Every frame in order, each RGB uint8 [H, W, 3], to named outputs of the clip."""
        ...


@runtime_checkable
class Answerer(Protocol):
    """What a family's backbone is besides an Extractor where it is asked whole questions: a judge."""

    def answer(
        self, questions: Sequence[QuestionContent], pixels: Callable[[ImageContent], NDArray[np.uint8]]
    ) -> Sequence[Mapping[str, NDArray[np.float32]] | Missing]:
        """Named outputs of each question, or why there are none, in order; each question is answered by itself.

        `pixels` gives a picture's [H, W, 3]. Raises MediaError.
        """
        ...
