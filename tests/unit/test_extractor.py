"""What every first-party backbone keeps of the contract, and how wrong weights and wrong specs are refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from evalkit import registry
from evalkit.errors import PluginError, UsageError, WeightsError
from evalkit.features import clip, dino, dreamsim, lora, lpips, open_clip
from evalkit.features.extractor import Extractor
from evalkit.features.loading import describe_extractor, load_extractor
from evalkit.features.spec import ExtractorSpec
from evalkit.features.text import TextPreprocess, TextReader
from evalkit.features.weights import NO_WEIGHTS, find_weights
from tests import tiny_weights

FAMILIES = {"clip": clip, "open_clip": open_clip, "dino": dino, "dreamsim": dreamsim, "lpips": lpips}
SPECS = {
    "clip": {"model": "openai/clip-vit-base-patch32", "preprocess": "clip_hf", "text": "hf_pad"},
    "open_clip": {"model": "ViT-B-32-quickgelu/openai", "preprocess": "clip_openai", "text": "openai_tokenize"},
    "dino": {"model": "facebook/dinov2-small", "preprocess": "dinov2_hf"},
    "dreamsim": {"model": "dreamsim/dino_vitb16", "preprocess": "dreamsim"},
    "lpips": {"model": "lpips/squeeze", "preprocess": "lpips_256"},
}
NO_TORCH = """
import sys
from evalkit.features.spec import ExtractorSpec
from evalkit.features.loading import describe_extractor
described = describe_extractor(ExtractorSpec.model_validate_json(sys.argv[1]))
heavy = {"torch", "transformers", "open_clip", "torchvision", "lpips", "dreamsim"} & set(sys.modules)
print(described.digest, *sorted(heavy))
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("weights")
    tiny_weights.write_clip(root / "openai--clip-vit-base-patch32")
    tiny_weights.write_open_clip(root / "ViT-B-32-quickgelu--openai")
    tiny_weights.write_dinov2(root / "facebook--dinov2-small")
    tiny_weights.write_dreamsim(root / "dreamsim--dino_vitb16", "dino_vitb16")
    tiny_weights.write_trunk(root / "lpips--squeeze", "squeezenet1_1-b8a52dc0.pth", "squeezenet1_1")
    return root


@pytest.fixture(autouse=True)
def _at_hand(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(written))


def spec_of(family: str, **changes: Any) -> ExtractorSpec:
    return ExtractorSpec.model_validate({"family": family, **SPECS[family], **changes})


def load(spec: ExtractorSpec) -> Any:
    return FAMILIES[spec.family].load(spec, find_weights(spec.model), device="cpu")


def describe(spec: ExtractorSpec) -> Any:
    return FAMILIES[spec.family].describe(spec, find_weights(spec.model))


@pytest.mark.parametrize("family", FAMILIES)
def test_keeps_the_contract(family: str) -> None:
    spec = spec_of(family)
    extractor, described = load(spec), describe(spec)
    assert isinstance(extractor, Extractor)
    assert extractor.spec == spec
    assert extractor.forward_batch == 8
    assert extractor.fingerprint == described.digest
    assert extractor.preprocess_key == described.preprocess.key
    parts = dict(extractor.signature_parts())
    assert list(parts) == ["backbone", "weights", "pre", *(["text"] if spec.text else []), "dtype"]
    assert parts["backbone"] == spec.model
    assert parts["weights"] == find_weights(spec.model).sha256[:12]
    prepared = extractor.prepare(np.full((40, 50, 3), 90, np.uint8))
    assert prepared.dtype == np.float32
    assert prepared.shape == (3, described.preprocess.size, described.preprocess.size)


@pytest.mark.parametrize("family", FAMILIES)
def test_fingerprint_needs_neither_torch_nor_the_model(family: str) -> None:
    spec = spec_of(family)
    done = subprocess.run([sys.executable, "-c", NO_TORCH, spec.to_json()], capture_output=True, text=True, check=False)
    assert done.stdout.split() == [describe(spec).digest], done.stderr


@pytest.mark.parametrize("family", FAMILIES)
def test_what_can_change_a_feature_changes_the_fingerprint(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of(family)
    other_steps = {"clip": "clip_openai", "open_clip": "clip_hf", "dino": "dino_torchvision", "lpips": "lpips_512"}
    specs = [spec, spec_of(family, dtype="bfloat16")]
    specs += [spec_of(family, preprocess=other_steps[family])] if family in other_steps else []
    specs += [spec_of(family, text=text) for text in ("hf_truncate", None)] if spec.text else []
    digests = [describe(s).digest for s in specs]
    monkeypatch.setattr(FAMILIES[family], "CODE_VERSION", 99)
    digests.append(describe(spec).digest)
    assert len(set(digests)) == len(digests)


def test_weights_and_configuration_change_the_fingerprint_and_the_folders_name_does_not(
    written: Path, tmp_path: Path
) -> None:
    digest = describe(spec_of("dino")).digest
    folder = shutil.copytree(written / "facebook--dinov2-small", tmp_path / "copy")
    spec = spec_of("dino", model=str(folder))
    assert describe(spec).digest == digest
    assert dict(describe(spec).parts)["backbone"] == "local/copy"
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"hidden_act": "relu"}), encoding="utf-8")
    assert describe(spec).digest != digest


@pytest.mark.parametrize("family", FAMILIES)
def test_unknown_preprocessing_is_refused(family: str) -> None:
    with pytest.raises(UsageError, match=r"^wanted a preprocessing for this family \(.*\), found 'squash'$"):
        describe(spec_of(family, preprocess="squash"))


@pytest.mark.parametrize("family", ["dino", "dreamsim", "lpips"])
def test_families_without_text_say_so(family: str) -> None:
    with pytest.raises(
        UsageError, match=rf"^wanted no text preprocessing for '{family}', which reads no text, found 'hf_pad'$"
    ):
        describe(spec_of(family, text="hf_pad"))
    extractor, told = (
        load(spec_of(family)),
        rf"^wanted features of a text, found the extractor {family}:.* without a text",
    )
    assert extractor.text_problem("a dog").startswith("wanted features of a text, found the extractor")
    with pytest.raises(UsageError, match=told):
        extractor.encode_texts(["a dog"])


def test_pairs_and_single_pictures_are_not_mixed_up() -> None:
    one = np.zeros((1, 3, 32, 32), np.float32)
    with pytest.raises(UsageError, match=r"^wanted features of single pictures, found 'lpips', which measures pairs$"):
        load(spec_of("lpips")).encode_images(one)
    with pytest.raises(UsageError, match=r"^wanted a distance of pairs, found 'dino', which reads single pictures$"):
        load(spec_of("dino")).encode_pairs(one, one)


class TestText:
    @pytest.mark.parametrize("family", ["clip", "open_clip"])
    def test_too_long_without_truncation(self, family: str) -> None:
        length = 16 if family == "clip" else 77
        for name in ("hf_pad", "openai_tokenize"):
            extractor = load(spec_of(family, text=name))
            assert extractor.text_problem("dog " * (length - 2)) is None
            problem = f"wanted a text of at most {length} tokens, found {length + 1}; '{name}' does not truncate"
            assert extractor.text_problem("dog " * (length - 1)) == problem
            with pytest.raises(UsageError, match=f"^{problem}: 'dog dog "):
                extractor.encode_texts(["dog " * (length - 1)])

    def test_unknown_name(self) -> None:
        with pytest.raises(
            UsageError,
            match=r"^wanted a text preprocessing \(hf_pad, hf_truncate, openai_tokenize, openai_truncate\), found 'cut'$",
        ):
            TextPreprocess("cut", 77)

    @pytest.mark.parametrize(
        ("name", "row"),
        [
            ("hf_pad", [8, 5, 9, 1, 1]),
            ("hf_truncate", [8, 5, 9, 1, 1]),
            ("openai_tokenize", [8, 5, 9, 0, 0]),
            ("openai_truncate", [8, 5, 9, 0, 0]),
        ],
    )
    def test_padding(self, name: str, row: list[int]) -> None:
        ids, mask = TextReader(TextPreprocess(name, 5), lambda text: [8, *map(int, text.split()), 9], 1).batch(
            ["5", "6 7"]
        )
        assert ids.tolist() == [row, [8, 6, 7, 9, row[-1]]]
        assert mask.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 0]]

    def test_truncation_keeps_the_end_token(self) -> None:
        reader = TextReader(TextPreprocess("hf_truncate", 4), lambda text: [8, *map(int, text.split()), 9], 1)
        assert reader.batch(["1 2 3 4"])[0].tolist() == [[8, 1, 2, 9]]


class TestWrongWeights:
    def altered(self, written: Path, tmp_path: Path, folder: Any, change: Any) -> str:
        from safetensors.torch import load_file, save_file

        copy = shutil.copytree(written / folder, tmp_path / "copy")
        file = next(copy.glob("*.safetensors"))
        state = load_file(file)
        change(state)
        save_file(state, file)
        return str(copy)

    @pytest.mark.parametrize(
        ("folder", "family", "key"),
        [
            ("openai--clip-vit-base-patch32", "clip", "visual_projection.weight"),
            ("facebook--dinov2-small", "dino", "layernorm.weight"),
            ("ViT-B-32-quickgelu--openai", "open_clip", "visual.proj"),
        ],
    )
    def test_missing_unknown_and_misshapen_weights_are_named(
        self, folder: Any, family: str, key: str, written: Path, tmp_path: Path
    ) -> None:
        import torch

        def drop(state: Any) -> None:
            del state[key]

        def add(state: Any) -> None:
            state["surplus"] = torch.zeros(1)

        def bend(state: Any) -> None:
            state[key] = torch.zeros(3, 5)

        expected = {
            drop: rf"found no {key}",
            add: "found an unknown surplus",
            bend: rf"found {key} of shape \[3, 5\] instead of \[",
        }
        for change, told in expected.items():
            model = self.altered(written, tmp_path / change.__name__, folder, change)
            with pytest.raises(
                WeightsError, match=rf"copy: wanted the weights of \w+, {told}.*; these are another model's weights$"
            ):
                load(spec_of(family, model=model))

    def test_older_index_buffers_are_no_misfit(self, written: Path, tmp_path: Path) -> None:
        import torch

        def add(state: Any) -> None:
            state["vision_model.embeddings.position_ids"] = torch.arange(17)[None]

        model = self.altered(written, tmp_path, "openai--clip-vit-base-patch32", add)
        assert load(spec_of("clip", model=model)).forward_batch == 8

    def test_dino_of_another_kind(self, written: Path) -> None:
        folder = written / "openai--clip-vit-base-patch32"
        with pytest.raises(
            WeightsError,
            match=r"wanted model_type 'vit', 'dinov2' or 'dinov2_with_registers', or DINO's own names, found 'clip'",
        ):
            load(spec_of("dino", model=str(folder)))

    def test_original_dino_with_heads_that_no_release_has(self, tmp_path: Path) -> None:
        import torch

        state = {"pos_embed": torch.zeros(1, 17, 96), "patch_embed.proj.weight": torch.zeros(96, 3, 8, 8)}
        torch.save(state | {"blocks.0.attn.qkv.weight": torch.zeros(288, 96)}, tmp_path / "dino.pth")
        with pytest.raises(
            WeightsError, match=r"wanted blocks\.0\.attn\.qkv\.weight of 288 rows in heads of 64 channels, found shape"
        ):
            load(spec_of("dino", model=str(tmp_path)))

    def test_lpips_trunk_of_another_network(self, written: Path) -> None:
        with pytest.raises(
            WeightsError,
            match=r"wanted a trunk of LPIPS \(alex, vgg, squeeze\), found features\.0\.weight of shape \[\]",
        ):
            load(spec_of("lpips", model=str(written / "facebook--dinov2-small")))

    def test_dreamsim_of_an_unknown_type(self, written: Path) -> None:
        with pytest.raises(WeightsError, match=r"wanted one of dreamsim/ensemble, .*, found '.*dinov2-small'"):
            load(spec_of("dreamsim", model=str(written / "facebook--dinov2-small")))


class TestQuickGelu:
    def test_openais_weights_with_the_other_activation_are_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path))
        tiny_weights.write_open_clip(tmp_path / "ViT-B-32--openai", quick_gelu=False)
        told = r"^wanted the architecture that 'openai' was trained with, found 'ViT-B-32', .*; use 'ViT-B-32-quickgelu/openai'$"
        with pytest.raises(WeightsError, match=told):
            load(spec_of("open_clip", model="ViT-B-32/openai"))

    def test_the_activation_changes_features_and_fingerprint(self, tmp_path: Path) -> None:
        quick, plain = (tiny_weights.write_open_clip(tmp_path / str(q), quick_gelu=q) for q in (True, False))
        first, second = (load(spec_of("open_clip", model=str(folder))) for folder in (quick, plain))
        assert find_weights(str(quick)).sha256 == find_weights(str(plain)).sha256
        assert first.fingerprint != second.fingerprint
        batch = np.ones((1, 3, 32, 32), np.float32)
        assert np.abs(first.encode_images(batch)["embedding"] - second.encode_images(batch)["embedding"]).max() > 1e-4

    def test_architecture_comes_from_the_package_where_no_file_says_it(
        self, written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path))
        for name in ("ViT-B-32-quickgelu--openai", "ViT-B-32--openai"):
            (tmp_path / name).mkdir()
            shutil.copy(written / "ViT-B-32-quickgelu--openai" / "open_clip_model.safetensors", tmp_path / name)
        quick, plain = (describe(spec_of("open_clip", model=f"ViT-B-32{q}/openai")) for q in ("-quickgelu", ""))
        assert quick.preprocess.size == 224
        assert quick.digest != plain.digest

    def test_no_architecture_of_that_name(self, written: Path, tmp_path: Path) -> None:
        shutil.copy(written / "ViT-B-32-quickgelu--openai" / "open_clip_model.safetensors", tmp_path)
        with pytest.raises(WeightsError, match=r"open_clip_config\.json or an open_clip ARCHITECTURE/TAG, found "):
            describe(spec_of("open_clip", model=str(tmp_path)))


class TestAdapter:
    def write(self, folder: Path, state: Any = None, **config: Any) -> Path:
        import torch
        from safetensors.torch import save_file

        told = {"r": 2, "lora_alpha": 4, "bias": "none"} | config
        (folder / "adapter_config.json").write_text(json.dumps(told), encoding="utf-8")
        halves = {"net.0.layer.lora_A.weight": torch.tensor([[1.0, 2.0, 3.0], [0.0, 1.0, 0.0]])}
        halves["net.0.layer.lora_B.weight"] = torch.tensor([[1.0, 0.0], [0.0, 5.0]])
        save_file(halves if state is None else state, folder / "adapter_model.safetensors")
        return folder / "adapter_model.safetensors"

    def test_change_is_alpha_over_r_times_b_a(self, tmp_path: Path) -> None:
        (changes,) = lora.read_changes(self.write(tmp_path), r"net\.(\d+)\.(.+)", 1)
        assert changes["layer.weight"].tolist() == [[2.0, 4.0, 6.0], [0.0, 10.0, 0.0]]

    def test_merge_adds_it_in_float32(self, tmp_path: Path) -> None:
        import torch

        (changes,) = lora.read_changes(self.write(tmp_path), r"net\.(\d+)\.(.+)", 1)
        state = {"layer.weight": torch.ones(2, 3, dtype=torch.float16), "layer.bias": torch.ones(2)}
        merged = lora.merged(state, changes, where=tmp_path)
        assert merged["layer.weight"].dtype == torch.float32
        assert merged["layer.weight"].tolist() == [[3.0, 5.0, 7.0], [1.0, 11.0, 1.0]]
        assert merged["layer.bias"].tolist() == [1.0, 1.0]

    @pytest.mark.parametrize(
        "odd", [{"use_dora": True}, {"use_rslora": True}, {"bias": "all"}, {"r": None}, {"fan_in_fan_out": True}]
    )
    def test_more_than_plain_is_refused(self, odd: dict[str, Any], tmp_path: Path) -> None:
        with pytest.raises(
            WeightsError,
            match=r"adapter_config\.json: wanted a plain LoRA adapter \(r, lora_alpha, bias 'none'\), found \{",
        ):
            lora.read_config(self.write(tmp_path, **odd))

    def test_what_does_not_fit_is_named(self, tmp_path: Path) -> None:
        import torch

        low, high = torch.zeros(2, 3), torch.zeros(2, 2)
        cases = {
            "an unknown net.0.layer.bias": {"net.0.layer.bias": low},
            "an unknown net.1.layer.lora_A.weight": {"net.1.layer.lora_A.weight": low},
            "for net.0.layer, found none": {"net.0.layer.lora_A.weight": low},
            "found [2, 2] and [3, 3]": {
                "net.0.layer.lora_A.weight": torch.zeros(3, 3),
                "net.0.layer.lora_B.weight": high,
            },
        }
        for told, state in cases.items():
            with pytest.raises(WeightsError) as caught:
                lora.read_changes(self.write(tmp_path, state), r"net\.(\d+)\.(.+)", 1)
            assert told in str(caught.value)
        with pytest.raises(WeightsError, match=r"wanted x of shape \[2\] for the adapter, found of shape \[3\]"):
            lora.merged({"x": torch.zeros(3)}, {"x": torch.zeros(2)}, where=tmp_path)


class TestLoading:
    def test_families_come_through_their_entry_points(self) -> None:
        spec = spec_of("dino")
        assert describe_extractor(spec) == describe(spec)
        assert load_extractor(spec, device="cpu").fingerprint == describe(spec).digest

    def test_a_family_without_describe_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(registry, "load", lambda *_: json)
        with pytest.raises(
            PluginError, match=r"^the extractor family 'dino' needs the function 'describe' in .*json.*, found none"
        ):
            describe_extractor(spec_of("dino"))

    def test_a_family_whose_description_fails_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fails(*_arguments: object) -> None:
            raise KeyError("pre")

        monkeypatch.setattr(registry, "load", lambda *_: SimpleNamespace(describe=fails, load=fails))
        told = r"^the backbone family 'dino', describing 'none', failed \(KeyError: 'pre'\); --debug before the command"
        with pytest.raises(PluginError, match=told):
            describe_extractor(spec_of("dino", model=NO_WEIGHTS))

    def test_missing_weights_are_a_weights_error(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path))
        with pytest.raises(WeightsError, match=r"^wanted the weights of 'dreamsim/dino_vitb16' \(about 345 MB"):
            load_extractor(spec_of("dreamsim"), device="cpu")
