"""Masks that the user gives: the picture of a mask as a feature, so that metrics need not ask where a mask comes from.

There is nothing to load: a pixel counts where it is lighter than half, as in a mask of the data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.errors import UsageError
from evalkit.features.base import Backbone, Fingerprint, read_no_text
from evalkit.features.model_input import IMAGENET_224
from evalkit.features.preprocess import preprocess
from evalkit.features.weights import NO_WEIGHTS
from evalkit.nouns.base import digest

if TYPE_CHECKING:
    from evalkit.features.base import Array
    from evalkit.features.spec import ExtractorSpec
    from evalkit.features.weights import WeightsSource

FAMILY = "given_mask"
PREPROCESSES = ("given_mask_256",)
CODE_VERSION = 1


def describe(spec: ExtractorSpec, weights: WeightsSource) -> Fingerprint:
    """What `load` would give masks of. Raises UsageError on a preprocessing it has none of, and on weights."""
    if weights.files:
        raise UsageError(f"wanted the model {NO_WEIGHTS!r} for {FAMILY!r}, which loads nothing, found {spec.model!r}")
    read_no_text(spec)
    pre = preprocess(spec.preprocess, IMAGENET_224, among=PREPROCESSES)
    parts = {"backbone": NO_WEIGHTS, "weights": NO_WEIGHTS, "pre": pre.id, "dtype": spec.dtype}
    return Fingerprint(digest([FAMILY, pre.key, spec.dtype, CODE_VERSION]), tuple(parts.items()), pre)


def load(spec: ExtractorSpec, weights: WeightsSource, *, device: str) -> GivenMask:
    """What reads masks; `weights` are none."""
    return GivenMask(spec, describe(spec, weights), device=device)


class GivenMask(Backbone):
    """`mask` [1, h, w] of a mask's picture: 1 on the subject, 0 elsewhere. Masks keep their sizes, so one a pass."""

    def __init__(self, spec: ExtractorSpec, described: Fingerprint, *, device: str) -> None:
        super().__init__(spec, described, device=device)
        self.forward_batch = 1

    def encode_images(self, batch: Array) -> dict[str, Array]:
        """Prepared masks [B, 1, h, w] to `mask` [B, h, w]."""
        return {"mask": batch[:, 0]}
