"""The backbones of the metrics of preference: their files, what they refuse, and what a picture and a text are to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from evalkit.errors import UsageError, WeightsError
from evalkit.features.linear_head import linear_head
from evalkit.features.loading import describe_extractor, load_extractor
from evalkit.features.model_input import CLIP_224
from evalkit.features.preprocess import PREPROCESSES, preprocess
from evalkit.features.profiles import resolve_spec
from evalkit.features.weights import find_weights
from evalkit.registry import METRICS, load
from tests import tiny_rewards, tiny_weights
from tests.golden.reward_references import OPENAI, fitted

if TYPE_CHECKING:
    from evalkit.features.extractor import Extractor
    from evalkit.features.spec import ExtractorSpec

BLACK = -np.array(CLIP_224.mean, np.float32) / np.array(CLIP_224.std, np.float32)
FIRST, SECOND = "a photo of a blue teapot", "grey stone at night"


def spec_of(metric: str, **changes: Any) -> ExtractorSpec:
    return load(METRICS, metric).card.variant(None).extractor.model_copy(update=changes)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rewards")
    tiny_rewards.write_image_reward(folder / "THUDM--ImageReward")
    tiny_rewards.write_vocabulary(folder / "google-bert--bert-base-uncased")
    tiny_rewards.write_hps(folder / "ViT-H-14--hps_v2.1", version="v2.1")
    tiny_weights.write_published_clip(folder / "openai--clip-vit-large-patch14", patch=14)
    tiny_rewards.write_aesthetic(folder / "aesthetic--sac_logos_ava1")
    return folder


@pytest.fixture(autouse=True)
def _at_hand(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(root))


@pytest.fixture(scope="module")
def image_reward(root: Path) -> Extractor:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALKIT_WEIGHTS", str(root))
        return load_extractor(spec_of("image_reward"), device="cpu")


def pictures(count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(3).normal(size=(count, 3, 224, 224)).astype(np.float32)


def hps(height: int, width: int) -> tuple[np.ndarray[Any, np.dtype[np.float32]], Image.Image]:
    pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return preprocess("hps", CLIP_224, among=tuple(PREPROCESSES))(pixels), Image.fromarray(pixels)


@pytest.mark.parametrize(("height", "width"), [(300, 201), (91, 64), (512, 512), (224, 224), (33, 700)])
def test_hps_fits_a_picture_whole_into_a_black_square(height: int, width: int) -> None:
    ours, picture = hps(height, width)
    np.testing.assert_allclose(ours, OPENAI(fitted(picture)).numpy(), rtol=0, atol=1e-6)


def test_hps_pads_a_picture_whose_longest_side_is_already_that_of_the_model() -> None:
    ours, picture = hps(224, 101)
    inside = OPENAI(torch.from_numpy(np.asarray(picture).transpose(2, 0, 1) / np.float32(255))).numpy()
    np.testing.assert_allclose(ours[:, :, 61:162], inside, rtol=0, atol=1e-6)
    for column in (0, 60, 162, 223):
        np.testing.assert_allclose(ours[:, :, column], BLACK[:, None].repeat(224, 1), rtol=1e-6)


def test_hps_keeps_a_line_of_a_picture_that_is_almost_nothing_but_long() -> None:
    ours, _ = hps(10, 2000)
    shown = (np.abs(ours - BLACK[:, None, None]) > 1e-3).any((0, 2))
    assert np.flatnonzero(shown).tolist() == [111]


def test_hps_reads_the_checkpoint_of_a_training_and_cuts_a_long_text() -> None:
    extractor = load_extractor(spec_of("hps"), device="cpu")
    assert extractor.signature_parts()["pre"] == "hps_224"
    assert extractor.signature_parts()["text"] == "openai_truncate_77"
    assert extractor.text_problem("a red dog " * 100) is None
    assert extractor.encode_texts([FIRST])["embedding"].shape == (1, 24)


def test_hps_refuses_the_preprocessing_of_clip() -> None:
    with pytest.raises(UsageError, match=r"^wanted a preprocessing for this family \(hps\), found 'clip_hf'$"):
        describe_extractor(spec_of("hps", preprocess="clip_hf"))


@pytest.mark.parametrize("metric", ["hps", "aesthetic", "image_reward"])
def test_nothing_embedded_stands_in_for_it(metric: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of(metric)
    assert resolve_spec(spec, "sandbox") == spec
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(WeightsError, match=f"^wanted the weights of '{spec.model}'"):
        find_weights(spec.model)


@pytest.mark.parametrize(
    ("metric", "command"),
    [
        ("hps", "`hf download xswu/HPSv2 HPS_v2.1_compressed.pt`"),
        ("aesthetic", "`hf download BestWishYsh/OpenS2V-Weight aesthetic-model.pth`"),
        ("image_reward", "`hf download THUDM/ImageReward ImageReward.pt med_config.json`"),
    ],
)
def test_the_mending_command_gets_what_is_needed_of_a_large_repository(metric: str, command: str) -> None:
    from evalkit.features.weights import how_to_get

    assert command in how_to_get(spec_of(metric).model)


def test_the_aesthetic_rating_does_not_depend_on_what_is_beside_it() -> None:
    extractor = load_extractor(spec_of("aesthetic"), device="cpu")
    shown = pictures(3)
    together = extractor.encode_images(shown)["rating"]
    assert together.shape == (3,)
    assert extractor.encode_images(shown[::-1].copy())["rating"].tolist() == together[::-1].tolist()
    assert len(set(together.tolist())) == 3


def test_the_aesthetic_head_needs_its_clip(root: Path) -> None:
    with pytest.raises(WeightsError, match=r"^wanted the aesthetic head and the CLIP .*aesthetic-model\.pth alone; "):
        describe_extractor(spec_of("aesthetic", model=str(root / "aesthetic--sac_logos_ava1")))


def test_a_head_of_another_width_is_refused(root: Path) -> None:
    with pytest.raises(WeightsError, match=r"layers\.0\.weight of shape \[1024, 24\] instead of \[1024, 768\]"):
        linear_head(768, tiny_rewards.head_state(24), where=root)


def test_image_reward_reads_each_picture_with_its_own_text(image_reward: Extractor) -> None:
    shown = pictures(2)
    four = image_reward.encode_prompted(shown[[0, 0, 1, 1]], [FIRST, SECOND, FIRST, SECOND])["reward"]
    back = image_reward.encode_prompted(shown[[1, 1, 0, 0]], [SECOND, FIRST, SECOND, FIRST])["reward"]
    assert four.shape == (4,)
    assert back.tolist() == four[::-1].tolist()
    assert len(set(four.tolist())) == 4


def test_image_reward_reads_thirty_five_tokens(image_reward: Extractor) -> None:
    shown, seen = pictures(1), "blue " * 33
    one, longer, other = (
        image_reward.encode_prompted(shown, [text])["reward"].item() for text in (seen, seen + "dog", "dog " + seen)
    )
    assert one == longer != other
    assert image_reward.text_problem(seen * 3) is None


def test_image_reward_knows_the_tokens_that_blip_adds(image_reward: Extractor) -> None:
    shown = pictures(1)
    spelt, unknown = (image_reward.encode_prompted(shown, [text])["reward"].item() for text in ("[ENC]", "[zzz]"))
    assert spelt != unknown


def test_image_reward_refuses_pictures_and_texts_alone(image_reward: Extractor) -> None:
    with pytest.raises(UsageError, match=r"^wanted features of single pictures, found 'image_reward', which reads "):
        image_reward.encode_images(pictures(1))
    with pytest.raises(UsageError, match=r"^wanted features of texts, found 'image_reward', which reads "):
        image_reward.encode_texts([FIRST])
    deaf = load_extractor(spec_of("image_reward", text=None), device="cpu")
    with pytest.raises(UsageError, match="without a text preprocessing$"):
        deaf.encode_prompted(pictures(1), [FIRST])


def test_image_reward_refuses_a_text_preprocessing_of_clip() -> None:
    with pytest.raises(
        UsageError, match=r"^wanted a text preprocessing for 'image_reward' \(hf_truncate\), found 'hf_"
    ):
        describe_extractor(spec_of("image_reward", text="hf_pad"))


def test_other_families_refuse_a_picture_with_a_text() -> None:
    with pytest.raises(UsageError, match=r"^wanted features of a picture with a text, found 'hps', which reads one "):
        load_extractor(spec_of("hps"), device="cpu").encode_prompted(pictures(1), [FIRST])


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ({"vocab_size": 9}, "word_embeddings.weight of shape"),
        ({"num_hidden_layers": 3}, "no encoder.layer.2"),
    ],
)
def test_a_configuration_of_another_text_encoder_is_refused(
    broken: dict[str, int], told: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in root.iterdir():
        (tmp_path / folder.name).mkdir()
        for file in folder.iterdir():
            (tmp_path / folder.name / file.name).symlink_to(file)
    config = tmp_path / "THUDM--ImageReward" / "med_config.json"
    data = json.loads(config.read_text(encoding="utf-8")) | broken
    config.unlink()
    config.write_text(json.dumps(data), encoding="utf-8")
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match=f"wanted the weights of BlipTextModel, found .*{told}"):
        load_extractor(spec_of("image_reward"), device="cpu")


def test_a_file_without_blip_is_refused(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_rewards.write_vocabulary(tmp_path / "google-bert--bert-base-uncased")
    folder = tiny_rewards.write_image_reward(tmp_path / "THUDM--ImageReward")
    torch.save(tiny_rewards.head_state(24), folder / "ImageReward.pt")
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match=r"ImageReward\.pt: wanted the picture's encoder of BLIP, found KeyError "):
        load_extractor(spec_of("image_reward"), device="cpu")
