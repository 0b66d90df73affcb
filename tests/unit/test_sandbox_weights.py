"""The shipped small backbones: they load offline through the ordinary classes, stay small, and are as good as their card says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import evalkit.sandbox
from evalkit.sandbox.training.data import SetPlan, WorldSet, render_set
from evalkit.sandbox.training.glitches import Glitches, render_glitches
from evalkit.sandbox.training.run import HELD_OUT_GLITCHES, HELD_OUT_SET, MODELS, TRAIN_GLITCHES, measure
from evalkit.sandbox.world import WORLD_VERSION, Pose, Scene, caption, render, sample_identity

WEIGHTS = Path(evalkit.sandbox.__file__).parent / "weights"
LIMIT = 12 * 1024 * 1024


@pytest.fixture(scope="module")
def card() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((WEIGHTS / "card.yaml").read_text(encoding="utf-8"))
    return loaded


def test_the_weights_are_small_and_in_half_precision(card: dict[str, Any]) -> None:
    from safetensors import safe_open

    files = [f for name in MODELS for f in (WEIGHTS / name).rglob("*") if f.is_file()]
    assert sum(f.stat().st_size for f in files) <= LIMIT  # of what reads pictures; the generator has a limit of its own
    for name in MODELS:
        assert card["models"][name]["bytes"] == sum(f.stat().st_size for f in (WEIGHTS / name).iterdir())
        with safe_open(next((WEIGHTS / name).glob("*.safetensors")), framework="pt") as stored:
            kinds = {str(stored.get_tensor(k).dtype) for k in stored.keys() if "position_ids" not in k}  # noqa: SIM118
        assert kinds == {"torch.float16"}


def test_the_card_is_of_this_world(card: dict[str, Any]) -> None:
    assert card["world_version"] == WORLD_VERSION
    assert set(card["models"]) == set(MODELS)
    assert card["held_out_set"]["split"] == "bench"


def picture() -> tuple[Scene, np.ndarray]:
    scene = Scene((sample_identity("animal", 0, split="bench"),), (Pose("sitting"),), place="beach")
    return scene, render(scene).image


def test_clip_loads_like_any_clip() -> None:
    import torch
    from PIL import Image
    from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

    scene, image = picture()
    model = CLIPModel.from_pretrained(WEIGHTS / "clip", dtype=torch.float32).eval()
    processor = AutoImageProcessor.from_pretrained(WEIGHTS / "clip")
    tokenizer = AutoTokenizer.from_pretrained(WEIGHTS / "clip")
    pixels = processor(Image.fromarray(image), return_tensors="pt")["pixel_values"]
    assert pixels.shape == (1, 3, 96, 96)
    with torch.inference_mode():
        texts = tokenizer([caption(scene), "a mosaic of a car lying in the snow"], padding=True, return_tensors="pt")
        logits = model(**texts, pixel_values=pixels).logits_per_image[0]
    assert logits[0] > logits[1]


def test_dino_loads_like_any_dinov2() -> None:
    import torch
    from PIL import Image
    from transformers import AutoImageProcessor, Dinov2Model

    model = Dinov2Model.from_pretrained(WEIGHTS / "dino", dtype=torch.float32).eval()
    processor = AutoImageProcessor.from_pretrained(WEIGHTS / "dino")
    with torch.inference_mode():
        tokens = model(**processor(Image.fromarray(picture()[1]), return_tensors="pt")).last_hidden_state
    assert tokens.shape[:2] == (1, 145)
    assert torch.isfinite(tokens).all()


def test_the_lpips_trunk_fits_torchvisions_squeezenet() -> None:
    import torch

    from evalkit.sandbox.training.lpips_trunk import load_trunk

    trunk = load_trunk(WEIGHTS / "lpips")
    with torch.inference_mode():
        assert trunk(torch.zeros(1, 3, 96, 96)).shape == (1, 512, 5, 5)


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> WorldSet:
    return render_set(tmp_path_factory.mktemp("held") / "out", HELD_OUT_SET, workers=2)


@pytest.fixture(scope="module")
def glitches(tmp_path_factory: pytest.TempPathFactory) -> Glitches:
    return render_glitches(tmp_path_factory.mktemp("held") / "glitches", HELD_OUT_GLITCHES, workers=2)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_the_figures_of_the_card_are_found_again(
    card: dict[str, Any], held_out: WorldSet, glitches: Glitches, name: str
) -> None:
    assert card["held_out_set"] == {**vars(HELD_OUT_SET), "images": len(held_out.images)}
    figures, said = measure(name, WEIGHTS, held_out, glitches), card["models"][name]["held_out"]
    assert set(figures) == set(said)
    assert figures == pytest.approx(said, abs=0.01)


def test_what_the_backbones_are_used_for_beats_its_chance(card: dict[str, Any]) -> None:
    """Subject attributes of the LPIPS trunk are left out: its mean activations hardly tell them, as the card says."""
    needed = {
        "clip": ("retrieval_top1", "retrieval_top5", "zero_shot_place", "zero_shot_style", "zero_shot_action"),
        "dino": ("identity_top1", "identity_map", "auc", "pck_1", "pck_2"),
        "lpips": ("probe_place", "probe_style"),
        "mtg": ("semantic_pck_1", "semantic_pck_2", "semantic_pck_1_other", "visual_pck_1", "visual_pck_2"),
    }
    for model, names in needed.items():
        figures = card["models"][model]["held_out"]
        assert all(figures[n] > 1.2 * figures[f"{n}_chance"] for n in names), model


def test_the_held_out_set_is_the_benchmarks_split() -> None:
    assert isinstance(HELD_OUT_SET, SetPlan)
    assert HELD_OUT_SET.split == HELD_OUT_GLITCHES.split == "bench"


def test_the_card_names_the_groups_that_there_are(card: dict[str, Any]) -> None:
    assert card["training_glitches"] == vars(TRAIN_GLITCHES)
    assert card["held_out_glitches"] == vars(HELD_OUT_GLITCHES)


def test_vsm_at_the_published_thresholds_tells_subjects_apart(card: dict[str, Any]) -> None:
    """The same subject above .9, another below .1 or so, a look-alike by the share of it that is as it should be."""
    said = card["models"]["mtg"]["held_out"]
    assert said["vsm_0.7_same"] > 0.9
    assert said["vsm_0.7_other"] < 0.15
    assert said["vsm_0.7_other_plan"] < 0.15
    assert abs(said["vsm_0.7_lookalike"] - said["lookalike_unchanged"]) < 0.1
    assert said["lookalike_pearson"] > 0.8
    assert said["auc_lookalike"] > 0.85
    assert said["auc_other"] > 0.95
