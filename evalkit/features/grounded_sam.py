"""Grounded SAM 2: the mask of what a word names in a picture.

Grounding DINO finds boxes for the word, SAM 2 the mask in each, and the masks of all boxes together are the subject's.

Source: IDEA-Research/Grounded-Segment-Anything `grounded_sam_demo.py`, whose detector (Swin-T), box threshold and resizing
these are; facebookresearch/sam2 `sam2/utils/transforms.py` and `sam2_image_predictor.py`. The models are transformers'.
Deviations: SAM 2 in place of Segment Anything; the mask stays at the 256 x 256 of SAM's decoder, for the picture squashed
to a square, where the source enlarges its logits to the picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from evalkit.errors import UsageError, WeightsError
from evalkit.features.base import Backbone, Fingerprint, fingerprint
from evalkit.features.model_input import IMAGENET_224, IMAGENET_MEAN, IMAGENET_STD
from evalkit.features.preprocess import preprocess
from evalkit.features.text import TextPreprocess, TextReader
from evalkit.features.weight_files import read_json, read_state

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import torch

    from evalkit.features.base import Array
    from evalkit.features.spec import ExtractorSpec
    from evalkit.features.weights import WeightsSource

PREPROCESSES = ("grounded_sam_256",)
TEXTS = ("hf_pad",)
CODE_VERSION = 1
BOX_THRESHOLD = 0.3
"""What a box's best token must be above."""
SHORTEST, LONGEST = 800, 1333
"""Sides in pixels of what the detector reads: the shorter is the first, unless the longer would be above the second."""
SAM_PARTS = ("vision_config", "prompt_encoder_config", "mask_decoder_config")


class Files(NamedTuple):
    """The detector's weights, configuration and vocabulary, then the segmenter's weights and configuration."""

    detector: Path
    detector_config: Path
    vocabulary: Path
    segmenter: Path
    segmenter_config: Path

    @classmethod
    def of(cls, weights: WeightsSource) -> Files:
        """Raises WeightsError where there are not these five."""
        if len(weights.files) != len(cls._fields):
            found = ", ".join(path.name for path in weights.files) or "nothing"
            raise WeightsError(
                f"wanted weights, config.json and vocab.txt of Grounding DINO, weights and config.json of SAM 2, found {found}; "
                "name the model as metrics/backbones.yaml does"
            )
        return cls(*weights.files)


def describe(spec: ExtractorSpec, weights: WeightsSource) -> Fingerprint:
    """What `load` would give masks of, without loading. Raises UsageError, WeightsError where a file is missing."""
    files = Files.of(weights)
    pre = preprocess(spec.preprocess, IMAGENET_224, among=PREPROCESSES)
    if spec.text not in TEXTS:
        raise UsageError(f"wanted a text preprocessing for {spec.family!r} ({', '.join(TEXTS)}), found {spec.text!r}")
    text = TextPreprocess(spec.text, int(read_json(files.detector_config).get("max_text_len", 256)))
    also = [f"box {BOX_THRESHOLD}", f"sides {SHORTEST} {LONGEST}"]
    return fingerprint(spec, weights, pre, code_version=CODE_VERSION, text=text, also=also)


def load(spec: ExtractorSpec, weights: WeightsSource, *, device: str) -> GroundedSam:
    """Detector and segmenter on `device`. Raises WeightsError where a file is another model's."""
    return GroundedSam(spec, describe(spec, weights), weights, device=device)


class GroundedSam(Backbone):
    """`mask` [1, 256, 256] of one picture with a word: 1 on what the word names, 0 elsewhere and where nothing is found."""

    def __init__(self, spec: ExtractorSpec, described: Fingerprint, weights: WeightsSource, *, device: str) -> None:
        files = Files.of(weights)
        assert described.text is not None
        super().__init__(spec, described, device=device, reader=_reader(described.text, files.vocabulary))
        self.forward_batch = 1
        self._detector = self._placed(_read_detector(files))
        self._segmenter = self._placed(_read_segmenter(files))

    def encode_images(self, batch: Array) -> dict[str, Array]:
        """Refused: what is to be found depends on the word."""
        raise UsageError(f"wanted masks of single pictures, found {self.spec.family!r}, which reads them with a word")

    def encode_texts(self, texts: Sequence[str]) -> dict[str, Array]:
        """Refused, as of pictures."""
        raise UsageError(f"wanted features of texts, found {self.spec.family!r}, which reads them with a picture")

    def text_problem(self, text: str) -> str | None:
        """Why this word cannot be looked for, None where it can."""
        return super().text_problem(caption(text))

    def encode_prompted(self, batch: Array, texts: Sequence[str]) -> dict[str, Array]:
        """One picture [1, 3, H, W], 0 to 255, with its word to `mask`. Raises UsageError for several."""
        assert self._reader is not None
        if len(batch) != 1:
            raise UsageError(f"wanted one picture, at its own size, found a batch of {len(batch)}")
        return self._run(self._mask, batch, *self._reader.batch([caption(text) for text in texts]))

    def _mask(self, pictures: torch.Tensor, ids: torch.Tensor, attended: torch.Tensor) -> dict[str, torch.Tensor]:
        import torch

        boxes = self._boxes(pictures, ids, attended)
        side = self._segmenter.config.prompt_encoder_config.image_size
        pixels = _normalised(_squashed(pictures, side))
        cells = side // self._segmenter.config.prompt_encoder_config.patch_size * 4
        if not len(boxes):
            return {"mask": pictures.new_zeros(1, cells, cells)}
        corners = torch.cat([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], -1) * side
        found = self._segmenter(pixel_values=pixels, input_boxes=corners[None], multimask_output=False).pred_masks
        return {"mask": (found[0, :, 0] > 0).any(0, keepdim=True).to(pictures.dtype)}

    def _boxes(self, pictures: torch.Tensor, ids: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        """Boxes [N, 4] for the words: centre and size, as shares of the picture's sides."""
        import torch

        resized = _fitted(pictures[0].permute(1, 2, 0).to(torch.uint8).cpu().numpy())
        pixels = _normalised(torch.from_numpy(resized).permute(2, 0, 1)[None].to(pictures))
        length = int(attended.sum())  # the detector is given no padding, as its processor gives it none
        told = self._detector(
            pixel_values=pixels, input_ids=ids[:, :length], attention_mask=attended[:, :length],
            token_type_ids=torch.zeros_like(ids[:, :length]),
        )  # fmt: skip
        kept = told.logits[0].sigmoid().amax(-1) > BOX_THRESHOLD
        boxes: torch.Tensor = told.pred_boxes[0][kept]
        return boxes


def caption(word: str) -> str:
    """A class word as the detector wants it: in small letters, with a full stop.

    Example:
        >>> caption("Stuffed animal ")
        'stuffed animal.'
    """
    lower = word.lower().strip()
    return lower if lower.endswith(".") else f"{lower}."


def detector_size(height: int, width: int) -> tuple[int, int]:
    """What the detector's picture is resized to, (height, width).

    Example:
        >>> detector_size(512, 512), detector_size(500, 1000)
        ((800, 800), (666, 1332))
    """
    short, long = min(height, width), max(height, width)
    side = SHORTEST if long / short * SHORTEST <= LONGEST else round(LONGEST * short / long)
    return (side, int(side * width / height)) if height <= width else (int(side * height / width), side)


def _fitted(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """[H, W, 3] at the detector's size, by PIL's bilinear filter."""
    from PIL import Image

    height, width = detector_size(*pixels.shape[:2])
    return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))


def _squashed(pictures: torch.Tensor, side: int) -> torch.Tensor:
    """[1, 3, H, W] at side x side, as torchvision resizes a tensor: bilinear, antialiased."""
    from torch.nn.functional import interpolate

    return interpolate(pictures, (side, side), mode="bilinear", antialias=True)


def _normalised(pictures: torch.Tensor) -> torch.Tensor:
    """[B, 3, H, W] from 0 to 255 to ImageNet's normalisation."""
    mean, std = (pictures.new_tensor(values).reshape(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (pictures / 255 - mean) / std


def _read_detector(files: Files) -> Any:
    from transformers import GroundingDinoConfig, GroundingDinoForObjectDetection

    from evalkit.features.building import build

    config = GroundingDinoConfig.from_dict(read_json(files.detector_config))
    return build(GroundingDinoForObjectDetection, config, read_state([files.detector]), where=files.detector)


def _read_segmenter(files: Files) -> Any:
    """The published file is of SAM 2 for videos, of which pictures need three parts."""
    from transformers import Sam2Config, Sam2Model

    from evalkit.features.building import build

    told = read_json(files.segmenter_config)
    parts = {name: {k: v for k, v in told.get(name, {}).items() if k != "model_type"} for name in SAM_PARTS}
    return build(Sam2Model, Sam2Config(**parts), read_state([files.segmenter]), where=files.segmenter)


def _reader(text: TextPreprocess, vocabulary: Path) -> TextReader:
    from transformers import BertTokenizer

    words = vocabulary.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    tokenizer = BertTokenizer(vocab={word: i for i, word in enumerate(words)})
    return TextReader(text, lambda words: tokenizer(words, verbose=False)["input_ids"], tokenizer.pad_token_id)
