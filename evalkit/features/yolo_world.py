"""YOLO-World shown a picture of what to look for: its boxes in another picture, and how sure it is of each.

CLIP embeds the picture of what is looked for, an adapter turns that into what the detector would read of a word.

Source: franciszzj/OpenS2V-Nexus (ef17513), `eval/get_nexusscore.py`, `eval/utils/yoloworld`; thresholds and the two rounds of
suppression are its. There the adapter's output stands alone, where in training it was added to CLIP's embedding: so here.
Deviation: a picture to look for is resized by PIL, as transformers did before its version 5, whichever version is installed.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.errors import UsageError, WeightsError
from evalkit.features.base import Backbone, Fingerprint, fingerprint, read_no_text
from evalkit.features.clip import embed, read_model
from evalkit.features.model_input import CLIP_224, IMAGENET_224, ModelInput, read_input
from evalkit.features.mplug_vision import Part
from evalkit.features.preprocess import clip_hf, preprocess
from evalkit.features.weight_files import read_state
from evalkit.features.yolo_world_names import HEAD, IMAGE, NECK, PROJECTOR, read_sizes, shapes
from evalkit.features.yolo_world_net import find, projected, see
from evalkit.features.yolo_world_pictures import SIDE, placed

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from numpy.typing import NDArray

    from evalkit.features.base import Array
    from evalkit.features.spec import ExtractorSpec
    from evalkit.features.weights import WeightsSource

SWAPPED = "yolo_world_640_bgr"
PREPROCESSES = ("yolo_world_640", SWAPPED)
CODE_VERSION = 1
SCORE = 0.5
"""What a box's confidence must be above."""
OVERLAP = 0.7
"""Above which the less sure of two boxes falls."""
FIRST_MOST, MOST = 300, 100
"""Boxes that are left by the first round of suppression and, when those are cut at the picture's edges, by the second."""
KEPT = 8
"""Pictures to look for whose embedding is kept while others are looked at."""


def describe(spec: ExtractorSpec, weights: WeightsSource) -> Fingerprint:
    """What `load` would give boxes of, without loading. Raises UsageError, WeightsError where a file is missing."""
    read_no_text(spec)
    _, clip = _files(weights)
    pre = preprocess(spec.preprocess, IMAGENET_224, among=PREPROCESSES)
    also = [f"{SIDE} {SCORE} {OVERLAP} {FIRST_MOST} {MOST}", f"prompt {_clip_input(clip)}"]
    return fingerprint(spec, weights, pre, code_version=CODE_VERSION, also=also)


def load(spec: ExtractorSpec, weights: WeightsSource, *, device: str) -> YoloWorld:
    """Detector and CLIP on `device`. Raises WeightsError where a file is another model's."""
    return YoloWorld(spec, describe(spec, weights), weights, device=device)


class YoloWorld(Backbone):
    """`boxes` [1, N, 5] of a picture paired with a picture of what to look for, the surest first; N = 0 without one.

    A row is left, top, right, bottom in pixels of the picture and the confidence. Pictures keep their sizes, so a forward
    pass is of one pair. What is seen in the last picture, and of the last things to look for, is kept for the next pair.
    """

    def __init__(self, spec: ExtractorSpec, described: Fingerprint, weights: WeightsSource, *, device: str) -> None:
        super().__init__(spec, described, device=device)
        self.forward_batch = 1
        detector, clip = _files(weights)
        used = (f"{IMAGE}.", f"{NECK}.", f"{HEAD}.", f"{PROJECTOR}.")
        state = {name: tensor for name, tensor in read_state([detector]).items() if name.startswith(used)}
        self._sizes = read_sizes(state, where=detector)
        _check(state, shapes(self._sizes), where=detector)
        self._weights = Part({name: self._placed(tensor.float()) for name, tensor in state.items()})
        self._clip = self._placed(read_model(clip[0].parent, read_state(clip)))
        self._clip_input = _clip_input(clip)
        self._seen, self._prompted = lru_cache(maxsize=1)(self._see), lru_cache(maxsize=KEPT)(self._prompt)

    def encode_pairs(self, first: Array, second: Array) -> dict[str, Array]:
        """Pictures [1, 3, H, W], 0 to 255, and what to look for in them [1, 3, H, W], to `boxes`. Raises UsageError for several."""
        if len(first) != 1:
            raise UsageError(f"wanted one pair, whose boxes are as many as are found, found a batch of {len(first)}")
        pixels, sought = (np.ascontiguousarray(each[0].transpose(1, 2, 0)).astype(np.uint8) for each in (first, second))
        return {"boxes": self._boxes(pixels, sought)[None]}

    def _boxes(self, pixels: NDArray[np.uint8], sought: NDArray[np.uint8]) -> Array:
        import torch
        from torchvision.ops import nms

        with torch.inference_mode():
            maps, scale, offset = self._seen(pixels.tobytes(), pixels.shape)
            prompt = self._prompted(sought.tobytes(), sought.shape)
            boxes, confidence = find(self._weights, self._sizes, maps, prompt)
            sure = confidence > SCORE
            boxes, confidence = boxes[sure].float(), confidence[sure].float()
            boxes = (boxes - boxes.new_tensor([*offset, *offset])) / boxes.new_tensor([*scale, *scale])
            kept = nms(boxes, confidence, OVERLAP)[:FIRST_MOST]
            boxes, confidence = boxes[kept], confidence[kept]
            height, width = pixels.shape[:2]
            boxes = torch.minimum(boxes.clamp(min=0), boxes.new_tensor([width, height, width, height]))
            kept = nms(boxes, confidence, OVERLAP)[:MOST]
            found: Array = torch.cat([boxes[kept], confidence[kept, None]], 1).cpu().numpy()
        return found

    def _see(self, pixels: bytes, shape: tuple[int, ...]) -> tuple[list[torch.Tensor], Any, Any]:
        """The detector's maps of a picture, and where it lies in the square."""
        fitted = placed(np.frombuffer(pixels, np.uint8).reshape(shape), side=SIDE)
        square = fitted.square[::-1].copy() if self.spec.preprocess == SWAPPED else fitted.square
        return see(self._weights, self._sizes, self._tensor(square)), fitted.scale, fitted.offset

    def _prompt(self, pixels: bytes, shape: tuple[int, ...]) -> torch.Tensor:
        """What the detector is told [1, D] of a picture of what to look for, of length 1."""
        from torch.nn.functional import normalize

        prepared = clip_hf(np.frombuffer(pixels, np.uint8).reshape(shape), self._clip_input)
        embedding = normalize(embed(self._clip, self._tensor(prepared)), dim=-1)
        return normalize(projected(self._weights, embedding), dim=-1)

    def _tensor(self, picture: Array) -> torch.Tensor:
        import torch

        return torch.from_numpy(picture)[None].to(device=self._device, dtype=self._dtype)


def _check(state: dict[str, torch.Tensor], wanted: dict[str, tuple[int, ...]], *, where: Path) -> None:
    from evalkit.features.building import refuse_misfits

    refuse_misfits("YoloWorld", where, {name: tuple(tensor.shape) for name, tensor in state.items()}, wanted)


def _clip_input(clip: tuple[Path, ...]) -> ModelInput:
    return read_input(clip[0].parent, CLIP_224)


def _files(weights: WeightsSource) -> tuple[Path, tuple[Path, ...]]:
    """The detector's file and CLIP's."""
    detector, *clip = weights.files
    if not clip:
        raise WeightsError(
            f"wanted the detector and the CLIP that reads its prompts, found {detector} alone; "
            "name the model as metrics/backbones.yaml does"
        )
    return detector, tuple(clip)
