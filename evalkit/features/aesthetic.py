"""LAION's aesthetic predictor: what people would rate a picture's looks, from CLIP ViT-L/14 and a linear head.

Source: `AestheticScorer` of PKU-YuanGroup/OpenS2V-Nexus `eval/get_aesscore.py` (franciszzj/OpenS2V-Nexus at ef17513);
the head is `sac+logos+ava1-l14-linearMSE.pth` of christophschuhmann/improved-aesthetic-predictor. Deviation: pictures
are resized by PIL, as transformers did before its version 5, whichever version is installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.errors import WeightsError
from evalkit.features.base import Backbone, Fingerprint, fingerprint, read_no_text
from evalkit.features.clip import embed, read_model
from evalkit.features.linear_head import linear_head
from evalkit.features.model_input import CLIP_224, read_input
from evalkit.features.preprocess import preprocess
from evalkit.features.weight_files import read_state

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from evalkit.features.base import Array
    from evalkit.features.spec import ExtractorSpec
    from evalkit.features.weights import WeightsSource

PREPROCESSES = ("clip_hf",)
CODE_VERSION = 1


def describe(spec: ExtractorSpec, weights: WeightsSource) -> Fingerprint:
    """What `load` would give ratings of, without loading. Raises UsageError, WeightsError where a file is missing."""
    read_no_text(spec)
    _, clip = _files(weights)
    pre = preprocess(spec.preprocess, read_input(clip[0].parent, CLIP_224), among=PREPROCESSES)
    return fingerprint(spec, weights, pre, code_version=CODE_VERSION)


def load(spec: ExtractorSpec, weights: WeightsSource, *, device: str) -> Aesthetic:
    """CLIP and the head on `device`. Raises WeightsError where a file is another model's."""
    return Aesthetic(spec, describe(spec, weights), weights, device=device)


class Aesthetic(Backbone):
    """`rating` [B] of pictures, not bounded; NaN where CLIP's embedding is zero."""

    def __init__(self, spec: ExtractorSpec, described: Fingerprint, weights: WeightsSource, *, device: str) -> None:
        super().__init__(spec, described, device=device)
        head, clip = _files(weights)
        self._model = self._placed(read_model(clip[0].parent, read_state(clip)))
        width = self._model.config.projection_dim
        self._head = self._placed(linear_head(width, read_state([head]), where=head))

    def encode_images(self, batch: Array) -> dict[str, Array]:
        """Prepared pictures [B, 3, s, s] to `rating` [B]."""
        return self._run(self._ratings, batch)

    def _ratings(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        embedding = embed(self._model, pixels)
        return {"rating": self._head(embedding / embedding.norm(dim=-1, keepdim=True)).squeeze(1)}


def _files(weights: WeightsSource) -> tuple[Path, tuple[Path, ...]]:
    """The head's file and CLIP's."""
    head, *clip = weights.files
    if not clip:
        raise WeightsError(
            f"wanted the aesthetic head and the CLIP that it stands on, found {head} alone; "
            "name the model as metrics/backbones.yaml does"
        )
    return head, tuple(clip)
