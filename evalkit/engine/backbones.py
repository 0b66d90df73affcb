"""The backbones of one run: described from their files, loaded on one device when first needed."""

from __future__ import annotations

import shutil
from functools import cached_property
from typing import TYPE_CHECKING

from evalkit.errors import WeightsError
from evalkit.features.loading import describe_extractor, load_extractor
from evalkit.features.weights import SANDBOX

if TYPE_CHECKING:
    from evalkit.features.base import Fingerprint
    from evalkit.features.extractor import Extractor
    from evalkit.features.spec import ExtractorSpec


class Backbones:
    """Each backbone described once and loaded once; a lack of weights is remembered and raised again."""

    def __init__(self, *, device: str | None = None, fetch: bool = False) -> None:
        self._device, self._fetch = device, fetch
        self._described: dict[ExtractorSpec, Fingerprint | WeightsError] = {}
        self._loaded: dict[ExtractorSpec, Extractor] = {}

    def describe(self, spec: ExtractorSpec) -> Fingerprint:
        """Fingerprint and signature parts, without loading the model. Raises WeightsError."""
        if spec not in self._described:
            try:
                self._described[spec] = describe_extractor(spec, fetch=self._fetch)
            except WeightsError as error:
                self._described[spec] = error
        found = self._described[spec]
        if isinstance(found, WeightsError):
            raise found
        return found

    def fingerprint(self, spec: ExtractorSpec) -> str:
        """What features are cached under: the digest, and the kind of device where that is not the CPU, whose last
        digits differ. Raises WeightsError.
        """
        return self._on_device(self.describe(spec).digest)

    @cached_property
    def device(self) -> str:
        """Where backbones are loaded: the device asked for, else CUDA where there is one."""
        return self._device or _best_device()

    def load(self, spec: ExtractorSpec) -> Extractor:
        """The backbone, on CUDA where there is one unless a device was named. Raises WeightsError."""
        spec = self._reading_text(spec)
        if spec not in self._loaded:
            _settle(self.device, embedded=spec.model.startswith(SANDBOX))
            self._loaded[spec] = load_extractor(spec, device=self.device)
        return self._loaded[spec]

    def _reading_text(self, spec: ExtractorSpec) -> ExtractorSpec:
        """Of the specs described that differ in text alone, the one that reads text: it serves for all."""
        if spec.text is not None:
            return spec
        same = (other for other in self._described if other.model_copy(update={"text": None}) == spec)
        return next((other for other in same if other.text is not None), spec)

    def described(self) -> dict[str, dict[str, str]]:
        """Signature parts of every backbone that is at hand, by fingerprint."""
        found = (f for f in self._described.values() if not isinstance(f, WeightsError))
        return {self._on_device(f.digest): dict(f.parts) for f in found}

    def _on_device(self, digest: str) -> str:
        kind = self.device.partition(":")[0]
        return digest if kind == "cpu" else f"{digest}-{kind}"


def _settle(device: str, *, embedded: bool) -> None:
    """Threads and arithmetic, on purpose: what torch does by default depends on the machine."""
    if not embedded and not device.startswith("cuda"):
        return
    import torch

    if embedded:  # so small that threads cost more in waiting for each other than they save
        torch.set_num_threads(1)
    if device.startswith("cuda"):  # float32 means float32: ten bits of mantissa would show in the fourth decimal
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False


def _best_device() -> str:
    if not shutil.which("nvidia-smi"):  # what was cached is then shown without importing torch
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
