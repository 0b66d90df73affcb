"""Preprocessings against the official processors, tensor for tensor."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from evalkit.errors import UsageError, WeightsError
from evalkit.features.model_input import CLIP_224, IMAGENET_224, ModelInput, read_input
from evalkit.features.preprocess import PREPROCESSES, preprocess

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SIZES = [
    (224, 224),
    (225, 224),
    (227, 301),
    (640, 427),
    (427, 640),
    (333, 997),
    (97, 41),
    (7, 5),
    (1, 9),
    (9, 1),
    (1, 1),
    (223, 226),
    (512, 512),
    (514, 520),
    (1023, 767),
]
SIDES = [224, 96, 65, 32]


def picture(height: int, width: int) -> NDArray[Any]:
    """Colours that differ at every pixel, with edges and noise by a formula."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    noise = np.sin(y * 12.9898 + x * 78.233 + c * 37.719) * 43758.5453
    waves = np.sin(x / 7 + c) * np.cos(y / 5) * 60 + 128
    return np.asarray((waves + (noise - np.floor(noise)) * 60).clip(0, 255), dtype=np.uint8)


def numbers(side: int, *, imagenet: bool = False) -> ModelInput:
    base = IMAGENET_224 if imagenet else CLIP_224
    return ModelInput(side, None, base.mean, base.std)


def run(name: str, pixels: NDArray[Any], given: ModelInput) -> NDArray[Any]:
    return preprocess(name, given, among=tuple(PREPROCESSES))(pixels)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("size", SIZES)
def test_clip_hf_is_transformers_pil_processor(size: tuple[int, int], side: int) -> None:
    from transformers import CLIPImageProcessorPil

    pixels = picture(*size)
    official = CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    expected = official(Image.fromarray(pixels), return_tensors="np")["pixel_values"][0]
    np.testing.assert_array_equal(run("clip_hf", pixels, numbers(side)), expected)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("size", SIZES)
def test_clip_openai_is_the_transform_of_open_clip(size: tuple[int, int], side: int) -> None:
    from open_clip.transform import image_transform

    pixels = picture(*size)
    official = image_transform(side, is_train=False)
    np.testing.assert_array_equal(run("clip_openai", pixels, numbers(side)), official(Image.fromarray(pixels)).numpy())


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("size", SIZES)
def test_dino_torchvision_is_the_torchvision_chain(size: tuple[int, int], side: int) -> None:
    from torchvision import transforms as t

    pixels = picture(*size)
    chain = t.Compose(
        [
            t.Resize(round(256 * side / 224), interpolation=t.InterpolationMode.BICUBIC),
            t.CenterCrop(side),
            t.ToTensor(),
            t.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    got = run("dino_torchvision", pixels, numbers(side, imagenet=True))
    np.testing.assert_array_equal(got, chain(Image.fromarray(pixels)).numpy())


@pytest.mark.parametrize(("side", "shortest"), [(224, 256), (224, None), (32, 37), (65, 70)])
@pytest.mark.parametrize("size", SIZES)
def test_dinov2_hf_is_transformers_pil_processor(size: tuple[int, int], side: int, shortest: int | None) -> None:
    from transformers import BitImageProcessorPil

    pixels, given = picture(*size), numbers(side, imagenet=True)
    official = BitImageProcessorPil(
        size={"shortest_edge": shortest or 256},
        crop_size={"height": side, "width": side},
        image_mean=list(given.mean),
        image_std=list(given.std),
    )
    expected = official(Image.fromarray(pixels), return_tensors="np")["pixel_values"][0]
    got = run("dinov2_hf", pixels, ModelInput(side, shortest, given.mean, given.std))
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("side", [224, 96])
@pytest.mark.parametrize("size", SIZES)
def test_clip_unictokens_is_the_washed_out_chain(size: tuple[int, int], side: int) -> None:
    from torchvision import transforms as t

    pixels, first = picture(*size), round(512 / 224 * side)
    bicubic = t.InterpolationMode.BICUBIC
    chain = t.Compose(
        [
            t.Resize(first, interpolation=bicubic),
            t.CenterCrop(first),
            t.ToTensor(),
            t.Normalize([-1.0] * 3, [2.0] * 3),
            t.Resize(side, interpolation=bicubic),
            t.CenterCrop(side),
            t.Normalize(CLIP_224.mean, CLIP_224.std),
        ]
    )
    expected = chain(Image.fromarray(pixels)).numpy()
    np.testing.assert_array_equal(run("clip_unictokens", pixels, numbers(side)), expected)


def test_unictokens_pictures_are_brighter_than_they_should_be() -> None:
    pixels, given = picture(300, 400), numbers(224)
    raised = run("clip_unictokens", pixels, given).mean() - run("clip_openai", pixels, given).mean()
    assert raised > 0.5


@pytest.mark.parametrize("side", [224, 32])
@pytest.mark.parametrize("size", [s for s in SIZES if min(s) > 1])
def test_clip_divrl_reward_resizes_the_tensor(size: tuple[int, int], side: int) -> None:
    from torchvision import transforms as t

    pixels = picture(*size)
    chain = t.Compose([t.ToTensor(), t.Resize(side), t.CenterCrop(side), t.Normalize(CLIP_224.mean, CLIP_224.std)])
    expected = chain(Image.fromarray(pixels)).numpy()
    np.testing.assert_array_equal(run("clip_divrl_reward", pixels, numbers(side)), expected)


@pytest.mark.parametrize("size", SIZES)
def test_dreamsim_is_the_packages_transform(size: tuple[int, int]) -> None:
    from torchvision import transforms as t

    pixels = picture(*size)
    chain = t.Compose([t.Resize((224, 224), interpolation=t.InterpolationMode.BICUBIC), t.ToTensor()])
    got = run("dreamsim", pixels, numbers(224, imagenet=True))
    np.testing.assert_array_equal(got, chain(Image.fromarray(pixels)).numpy())


@pytest.mark.parametrize("side", [768, 96])
@pytest.mark.parametrize("size", SIZES)
def test_mtg_is_the_sources_transform(size: tuple[int, int], side: int) -> None:
    from torchvision import transforms as t

    pixels = picture(*size)
    chain = t.Compose([t.Resize((side, side)), t.ToTensor()])
    got = run("mtg", pixels, numbers(side))
    np.testing.assert_array_equal(got, (chain(Image.fromarray(pixels)) * 2 - 1).numpy())


@pytest.mark.parametrize("side", [224, 96])
@pytest.mark.parametrize("size", SIZES)
def test_dino_squash_is_torchvisions_resize_to_a_square(size: tuple[int, int], side: int) -> None:
    from torchvision import transforms as t

    pixels, given = picture(*size), numbers(side, imagenet=True)
    resize = t.Resize((side, side), interpolation=t.InterpolationMode.BICUBIC)
    chain = t.Compose([resize, t.ToTensor(), t.Normalize(given.mean, given.std)])
    np.testing.assert_array_equal(run("dino_squash", pixels, given), chain(Image.fromarray(pixels)).numpy())


@pytest.mark.parametrize("side", [256, 512])
@pytest.mark.parametrize("size", SIZES)
def test_lpips_is_squashed_into_the_packages_range(size: tuple[int, int], side: int) -> None:
    import lpips

    pixels = picture(*size)
    squashed = np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC))
    got = run(f"lpips_{side}", pixels, IMAGENET_224)
    np.testing.assert_array_equal(got, lpips.im2tensor(squashed)[0].numpy())
    assert got.min() >= -1.0
    assert got.max() <= 1.0


def test_crops_differ_exactly_where_the_rounding_does() -> None:
    """A remainder of 3 is halved to 1 by transformers and to 2 by torchvision; a remainder of 4 to 2 by both."""
    three, four, given = picture(224, 227), picture(224, 228), numbers(224)
    assert not np.array_equal(run("clip_hf", three, given), run("clip_openai", three, given))
    np.testing.assert_array_equal(run("clip_hf", four, given), run("clip_openai", four, given))


WHOLE = ("mtcnn_160_32", "scrfd_320", "grounded_sam_256", "yolo_world_640", "yolo_world_640_bgr")
"""Preprocessings that keep the picture's size: what is found in it is cut out later."""


NEARLY = {"qwen_vl_28": (3, 56, 56), "gme_28": (3, 448, 448)}
"""Preprocessings that give nearly the picture's own size within limits, and what they make of 50 x 70."""


def test_faces_are_looked_for_in_the_picture_as_it_is() -> None:
    pixels = picture(50, 70)
    np.testing.assert_array_equal(run("mtcnn_160_32", pixels, numbers(64)), pixels.transpose(2, 0, 1))


@pytest.mark.parametrize("size", [(50, 70), (256, 90), (300, 1024)])
def test_a_given_mask_is_bounded(size: tuple[int, int]) -> None:
    drawn = np.zeros(size, bool)
    drawn[size[0] // 4 : size[0] // 2, size[1] // 8 : size[1] // 2] = True
    pixels = np.where(drawn[..., None], (200, 120, 130), (127, 127, 127)).astype(np.uint8)  # luma 145 and 127
    out = run("given_mask_256", pixels, numbers(64))
    height, width = (min(side, 256) for side in size)
    assert out.shape == (1, height, width)
    resized = np.asarray(Image.fromarray(drawn).convert("L").resize((width, height), Image.Resampling.BILINEAR))
    assert (out[0] != (resized > 127)).mean() < 2e-3
    assert set(np.unique(out)) == {0.0, 1.0}


@pytest.mark.parametrize("name", sorted(set(PREPROCESSES) - {"given_mask_256"}))
def test_output_is_what_the_contract_says(name: str) -> None:
    pixels = picture(50, 70)
    before, given = pixels.copy(), numbers(64)
    steps = preprocess(name, given, among=tuple(PREPROCESSES))
    out = steps(pixels)
    assert out.dtype == np.float32
    assert out.shape == ((3, 50, 70) if name in WHOLE else NEARLY.get(name, (3, steps.size, steps.size)))
    np.testing.assert_array_equal(pixels, before)
    np.testing.assert_array_equal(out, steps(pixels))


@pytest.mark.parametrize("name", sorted(PREPROCESSES))
@pytest.mark.parametrize("size", [(3000, 1), (4, 804)])
def test_a_strip_is_refused_before_anything_is_made_of_it(name: str, size: tuple[int, int]) -> None:
    pixels, steps = np.zeros((*size, 3), np.uint8), preprocess(name, numbers(224), among=tuple(PREPROCESSES))
    told = rf"^wanted a picture at most 200 times as long as wide, found {size[0]} x {size[1]} \(height x width\)"
    tracemalloc.start()
    try:
        with pytest.raises(UsageError, match=told):
            steps(pixels)
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("shortest", [224, 256])
@pytest.mark.parametrize("size", [*SIZES, (5000, 37), (30, 6000), (4099, 4098)])
def test_clip_pad_in_bands_is_the_resize_of_the_whole_square(size: tuple[int, int], shortest: int) -> None:
    side, pixels = max(size), np.random.default_rng(size[0]).integers(0, 256, (*size, 3), np.uint8)
    square = np.empty((side, side, 3), np.uint8)
    square[:] = [int(value * 255) for value in CLIP_224.mean]
    top, left = ((side - length) // 2 for length in size)
    square[top : top + size[0], left : left + size[1]] = pixels
    small = np.asarray(Image.fromarray(square).resize((shortest, shortest), Image.Resampling.BICUBIC))
    cut = (shortest - 224) // 2
    inner = small[cut : cut + 224, cut : cut + 224].transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    mean, std = (np.array(v, np.float32)[:, None, None] for v in (CLIP_224.mean, CLIP_224.std))
    got = run("clip_pad", pixels, ModelInput(224, shortest, CLIP_224.mean, CLIP_224.std))
    np.testing.assert_array_equal(got, (inner - mean) / std)


def test_clip_pad_does_not_hold_the_square_of_a_strip() -> None:
    """20000 x 100 has 2 million pixels, its square 400 million."""
    pixels = np.zeros((20000, 100, 3), np.uint8)
    tracemalloc.start()
    try:
        run("clip_pad", pixels, numbers(224))
        assert tracemalloc.get_traced_memory()[1] < 200e6
    finally:
        tracemalloc.stop()


def test_key_tells_apart_what_gives_other_tensors() -> None:
    names = tuple(PREPROCESSES)
    keys = [preprocess(name, numbers(64), among=names).key for name in names]
    assert len(set(keys)) == len(keys)
    key = preprocess("clip_hf", numbers(64), among=names).key
    assert key.startswith("clip_hf_64-")
    assert preprocess("lpips_256", numbers(64), among=names).id == "lpips_256"
    assert key == preprocess("clip_hf", numbers(64), among=names).key
    for other in (numbers(65), numbers(64, imagenet=True), ModelInput(64, 70, CLIP_224.mean, CLIP_224.std)):
        assert preprocess("clip_hf", other, among=names).key != key


def test_one_dreamsim_key_whatever_the_model_normalises_by() -> None:
    clip, imagenet = (preprocess("dreamsim", n, among=("dreamsim",)) for n in (numbers(64), numbers(64, imagenet=True)))
    assert clip.key == imagenet.key


def test_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        UsageError, match=r"^wanted a preprocessing for this family \(clip_hf, clip_openai\), found 'dreamsim'$"
    ):
        preprocess("dreamsim", CLIP_224, among=("clip_hf", "clip_openai"))


class TestReadInput:
    def test_published_files_of_every_age(self, tmp_path: Path) -> None:
        old, new = (
            {"size": 224, "crop_size": 224},
            {"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}},
        )
        vit = {"size": 224, "image_mean": [0.5] * 3}
        assert read(tmp_path, old) == (224, 224)
        assert read(tmp_path, new) == (224, 256)
        assert read(tmp_path, vit) == (224, None)
        assert read_input(tmp_path, CLIP_224).mean == (0.5, 0.5, 0.5)

    def test_processor_inside_a_processors_file(self, tmp_path: Path) -> None:
        inner = {"size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}}
        write(tmp_path / "processor_config.json", {"image_processor": inner})
        assert read_input(tmp_path, CLIP_224).size == 64

    def test_side_of_the_configuration_where_there_is_no_processor(self, tmp_path: Path) -> None:
        write(tmp_path / "config.json", {"vision_config": {"image_size": 48}})
        assert read_input(tmp_path, CLIP_224) == ModelInput(48, None, CLIP_224.mean, CLIP_224.std)
        assert read_input(tmp_path / "none", IMAGENET_224) == IMAGENET_224

    def test_open_clip(self, tmp_path: Path) -> None:
        told = {
            "model_cfg": {"vision_cfg": {"image_size": 40}},
            "preprocess_cfg": {"mean": [0, 0, 0], "std": [1, 1, 1]},
        }
        write(tmp_path / "open_clip_config.json", told)
        assert read_input(tmp_path, CLIP_224) == ModelInput(40, None, (0, 0, 0), (1, 1, 1))

    def test_a_crop_larger_than_the_resize_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsError, match=r"wanted a resize to at least the crop of 64, found 32; mend its file$"):
            read(tmp_path, {"size": {"shortest_edge": 32}, "crop_size": 64})

    def test_damaged_file_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "preprocessor_config.json").write_text("{", encoding="utf-8")
        with pytest.raises(WeightsError, match=r"preprocessor_config\.json: wanted JSON, found text that is none"):
            read_input(tmp_path, CLIP_224)


def write(path: Path, data: Any) -> None:
    import json

    path.write_text(json.dumps(data), encoding="utf-8")


def read(folder: Path, processor: Any) -> tuple[int, int | None]:
    write(folder / "preprocessor_config.json", processor)
    found = read_input(folder, CLIP_224)
    return found.size, found.shortest
