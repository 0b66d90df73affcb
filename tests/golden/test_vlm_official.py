"""The vision-language backbones against what their authors' own code gives for the same small weights and pictures.

`vlm_official.json` has rows of pictures and columns of texts, for Q-Align a rating a picture. Made with t2v_metrics at 6ecb74f
(Qwen2.5-VL, each question) and 10d549b (CLIP-FlanT5), OpenS2V-Nexus at ef17513 (GME) and Q-Align at 14dfdff, in float32.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from evalkit.features.loading import load_extractor
from evalkit.metrics.cosine import cosine
from evalkit.metrics.q_align import q_align
from evalkit.registry import METRICS, load
from tests import tiny_vlms

if TYPE_CHECKING:
    from collections.abc import Callable

    from evalkit.features.extractor import Extractor
    from evalkit.features.spec import ExtractorSpec

OFFICIAL = json.loads((Path(__file__).parent / "vlm_official.json").read_text(encoding="utf-8"))
WRITERS: dict[str, Callable[[Path], Path]] = {
    "Qwen/Qwen2.5-VL-7B-Instruct": tiny_vlms.write_qwen_vqa,
    "Alibaba-NLP/gme-Qwen2-VL-7B-Instruct": tiny_vlms.write_gme,
    "zhiqiulin/clip-flant5-xxl": tiny_vlms.write_clip_flant5,
    "zhiqiulin/clip-flant5-xl": tiny_vlms.write_clip_flant5,
    "openai/clip-vit-large-patch14-336": tiny_vlms.write_clip_336,
    "google/flan-t5-xxl": tiny_vlms.write_flan_tokenizer,
    "google/flan-t5-xl": tiny_vlms.write_flan_tokenizer,
    "q-future/one-align": tiny_vlms.write_one_align,
}
VARIANTS = [(m, v) for m in ("vqascore", "gme_score", "q_align") for v in load(METRICS, m).card.variants]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vlms")
    for model, write in WRITERS.items():
        write(folder / model.replace("/", "--"))
    return folder


def extractor(root: Path, metric: str, variant: str, *, dtype: str = "float32") -> Extractor:
    spec: ExtractorSpec = load(METRICS, metric).card.variant(variant).extractor
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALKIT_WEIGHTS", str(root))
        return load_extractor(spec.model_copy(update={"dtype": dtype}), device="cpu")


def near(found: Any, official: Any, *, rtol: float = 2e-5) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(official), rtol=rtol, atol=1e-7)


def answers(backbone: Extractor, output: str) -> Any:
    """One row a picture, one column a text."""
    shown = [backbone.prepare(tiny_vlms.picture(n))[None] for n in range(len(tiny_vlms.SHOWN))]
    return [[backbone.encode_prompted(x, [text])[output].item() for text in tiny_vlms.SAID] for x in shown]


@pytest.mark.parametrize(("metric", "variant"), VARIANTS)
def test_a_variant_is_what_its_authors_code_computes(metric: str, variant: str, root: Path) -> None:
    backbone, card = extractor(root, metric, variant), load(METRICS, metric).card.variant(variant)
    pictures = [backbone.prepare(tiny_vlms.picture(n))[None] for n in range(len(tiny_vlms.SHOWN))]
    if metric == "q_align":
        found = [q_align(backbone.encode_images(x)[card.params["aspect"]][0]).item() for x in pictures]
        near(found, OFFICIAL[f"q_align_{card.params['aspect']}"])
    elif metric == "gme_score":
        texts = [backbone.encode_texts([text])["embedding"][0] for text in tiny_vlms.SAID]
        cosines = [cosine(backbone.encode_images(x)["embedding"], texts) for x in pictures]
        near(cosines, OFFICIAL["gme_find"])
    elif card.params["logits"] == "processed":
        near(answers(backbone, "probability"), OFFICIAL[str(card.extractor.text)])
    else:
        penalised, raw = (np.array(answers(backbone, output)) for output in ("probability", "raw_probability"))
        assert (np.abs(raw / penalised - 1) > 1e-3).all()


@pytest.mark.parametrize("variant", ["qwen_2026_06", "clip_flant5_xxl"])
def test_a_question_is_answered_in_the_card_s_own_dtype(variant: str, root: Path) -> None:
    told = load(METRICS, "vqascore").card.variant(variant).extractor
    assert told.dtype == "bfloat16"
    found = answers(extractor(root, "vqascore", variant, dtype=told.dtype), "probability")
    near(found, OFFICIAL[str(told.text)], rtol=0.15)


def test_pictures_are_embedded_and_rated_in_the_card_s_own_dtype(root: Path) -> None:
    gme, owl = (
        extractor(root, *one, dtype="float16") for one in (("gme_score", "opens2v_frame"), ("q_align", "quality"))
    )
    texts = [gme.encode_texts([text])["embedding"][0] for text in tiny_vlms.SAID]
    shown = [tiny_vlms.picture(n) for n in range(len(tiny_vlms.SHOWN))]
    seen = [gme.encode_images(gme.prepare(pixels)[None])["embedding"] for pixels in shown]
    near([cosine(one, texts) for one in seen], OFFICIAL["gme_find"], rtol=2e-3)
    rated = [q_align(owl.encode_images(owl.prepare(pixels)[None])["quality"][0]).item() for pixels in shown]
    near(rated, OFFICIAL["q_align_quality"], rtol=1e-2)


def test_questions_and_models_give_values_of_their_own() -> None:
    rows = {name: np.array(values) for name, values in OFFICIAL.items()}
    asked = [rows[name] for name in ("t2v_2024_10", "t2v_2025_02", "t2v_2026_06", "asemconsist")]
    assert all((np.abs(a / b - 1) > 1e-4).all() for n, a in enumerate(asked) for b in asked[:n])


def test_clip_flant5_without_its_own_tower_stands_on_the_published_one(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in root.iterdir():
        if "clip-flant5" not in folder.name:
            (tmp_path / folder.name).symlink_to(folder)
    tiny_vlms.write_clip_flant5(tmp_path / "zhiqiulin--clip-flant5-xxl", tower=False)
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path))
    found = answers(extractor(tmp_path, "vqascore", "clip_flant5_xxl"), "probability")
    near(found, OFFICIAL["t2v_clip_t5_published_tower"])
