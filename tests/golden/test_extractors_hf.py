"""CLIP, DINO and DINOv2 against plain transformers and open_clip on the same weights, found by their published ids.

Tolerance 2e-6 where a batch of another size computes the reference, 0 where the same computation is asked for.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from evalkit.features import clip, dino, open_clip
from evalkit.features.spec import ExtractorSpec
from evalkit.features.weights import find_weights
from tests import official, original_names, tiny_weights

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

TOLERANCE = 2e-6
TEXTS = ("a red dog on the beach", "the blue teapot", "a cat", "unheard words")
CLIP, DINO, DINOV2 = "openai/clip-vit-base-patch32", "facebook/dino-vits16", "facebook/dinov2-small"
OPEN_CLIP = "ViT-B-32-quickgelu/openai"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("weights")
    tiny_weights.write_clip(root / "openai--clip-vit-base-patch32")
    tiny_weights.write_dino(root / "facebook--dino-vits16")
    tiny_weights.write_dinov2(root / "facebook--dinov2-small")
    tiny_weights.write_open_clip(root / "ViT-B-32-quickgelu--openai")
    return root


@pytest.fixture(autouse=True)
def _at_hand(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(published))


def pictures(count: int = 5) -> list[NDArray[np.uint8]]:
    """Pictures of odd sizes that are not alike."""
    rng = np.random.default_rng(7)
    sizes = [(41, 60), (33, 33), (90, 37), (200, 310), (31, 64), (55, 48), (70, 70), (36, 95)]
    return [rng.integers(0, 256, (*size, 3)).astype(np.uint8) for size in sizes[:count]]


def load(family: Any, model: str, preprocess: str, **options: Any) -> Any:
    name = family.__name__.rpartition(".")[2]
    spec = ExtractorSpec(family=name, model=model, preprocess=preprocess, **options)
    return family.load(spec, find_weights(model), device="cpu")


def encoded(extractor: Any, images: Sequence[NDArray[np.uint8]]) -> dict[str, NDArray[np.float32]]:
    return dict(extractor.encode_images(np.stack([extractor.prepare(image) for image in images])))


@torch.inference_mode()
def test_clip_images_are_transformers(published: Path) -> None:
    from transformers import CLIPImageProcessorPil, CLIPModel

    folder = str(published / "openai--clip-vit-base-patch32")
    processor, model = (
        CLIPImageProcessorPil.from_pretrained(folder),
        CLIPModel.from_pretrained(folder, dtype=torch.float32),
    )
    inputs = processor([Image.fromarray(p) for p in pictures()], return_tensors="pt")
    expected = model.get_image_features(**inputs).pooler_output.numpy()
    got = encoded(load(clip, CLIP, "clip_hf"), pictures())["embedding"]
    np.testing.assert_array_equal(got, expected)
    assert not np.allclose(np.linalg.norm(got, axis=1), 1.0, atol=0.05), "embeddings come as they are, not normalised"


@torch.inference_mode()
def test_clip_texts_are_transformers_whatever_the_padding(published: Path) -> None:
    from transformers import AutoTokenizer, CLIPModel

    folder = str(published / "openai--clip-vit-base-patch32")
    model, tokenizer = CLIPModel.from_pretrained(folder, dtype=torch.float32), AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(list(TEXTS), padding=True, return_tensors="pt")
    expected = model.get_text_features(inputs.input_ids, attention_mask=inputs.attention_mask).pooler_output.numpy()
    for text in ("hf_pad", "hf_truncate", "openai_tokenize"):
        got = load(clip, CLIP, "clip_hf", text=text).encode_texts(TEXTS)["embedding"]
        np.testing.assert_allclose(got, expected, atol=TOLERANCE, rtol=0)


@torch.inference_mode()
def test_clip_truncated_text_is_the_tokenizers_truncation(published: Path) -> None:
    from transformers import AutoTokenizer, CLIPModel

    folder, long = str(published / "openai--clip-vit-base-patch32"), "red dog " * 20
    model, tokenizer = CLIPModel.from_pretrained(folder, dtype=torch.float32), AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer([long], padding="max_length", max_length=16, truncation=True, return_tensors="pt")
    expected = model.get_text_features(inputs.input_ids, attention_mask=inputs.attention_mask).pooler_output.numpy()
    extractor = load(clip, CLIP, "clip_hf", text="hf_truncate")
    assert extractor.text_problem(long) is None
    np.testing.assert_array_equal(extractor.encode_texts([long])["embedding"], expected)


@torch.inference_mode()
def test_open_clip_is_open_clip(published: Path) -> None:
    import open_clip as package

    model, _, transform = package.create_model_and_transforms(f"local-dir:{published / 'ViT-B-32-quickgelu--openai'}")
    tokenizer = package.tokenizer.SimpleTokenizer()
    extractor = load(open_clip, OPEN_CLIP, "clip_openai", text="openai_tokenize")
    images = torch.stack([transform(Image.fromarray(p)) for p in pictures()])
    np.testing.assert_array_equal(
        encoded(extractor, pictures())["embedding"], model.eval().encode_image(images).numpy()
    )
    texts = extractor.encode_texts(TEXTS)["embedding"]
    np.testing.assert_array_equal(texts, model.encode_text(tokenizer(list(TEXTS), 77)).numpy())


@torch.inference_mode()
def test_dino_is_transformers_vit(published: Path) -> None:
    from transformers import ViTModel

    model = ViTModel.from_pretrained(published / "facebook--dino-vits16", add_pooling_layer=False, dtype=torch.float32)
    extractor = load(dino, DINO, "dino_torchvision")
    batch = np.stack([extractor.prepare(p) for p in pictures()])
    expected = model(torch.from_numpy(batch)).last_hidden_state.numpy()
    got = extractor.encode_images(batch)
    np.testing.assert_array_equal(got["cls"], expected[:, 0])
    np.testing.assert_array_equal(got["patches"], expected[:, 1:])
    assert extractor.grid == (4, 4)


@torch.inference_mode()
def test_dinov2_is_transformers_with_its_processor(published: Path) -> None:
    from transformers import BitImageProcessorPil, Dinov2Model

    folder = published / "facebook--dinov2-small"
    model = Dinov2Model.from_pretrained(folder, dtype=torch.float32)
    processor = BitImageProcessorPil.from_pretrained(folder)
    inputs = processor([Image.fromarray(p) for p in pictures()], return_tensors="pt")
    output = model(**inputs)
    got = encoded(load(dino, DINOV2, "dinov2_hf"), pictures())
    np.testing.assert_array_equal(got["cls"], output.pooler_output.numpy())
    np.testing.assert_array_equal(got["patches"], output.last_hidden_state[:, 1:].numpy())


@pytest.mark.parametrize(
    ("model", "name"), [(DINO, "dino_deitsmall16_pretrain.pth"), (DINOV2, "dinov2_vits14_pretrain.pth")]
)
def test_original_names_give_the_same_features(model: str, name: str, published: Path, tmp_path: Path) -> None:
    source = published / model.replace("/", "--")
    torch.save(original_names.dino_names(source), tmp_path / name)
    shutil.copy(source / "preprocessor_config.json", tmp_path)
    spec = "dino_torchvision" if model == DINO else "dinov2_hf"
    ours, theirs = encoded(load(dino, model, spec), pictures()), encoded(load(dino, str(tmp_path), spec), pictures())
    for output in ("cls", "patches"):
        np.testing.assert_array_equal(theirs[output], ours[output])


@torch.inference_mode()
def test_original_names_of_dino_are_the_original_network(published: Path, tmp_path: Path) -> None:
    """Against the vision transformer that dreamsim carries, which is facebookresearch/dino's own file."""
    torch.save(original_names.dino_names(published / "facebook--dino-vits16"), tmp_path / "dino.pth")
    shutil.copy(published / "facebook--dino-vits16" / "preprocessor_config.json", tmp_path)
    network = official.dino(published / "facebook--dino-vits16", side=32, patch=8)
    extractor = load(dino, str(tmp_path), "dino_torchvision")
    batch = np.stack([extractor.prepare(p) for p in pictures()])
    expected = network(torch.from_numpy(batch)).numpy()
    np.testing.assert_allclose(extractor.encode_images(batch)["cls"], expected, atol=4e-6, rtol=0)


@torch.inference_mode()
def test_registers_are_left_out_of_the_patches(tmp_path: Path) -> None:
    from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    shape = {"hidden_size": 128, "num_hidden_layers": 1, "num_attention_heads": 2, "num_register_tokens": 4}
    config = Dinov2WithRegistersConfig(**shape, image_size=32, patch_size=8)
    model: Any = tiny_weights.fill(Dinov2WithRegistersModel(config))
    model.eval().save_pretrained(tmp_path)
    tiny_weights.write_processor(tmp_path, "BitImageProcessor", shortest=37)
    extractor = load(dino, str(tmp_path), "dinov2_hf")
    batch = np.stack([extractor.prepare(p) for p in pictures()])
    expected = model(torch.from_numpy(batch)).last_hidden_state.numpy()
    got = extractor.encode_images(batch)
    assert got["patches"].shape == (5, 16, 128)
    np.testing.assert_array_equal(got["patches"], expected[:, 5:])


def test_dinov2_interpolates_positions_as_transformers_does(tmp_path: Path) -> None:
    from transformers import Dinov2Model

    folder = tiny_weights.write_dinov2(tmp_path / "trained-at-56", trained=56)
    extractor = load(dino, str(folder), "dinov2_hf")
    batch = np.stack([extractor.prepare(p) for p in pictures()])
    with torch.inference_mode():
        expected = Dinov2Model.from_pretrained(folder, dtype=torch.float32)(
            torch.from_numpy(batch)
        ).pooler_output.numpy()
    np.testing.assert_array_equal(extractor.encode_images(batch)["cls"], expected)


@pytest.mark.parametrize(
    ("family", "model", "preprocess"),
    [
        (clip, CLIP, "clip_hf"),
        (open_clip, OPEN_CLIP, "clip_openai"),
        (dino, DINO, "dino_torchvision"),
        (dino, DINOV2, "dinov2_hf"),
    ],
)
def test_a_feature_does_not_depend_on_what_is_beside_it(family: Any, model: str, preprocess: str) -> None:
    """At the fixed batch no bit changes when rows are permuted or when other pictures fill it up."""
    extractor = load(family, model, preprocess)
    batch = np.stack([extractor.prepare(p) for p in pictures(8)])
    assert extractor.forward_batch == len(batch)
    together, order = extractor.encode_images(batch), np.array([5, 2, 7, 0, 1, 6, 4, 3])
    permuted = extractor.encode_images(batch[order])
    alone = extractor.encode_images(np.repeat(batch[3:4], 8, axis=0))
    for output, features in together.items():
        np.testing.assert_array_equal(permuted[output], features[order])
        np.testing.assert_array_equal(alone[output], np.repeat(features[3:4], 8, axis=0))


@pytest.mark.parametrize(("family", "model"), [(clip, CLIP), (open_clip, OPEN_CLIP)])
def test_a_texts_feature_does_not_depend_on_what_is_beside_it(family: Any, model: str) -> None:
    extractor = load(family, model, "clip_hf", text="hf_pad")
    texts = [*TEXTS, "a toy", "snow", "photo of a cat in the snow", "red"]
    together = extractor.encode_texts(texts)["embedding"]
    np.testing.assert_array_equal(extractor.encode_texts(texts[::-1])["embedding"], together[::-1])
    np.testing.assert_array_equal(extractor.encode_texts([texts[2]] * 8)["embedding"][5], together[2])


@pytest.mark.parametrize(("dtype", "tolerance"), [("bfloat16", 0.05), ("float16", 0.005)])
def test_lower_precision_is_the_cast_weights_and_comes_back_as_float32(dtype: str, tolerance: float) -> None:
    full, low = load(clip, CLIP, "clip_hf"), load(clip, CLIP, "clip_hf", dtype=dtype)
    expected, got = encoded(full, pictures())["embedding"], encoded(low, pictures())["embedding"]
    assert got.dtype == np.float32
    assert not np.array_equal(got, expected)
    np.testing.assert_allclose(got, expected, atol=tolerance, rtol=0)
    assert low.fingerprint != full.fingerprint
    assert low.signature_parts()["dtype"] == dtype


def test_weights_stored_in_half_precision_load_as_float32(published: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(published / "facebook--dinov2-small", tmp_path / "half")
    state = {name: tensor.half() for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(state, folder / "model.safetensors")
    whole = shutil.copytree(folder, tmp_path / "whole")
    save_file({name: tensor.float() for name, tensor in state.items()}, whole / "model.safetensors")
    half, full = load(dino, str(folder), "dinov2_hf"), load(dino, str(whole), "dinov2_hf")
    np.testing.assert_array_equal(encoded(half, pictures())["cls"], encoded(full, pictures())["cls"])
