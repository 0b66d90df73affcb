"""Mind-the-Glitch's weights: three models found together, and each that does not fit named."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from evalkit.errors import UsageError, WeightsError
from evalkit.features import weights
from evalkit.features.aggregation import read_shape
from evalkit.features.backbones import backbones
from evalkit.features.loading import describe_extractor, load_extractor
from evalkit.features.spec import ExtractorSpec
from evalkit.features.weights import can_fetch, find_weights, weights_at_hand
from tests import tiny_mtg

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MODEL = "abdo-eldesokey/mind-the-glitch"
SPEC = ExtractorSpec(family="mtg", model=MODEL, preprocess="mtg")
NO_TORCH = """
import sys
from evalkit.features.spec import ExtractorSpec
from evalkit.features.loading import describe_extractor
described = describe_extractor(ExtractorSpec.model_validate_json(sys.argv[1]))
print(described.digest, *sorted({"torch", "transformers", "diffusers"} & set(sys.modules)))
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tiny_mtg.write_mtg(tmp_path)


def alter(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(file)
    change(state)
    save_file(state, file)


class TestParts:
    def test_the_files_of_all_three_come_together(self, root: Path) -> None:
        source = find_weights(MODEL)
        assert [str(file.relative_to(root)) for file in source.files] == [
            f"{tiny_mtg.MTG}/mtg_weights.safetensors",
            f"{tiny_mtg.MTG}/experiment_cfg.yaml",
            f"{tiny_mtg.CLEANDIFT}/cleandift_sd21_full.safetensors",
            f"{tiny_mtg.DIFFUSION}/text_encoder/model.safetensors",
            f"{tiny_mtg.DIFFUSION}/text_encoder/config.json",
            f"{tiny_mtg.DIFFUSION}/unet/config.json",
            f"{tiny_mtg.DIFFUSION}/vae/config.json",
        ]
        assert (source.folder, source.label) == (root / tiny_mtg.MTG, MODEL)
        assert weights_at_hand(MODEL) is not None

    def test_a_part_that_is_missing_is_named(self, root: Path) -> None:
        (root / tiny_mtg.CLEANDIFT / "cleandift_sd21_full.safetensors").unlink()
        assert weights_at_hand(MODEL) is None
        with pytest.raises(
            WeightsError, match=r"^wanted the weights of 'CompVis/cleandift' \(about 3880 MB, licence MIT"
        ):
            find_weights(MODEL)

    def test_every_part_is_a_model_of_the_file_and_every_size_is_told(self) -> None:
        for known in backbones().values():
            assert all(part in backbones() for part in known.parts)
        assert backbones()[MODEL].terms == "size unknown, licence none stated, commercial use unclear"
        assert can_fetch(MODEL)

    def test_parts_that_are_missing_are_fetched(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fetched = []

        def fetch(model: str, *_: object) -> None:
            fetched.append(model)
            tiny_mtg.write_mtg(tmp_path / "made")
            name = model.replace("/", "--")
            (tmp_path / "made" / name).rename(tmp_path / name)

        monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path))
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(weights, "_fetch_hub", fetch)
        assert len(find_weights(MODEL, fetch=True).files) == 7
        assert fetched == [MODEL, *backbones()[MODEL].parts]


class TestWrongWeights:
    @pytest.mark.parametrize(
        ("file", "change", "told"),
        [
            (
                f"{tiny_mtg.MTG}/mtg_weights.safetensors",
                lambda state: state.pop("bottleneck_layers_visual.1.0.conv2.norm.bias"),
                "wanted the weights of AggregationNetworks, found no bottleneck_layers_visual.1.0.conv2.norm.bias; ",
            ),
            (
                f"{tiny_mtg.MTG}/mtg_weights.safetensors",
                lambda state: state.update(mixing_weights_semantic=state["mixing_weights_semantic"][:1].clone()),
                "found mixing_weights_semantic of shape [1] instead of [2]; ",
            ),
            (
                f"{tiny_mtg.CLEANDIFT}/cleandift_sd21_full.safetensors",
                lambda state: state.pop("timestep"),
                "wanted CleanDIFT, found no timestep; ",
            ),
            (
                f"{tiny_mtg.CLEANDIFT}/cleandift_sd21_full.safetensors",
                lambda state: state.pop("unet_feature_extractor_cleandift.conv_in.bias"),
                "wanted the weights of UNet2DConditionModel, found no conv_in.bias; ",
            ),
            (
                f"{tiny_mtg.CLEANDIFT}/cleandift_sd21_full.safetensors",
                lambda state: state.pop("ae.ae.quant_conv.weight"),
                "wanted the weights of AutoencoderKL, found no quant_conv.weight; ",
            ),
            (
                f"{tiny_mtg.DIFFUSION}/text_encoder/model.safetensors",
                lambda state: state.clear(),
                "wanted a state dict of tensors, found the keys []",
            ),
        ],
    )
    def test_the_first_name_that_does_not_fit_is_told(
        self, root: Path, file: str, change: Callable[[dict[str, Any]], object], told: str
    ) -> None:
        alter(root / file, change)
        with pytest.raises(WeightsError) as raised:
            load_extractor(SPEC, device="cpu")
        assert str(raised.value).startswith(f"{root / file}: ")
        assert told in str(raised.value)

    @pytest.mark.parametrize(
        ("entry", "told"),
        [
            ({"feat_type": ["us3", "us11"]}, "wanted layers of us1, us2, us3, us4, us5, us6, us7, us8, us9, us10 in "),
            ({"feat_type": 6}, "wanted names of layers in model.feat_type, found 6; get the file again"),
            ({"resnet": {}}, "wanted a whole number for model.resnet.projection_dim, found None; get the file again"),
            ({"final_feat_resolution": "${res}"}, "model.final_feat_resolution, found '${res}'; get the file again"),
        ],
    )
    def test_a_configuration_that_says_too_little(self, root: Path, entry: dict[str, Any], told: str) -> None:
        path = root / tiny_mtg.MTG / "experiment_cfg.yaml"
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        path.write_text(yaml.safe_dump(config | {"model": config["model"] | entry}), encoding="utf-8")
        with pytest.raises(WeightsError) as raised:
            load_extractor(SPEC, device="cpu")
        assert str(raised.value).startswith(f"{path}: ")
        assert told in str(raised.value)

    @pytest.mark.parametrize("text", ["a: [1", "- 1\n"])
    def test_a_configuration_that_is_none(self, root: Path, text: str) -> None:
        path = root / tiny_mtg.MTG / "experiment_cfg.yaml"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(WeightsError, match=r"experiment_cfg\.yaml: wanted .*; get the file again$"):
            load_extractor(SPEC, device="cpu")

    def test_a_diffusion_model_of_unknown_size(self, root: Path) -> None:
        (root / tiny_mtg.DIFFUSION / "unet" / "config.json").write_text("{}", encoding="utf-8")
        with pytest.raises(WeightsError, match="wanted a configuration of Stable Diffusion, found no sample_size"):
            describe_extractor(SPEC)

    def test_a_folder_cannot_hold_all_three(self, root: Path) -> None:
        folder = SPEC.model_copy(update={"model": str(root / tiny_mtg.MTG)})
        with pytest.raises(
            WeightsError, match="^wanted Mind-the-Glitch by its hub id, found .*mind-the-glitch', which"
        ):
            describe_extractor(folder)

    def test_a_layer_need_not_be_named(self) -> None:
        resnet = {"projection_dim": 8, "num_blocks": 1, "num_norm_groups": 2}
        assert read_shape({"model": {"final_feat_resolution": 4, "resnet": resnet}}, where="x").layers == ("us6",)


def test_what_is_described_needs_no_model(root: Path) -> None:
    done = subprocess.run([sys.executable, "-c", NO_TORCH, SPEC.to_json()], capture_output=True, text=True, check=False)
    assert done.stdout.split() == [describe_extractor(SPEC).digest], done.stderr


def test_what_can_change_a_feature_changes_the_fingerprint(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = [
        describe_extractor(SPEC).digest,
        describe_extractor(SPEC.model_copy(update={"dtype": "bfloat16"})).digest,
    ]
    alter(root / tiny_mtg.CLEANDIFT / "cleandift_sd21_full.safetensors", lambda state: state["timestep"].add_(1))
    digests.append(describe_extractor(SPEC).digest)
    monkeypatch.setattr("evalkit.features.mtg.CODE_VERSION", 99)
    digests.append(describe_extractor(SPEC).digest)
    assert len(set(digests)) == 4


def test_other_preprocessings_and_texts_are_refused(root: Path) -> None:
    with pytest.raises(UsageError, match=r"^wanted a preprocessing for this family \(mtg\), found 'dreamsim'$"):
        describe_extractor(SPEC.model_copy(update={"preprocess": "dreamsim"}))
    with pytest.raises(UsageError, match="^wanted no text preprocessing for 'mtg', which reads no text"):
        describe_extractor(SPEC.model_copy(update={"text": "hf_pad"}))


def test_one_row_is_the_same_whatever_is_beside_it_and_half_precision_runs(root: Path) -> None:
    import numpy as np

    pictures = [np.random.default_rng(seed).integers(0, 256, (40, 40, 3), np.uint8) for seed in range(2)]
    whole, half = (
        load_extractor(SPEC.model_copy(update={"dtype": dtype}), device="cpu") for dtype in ("float32", "bfloat16")
    )
    rows = [whole.encode_images(whole.prepare(picture)[None]) for picture in pictures]
    again = whole.encode_images(whole.prepare(pictures[0])[None])
    assert all(again[kind].tobytes() == rows[0][kind].tobytes() for kind in ("semantic", "visual"))
    rough = half.encode_images(half.prepare(pictures[0])[None])
    assert np.abs(rough["visual"] - rows[0]["visual"]).max() < 0.3
    assert rough["visual"].dtype == np.float32
