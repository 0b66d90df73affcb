"""The small Kontext: pairs, autoencoder, training, and the shipped pipeline with its card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.errors import DataError, WeightsError
from evalkit.sandbox.kontext.assemble import SHIPPED, TOKENS, lacking, load
from evalkit.sandbox.kontext.flow import grid_ids
from evalkit.sandbox.kontext.pairs import PairPlan, PairSet, pair_scene, render_pairs, subject_of
from evalkit.sandbox.kontext.sample import BATCH, Request, fitted, sample
from evalkit.sandbox.kontext.vae import fit_patch_vae, psnr
from evalkit.sandbox.training.kontext import SHARES, tensors_of, train_kontext
from evalkit.sandbox.training.loop import Budget
from evalkit.sandbox.world import render, split_of, words
from evalkit.sandbox.world.captions import PLACE_PHRASES, STYLE_SUBJECTS

pytestmark = pytest.mark.slow

TINY = PairPlan(subjects=13, targets=2, split="train", seed=9)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> PairSet:
    return render_pairs(tmp_path_factory.mktemp("pairs") / "tiny", TINY)


# --- pairs ----------------------------------------------------------------------------------------------------------------


def test_pairs_belong_together(pairs: PairSet) -> None:
    assert pairs.references.shape == (13, 96, 96, 3)
    assert pairs.pictures.shape == (26, 96, 96, 3)
    assert pairs.subject.tolist() == [s for s in range(13) for _ in range(2)]
    prompt, scene = pair_scene(TINY, 4, 1)
    assert pairs.prompts[9] == prompt
    assert np.array_equal(pairs.pictures[9], render(scene).image)
    assert np.array_equal(pairs.references[4], render(subject_of(TINY, 4)[1]).image)


@pytest.mark.parametrize("split", ["train", "bench"])
def test_every_subject_is_of_the_split(split: str) -> None:
    plan = PairPlan(subjects=40, targets=1, split=split, seed=2)
    assert {split_of(subject_of(plan, number)[0]) for number in range(40)} == {split}
    for number in range(40):
        scene = pair_scene(plan, number, 0)[1]
        shown = scene.style_identity or scene.identities[0]
        assert split_of(shown) == split
        assert scene.style_identity is None or split_of(scene.identities[0]) == "train"


def test_prompts_are_of_the_benchmarks_grammar() -> None:
    plan = PairPlan(subjects=200, targets=1, split="train", seed=2)
    prompts = [pair_scene(plan, number, 0)[0] for number in range(200)]
    assert {word for prompt in prompts for word in prompt.split()} <= set(words())
    assert any(prompt.endswith(tuple(STYLE_SUBJECTS.values())) for prompt in prompts)
    assert any(" of a" in prompt for prompt in prompts)
    assert any("in outer space" in prompt for prompt in prompts)
    assert not any(PLACE_PHRASES["studio"] in prompt for prompt in prompts)
    assert max(len(prompt.split()) for prompt in prompts) + 2 <= TOKENS


def test_pairs_do_not_depend_on_the_workers_and_are_not_rendered_again(pairs: PairSet, tmp_path: Path) -> None:
    again = render_pairs(tmp_path / "two", TINY, workers=2)
    assert np.array_equal(again.pictures, pairs.pictures)
    assert again.prompts == pairs.prompts
    prompts = tmp_path / "two" / "prompts.json"
    prompts.write_text(json.dumps(["kept"] * 26), encoding="utf-8")
    assert render_pairs(tmp_path / "two", TINY).prompts == ("kept",) * 26


def test_a_folder_with_other_pairs_is_refused(tmp_path: Path) -> None:
    plan = PairPlan(subjects=1, targets=1, split="train", seed=9)
    render_pairs(tmp_path / "set", plan)
    with pytest.raises(DataError) as error:
        render_pairs(tmp_path / "set", PairPlan(subjects=1, targets=1, split="train", seed=8))
    assert str(error.value).startswith("wanted pairs of {'subjects': 1, 'targets': 1, 'split': 'train', 'seed': 8} in ")
    assert str(error.value).endswith("'seed': 9}; name another folder")


# --- autoencoder ----------------------------------------------------------------------------------------------------------


def decoded(vae: Any, images: np.ndarray) -> np.ndarray:
    import torch

    with torch.inference_mode():
        pixels = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float() / 127.5 - 1
        latents = vae.encode(pixels).latent_dist.mode()
        assert latents.shape == (len(images), 12, 12, 12)
        back = (vae.decode(latents, return_dict=False)[0].clamp(-1, 1) + 1) * 127.5
    out: np.ndarray = back.round().byte().permute(0, 2, 3, 1).numpy()
    return out


def test_the_fitted_autoencoder_is_the_best_linear_one(pairs: PairSet) -> None:
    """Its error is the mean of the components that it leaves out, which a wrong fit would exceed."""
    import torch

    images = np.array(pairs.pictures)
    vae = fit_patch_vae(images)
    patches = images.reshape(26, 12, 8, 12, 8, 3).transpose(0, 1, 3, 2, 4, 5).reshape(-1, 192) / 127.5 - 1
    values = np.linalg.eigvalsh(np.cov(patches, rowvar=False))
    with torch.inference_mode():
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
        latents = vae.encode(pixels).latent_dist.sample()
        error = float((vae.decode(latents).sample - pixels).square().mean())
    assert error == pytest.approx(values[:-12].sum() / 192, rel=0.01)
    assert float(latents.mean()) == pytest.approx(0, abs=0.01)
    assert float(latents.var()) == pytest.approx(1, abs=0.05)


def test_the_autoencoder_survives_saving(pairs: PairSet, tmp_path: Path) -> None:
    from evalkit.sandbox.kontext.vae import patch_vae_class

    vae = fit_patch_vae(np.array(pairs.pictures))
    vae.save_pretrained(tmp_path)
    again = patch_vae_class().from_pretrained(tmp_path)
    assert np.array_equal(decoded(again, pairs.pictures[:2]), decoded(vae, pairs.pictures[:2]))


def test_psnr() -> None:
    black, grey = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 51, np.uint8)
    assert psnr(black, grey) == pytest.approx(20 * np.log10(5))
    assert psnr(grey, grey) == float("inf")


# --- training -------------------------------------------------------------------------------------------------------------


def test_stages_share_the_budget() -> None:
    assert sum(SHARES.values()) == pytest.approx(1)
    assert Budget(steps=100).part(SHARES["flow"]).steps == 64
    assert Budget(steps=1).part(SHARES["guided"]).steps == 1
    assert Budget(minutes=10).part(SHARES["decoder"]).minutes == pytest.approx(2.8)


def test_a_few_steps_lower_the_loss_and_repeat_to_the_bit(pairs: PairSet, tmp_path: Path) -> None:
    options: dict[str, Any] = {"seed": 3, "budget": Budget(steps=60), "batch": 8, "double": 1, "single": 1}
    told: list[str] = []
    trained = train_kontext(tmp_path / "one", pairs, progress=lambda name, _share: told.append(name), **options)
    assert set(trained) == set(SHARES)
    assert trained["flow"].steps == 38
    assert trained["flow"].images_seen == 38 * 8
    assert trained["flow"].last_loss < 0.85 * trained["flow"].first_loss
    assert list(dict.fromkeys(told)) == ["kontext decoder", "kontext flow", "kontext guided"]
    train_kontext(tmp_path / "two", pairs, **options)
    for name in ("transformer", "vae", "text_encoder", "text_encoder_2"):
        one, two = ((tmp_path / f / name).glob("*.safetensors") for f in ("one", "two"))
        assert next(one).read_bytes() == next(two).read_bytes()
    assert load(tmp_path / "one").transformer.config.num_layers == 1


# --- what is shipped ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pipeline() -> Any:
    return load()


def test_the_shipped_pipeline_is_the_real_one(pipeline: Any) -> None:
    import diffusers
    import torch
    import transformers

    assert type(pipeline) is diffusers.FluxKontextPipeline
    assert type(pipeline.transformer) is diffusers.FluxTransformer2DModel
    assert type(pipeline.scheduler) is diffusers.FlowMatchEulerDiscreteScheduler
    assert type(pipeline.text_encoder) is transformers.CLIPTextModel
    assert type(pipeline.text_encoder_2) is transformers.T5EncoderModel
    assert pipeline.transformer.config.guidance_embeds
    assert pipeline.transformer.config.in_channels < pipeline.transformer.inner_dim
    assert all(p.dtype == torch.float32 and not p.requires_grad for p in pipeline.transformer.parameters())


def test_the_shipped_weights_are_small_and_in_half_precision() -> None:
    from safetensors import safe_open

    files = [file for file in SHIPPED.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 8 * 1024 * 1024
    for file in SHIPPED.rglob("*.safetensors"):
        with safe_open(file, framework="pt") as stored:
            assert {str(stored.get_tensor(k).dtype) for k in stored.keys()} == {"torch.float16"}  # noqa: SIM118


def test_adapters_find_the_modules_that_they_find_in_kontext(pipeline: Any) -> None:
    names = {name for name, _ in pipeline.transformer.named_modules()}
    for wanted in (
        "attn.to_q",
        "attn.to_out.0",
        "attn.add_k_proj",
        "attn.to_add_out",
        "ff.net.0.proj",
        "ff_context.net.2",
    ):
        assert f"transformer_blocks.0.{wanted}" in names
    assert {"single_transformer_blocks.0.attn.to_v", "single_transformer_blocks.0.proj_mlp"} <= names


def test_what_a_folder_lacks_is_told(tmp_path: Path) -> None:
    assert lacking() == []
    (tmp_path / "vae").mkdir()
    with pytest.raises(WeightsError) as error:
        load(tmp_path)
    assert str(error.value) == (
        f"wanted the small Kontext in {str(tmp_path)!r}, found no transformer, text_encoder, text_encoder_2, scheduler, "
        f"tokenizer there; install evalkit again, or train it with `evalkit sandbox train --model kontext --out {tmp_path}`"
    )


def wanted(count: int) -> list[Request]:
    rng = np.random.default_rng(1)
    texts = (
        "a cat running on the beach",
        "an oil painting of a robot standing in the snow",
        "a mug in comic drawing style",
    )
    noise = rng.integers(0, 256, (count, 96, 96, 3), dtype=np.uint8)
    return [Request(texts[i % 3], noise[i], i) for i in range(count)]


def test_a_picture_does_not_depend_on_the_ones_made_beside_it(pipeline: Any) -> None:
    asked = wanted(BATCH + 2)
    forth = list(sample(pipeline, asked, steps=2))
    back = list(sample(pipeline, asked[::-1], steps=2))[::-1]
    alone = list(sample(pipeline, asked[5:6], steps=2))
    assert all(picture.shape == (96, 96, 3) and picture.dtype == np.uint8 for picture in forth)
    assert all(np.array_equal(a, b) for a, b in zip(forth, back, strict=True))
    assert np.array_equal(forth[5], alone[0])


def test_a_picture_does_not_depend_on_the_number_of_threads(pipeline: Any) -> None:
    import torch

    threads = torch.get_num_threads()
    try:
        made = []
        for count in (1, 2):
            torch.set_num_threads(count)
            made.append(next(iter(sample(pipeline, wanted(1), steps=2))))
    finally:
        torch.set_num_threads(threads)
    assert np.array_equal(made[0], made[1])


def test_seed_prompt_and_reference_all_change_the_picture(pipeline: Any) -> None:
    first, other = wanted(2)
    asked = [
        first,
        first._replace(seed=7),
        first._replace(prompt=other.prompt),
        first._replace(reference=other.reference),
    ]
    made = list(sample(pipeline, asked, steps=2))
    assert all(not np.array_equal(made[0], picture) for picture in made[1:])
    free = list(sample(pipeline, [first._replace(reference=None)], steps=2))
    assert not np.array_equal(made[0], free[0])


def test_guidance_is_heard(pipeline: Any) -> None:
    weak, strong = (next(iter(sample(pipeline, wanted(1), steps=2, guidance=g))) for g in (1.0, 4.0))
    assert not np.array_equal(weak, strong)


def test_references_of_any_shape_fit() -> None:
    wide = np.zeros((50, 90, 3), np.uint8)
    wide[:, 20:70] = 200
    assert fitted(wide).shape == (96, 96, 3)
    assert int(fitted(wide).min()) == 200
    same = np.zeros((96, 96, 3), np.uint8)
    assert fitted(same) is same


def test_the_shipped_autoencoder_keeps_pictures_of_held_out_subjects(pipeline: Any, tmp_path: Path) -> None:
    held_out = render_pairs(tmp_path / "bench", PairPlan(subjects=13, targets=2, split="bench", seed=9))
    linear = fit_patch_vae(np.array(held_out.pictures))
    shipped = psnr(np.array(held_out.pictures), decoded(pipeline.vae, held_out.pictures))
    assert shipped > psnr(np.array(held_out.pictures), decoded(linear, held_out.pictures))


def test_latents_are_packed_as_the_pipeline_packs_them(pipeline: Any, pairs: PairSet) -> None:
    import torch

    tensors, empty = tensors_of(pipeline, pairs)
    pixels = torch.from_numpy(np.array(pairs.references[:1])).permute(0, 3, 1, 2).float() / 127.5 - 1
    _, packed, ids, reference_ids = pipeline.prepare_latents(
        pixels, 1, 12, 96, 96, torch.float32, torch.device("cpu"), torch.Generator().manual_seed(0)
    )
    assert torch.allclose(tensors.references[:1].float(), packed, atol=0.01)
    assert tensors.ids.shape == (26, TOKENS)
    assert empty.shape == (1, TOKENS)
    assert torch.equal(grid_ids(6, 0), ids)
    assert torch.equal(grid_ids(6, 1), reference_ids)


def test_the_card_is_of_this_world_and_says_that_conditions_matter() -> None:
    import yaml

    from evalkit.sandbox.kontext.evaluate import CONDITIONS
    from evalkit.sandbox.world import WORLD_VERSION

    card = yaml.safe_load((SHIPPED / "card.yaml").read_text(encoding="utf-8"))
    figures = card["held_out"]
    assert card["world_version"] == WORLD_VERSION
    assert card["training_set"]["split"] == "train"
    assert set(figures) == {"real", *CONDITIONS}
    for score in ("dino", "dino_top1", "own_colour"):
        assert figures["true"][score] > 1.02 * figures["other_reference"][score]
        assert figures["true"][score] > 1.02 * figures["no_reference"][score]
    for score in ("clip", "clip_top1_of_9"):
        assert figures["true"][score] > 1.2 * figures["other_prompt"][score]


@pytest.mark.slow
def test_the_card_can_be_computed_again(pipeline: Any) -> None:
    import yaml

    from evalkit.features.weight_files import sha256_of
    from evalkit.sandbox.kontext.evaluate import WEIGHTS, evaluate

    card = yaml.safe_load((SHIPPED / "card.yaml").read_text(encoding="utf-8"))
    for name, digest in card["read_by"].items():
        if sha256_of([WEIGHTS / name / "model.safetensors"]) != digest:
            pytest.skip(f"the embedded {name} is not the one that the card was read by; write the card again")
    for condition, figures in evaluate(pipeline).items():
        assert figures == pytest.approx(card["held_out"][condition], abs=0.02)
