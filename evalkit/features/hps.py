"""Human Preference Score v2: open_clip's ViT-H-14 with the weights that preferences between pictures tuned.

Source: tgxs002/HPSv2 `hpsv2/img_score.py` (866735e). The network is that of `open_clip`, so its features are; the
family is of its own because an untuned CLIP in its place, such as the embedded one, would be another measure.
Deviation: float32 throughout, where the source computes in half precision on a GPU (autocast).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.features.open_clip import OpenClip, described

if TYPE_CHECKING:
    from evalkit.features.base import Fingerprint
    from evalkit.features.spec import ExtractorSpec
    from evalkit.features.weights import WeightsSource

PREPROCESSES = ("hps",)


def describe(spec: ExtractorSpec, weights: WeightsSource) -> Fingerprint:
    """What `load` would give features of, without loading. Raises UsageError, WeightsError on an unknown model."""
    return described(spec, weights, among=PREPROCESSES)


def load(spec: ExtractorSpec, weights: WeightsSource, *, device: str) -> OpenClip:
    """The model on `device`: `embedding` [B, D] of pictures and texts. Raises WeightsError on another model's files."""
    return OpenClip(spec, describe(spec, weights), weights, device=device)
