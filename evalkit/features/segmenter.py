"""The embedded segmenter: the mask of what a picture of the embedded world shows.

It stands in the sandbox for `grounded_sam`. The world's pictures show one subject, so it finds what is shown, whichever
it is; the class word that comes with a picture does not change the mask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.features.base import Backbone, Fingerprint, fingerprint, read_no_text
from evalkit.features.building import load_strictly
from evalkit.features.model_input import IMAGENET_224, read_input
from evalkit.features.preprocess import preprocess
from evalkit.features.unet import logits, new_unet, read_widths
from evalkit.features.weight_files import read_json, read_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from evalkit.features.base import Array
    from evalkit.features.spec import ExtractorSpec
    from evalkit.features.weights import WeightsSource

PREPROCESSES = ("dino_squash",)
CODE_VERSION = 1


def describe(spec: ExtractorSpec, weights: WeightsSource) -> Fingerprint:
    """What `load` would give masks of, without loading. Raises UsageError on a preprocessing it has none of."""
    read_no_text(spec)
    pre = preprocess(spec.preprocess, read_input(weights.folder, IMAGENET_224), among=PREPROCESSES)
    return fingerprint(spec, weights, pre, code_version=CODE_VERSION)


def load(spec: ExtractorSpec, weights: WeightsSource, *, device: str) -> Segmenter:
    """The network on `device`. Raises WeightsError where the files are another model's."""
    return Segmenter(spec, describe(spec, weights), weights, device=device)


class Segmenter(Backbone):
    """`mask` [B, s, s] of pictures squashed to s x s: 1 on the subject, 0 elsewhere."""

    def __init__(self, spec: ExtractorSpec, described: Fingerprint, weights: WeightsSource, *, device: str) -> None:
        import torch

        super().__init__(spec, described, device=device)
        config = weights.folder / "config.json"
        with torch.device("meta"):
            network = new_unet(read_widths(read_json(config), where=str(config)))
        load_strictly(network, read_state(weights.files), where=weights.folder)
        self._network = self._placed(network)

    def encode_images(self, batch: Array) -> dict[str, Array]:
        """Prepared pictures [B, 3, s, s] to `mask` [B, s, s]."""
        return self._run(self._masks, batch)

    def text_problem(self, text: str) -> str | None:
        """None: no word changes a mask."""
        return None

    def encode_prompted(self, batch: Array, texts: Sequence[str]) -> dict[str, Array]:
        """As `encode_images`, whatever the words."""
        return self.encode_images(batch)

    def _masks(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"mask": (logits(self._network, pixels) > 0).to(pixels.dtype)}
