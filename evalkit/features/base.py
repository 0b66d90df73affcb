"""What the first-party backbones share: fingerprint, device and dtype, and refusing what a family cannot do."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evalkit.errors import UsageError
from evalkit.nouns.base import digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from evalkit.features.preprocess import Preprocess
    from evalkit.features.spec import ExtractorSpec
    from evalkit.features.text import TextPreprocess, TextReader
    from evalkit.features.weights import WeightsSource

    Array = NDArray[np.float32]

CPU_BATCH, DEVICE_BATCH = 8, 64
_CONFIGS = ("config.json", "open_clip_config.json")
_TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt")


@dataclass(frozen=True)
class Fingerprint:
    """What a loaded backbone's features will be features of; made without loading it."""

    digest: str
    parts: tuple[tuple[str, str], ...]
    """`backbone`, `weights`, `pre`, `text` where it reads text, `dtype`: for the signature."""
    preprocess: Preprocess | None = None
    """The first-party families' picture preprocessing; a family of its own may do without."""
    text: TextPreprocess | None = None


def fingerprint(
    spec: ExtractorSpec,
    weights: WeightsSource,
    pre: Preprocess,
    *,
    code_version: int,
    text: TextPreprocess | None = None,
    also: Sequence[str] = (),
) -> Fingerprint:
    """The digest over weights, configuration, preprocessing, dtype and `code_version`, which a family raises when its
    outputs change. `also` is whatever else of the family can change them. Neither torch nor the model is loaded.
    """
    parts = {"backbone": weights.label, "weights": weights.sha256[:12], "pre": pre.id}
    parts |= {} if text is None else {"text": text.id}
    told = {
        "family": spec.family,
        "weights": weights.sha256,
        "config": _beside(weights, _CONFIGS),
        "pre": pre.key,
        "text": None if text is None else [text.id, _beside(weights, _TOKENIZERS)],
        "dtype": spec.dtype,
        "code": code_version,
        "also": list(also),
    }
    return Fingerprint(digest(told), (*parts.items(), ("dtype", spec.dtype)), pre, text)


def _beside(weights: WeightsSource, names: Sequence[str]) -> list[str]:
    """sha256 of the named small files in the folders of the weights, as far as they are there."""
    folders = dict.fromkeys(path.parent for path in weights.files)
    files = [folder / name for folder in folders for name in names]
    return [f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files if path.is_file()]


def read_no_text(spec: ExtractorSpec) -> None:
    """Raises UsageError where a spec names a text preprocessing for a family that reads no text."""
    if spec.text is not None:
        raise UsageError(f"wanted no text preprocessing for {spec.family!r}, which reads no text, found {spec.text!r}")


class Backbone:
    """The part of the `Extractor` contract that does not depend on the family."""

    def __init__(
        self, spec: ExtractorSpec, described: Fingerprint, *, device: str, reader: TextReader | None = None
    ) -> None:
        import torch

        self.spec, self.fingerprint = spec, described.digest
        if described.preprocess is None:
            raise UsageError(f"wanted a picture preprocessing for {spec.family!r}, found none; name one in the spec")
        self._preprocess, self.preprocess_key = described.preprocess, described.preprocess.key
        self.forward_batch = CPU_BATCH if torch.device(device).type == "cpu" else DEVICE_BATCH
        self._described, self._device, self._reader = described, device, reader
        self._dtype: torch.dtype = getattr(torch, spec.dtype)

    def _placed(self, weights: Any) -> Any:
        """A module or tensor on the device, in the model's dtype."""
        return weights.to(device=self._device, dtype=self._dtype)

    def signature_parts(self) -> Mapping[str, str]:
        """What the signature says of this backbone."""
        return dict(self._described.parts)

    def prepare(self, pixels: NDArray[np.uint8]) -> Array:
        """RGB pixels [H, W, 3] to the model's input [3, s, s]."""
        return self._preprocess(pixels)

    def encode_images(self, batch: Array) -> dict[str, Array]:
        """Refused; families that read single pictures say otherwise."""
        raise UsageError(f"wanted features of single pictures, found {self.spec.family!r}, which measures pairs")

    def text_problem(self, text: str) -> str | None:
        """Why this text cannot be encoded, None when it can."""
        return self._no_reader if self._reader is None else self._reader.problem(text)

    def encode_texts(self, texts: Sequence[str]) -> dict[str, Array]:
        """Texts to `embedding` [B, D]. Raises UsageError without a text preprocessing or on too long a text."""
        if self._reader is None:
            raise UsageError(self._no_reader)
        ids, mask = self._reader.batch(texts)
        return self._run(self._texts, ids, mask)

    def encode_pairs(self, first: Array, second: Array) -> dict[str, Array]:
        """Refused; families that measure pairs say otherwise."""
        raise UsageError(f"wanted a distance of pairs, found {self.spec.family!r}, which reads single pictures")

    def encode_prompted(self, batch: Array, texts: Sequence[str]) -> dict[str, Array]:
        """Refused; families that read a picture and a text at once say otherwise."""
        raise UsageError(f"wanted features of a picture with a text, found {self.spec.family!r}, which reads one alone")

    @property
    def _no_reader(self) -> str:
        name = f"{self.spec.family}:{self.spec.model}"
        return f"wanted features of a text, found the extractor {name} without a text preprocessing"

    def _texts(self, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        raise NotImplementedError

    def _run(self, forward: Any, *arrays: NDArray[Any]) -> dict[str, Array]:
        """`forward` on the device in the model's dtype, without gradients; outputs come back as float32."""
        import torch

        with torch.inference_mode():
            tensors = [torch.from_numpy(array).to(self._device) for array in arrays]
            tensors = [tensor.to(self._dtype) if tensor.is_floating_point() else tensor for tensor in tensors]
            return {name: output.float().cpu().numpy() for name, output in forward(*tensors).items()}
