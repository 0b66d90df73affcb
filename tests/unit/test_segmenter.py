"""The small segmenter: its pictures, its training, and the shipped weights as good as their card says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import evalkit.sandbox
from evalkit.errors import WeightsError
from evalkit.features.loading import load_extractor
from evalkit.features.profiles import resolve_spec
from evalkit.features.unet import logits, new_unet, read_widths
from evalkit.registry import METRICS, load
from evalkit.sandbox.training.loop import Budget
from evalkit.sandbox.training.masks import MaskPlan, MaskSet, render_masks, scene_of
from evalkit.sandbox.training.segmenter import HELD_OUT_MASKS, TRAIN_MASKS, measure, train_from_world
from evalkit.sandbox.world import WORLD_VERSION, render, split_of

WEIGHTS = Path(evalkit.sandbox.__file__).parent / "weights" / "segmenter"
TINY = MaskPlan(subjects=10, empty=3, split="train", seed=5)


@pytest.fixture(scope="module")
def card() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((WEIGHTS / "card.yaml").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> MaskSet:
    return render_masks(tmp_path_factory.mktemp("masks") / "tiny", TINY)


def test_pictures_come_with_their_masks(tiny: MaskSet) -> None:
    assert tiny.images.shape == (13, 96, 96, 3)
    drawn = render(scene_of(TINY, 4))
    np.testing.assert_array_equal(tiny.images[4], drawn.image)
    np.testing.assert_array_equal(tiny.masks[4], drawn.mask)
    assert tiny.masks[:10].any((1, 2)).all()
    assert not tiny.masks[10:].any()
    assert tiny.images[10:].std() > 1


@pytest.mark.parametrize("plan", [TRAIN_MASKS, HELD_OUT_MASKS])
def test_every_subject_is_of_the_split(plan: MaskPlan) -> None:
    assert {split_of(scene_of(plan, number).identities[0]) for number in range(60)} == {plan.split}


def test_a_network_gives_a_number_a_pixel_whatever_is_beside_the_picture() -> None:
    import torch

    torch.manual_seed(0)
    network, pictures = new_unet((8, 16, 24)), torch.randn(3, 3, 32, 32)
    with torch.inference_mode():
        together = logits(network, pictures)
        assert together.shape == (3, 32, 32)
        torch.testing.assert_close(together[1], logits(network, pictures[1:2])[0], rtol=0, atol=1e-5)


def test_training_learns_and_is_repeatable(tmp_path: Path) -> None:
    small = replace(TINY, subjects=24, empty=2)
    cards = [
        train_from_world(
            tmp_path / name, seed=3, work=tmp_path / "work", budget=Budget(steps=12), train=small, held_out=TINY
        )
        for name in ("one", "two")
    ]
    assert cards[0]["stages"][0]["last_loss"] < cards[0]["stages"][0]["first_loss"]
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two
    assert cards[0]["held_out"] == cards[1]["held_out"]


def test_the_shipped_weights_are_small_and_of_this_world(card: dict[str, Any]) -> None:
    assert card["world_version"] == WORLD_VERSION
    assert card["held_out_set"]["split"] == "bench"
    files = [path for path in WEIGHTS.iterdir() if path.name != "card.yaml"]
    assert card["bytes"] == sum(path.stat().st_size for path in files) <= 2**20


def test_the_shipped_weights_are_as_good_as_their_card_says(card: dict[str, Any], tmp_path: Path) -> None:
    part = replace(HELD_OUT_MASKS, subjects=60, empty=10)
    found = measure(WEIGHTS, render_masks(tmp_path / "part", part))
    assert found["iou"] == pytest.approx(card["held_out"]["iou"], abs=0.05)
    assert found["iou"] > 0.75 > found["iou_of_the_middle_square"] + 0.2


def test_in_the_sandbox_it_stands_for_grounded_sam() -> None:
    spec = resolve_spec(load(METRICS, "si_iou").card.variant("grounded_sam").extractor, "sandbox")
    assert (spec.family, spec.model, spec.preprocess, spec.text) == (
        "segmenter", "sandbox:segmenter", "dino_squash", None,
    )  # fmt: skip
    backbone = load_extractor(spec, device="cpu")
    drawn = render(scene_of(HELD_OUT_MASKS, 0))
    batch = np.stack([backbone.prepare(drawn.image)] * 2)
    mask = backbone.encode_prompted(batch, ["cat", "teapot"])["mask"]
    assert backbone.text_problem("cat " * 1000) is None
    np.testing.assert_array_equal(mask, backbone.encode_images(batch)["mask"])
    np.testing.assert_array_equal(mask[0], mask[1])
    found = mask[0] > 0.5
    assert (found & drawn.mask).sum() / (found | drawn.mask).sum() > 0.6


@pytest.mark.parametrize("widths", [None, [8], [8, 12], [8, "16"], "8"])
def test_a_configuration_without_widths_is_refused(widths: Any) -> None:
    with pytest.raises(
        WeightsError, match=r"^here: wanted widths, two or more multiples of 8, found .*; get the file again$"
    ):
        read_widths(json.loads(json.dumps({"widths": widths})), where="here")
