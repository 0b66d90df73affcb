"""LPIPS against the lpips package on the same trunks and its own heads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from evalkit.features import lpips
from evalkit.features import weights as weights_module
from evalkit.features.spec import ExtractorSpec
from evalkit.features.weights import find_weights
from tests import official, tiny_weights

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RELATIVE = 2e-6
pytestmark = pytest.mark.filterwarnings("ignore")  # the package calls torchvision's old arguments


def load(model: str, preprocess: str = "lpips_256") -> Any:
    spec = ExtractorSpec(family="lpips", model=model, preprocess=preprocess)
    return lpips.load(spec, find_weights(model), device="cpu")


def pairs(extractor: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(5)
    smooth = [np.kron(rng.integers(0, 256, (9, 7, 3)), np.ones((8, 8, 1))).astype(np.uint8) for _ in range(3)]
    noisy = [(p * 0.8 + rng.integers(0, 50, p.shape)).astype(np.uint8) for p in smooth[:2]] + smooth[:1]
    first, second = (np.stack([extractor.prepare(p) for p in group]) for group in (smooth, noisy))
    return first, second


def written(root: Path, name: str) -> Path:
    return tiny_weights.write_trunk(root / f"lpips--{name}", *official.LPIPS_TRUNKS[name])


@pytest.mark.parametrize("name", sorted(official.LPIPS_TRUNKS))
def test_distance_is_the_packages(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path))
    model = official.lpips(name, written(tmp_path, name))
    extractor = load(f"lpips/{name}")
    first, second = pairs(extractor)
    with torch.inference_mode():
        expected = model(torch.from_numpy(first), torch.from_numpy(second)).numpy()[:, 0, 0, 0]
    got = extractor.encode_pairs(first, second)["distance"]
    assert got.shape == (3,)
    assert expected.min() > 1e-4
    np.testing.assert_allclose(got, expected, rtol=RELATIVE, atol=0)


def test_equal_pictures_are_at_zero_and_order_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path))
    written(tmp_path, "squeeze")
    extractor = load("lpips/squeeze")
    first, second = pairs(extractor)
    np.testing.assert_array_equal(extractor.encode_pairs(first, first)["distance"], 0.0)
    there, back = extractor.encode_pairs(first, second)["distance"], extractor.encode_pairs(second, first)["distance"]
    np.testing.assert_array_equal(there, back)
    order = np.array([2, 0, 1])
    np.testing.assert_array_equal(extractor.encode_pairs(first[order], second[order])["distance"], there[order])


def test_sandbox_counts_every_channel_as_the_packages_baseline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import save_file

    monkeypatch.setattr(weights_module, "_SANDBOX_FOLDER", tmp_path)
    folder = written(tmp_path, "squeeze")
    (tmp_path / "lpips").mkdir()
    trunk = torch.load(folder / official.LPIPS_TRUNKS["squeeze"][0], weights_only=True)
    save_file(trunk, tmp_path / "lpips" / "model.safetensors")
    model, extractor = official.lpips("squeeze", folder, lpips=False), load("sandbox:lpips")
    first, second = pairs(extractor)
    with torch.inference_mode():
        expected = model(torch.from_numpy(first), torch.from_numpy(second)).numpy()[:, 0, 0, 0]
    np.testing.assert_allclose(extractor.encode_pairs(first, second)["distance"], expected, rtol=RELATIVE, atol=0)


def test_heads_are_part_of_the_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path))
    written(tmp_path, "squeeze")
    spec = ExtractorSpec(family="lpips", model="lpips/squeeze", preprocess="lpips_256")
    before = lpips.describe(spec, find_weights(spec.model)).digest
    other = tmp_path / "head.pth"
    torch.save({"lin0.model.1.weight": torch.ones(1)}, other)
    monkeypatch.setattr(lpips, "_heads_file", lambda _: other)
    assert lpips.describe(spec, find_weights(spec.model)).digest != before
