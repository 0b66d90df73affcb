"""Grounded SAM's masks against transformers' own processors and models on the same small weights."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from evalkit.errors import UsageError, WeightsError
from evalkit.features import grounded_sam
from evalkit.features.cache import FeatureCache
from evalkit.features.extractor import Extractor
from evalkit.features.loading import describe_extractor, load_extractor
from evalkit.features.pictures import Pictures
from evalkit.features.service import FeatureService, Missing
from evalkit.features.spec import ExtractorSpec, FeatureRequest, ImageContent, PromptedContent
from evalkit.features.weights import find_weights
from evalkit.media import decode_image, write_image
from evalkit.registry import METRICS, load
from tests import tiny_grounded_sam

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SPEC: ExtractorSpec = load(METRICS, "si_iou").card.variant("grounded_sam").extractor
SIZES = [(60, 90), (120, 50), (70, 70)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("grounded")
    tiny_grounded_sam.write_grounded_sam(folder)
    return folder


@pytest.fixture(autouse=True)
def _at_hand(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(root))
    monkeypatch.setattr(grounded_sam, "SHORTEST", 96)
    monkeypatch.setattr(grounded_sam, "LONGEST", 160)


@pytest.fixture(scope="module")
def backbone(root: Path) -> Extractor:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALKIT_WEIGHTS", str(root))
        return load_extractor(SPEC, device="cpu")


def picture(height: int, width: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(height)
    blocks = np.kron(rng.integers(0, 256, (15, 15, 3)), np.ones((8, 8, 1)))
    return np.asarray(blocks[:height, :width], np.uint8)


def by_transformers(root: Path, pixels: NDArray[np.uint8], words: str, threshold: float) -> NDArray[np.bool_]:
    """The published recipe: detector's processor, boxes above the threshold, segmenter's processor, masks all together."""
    from transformers import (
        BertTokenizer,
        GroundingDinoForObjectDetection,
        GroundingDinoImageProcessorPil,
        GroundingDinoProcessor,
        Sam2ImageProcessor,
        Sam2Model,
    )

    detector = GroundingDinoForObjectDetection.from_pretrained(root / tiny_grounded_sam.DETECTOR).eval()
    segmenter = Sam2Model.from_pretrained(root / tiny_grounded_sam.SEGMENTER).eval()
    tokenizer = BertTokenizer(vocab={word: i for i, word in enumerate(tiny_grounded_sam.VOCABULARY)})
    fitted = GroundingDinoImageProcessorPil(size={"shortest_edge": 96, "longest_edge": 160})
    processor = GroundingDinoProcessor(image_processor=fitted, tokenizer=tokenizer)
    given = processor(images=Image.fromarray(pixels), text=words, return_tensors="pt")
    side = tiny_grounded_sam.SIDE
    with torch.inference_mode():
        told = processor.post_process_grounded_object_detection(
            detector(**given), given.input_ids, threshold=threshold, target_sizes=[(side, side)]
        )
        boxes = told[0]["boxes"]
        squashed = Sam2ImageProcessor(size={"height": side, "width": side})(
            Image.fromarray(pixels), return_tensors="pt"
        )
        found = segmenter(pixel_values=squashed["pixel_values"], input_boxes=boxes[None], multimask_output=False)
    mask: NDArray[np.bool_] = (found.pred_masks[0, :, 0] > 0).any(0).numpy()
    return mask


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("size", SIZES)
def test_a_mask_is_transformers(
    size: tuple[int, int], root: Path, backbone: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = picture(*size)
    scores = seen_scores(backbone, pixels, monkeypatch)
    threshold = float((scores[2] + scores[3]) / 2)  # three boxes of eight
    monkeypatch.setattr(grounded_sam, "BOX_THRESHOLD", threshold)
    ours = backbone.encode_prompted(backbone.prepare(pixels)[None], ["Stuffed animal"])["mask"]
    theirs = by_transformers(root, pixels, "stuffed animal.", threshold)
    assert ours.shape == (1, 32, 32)
    assert ours.dtype == np.float32
    assert 0.02 < theirs.mean() < 0.98
    assert ((ours[0] > 0.5) != theirs).mean() <= 0.01  # their resizing of 8-bit pixels rounds


def seen_scores(backbone: Any, pixels: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> NDArray[np.float64]:
    """Each box's score, the best first."""
    kept: list[Any] = []
    hook = backbone._detector.register_forward_hook(lambda _module, _inputs, output: kept.append(output.logits))
    backbone.encode_prompted(backbone.prepare(pixels)[None], ["stuffed animal"])
    hook.remove()
    return np.sort(kept[0][0].sigmoid().amax(-1).numpy())[::-1].astype(np.float64)


def test_where_nothing_is_found_the_mask_is_empty(backbone: Extractor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grounded_sam, "BOX_THRESHOLD", 1.0)
    found = backbone.encode_prompted(backbone.prepare(picture(60, 90))[None], ["dog"])["mask"]
    assert found.shape == (1, 32, 32)
    assert not found.any()


def test_the_detector_reads_sides_as_the_source_resizes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.image_transforms import get_size_with_aspect_ratio

    monkeypatch.setattr(grounded_sam, "SHORTEST", 800)
    monkeypatch.setattr(grounded_sam, "LONGEST", 1333)
    for height, width in [(512, 512), (1024, 768), (500, 1000), (96, 96), (333, 997), (1000, 500), (1333, 800)]:
        told = get_size_with_aspect_ratio((height, width), 800, 1333)
        ours = grounded_sam.detector_size(height, width)
        assert max(abs(a - b) for a, b in zip(ours, told, strict=True)) <= 1, (height, width)


def test_a_mask_is_cached_by_picture_and_word(backbone: Extractor, tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", picture(60, 90))
    content = ImageContent(decode_image(tmp_path / "a.png").sha256, tmp_path / "a.png")
    service = FeatureService(
        FeatureCache(tmp_path / "cache"),
        Pictures(),
        fingerprint=lambda _: backbone.fingerprint,
        load=lambda _: backbone,
    )
    requests = [FeatureRequest(SPEC, PromptedContent(content, word), "mask") for word in ("dog", "animal", "dog")]
    first = service.features(requests)
    again = service.features(requests)
    service.close()
    assert service.extracted.total() == 2
    for request in requests:
        mask, cached = first[request], again[request]
        assert not isinstance(mask, Missing)
        assert not isinstance(cached, Missing)
        np.testing.assert_array_equal(mask, cached)


def test_a_word_that_does_not_fit_is_told(backbone: Extractor) -> None:
    told = backbone.text_problem("dog " * 20)
    assert told == "wanted a text of at most 16 tokens, found 23; 'hf_pad' does not truncate"
    assert backbone.text_problem("dog") is None


def test_it_reads_one_picture_with_a_word_alone(backbone: Extractor) -> None:
    batch = np.zeros((2, 3, 8, 8), np.float32)
    with pytest.raises(UsageError, match="which reads them with a word"):
        backbone.encode_images(batch)
    with pytest.raises(UsageError, match="which reads them with a picture"):
        backbone.encode_texts(["dog"])
    with pytest.raises(UsageError, match="wanted one picture, at its own size, found a batch of 2"):
        backbone.encode_prompted(batch, ["dog", "dog"])


def test_what_can_change_a_mask_is_in_its_fingerprint(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = describe_extractor(SPEC)
    assert [key for key, _ in before.parts] == ["backbone", "weights", "pre", "text", "dtype"]
    assert dict(before.parts)["pre"] == "grounded_sam_256"
    monkeypatch.setattr(grounded_sam, "BOX_THRESHOLD", 0.35)
    assert describe_extractor(SPEC).digest != before.digest
    with pytest.raises(UsageError, match=r"wanted a text preprocessing for 'grounded_sam' \(hf_pad\), found None"):
        describe_extractor(SPEC.model_copy(update={"text": None}))


def test_another_model_s_files_are_refused(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(root, tmp_path / "mixed")
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path / "mixed"))
    segmenter, detector = (
        tmp_path / "mixed" / name for name in (tiny_grounded_sam.SEGMENTER, tiny_grounded_sam.DETECTOR)
    )
    shutil.copy(detector / "model.safetensors", segmenter / "model.safetensors")
    with pytest.raises(
        WeightsError, match=r"wanted the weights of Sam2Model, found .*; these are another model's weights"
    ):
        load_extractor(SPEC, device="cpu")
    (detector / "vocab.txt").unlink()
    with pytest.raises(WeightsError, match=r"vocab\.txt"):
        find_weights(SPEC.model)
