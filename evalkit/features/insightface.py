"""Faces of a picture by insightface's detector and one of two recognisers, as OpenS2V measures FaceSim-Arc and FaceSim-Cur.

SCRFD finds faces and their landmarks; each face is aligned by its landmarks and becomes a vector of length 1 by ArcFace
(`w600k_r50.onnx` of the pack buffalo_l) or by CurricularFace (an IR-101 exported to ONNX, which reads the face through an
alignment at twice the size). A face that was found only with a grey margin around the picture is shown to ArcFace with
that margin, to CurricularFace without, black where the picture does not reach.

Source: franciszzj/OpenS2V-Nexus `eval/get_facesim.py` (ef17513); deepinsight/insightface `arcface_onnx.py`. Needs
onnxruntime, which the extra `faces` brings. Deviation: `scrfd` keeps faces in the order of their size alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.errors import UsageError, WeightsError
from evalkit.features.base import Backbone, Fingerprint, fingerprint, read_no_text
from evalkit.features.face_alignment import TEMPLATE_SIDE, aligned
from evalkit.features.model_input import IMAGENET_224
from evalkit.features.preprocess import preprocess
from evalkit.features.scrfd import OVERLAP, PAD_SHARE, SCORE, SIDE, STRIDES, find_faces, with_margin
from evalkit.features.weight_files import other_model

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from evalkit.features.base import Array
    from evalkit.features.spec import ExtractorSpec
    from evalkit.features.weights import WeightsSource

PREPROCESSES = ("scrfd_320",)
CODE_VERSION = 2
EMBEDDING, BOX = 512, 4
"""A face is its embedding, its box (left, top, right, bottom in pixels of the picture) and the probability of a face."""
CURRICULAR = "curricularface.onnx"


def describe(spec: ExtractorSpec, weights: WeightsSource) -> Fingerprint:
    """What `load` would give faces of, without loading. Raises UsageError on a preprocessing it has none of."""
    read_no_text(spec)
    _detector_and_recogniser(weights)
    pre = preprocess(spec.preprocess, IMAGENET_224, among=PREPROCESSES)
    return fingerprint(
        spec, weights, pre, code_version=CODE_VERSION, also=[f"{SIDE} {STRIDES} {SCORE} {OVERLAP} {PAD_SHARE}"]
    )


def load(spec: ExtractorSpec, weights: WeightsSource, *, device: str) -> InsightFace:
    """Detector and recogniser on `device`. Raises UsageError without onnxruntime, WeightsError for another model's file."""
    return InsightFace(spec, describe(spec, weights), weights, device=device)


class InsightFace(Backbone):
    """`faces` [1, N, 517] of one picture, the largest face first; N = 0 where no face is found.

    A row is an embedding of length 1 (512), a box (4) and a probability (1). Pictures keep their sizes, so a forward
    pass is of one picture.
    """

    def __init__(self, spec: ExtractorSpec, described: Fingerprint, weights: WeightsSource, *, device: str) -> None:
        super().__init__(spec, described, device=device)
        self.forward_batch = 1
        detector, recogniser = _detector_and_recogniser(weights)
        self._detector = _Network(detector, outputs=3 * len(STRIDES), device=device)
        self._recogniser = _Network(recogniser, outputs=1, device=device)
        self._twice = recogniser.name == CURRICULAR

    def encode_images(self, batch: Array) -> dict[str, Array]:
        """One picture [1, 3, H, W], 0 to 255, to `faces`. Raises UsageError for several."""
        if len(batch) != 1:
            raise UsageError(f"wanted one picture, whose faces are as many as it shows, found a batch of {len(batch)}")
        pixels = np.ascontiguousarray(batch[0].transpose(1, 2, 0)).astype(np.uint8)
        found = find_faces(self._detector, pixels)
        shown, landmarks = pixels, found.landmarks
        if found.margin and not self._twice:
            shown, shift = with_margin(pixels)
            landmarks = landmarks + shift
        rows = [self._row(shown, box, marks) for box, marks in zip(found.boxes, landmarks, strict=True)]
        return {"faces": np.array(rows, np.float32).reshape(1, -1, EMBEDDING + BOX + 1)}

    def _row(self, pixels: NDArray[np.uint8], box: Array, landmarks: Array) -> Array:
        face = _seen(pixels, landmarks, twice=self._twice).astype(np.float32)
        (embedding,) = self._recogniser((face.transpose(2, 0, 1)[None] - 127.5) / 127.5)
        length = np.linalg.norm(embedding[0])
        return np.concatenate([embedding[0] / length if length else embedding[0], box]).astype(np.float32)


def _seen(pixels: NDArray[np.uint8], landmarks: Array, *, twice: bool) -> NDArray[np.uint8]:
    """The aligned face [112, 112, 3]; `twice` aligns at 224 and halves, bilinearly."""
    import cv2

    if not twice:
        return aligned(pixels, landmarks, TEMPLATE_SIDE)
    large: Any = aligned(pixels, landmarks, 2 * TEMPLATE_SIDE)
    return np.asarray(cv2.resize(large, (TEMPLATE_SIDE, TEMPLATE_SIDE), interpolation=cv2.INTER_LINEAR), np.uint8)


class _Network:
    """An ONNX graph with one input [N, 3, h, w]."""

    def __init__(self, path: Path, *, outputs: int, device: str) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise UsageError(
                "wanted onnxruntime for insightface's networks, found none; install it with `pip install 'evalkit[faces]'`"
            ) from None
        wanted = ["CUDAExecutionProvider"] * device.startswith("cuda") + ["CPUExecutionProvider"]
        providers = [name for name in wanted if name in onnxruntime.get_available_providers()]
        try:
            self._session = onnxruntime.InferenceSession(str(path), providers=providers)
        except Exception as error:  # onnxruntime raises its own types for damaged files
            told = " ".join(str(error).split())
            raise WeightsError(f"{path}: wanted an ONNX graph, found {told:.120}; get the file again") from error
        inputs, found = self._session.get_inputs(), len(self._session.get_outputs())
        if len(inputs) != 1 or found != outputs:
            raise other_model(path, f"one input and {outputs} outputs", f"{len(inputs)} and {found}")
        self._input = inputs[0].name

    def __call__(self, pixels: Array) -> list[Array]:
        """Every output, in the graph's order."""
        told: list[Array] = self._session.run(None, {self._input: pixels.astype(np.float32)})
        return told


def _detector_and_recogniser(weights: WeightsSource) -> tuple[Path, Path]:
    """The two networks of a model. Raises WeightsError where the files are others."""
    by_name = {path.name: path for path in weights.files}
    detector, arc = by_name.get("det_10g.onnx"), by_name.get("w600k_r50.onnx")
    recogniser = by_name.get(CURRICULAR) or arc
    if detector is None or recogniser is None:
        found = ", ".join(by_name) or "nothing"
        raise WeightsError(
            f"wanted det_10g.onnx with w600k_r50.onnx or {CURRICULAR}, found {found}; name the model as "
            "metrics/backbones.yaml does"
        )
    return detector, recogniser
