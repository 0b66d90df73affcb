"""Where weights are looked for, what is said when they are nowhere, and how files are hashed and read."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import DataError, WeightsError
from evalkit.features import weight_files
from evalkit.features import weights as weights_module
from evalkit.features.backbones import Backbone, backbones
from evalkit.features.weight_files import read_state, sha256_of
from evalkit.features.weights import find_weights, weights_at_hand

MODEL = "openai/clip-vit-base-patch32"
COMMIT, OTHER = "a" * 40, "b" * 40


@pytest.fixture(autouse=True)
def _nothing_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(weight_files, "_seen", {})


def put(folder: Path, name: str = "model.safetensors", data: bytes = b"weights") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    return folder


def cached(tmp_path: Path, model: str, commit: str = COMMIT, name: str = "model.safetensors") -> Path:
    """The hub cache's layout for one snapshot on `main`."""
    base = tmp_path / "hub" / f"models--{model.replace('/', '--')}"
    (base / "refs").mkdir(parents=True, exist_ok=True)
    (base / "refs" / "main").write_text(commit, encoding="utf-8")
    put(base / "snapshots" / commit, "config.json", b"{}")
    return put(base / "snapshots" / commit, name)


class TestFindWeights:
    def test_sandbox(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(weights_module, "_SANDBOX_FOLDER", tmp_path / "sandbox")
        put(tmp_path / "sandbox" / "clip")
        found = find_weights("sandbox:clip")
        assert (found.origin, found.folder, found.revision) == ("sandbox", tmp_path / "sandbox" / "clip", None)
        assert found.sha256 == hashlib.sha256(b"weights").hexdigest()

    def test_sandbox_dreamsim_is_made_of_dino_and_clip(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(weights_module, "_SANDBOX_FOLDER", tmp_path)
        put(tmp_path / "dino", data=b"d")
        with pytest.raises(WeightsError, match=rf"found none in {tmp_path}/clip; install evalkit again$"):
            find_weights("sandbox:dreamsim")
        put(tmp_path / "clip", data=b"c")
        found = find_weights("sandbox:dreamsim")
        assert [path.parent.name for path in found.files] == ["dino", "clip"]
        before = found.sha256
        put(tmp_path / "clip", data=b"other")
        assert find_weights("sandbox:dreamsim").sha256 != before

    @pytest.mark.parametrize("name", ["nowhere", "../clip", "/etc"])
    def test_sandbox_without_such_weights(self, name: str) -> None:
        with pytest.raises(
            WeightsError,
            match=rf"^wanted the embedded weights 'sandbox:{name}', found none in .*; install evalkit again$",
        ):
            find_weights(f"sandbox:{name}")

    def test_folder(self, tmp_path: Path) -> None:
        folder = put(tmp_path / "mine", "anything.pth")
        found = find_weights(str(folder))
        assert (found.origin, found.label, found.files) == ("folder", "local/mine", (folder / "anything.pth",))

    def test_folder_with_two_unknown_files_is_refused(self, tmp_path: Path) -> None:
        folder = put(put(tmp_path / "mine", "a.pth"), "b.pth")
        with pytest.raises(WeightsError, match=r"mine \(lacks model\.safetensors \| .*\)"):
            find_weights(str(folder))

    def test_own_folder_goes_before_the_hub_cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        cached(tmp_path, MODEL)
        monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path / "own"))
        assert find_weights(MODEL).origin == "hub cache"
        put(tmp_path / "own" / MODEL.replace("/", "--"))
        assert find_weights(MODEL).origin == "EVALKIT_WEIGHTS"

    def test_hub_cache_names_the_commit(self, tmp_path: Path) -> None:
        cached(tmp_path, MODEL)
        found = find_weights(MODEL)
        assert (found.origin, found.revision, found.label) == ("hub cache", COMMIT, MODEL)
        assert find_weights(MODEL, revision=COMMIT) == found
        with pytest.raises(WeightsError, match=rf"the hub cache \({MODEL}@{OTHER}\)"):
            find_weights(MODEL, revision=OTHER)

    def test_hub_cache_with_nothing_but_the_configuration(self, tmp_path: Path) -> None:
        cached(tmp_path, MODEL, name="README.md")
        with pytest.raises(WeightsError, match=r"\(lacks model\.safetensors \| pytorch_model\.bin\)"):
            find_weights(MODEL)

    def test_open_clip_models_have_another_name_on_the_hub(self, tmp_path: Path) -> None:
        cached(tmp_path, "timm/vit_base_patch32_clip_224.openai", name="open_clip_model.safetensors")
        found = find_weights("ViT-B-32-quickgelu/openai")
        assert found.files[0].name == "open_clip_model.safetensors"
        assert found.label == "ViT-B-32-quickgelu/openai"

    def test_torch_cache(self, tmp_path: Path) -> None:
        put(tmp_path / "torch" / "hub" / "checkpoints", "vgg16-397923af.pth")
        assert weights_at_hand("lpips/alex") is None, "another trunk's file is not taken"
        put(tmp_path / "torch" / "hub" / "checkpoints", "alexnet-owt-7be5be79.pth")
        assert find_weights("lpips/alex").origin == "torch cache"

    def test_safetensors_are_preferred(self, tmp_path: Path) -> None:
        folder = put(put(tmp_path / "m", "pytorch_model.bin"), "model.safetensors")
        assert [path.name for path in find_weights(str(folder)).files] == ["model.safetensors"]

    def test_shards(self, tmp_path: Path) -> None:
        index = {"weight_map": {"x": "model-00002-of-00002.safetensors", "y": "model-00001-of-00002.safetensors"}}
        folder = put(tmp_path / "m", "model.safetensors.index.json", json.dumps(index).encode())
        put(folder, "model-00001-of-00002.safetensors", b"one")
        with pytest.raises(WeightsError, match=r"lacks model-00002-of-00002\.safetensors"):
            find_weights(str(folder))
        put(folder, "model-00002-of-00002.safetensors", b"two")
        assert [path.name[:11] for path in find_weights(str(folder)).files] == ["model-00001", "model-00002"]

    def test_a_noted_revision_must_be_the_wanted_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path))
        folder = put(tmp_path / MODEL.replace("/", "--"))
        assert find_weights(MODEL, revision=COMMIT).revision is None
        put(folder, ".cache/huggingface/download/config.json.metadata", f"{OTHER}\netag\n1.0\n".encode())
        assert find_weights(MODEL).revision == OTHER
        with pytest.raises(
            WeightsError, match=rf"^wanted '{MODEL}' at revision {COMMIT}, found revision {OTHER} in .*; `hf download "
        ):
            find_weights(MODEL, revision=COMMIT)


class TestMissing:
    def test_says_what_where_size_licence_and_remedy(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path / "own"))
        with pytest.raises(WeightsError) as caught:
            find_weights(MODEL)
        folder = tmp_path / "own" / "openai--clip-vit-base-patch32"
        assert str(caught.value) == (
            f"wanted the weights of '{MODEL}' (about 605 MB, licence MIT), found none in EVALKIT_WEIGHTS ({folder}), "
            f"the hub cache ({MODEL}); get them with `hf download {MODEL}`, "
            "or put the files into $EVALKIT_WEIGHTS/openai--clip-vit-base-patch32"
        )

    @pytest.mark.parametrize(
        ("model", "remedy"),
        [
            ("ViT-H-14/laion2b_s32b_b79k", "`hf download laion/CLIP-ViT-H-14-laion2B-s32B-b79K`"),
            ("lpips/squeeze", "torchvision.models.squeezenet1_1(weights='IMAGENET1K_V1')"),
            (
                "dreamsim/ensemble",
                "dreamsim(dreamsim_type='ensemble', device='cpu', cache_dir='DIR/dreamsim--ensemble')",
            ),
            ("someone/else", "`hf download someone/else`"),
            (
                "no such thing",
                "it is neither a folder, nor ORG/NAME on the hub, nor sandbox:NAME; known are openai/clip",
            ),
        ],
    )
    def test_each_source_has_its_remedy(self, model: str, remedy: str) -> None:
        assert weights_at_hand(model) is None
        with pytest.raises(WeightsError) as caught:
            find_weights(model)
        assert remedy in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_unclear_and_gated_terms_are_said(self) -> None:
        assert backbones()["lpips/alex"].terms.endswith("trained on ImageNet, commercial use unclear")
        facts = {**backbones()[MODEL].model_dump(), "gated": True, "commercial": False}
        assert Backbone.read(facts, where="here").terms == (
            "about 605 MB, licence MIT, non-commercial use only, gated: accept its terms on the hub and log in first"
        )


class TestFetch:
    def test_only_the_preferred_files_are_downloaded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import huggingface_hub

        asked: dict[str, Any] = {}

        class Api:
            def model_info(self, hub: str, revision: str | None) -> Any:
                names = ["model.safetensors", "pytorch_model.bin", "tf_model.h5", "config.json"]
                return type("Info", (), {"siblings": [type("F", (), {"rfilename": n}) for n in names]})()

        real = huggingface_hub.snapshot_download

        def download(hub: str, **options: Any) -> Any:
            if options.get("local_files_only"):
                return real(hub, **options)
            asked.update(hub=hub, **options)
            cached(tmp_path, hub)
            return None

        monkeypatch.setattr(huggingface_hub, "HfApi", Api)
        monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
        assert find_weights(MODEL, fetch=True).revision == COMMIT
        assert asked["hub"] == MODEL
        assert asked["allow_patterns"][0] == "model.safetensors"
        assert not {"pytorch_model.bin", "tf_model.h5"} & set(asked["allow_patterns"])

    def test_without_a_network_the_error_is_one_line(self) -> None:
        with pytest.raises(
            WeightsError,
            match=rf"^wanted to download '{MODEL}' from the hub, found \w+: .*; get them with `hf download",
        ) as caught:
            find_weights(MODEL, fetch=True)
        assert "\n" not in str(caught.value)

    def test_dreamsim_is_left_to_its_own_package(self) -> None:
        with pytest.raises(WeightsError, match="from dreamsim import dreamsim"):
            find_weights("dreamsim/ensemble", fetch=True)

    def test_trunk_comes_through_torchvision(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import torch.hub

        def download(url: str, *, check_hash: bool, weights_only: bool, model_dir: str) -> Any:
            assert check_hash
            assert weights_only
            put(Path(model_dir), url.rpartition("/")[2])

        monkeypatch.setattr(torch.hub, "load_state_dict_from_url", download)
        found = find_weights("lpips/squeeze", fetch=True)
        assert found.folder == tmp_path / "torch" / "hub" / "checkpoints"


class TestHashing:
    def test_a_file_is_hashed_once_a_machine_until_it_changes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = put(tmp_path / "m") / "model.safetensors"
        digest, real = sha256_of([file]), hashlib.file_digest
        calls: list[str] = []

        def counted(stream: Any, name: str) -> Any:
            calls.append(name)
            return real(stream, name)

        monkeypatch.setattr(hashlib, "file_digest", counted)
        monkeypatch.setattr(weight_files, "_seen", {})
        assert sha256_of([file]) == digest == hashlib.sha256(b"weights").hexdigest()
        assert not calls, "a later process reads the stored digest"
        file.write_bytes(b"weightz")
        os.utime(file, ns=(1, 1))
        assert sha256_of([file]) == hashlib.sha256(b"weightz").hexdigest()
        assert calls == ["sha256"]

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"x": 1}', '{"x": [1, 2]}', "null"])
    def test_a_damaged_store_is_made_again(self, tmp_path: Path, content: Any) -> None:
        file, store = put(tmp_path / "m") / "model.safetensors", tmp_path / "cache" / "weights-sha256.json"
        put(store.parent, store.name, content.encode())
        assert sha256_of([file]) == hashlib.sha256(b"weights").hexdigest()
        assert list(json.loads(store.read_text(encoding="utf-8"))) == [str(file)]

    def test_a_store_that_cannot_be_written_costs_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EVALKIT_CACHE", str(put(tmp_path / "blocked", "file") / "file"))
        file = put(tmp_path / "m") / "model.safetensors"
        assert sha256_of([file]) == hashlib.sha256(b"weights").hexdigest()

    def test_many_writers_leave_a_whole_store(self, tmp_path: Path) -> None:
        from concurrent.futures import ThreadPoolExecutor

        files = [put(tmp_path / f"m{i}", data=str(i).encode()) / "model.safetensors" for i in range(24)]
        with ThreadPoolExecutor(8) as pool:
            digests = list(pool.map(lambda file: sha256_of([file]), files))
        stored = json.loads((tmp_path / "cache" / "weights-sha256.json").read_text(encoding="utf-8"))
        assert stored
        assert all(stored[path][2] in digests for path in stored)
        assert [path.name for path in (tmp_path / "cache").iterdir()] == ["weights-sha256.json"]

    def test_several_files_depend_on_each_and_on_their_order(self, tmp_path: Path) -> None:
        a, b = (put(tmp_path, name, name.encode()) / name for name in ("a", "b"))
        assert len({sha256_of([a, b]), sha256_of([b, a]), sha256_of([a]), sha256_of([b])}) == 4

    def test_at_hand_hashes_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("hashed"))
        assert weights_at_hand(str(put(tmp_path / "m"))) is not None


class TestReadState:
    def test_code_in_a_file_is_not_run(self, tmp_path: Path) -> None:
        class Boom:
            def __reduce__(self) -> tuple[Any, ...]:
                return os.mkdir, (str(tmp_path / "ran"),)

        (tmp_path / "bad.bin").write_bytes(pickle.dumps({"x": Boom()}))
        with pytest.raises(
            WeightsError,
            match=r"bad\.bin: wanted safetensors, or a torch file that loads with weights_only=True, found \w+: ",
        ):
            read_state([tmp_path / "bad.bin"])
        assert not (tmp_path / "ran").exists()

    @pytest.mark.parametrize("name", ["cut.safetensors", "cut.bin"])
    def test_a_file_cut_short_is_named(self, name: str, tmp_path: Path) -> None:
        (tmp_path / name).write_bytes(b"\x00\x01")
        with pytest.raises(WeightsError, match=rf"{name}: wanted .*; get the file again or convert it to safetensors$"):
            read_state([tmp_path / name])

    def test_wrappings_are_taken_off(self, tmp_path: Path) -> None:
        import torch

        torch.save({"state_dict": {"module.a": torch.ones(2), "module.b": torch.ones(1)}}, tmp_path / "w.pt")
        assert list(read_state([tmp_path / "w.pt"])) == ["a", "b"]

    @pytest.mark.parametrize("content", [{"student": {"a": 1}}, {}, [1]])
    def test_what_is_no_state_dict_is_refused(self, content: Any, tmp_path: Path) -> None:
        import torch

        torch.save(content, tmp_path / "w.pt")
        with pytest.raises(WeightsError, match=r"w\.pt: wanted a state dict of tensors, found"):
            read_state([tmp_path / "w.pt"])


class TestBackbones:
    def test_every_published_backbone_is_known(self) -> None:
        families = {model: backbone.family for model, backbone in backbones().items()}
        for size in ("base-patch32", "base-patch16", "large-patch14"):
            assert families[f"openai/clip-vit-{size}"] == "clip"
        for name in ("dino-vits16", "dino-vits8", "dino-vitb16", "dinov2-small", "dinov2-base"):
            assert families[f"facebook/{name}"] == "dino"

    def test_dreamsims_types_and_lpips_trunks_are_those_that_load(self) -> None:
        from evalkit.features import dreamsim, lpips

        known = {family: [m for m, b in backbones().items() if b.family == family] for family in ("dreamsim", "lpips")}
        assert known["dreamsim"] == [f"dreamsim/{kind}" for kind in ("ensemble", *list(dreamsim.ARMS)[1:])]
        assert known["lpips"] == [f"lpips/{name}" for name in lpips.TRUNKS]
        for model in known["dreamsim"]:
            assert len(backbones()[model].files) == len(dreamsim.ARMS[model.partition("/")[2]]) + 1

    def test_open_clip_serves_them_under_those_names(self) -> None:
        import open_clip

        for model, backbone in backbones().items():
            if backbone.family == "open_clip":
                told = open_clip.get_pretrained_cfg(*model.split("/"))
                assert told["hf_hub"].rstrip("/") == backbone.hub

    def test_torchvision_serves_the_trunks_under_those_names(self) -> None:
        from torchvision.models import get_weight

        for backbone in backbones().values():
            if backbone.source == "torchvision":
                assert get_weight(backbone.hub).url.rpartition("/")[2] == backbone.files[0]

    def test_a_wrong_fact_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import evalkit.features.backbones as module

        (tmp_path / "backbones.yaml").write_text("a/b:\n  family: clip\n  licens: MIT\n", encoding="utf-8")
        monkeypatch.setattr(module, "content", lambda *_: tmp_path / "backbones.yaml")
        with pytest.raises(DataError, match=r"backbones\.yaml: a/b: not a backbone: .*licens is not a known key"):
            backbones.__wrapped__()
