"""Vision-language backbones: what they share between questions, what they refuse, and how their files are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from evalkit.engine.backbones import Backbones
from evalkit.errors import UsageError, WeightsError
from evalkit.features.cache import FeatureCache
from evalkit.features.loading import describe_extractor, load_extractor
from evalkit.features.pictures import Pictures
from evalkit.features.questions import QUESTIONS, Question
from evalkit.features.qwen_vl import patches
from evalkit.features.service import FeatureService
from evalkit.features.spec import FeatureRequest, ImageContent, PromptedContent
from evalkit.features.vlm_pictures import GME_PIXELS, QWEN_PIXELS, smart_size
from evalkit.features.weight_files import weight_files
from evalkit.features.weights import find_weights, how_to_get
from evalkit.media import decode_image, write_image
from evalkit.nouns import State
from evalkit.registry import METRICS, load
from tests import tiny_vlms

if TYPE_CHECKING:
    from evalkit.features.spec import ExtractorSpec

FIRST, SECOND = "a dog", "a red car in the snow"
ANSWERED = [("qwen_vqa", "qwen_2026_06"), ("clip_t5", "clip_flant5_xl")]
FOLDERS = {
    "qwen_vqa": "Qwen--Qwen2.5-VL-7B-Instruct",
    "clip_t5": "zhiqiulin--clip-flant5-xl",
    "gme": "Alibaba-NLP--gme-Qwen2-VL-7B-Instruct",
    "q_align": "q-future--one-align",
}


def spec_of(metric: str, variant: str, **changes: Any) -> ExtractorSpec:
    spec: ExtractorSpec = load(METRICS, metric).card.variant(variant).extractor
    return spec.model_copy(update={"dtype": "float32"} | changes)


QWEN, T5 = spec_of("vqascore", "qwen_2026_06"), spec_of("vqascore", "clip_flant5_xl")
GME, Q_ALIGN = spec_of("gme_score", "opens2v_frame"), spec_of("q_align", "quality")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vlms")
    tiny_vlms.write_qwen_vqa(folder / FOLDERS["qwen_vqa"])
    tiny_vlms.write_gme(folder / FOLDERS["gme"])
    tiny_vlms.write_clip_flant5(folder / FOLDERS["clip_t5"])
    tiny_vlms.write_clip_336(folder / "openai--clip-vit-large-patch14-336")
    tiny_vlms.write_flan_tokenizer(folder / "google--flan-t5-xl")
    tiny_vlms.write_one_align(folder / FOLDERS["q_align"])
    return folder


@pytest.fixture(autouse=True)
def _at_hand(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(root))


@pytest.fixture
def elsewhere(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same weights in folders of links, so that a file can be replaced."""
    for folder in root.iterdir():
        (tmp_path / folder.name).mkdir()
        for file in folder.iterdir():
            (tmp_path / folder.name / file.name).symlink_to(file)
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path))
    return tmp_path


def rewrite(path: Path, **changes: Any) -> None:
    """Changes keys of a JSON file behind a link; `...` takes one out."""
    told = json.loads(path.read_text(encoding="utf-8")) | changes
    path.unlink()
    path.write_text(json.dumps({k: v for k, v in told.items() if v is not ...}), encoding="utf-8")


def shown(extractor: Any, number: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    prepared: np.ndarray[Any, np.dtype[np.float32]] = extractor.prepare(tiny_vlms.picture(number))[None]
    return prepared


def answer(extractor: Any, number: int, text: str) -> float:
    return float(extractor.encode_prompted(shown(extractor, number), [text])["probability"].item())


@pytest.mark.parametrize("spec", [QWEN, T5], ids=["qwen_vqa", "clip_t5"])
def test_a_picture_is_read_once_for_all_questions_about_it(spec: ExtractorSpec) -> None:
    extractor: Any = load_extractor(spec, device="cpu")
    before = extractor.network.pictures_read
    both = np.concatenate([shown(extractor, 0)] * 2)
    found = extractor.encode_prompted(both, [FIRST, SECOND])["probability"].tolist()
    assert extractor.network.pictures_read == before + 1
    again = [answer(extractor, n, text) for n, text in ((1, SECOND), (0, SECOND), (0, FIRST), (0, SECOND))]
    assert extractor.network.pictures_read == before + 3
    assert found == again[2:]
    assert again[1] == found[1] != again[0]


@pytest.mark.parametrize("where", ["_run", "crop"])
def test_a_question_that_fails_spoils_none_after_it(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    extractor: Any = load_extractor(QWEN, device="cpu")
    network = extractor.network
    wanted = answer(extractor, 0, SECOND)
    with monkeypatch.context() as broken:
        if where == "_run":
            layers = network.model.model.language_model.layers
            broken.setattr(layers[-1], "forward", fail)
        else:
            broken.setattr(network._before.cache, "crop", fail)
        with pytest.raises(MemoryError):
            answer(extractor, 0, FIRST)
    assert answer(extractor, 0, SECOND) == wanted


def fail(*_: object, **__: object) -> None:
    raise MemoryError


def test_other_questions_are_asked_of_the_same_network() -> None:
    one, other = (load_extractor(spec_of("vqascore", name), device="cpu") for name in ("qwen_2024_10", "asemconsist"))
    assert one.network is other.network  # type: ignore[attr-defined]
    assert one.fingerprint != other.fingerprint
    before = one.network.pictures_read  # type: ignore[attr-defined]
    assert answer(one, 2, FIRST) != answer(other, 2, FIRST)
    assert one.network.pictures_read == before + 1  # type: ignore[attr-defined]


def test_the_service_asks_several_questions_about_one_reading(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", tiny_vlms.picture(1))
    picture = ImageContent(decode_image(tmp_path / "a.png").sha256, tmp_path / "a.png")
    backbones = Backbones(device="cpu")
    service = FeatureService(FeatureCache(None), Pictures(), fingerprint=backbones.fingerprint, load=backbones.load)
    asked = [FeatureRequest(QWEN, PromptedContent(picture, text), "probability") for text in tiny_vlms.SAID]
    extractor: Any = backbones.load(QWEN)
    answer(extractor, 0, FIRST)
    before = extractor.network.pictures_read
    found = service.features(asked)
    service.close()
    assert extractor.network.pictures_read == before + 1
    assert [float(found[request]) for request in asked] == [answer(extractor, 1, text) for text in tiny_vlms.SAID]  # type: ignore[arg-type]


def test_the_answer_is_that_of_the_whole_conversation_at_once(root: Path) -> None:
    from transformers import Qwen2_5_VLForConditionalGeneration

    extractor: Any = load_extractor(QWEN, device="cpu")
    picture = shown(extractor, 0)
    raw = extractor.encode_prompted(picture, [FIRST])["raw_probability"].item()
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(root / FOLDERS["qwen_vqa"], dtype=torch.float32).eval()
    tiles, grid = patches(picture[0])
    said = Question("t2v_2026_06", 999).asked(FIRST)
    pads = "<|image_pad|>" * (grid[1] * grid[2] // 4)
    told = (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n<|vision_start|>"
        f"{pads}<|vision_end|>{said}<|im_end|>\n<|im_start|>assistant\n"
    )
    ids = torch.tensor([extractor.network.tokens.ids(told)])
    kinds = (ids == model.config.image_token_id).int()
    with torch.inference_mode():
        logits = model(
            input_ids=ids,
            pixel_values=torch.from_numpy(tiles),
            image_grid_thw=torch.tensor([grid]),
            mm_token_type_ids=kinds,
        ).logits[0, -1]
    yes = extractor.network.tokens.ids("Yes")[0]
    assert raw == pytest.approx(float(logits.softmax(-1)[yes]), rel=1e-5)


def test_a_repetition_penalty_changes_the_answer_and_its_fingerprint(elsewhere: Path) -> None:
    path = elsewhere / FOLDERS["qwen_vqa"] / "generation_config.json"
    before = describe_extractor(QWEN).digest
    rewrite(path, repetition_penalty=1.0)
    assert describe_extractor(QWEN).digest != before
    extractor: Any = load_extractor(QWEN, device="cpu")
    found = extractor.encode_prompted(shown(extractor, 0), [FIRST])
    assert found["probability"].item() == found["raw_probability"].item()


@pytest.mark.parametrize("nested", [False, True])
def test_qwen_s_configuration_is_read_in_its_old_and_its_new_form(nested: bool, elsewhere: Path) -> None:
    path = elsewhere / FOLDERS["qwen_vqa"] / "config.json"
    before = answer(load_extractor(QWEN, device="cpu"), 0, FIRST)
    if not nested:
        text = json.loads(path.read_text(encoding="utf-8"))["text_config"]
        rope = text.pop("rope_parameters")
        text |= {
            "rope_theta": rope["rope_theta"],
            "rope_scaling": {"type": "mrope", "mrope_section": rope["mrope_section"]},
        }
        rewrite(
            path, text_config=..., **{k: v for k, v in text.items() if k not in ("model_type", "dtype", "layer_types")}
        )
    assert answer(load_extractor(QWEN, device="cpu"), 0, FIRST) == before


def test_a_question_is_pinned_by_name_answer_and_wording() -> None:
    ids = {name: Question(name, 99).id for name in QUESTIONS}
    assert ids["t2v_2026_06"].startswith("t2v_2026_06_yes_")
    assert len({told.rsplit("_", 1)[1] for told in ids.values()}) == len(ids)
    assert load_extractor(T5, device="cpu").signature_parts()["text"] == ids["t2v_clip_t5"]
    assert describe_extractor(QWEN).parts[-2:] == (("text", ids["t2v_2026_06"]), ("dtype", "float32"))


def test_a_text_with_braces_stays_as_it_is() -> None:
    assert Question("asemconsist", 99).asked("a {} of {x}") == "Does this image show a {} of {x}?"


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (
            QWEN.model_copy(update={"text": "t2v_clip_t5"}),
            r"^wanted a question for 'qwen_vqa' \(t2v_2024_10, .*found 't2v_",
        ),
        (
            T5.model_copy(update={"text": "hf_pad"}),
            r"^wanted a question for 'clip_t5' \(t2v_clip_t5\), found 'hf_pad'$",
        ),
        (GME.model_copy(update={"text": "hf_pad"}), r"^wanted an instruction for 'gme' \(gme_find\), found 'hf_pad'$"),
        (Q_ALIGN.model_copy(update={"text": "hf_pad"}), r"^wanted no text preprocessing for 'q_align'"),
        (GME.model_copy(update={"preprocess": "qwen_vl_28"}), r"\(gme_28\), found 'qwen_vl_28'$"),
    ],
)
def test_a_spec_of_another_family_is_refused(spec: ExtractorSpec, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        describe_extractor(spec)


@pytest.mark.parametrize("spec", [QWEN, T5], ids=["qwen_vqa", "clip_t5"])
def test_without_a_question_nothing_is_answered(spec: ExtractorSpec) -> None:
    extractor = load_extractor(spec.model_copy(update={"text": None}), device="cpu")
    with pytest.raises(UsageError, match="without a text preprocessing$"):
        answer(extractor, 0, FIRST)
    with pytest.raises(UsageError, match="without a text preprocessing$"):
        extractor.text_problem(FIRST)


@pytest.mark.parametrize(("spec", "most"), [(QWEN, 4096), (T5, 2048), (GME, 1800)], ids=["qwen_vqa", "clip_t5", "gme"])
def test_a_text_that_is_too_long_is_told(spec: ExtractorSpec, most: int) -> None:
    extractor = load_extractor(spec, device="cpu")
    assert extractor.text_problem("a dog " * 20) is None
    problem = extractor.text_problem("zebra " * 1000)
    assert problem is not None
    assert problem.startswith(f"wanted a text of at most {most} tokens, found ")


def test_gme_embeds_at_length_one_and_whatever_is_beside_it() -> None:
    extractor = load_extractor(GME, device="cpu")
    pictures, texts = extractor.encode_images(shown(extractor, 2))["embedding"], extractor.encode_texts([FIRST, SECOND])
    np.testing.assert_allclose(np.linalg.norm(np.concatenate([pictures, texts["embedding"]]), axis=1), 1, rtol=1e-6)
    assert extractor.encode_texts([SECOND])["embedding"][0].tolist() == texts["embedding"][1].tolist()
    with pytest.raises(UsageError, match="without a text preprocessing$"):
        load_extractor(GME.model_copy(update={"text": None}), device="cpu").encode_texts([FIRST])


def test_q_align_s_shares_add_up_to_one() -> None:
    extractor = load_extractor(Q_ALIGN, device="cpu")
    together = np.concatenate([shown(extractor, n) for n in range(3)])
    found = extractor.encode_images(together)
    assert {name: levels.shape for name, levels in found.items()} == {"quality": (3, 5), "aesthetics": (3, 5)}
    for levels in found.values():
        np.testing.assert_allclose(levels.sum(1), 1, rtol=1e-6)
        assert (levels > 0).all()
    turned = extractor.encode_images(together[::-1].copy())
    np.testing.assert_allclose(turned["quality"], found["quality"][::-1], rtol=1e-5)
    assert len(set(found["quality"][:, 0].tolist())) == 3


@pytest.mark.parametrize("family", FOLDERS)
def test_nothing_stands_in_for_weights_that_are_missing(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = {"qwen_vqa": QWEN, "clip_t5": T5, "gme": GME, "q_align": Q_ALIGN}[family]
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(WeightsError, match=f"^wanted the weights of '{spec.model}'.*, found none in "):
        find_weights(spec.model)
    assert f"`hf download {spec.model}`" in how_to_get(spec.model)
    backbones = Backbones(device="cpu")
    service = FeatureService(FeatureCache(None), Pictures(), fingerprint=backbones.fingerprint, load=backbones.load)
    request = FeatureRequest(spec, PromptedContent(ImageContent("0" * 64, tmp_path / "a.png"), FIRST), "probability")
    missing = service.features([request])[request]
    service.close()
    assert missing.state is State.WEIGHTS_MISSING  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("spec", "file", "told"),
    [
        (QWEN, "tokenizer.json", "wanted the tokenizer .*tokenizer.json, found no such file"),
        (Q_ALIGN, "tokenizer.model", "wanted the tokenizer .*tokenizer.model, found no such file"),
        (Q_ALIGN, "config.json", "wanted mPLUG-Owl2's configuration, found no 'hidden_size'"),
        (QWEN, "config.json", "wanted max_position_embeddings, found none"),
    ],
)
def test_a_small_file_that_is_missing_is_named(spec: ExtractorSpec, file: str, told: str, elsewhere: Path) -> None:
    (elsewhere / FOLDERS[spec.family] / file).unlink()
    with pytest.raises(WeightsError, match=told):
        load_extractor(spec, device="cpu")


@pytest.mark.parametrize(
    ("spec", "changes", "told"),
    [
        (T5, {"mm_projector_type": "linear"}, "wanted mm_projector_type 'mlp2x_gelu', found 'linear'"),
        (T5, {"d_ff": 32}, r"wanted the weights of T5ForConditionalGeneration, found .* of shape"),
        (Q_ALIGN, {"rope_scaling": {"type": "linear"}}, "wanted no rope_scaling, found "),
        (Q_ALIGN, {"num_hidden_layers": 3}, "wanted the weights of mPLUG-Owl2, found no model.layers.2"),
    ],
)
def test_a_configuration_of_another_model_is_refused(
    spec: ExtractorSpec, changes: dict[str, Any], told: str, elsewhere: Path
) -> None:
    rewrite(elsewhere / FOLDERS[spec.family] / "config.json", **changes)
    with pytest.raises(WeightsError, match=told):
        load_extractor(spec, device="cpu")


def test_clip_flant5_needs_its_parts(root: Path) -> None:
    with pytest.raises(WeightsError, match=r"^wanted CLIP-FlanT5's weights, CLIP's config.json .*name the model as "):
        describe_extractor(T5.model_copy(update={"model": str(root / FOLDERS["clip_t5"])}))


def test_shards_of_torch_files_are_found_by_their_index(root: Path, tmp_path: Path) -> None:
    files, lacking = weight_files(root / FOLDERS["q_align"])
    assert ([path.name for path in files], lacking) == (
        ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"], [],
    )  # fmt: skip
    index = root / FOLDERS["q_align"] / "pytorch_model.bin.index.json"
    (tmp_path / index.name).write_bytes(index.read_bytes())
    assert weight_files(tmp_path)[1] == ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"]


@pytest.mark.parametrize("limits", [QWEN_PIXELS, GME_PIXELS])
def test_sizes_are_those_of_the_processor(limits: tuple[int, int]) -> None:
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

    rng, (least, most) = np.random.default_rng(0), limits
    for height, width in rng.integers(28, 6000, (300, 2)).tolist():
        theirs = smart_resize(height, width, factor=28, min_pixels=least, max_pixels=most)
        assert smart_size(height, width, least=least, most=most) == theirs


def test_a_picture_that_is_almost_nothing_but_long_is_refused() -> None:
    with pytest.raises(UsageError, match="^wanted a picture at most 200 times as long as wide, found 1 x 300"):
        smart_size(1, 300, least=1, most=10**6)


def test_patches_are_those_of_the_processor() -> None:
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    picture = np.random.default_rng(1).normal(size=(3, 56, 112)).astype(np.float32)
    theirs, rows, columns = Qwen2VLImageProcessorPil().patchify(picture, 14, 2, 2)
    ours, grid = patches(picture)
    assert grid == (1, rows, columns)
    assert (ours == theirs).all()
