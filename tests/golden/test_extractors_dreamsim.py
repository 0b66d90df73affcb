"""DreamSim against the dreamsim package on the same files, its towers made small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from evalkit.features import clip, dino, dreamsim
from evalkit.features import weights as weights_module
from evalkit.features.dreamsim_tower import Kind, embed
from evalkit.features.model_input import CLIP_224
from evalkit.features.spec import ExtractorSpec
from evalkit.features.weight_files import read_state
from evalkit.features.weights import find_weights
from tests import official, original_names, tiny_weights

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

TOLERANCE = 1e-6
pytestmark = pytest.mark.filterwarnings("ignore")  # the package and peft warn of their own deprecations
KINDS = ("ensemble", "dino_vitb16", "clip_vitb32", "open_clip_vitb32")


def pictures() -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (*size, 3)).astype(np.uint8) for size in ((50, 70), (224, 224), (300, 180), (31, 44))]


def load(model: str) -> Any:
    spec = ExtractorSpec(family="dreamsim", model=model, preprocess="dreamsim")
    return dreamsim.load(spec, find_weights(model), device="cpu")


@pytest.mark.parametrize("kind", KINDS)
def test_embedding_is_the_packages(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path))
    folder = tiny_weights.write_dreamsim(tmp_path / f"dreamsim--{kind}", kind)
    model, transform = official.dreamsim(kind, folder, monkeypatch)
    batch = torch.cat([transform(Image.fromarray(p)) for p in pictures()])
    with torch.inference_mode():
        expected = model.embed(batch).numpy()
    extractor = load(f"dreamsim/{kind}")
    prepared = np.stack([extractor.prepare(p) for p in pictures()])
    np.testing.assert_array_equal(prepared, batch.numpy())
    got = extractor.encode_images(prepared)["embedding"]
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, atol=TOLERANCE, rtol=0)


def test_distance_is_the_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path))
    folder = tiny_weights.write_dreamsim(tmp_path / "dreamsim--ensemble")
    model, transform = official.dreamsim("ensemble", folder, monkeypatch)
    first, second = (transform(Image.fromarray(p)) for p in pictures()[:2])
    with torch.inference_mode():
        expected = model(first, second).item()
    extractor = load("dreamsim/ensemble")
    a, b = extractor.encode_images(np.concatenate([first.numpy(), second.numpy()]))["embedding"].astype(np.float64)
    assert 1 - a @ b == pytest.approx(expected, abs=TOLERANCE)
    assert expected > 1e-3, "the towers tell the pictures apart"


def test_the_adapter_matters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path))
    folder = tiny_weights.write_dreamsim(tmp_path / "dreamsim--dino_vitb16", "dino_vitb16")
    extractor = load("dreamsim/dino_vitb16")
    batch = np.stack([extractor.prepare(p) for p in pictures()])
    state = torch.load(folder / "checkpoints" / "dino_vitbase16_pretrain.pth", weights_only=True)
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    plain = embed(state, (torch.from_numpy(batch) - mean) / std, Kind(clip=False, quick=False))
    plain = plain - plain.mean(1, keepdim=True)
    plain = plain / plain.norm(dim=1, keepdim=True)
    assert np.abs(extractor.encode_images(batch)["embedding"] - plain.numpy()).max() > 1e-2


def test_dinov2_tower_is_transformers_before_the_norm(tmp_path: Path) -> None:
    """No package carries DINOv2's own network, so transformers' one stands for it, at the size of its positions."""
    folder = tiny_weights.write_dinov2(tmp_path)
    model = dino.read_model(folder, original_names.dino_names(folder))
    state = original_names.dino_names(folder)
    pixels = tiny_weights.formula((3, 3, 32, 32), 1.0, scale=2.0)
    with torch.inference_mode():
        expected = dino.class_token_before_norm(model, pixels)
        got = embed(state, pixels, Kind(clip=False, quick=False))
    np.testing.assert_allclose(got.numpy(), expected.numpy(), atol=TOLERANCE, rtol=0)
    after = torch.nn.functional.layer_norm(got, (128,), state["norm.weight"], state["norm.bias"], 1e-6)
    with torch.inference_mode():
        normed = model(pixel_values=pixels).last_hidden_state[:, 0]
    np.testing.assert_allclose(after.numpy(), normed.numpy(), atol=4e-6, rtol=0)


def test_dinov2_branch_is_transformers_at_positions_of_the_original_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Positions of 37 x 37 at 16 x 16, by the factor 16.1 / 37 of facebookresearch/dinov2, given to transformers ready."""
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path))
    folder = tiny_weights.write_dreamsim(tmp_path / "dreamsim--dinov2_vitb14", "dinov2_vitb14")
    extractor = load("dreamsim/dinov2_vitb14")
    batch = np.stack([extractor.prepare(p) for p in pictures()])
    state = torch.load(folder / "checkpoints" / "dinov2_vitb14_pretrain.pth", weights_only=True)
    adapter = read_state([folder / "dinov2_vitb14_single_lora" / "adapter_model.safetensors"])
    for i in range(12):
        name = f"base_model.model.extractor_list.0.model.blocks.{i}.attn.qkv.lora"
        state[f"blocks.{i}.attn.qkv.weight"] += 6 / 4 * adapter[f"{name}_B.weight"] @ adapter[f"{name}_A.weight"]
    grid = state["pos_embed"][:, 1:].reshape(1, 37, 37, 128).permute(0, 3, 1, 2)
    grid = torch.nn.functional.interpolate(grid, scale_factor=(16.1 / 37, 16.1 / 37), mode="bicubic")
    state["pos_embed"] = torch.cat([state["pos_embed"][:, :1], grid.permute(0, 2, 3, 1).reshape(1, 256, 128)], 1)
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.inference_mode():
        expected = dino.class_token_before_norm(dino.read_model(folder, state), (torch.from_numpy(batch) - mean) / std)
    expected = expected - expected.mean(1, keepdim=True)
    expected = expected / expected.norm(dim=1, keepdim=True)
    np.testing.assert_allclose(extractor.encode_images(batch)["embedding"], expected.numpy(), atol=TOLERANCE, rtol=0)


def test_sandbox_composes_dino_and_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_module, "_SANDBOX_FOLDER", tmp_path)
    tiny_weights.write_dinov2(tmp_path / "dino")
    tiny_weights.write_clip(tmp_path / "clip")
    extractor = load("sandbox:dreamsim")
    batch = np.stack([extractor.prepare(p) for p in pictures()])
    got = extractor.encode_images(batch)["embedding"]
    source = find_weights("sandbox:dreamsim")
    with torch.inference_mode():
        pixels = torch.from_numpy(batch)
        imagenet = [torch.tensor(v).reshape(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
        openai = [torch.tensor(v).reshape(1, 3, 1, 1) for v in (CLIP_224.mean, CLIP_224.std)]
        dino_model = dino.read_model(tmp_path / "dino", read_state(source.files[:1]))
        clip_model = clip.read_model(tmp_path / "clip", read_state(source.files[1:]))
        first = dino_model(pixel_values=(pixels - imagenet[0]) / imagenet[1], output_hidden_states=True).hidden_states[
            -1
        ][:, 0]
        second = clip_model.get_image_features((pixels - openai[0]) / openai[1]).pooler_output
        joined = torch.cat([first, second], 1)
        centred = joined - joined.mean(1, keepdim=True)
        expected = centred / centred.norm(dim=1, keepdim=True)
    assert got.shape == (4, 128 + 24)
    np.testing.assert_allclose(got, expected.numpy(), atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(got.mean(1), 0.0, atol=1e-7)
    assert extractor.signature_parts()["backbone"] == "sandbox:dreamsim"


@pytest.mark.parametrize("order", [[3, 1, 0, 2], [0, 0, 0, 0]])
def test_an_embedding_does_not_depend_on_what_is_beside_it(
    order: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path))
    tiny_weights.write_dreamsim(tmp_path / "dreamsim--clip_vitb32", "clip_vitb32")
    extractor = load("dreamsim/clip_vitb32")
    batch = np.stack([extractor.prepare(p) for p in pictures()])
    together = extractor.encode_images(batch)["embedding"]
    np.testing.assert_array_equal(extractor.encode_images(batch[order])["embedding"], together[order])
