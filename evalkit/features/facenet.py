"""Faces of a picture: MTCNN finds them, an Inception-ResNet v1 turns each into a vector of length 1.

Source: timesler/facenet-pytorch (package 2.5.3), `models/mtcnn.py` and `models/inception_resnet_v1.py`. The networks and
MTCNN's weights come from that package, the recogniser's weights from its release. `mtcnn` has the deviations in finding
faces; a face that lies outside the picture altogether, where that code fails, is left out.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from evalkit.errors import UsageError, WeightsError
from evalkit.features.base import Backbone, Fingerprint, fingerprint, read_no_text
from evalkit.features.model_input import ModelInput
from evalkit.features.mtcnn import FACTOR, SMALLEST, THRESHOLDS, Networks, find_faces
from evalkit.features.preprocess import preprocess
from evalkit.features.weight_files import read_state, sha256_of

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from evalkit.features.base import Array
    from evalkit.features.spec import ExtractorSpec
    from evalkit.features.weights import WeightsSource

    Pixels = NDArray[np.uint8]

PREPROCESSES = ("mtcnn_160_32",)
CODE_VERSION = 1
SIDE, MARGIN = 160, 32
"""Side of the square that the recogniser reads, and how much of it is margin around the face's box."""
CENTRED = ModelInput(SIDE, None, (127.5,) * 3, (128.0,) * 3)
"""(x - 127.5) / 128."""
EMBEDDING, BOX = 512, 4
"""A face is its embedding, its box (left, top, right, bottom in pixels of the picture) and the probability of a face."""
CHUNK = 8
"""Faces of one picture that a forward pass reads."""
_DETECTOR = ("pnet.pt", "rnet.pt", "onet.pt")


def describe(spec: ExtractorSpec, weights: WeightsSource) -> Fingerprint:
    """What `load` would give faces of, without loading. Raises UsageError on a preprocessing it has none of."""
    read_no_text(spec)
    pre = preprocess(spec.preprocess, CENTRED, among=PREPROCESSES)
    detector = f"detector {sha256_of(_detector_files())} {SMALLEST} {FACTOR} {THRESHOLDS}"
    return fingerprint(spec, weights, pre, code_version=CODE_VERSION, also=[detector])


def load(spec: ExtractorSpec, weights: WeightsSource, *, device: str) -> Facenet:
    """Detector and recogniser on `device`. Raises WeightsError where a file is another model's."""
    return Facenet(spec, describe(spec, weights), weights, device=device)


class Facenet(Backbone):
    """`faces` [1, N, 517] of one picture, the largest face first; N = 0 where no face is found.

    A row is an embedding of length 1 (512), a box (4) and a probability (1). Pictures keep their sizes, so a forward
    pass is of one picture.
    """

    def __init__(self, spec: ExtractorSpec, described: Fingerprint, weights: WeightsSource, *, device: str) -> None:
        super().__init__(spec, described, device=device)
        self.forward_batch = 1
        self._detector = Networks(*(self._placed(network) for network in _read_detector()))
        self._recogniser = self._placed(_read_recogniser(weights))

    def encode_images(self, batch: Array) -> dict[str, Array]:
        """One picture [1, 3, H, W], 0 to 255, to `faces`. Raises UsageError for several."""
        if len(batch) != 1:
            raise UsageError(f"wanted one picture, whose faces are as many as it shows, found a batch of {len(batch)}")
        return self._run(self._faces, batch)

    def _faces(self, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
        import torch

        found = find_faces(self._detector, pictures[0])
        pixels = pictures[0].permute(1, 2, 0).to(torch.uint8).cpu().numpy()
        cut = [cut_out(pixels, box) for box in found[:, :BOX].cpu().numpy()]
        seen = torch.tensor([face is not None for face in cut], dtype=torch.bool, device=found.device)
        faces = [torch.from_numpy(face).permute(2, 0, 1) for face in cut if face is not None]
        if not faces:
            return {"faces": found.new_zeros(1, 0, EMBEDDING + BOX + 1)}
        centred = (self._placed(torch.stack(faces)) - CENTRED.mean[0]) / CENTRED.std[0]
        embeddings = torch.cat([self._recogniser(part) for part in centred.split(CHUNK)])
        return {"faces": torch.cat([embeddings.float(), found[seen]], -1)[None]}


def cut_out(pixels: Pixels, box: Array) -> Pixels | None:
    """A face with its margin, squashed to a square.

    pixels: [H, W, 3]; box: left, top, right, bottom. Returns [160, 160, 3] by PIL's antialiased bilinear filter, of as
    much of the box as lies in the picture; None where nothing does.
    """
    height, width = pixels.shape[:2]
    margins = MARGIN * (box[2:] - box[:2]) / (SIDE - MARGIN) / 2
    left, top = (int(x) for x in np.maximum(box[:2] - margins, 0))
    right, bottom = (int(x) for x in np.minimum(box[2:] + margins, (width, height)))
    if right <= left or bottom <= top:
        return None
    region = Image.fromarray(pixels).crop((left, top, right, bottom))
    return np.array(region.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def _read_detector() -> Networks:
    import torch
    from facenet_pytorch.models.mtcnn import ONet, PNet, RNet

    from evalkit.features.building import load_strictly

    networks = []
    for kind, file in zip((PNet, RNet, ONet), _detector_files(), strict=True):
        with torch.device("meta"):
            network = kind(pretrained=False)
        load_strictly(network, read_state([file]), where=file)
        networks.append(network)
    return Networks(*networks)


def _read_recogniser(weights: WeightsSource) -> Any:
    import torch
    from facenet_pytorch import InceptionResnetV1

    from evalkit.features.building import load_strictly

    with torch.device("meta"):
        network = InceptionResnetV1(pretrained=None)
    # The published files also hold the layer that names the training set's people, and need not hold how many batches
    # a norm was trained on; neither has a part in an embedding.
    counts = {name: torch.zeros(()) for name in network.state_dict() if name.endswith("num_batches_tracked")}
    state = {name: x for name, x in read_state(weights.files).items() if not name.startswith("logits.")}
    load_strictly(network, counts | state, where=weights.folder)
    return network


def _detector_files() -> list[Path]:
    package = find_spec("facenet_pytorch")
    if package is None or package.origin is None:
        raise WeightsError("wanted MTCNN's weights, found no package facenet_pytorch; install facenet-pytorch==2.5.3")
    return [Path(package.origin).parent / "data" / name for name in _DETECTOR]
