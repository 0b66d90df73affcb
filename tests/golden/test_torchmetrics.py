"""CLIP-T and LPIPS against torchmetrics on the same small weights: another package's steps from picture to number.

Tolerances: CLIP-T's is its variant's own. LPIPS, relative 2e-6: torchmetrics adds 1e-8 to the sum of squares whose root a layer's
activations are divided by, where the lpips package and evalkit add 1e-10 to the root; these activations are far above both.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torchvision

from evalkit.features import clip, lpips
from evalkit.features.spec import ExtractorSpec
from evalkit.features.weights import find_weights
from evalkit.metrics.base import Bound
from evalkit.metrics.clip_t import CLIP_T, clip_t
from tests import official, tiny_weights

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytest.importorskip("torchmetrics")

TEXTS = ("a red dog on the beach", "the blue teapot", "a cat", "toy in the snow", "a photo of a toy")
SIZES = ((41, 60), (33, 33), (90, 37), (200, 310), (31, 64))
LPIPS_RELATIVE = 2e-6


class TensorsOnly:
    """CLIP of transformers as torchmetrics calls it: features are tensors, as they were before transformers 5."""

    def __init__(self, folder: Path) -> None:
        from transformers import CLIPModel

        self._model: Any = CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
        self.config = self._model.config

    def to(self, _device: torch.device) -> TensorsOnly:
        return self

    def eval(self) -> TensorsOnly:
        return self

    def get_image_features(self, pixels: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self._model.get_image_features(pixels).pooler_output
        return found

    def get_text_features(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self._model.get_text_features(ids, attention_mask=mask).pooler_output
        return found


def pictures() -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(7)
    return [rng.integers(0, 256, (*size, 3)).astype(np.uint8) for size in SIZES]


def chw(picture: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)


@pytest.fixture
def small_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    torch.set_num_threads(1)
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path))
    return tiny_weights.write_clip(tmp_path / "openai--clip-vit-base-patch32")


def embedded(spec: ExtractorSpec) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """evalkit's features of the pictures and of the texts, [N, D] each."""
    extractor = clip.load(spec, find_weights(spec.model), device="cpu")
    images = extractor.encode_images(np.stack([extractor.prepare(picture) for picture in pictures()]))
    return images["embedding"], extractor.encode_texts(TEXTS)["embedding"]


def their_clip(folder: Path) -> tuple[TensorsOnly, Any]:
    from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPProcessor

    resizer, words = CLIPImageProcessorPil.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    return TensorsOnly(folder), CLIPProcessor(image_processor=resizer, tokenizer=words)


@torch.inference_mode()
def test_clip_t_floored_at_zero_is_clip_score_of_each_pair(small_clip: Path) -> None:
    from torchmetrics.functional.multimodal import clip_score

    variant = CLIP_T.card.variant("dreambench_pp")
    images, texts = embedded(variant.extractor)
    model = their_clip(small_clip)
    expected = [
        float(clip_score(chw(picture), text, model_name_or_path=lambda: model))
        for picture in pictures()
        for text in TEXTS
    ]
    got = variant.scale * clip_t(images[:, None], texts[None], floor_at_zero=True)
    assert 0 < np.count_nonzero(np.array(expected) == 0) < len(expected), "wanted cosines on both sides of 0"
    np.testing.assert_allclose(got.ravel(), expected, atol=variant.tolerance, rtol=0)


@torch.inference_mode()
def test_the_mean_of_clip_t_is_the_metric_clip_score(small_clip: Path) -> None:
    from torchmetrics.multimodal import CLIPScore

    variant = CLIP_T.card.variant("dreambench_pp")
    images, texts = embedded(variant.extractor)
    features = [[image, text] for image in images for text in texts]
    values = [o.value for o in CLIP_T.score([], Bound("dreambench_pp", variant, variant.extractor), features)]
    ours = np.array(values, np.float64).reshape(len(images), len(texts))
    # torchmetrics floors the mean and no single value: pictures with their best texts keep it above 0.
    best = ours.argmax(1)
    model = their_clip(small_clip)
    metric = CLIPScore(model_name_or_path=lambda: model)
    for picture, text in zip(pictures(), best, strict=True):
        metric.update(chw(picture), TEXTS[text])
    expected = float(metric.compute())
    assert expected > 1
    assert ours.max(1).mean() == pytest.approx(expected, abs=variant.tolerance, rel=0)


def features_of(file: Path, builder: str) -> torch.nn.Module:
    """torchvision's feature stack with the weights in `file`; its classifier, which LPIPS leaves out, is never made."""
    state = torch.load(file, weights_only=True)
    with torch.device("meta"):
        stack: torch.nn.Module = getattr(torchvision.models, builder)(weights=None).features
    stack.load_state_dict({name.removeprefix("features."): tensor for name, tensor in state.items()}, assign=True)
    return stack


@pytest.mark.parametrize("name", sorted(official.LPIPS_TRUNKS))
def test_lpips_is_torchmetrics_on_the_same_trunk(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchmetrics.functional.image import learned_perceptual_image_patch_similarity as their_lpips

    torch.set_num_threads(1)
    spec = ExtractorSpec(family="lpips", model=f"lpips/{name}", preprocess="lpips_96")
    folder = tiny_weights.write_trunk(tmp_path / f"lpips--{name}", *official.LPIPS_TRUNKS[name])
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path))
    extractor = lpips.load(spec, find_weights(spec.model), device="cpu")
    file, builder = official.LPIPS_TRUNKS[name]
    trunk = features_of(folder / file, builder)
    monkeypatch.setattr(torchvision.models, builder, lambda **_: SimpleNamespace(features=trunk))
    shots = np.stack([extractor.prepare(picture) for picture in pictures()])
    first, second = shots[[0, 1, 2]], shots[[3, 4, 2]]
    with torch.inference_mode():
        told = their_lpips(torch.from_numpy(first), torch.from_numpy(second), net_type=name, reduction="none")
    got = extractor.encode_pairs(first, second)["distance"]
    assert list(got > 1e-3) == [True, True, False], "the third pair is a picture and itself"
    np.testing.assert_allclose(got, told.numpy(), rtol=LPIPS_RELATIVE, atol=0)
