"""The small VACE: clips, autoencoder, control, training, and the shipped pipeline with its card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from evalkit.errors import DataError, WeightsError
from evalkit.sandbox.kontext.assemble import TOKENS
from evalkit.sandbox.training.loop import Budget
from evalkit.sandbox.training.vace import SHARES, train_vace
from evalkit.sandbox.vace.assemble import SHIPPED, lacking, load, new_pipeline
from evalkit.sandbox.vace.clips import FRAMES, KINDS, ClipPlan, ClipSet, clip_case, render_clips
from evalkit.sandbox.vace.flow import Batches, control, empty_of, latents, tensors_of, told
from evalkit.sandbox.vace.sample import Request, fitted, sample
from evalkit.sandbox.vace.vae import clip_vae_class, fit_clip_vae
from evalkit.sandbox.world import render, split_of, words
from evalkit.sandbox.world.captions import PLACE_PHRASES

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.slow

TINY = ClipPlan(cases=7, frames=FRAMES, split="train", seed=9)
TINY_PICTURES = ClipPlan(cases=7, frames=1, split="train", seed=8)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> ClipSet:
    return render_clips(tmp_path_factory.mktemp("clips") / "tiny", TINY)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> ClipSet:
    return render_clips(tmp_path_factory.mktemp("pictures") / "tiny", TINY_PICTURES)


@pytest.fixture(scope="module")
def fresh(clips: ClipSet, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An untrained pipeline whose autoencoder fits the clips."""
    return new_pipeline(
        tmp_path_factory.mktemp("fresh"), fit_clip_vae(np.array(clips.clips)), layers=2, vace_layers=(0,)
    )


def pixels(clips: Any) -> Any:
    import torch

    return torch.from_numpy(np.array(clips)).permute(0, 4, 1, 2, 3).float() / 127.5 - 1


# --- clips ----------------------------------------------------------------------------------------------------------------


def test_clips_belong_together(clips: ClipSet) -> None:
    assert clips.clips.shape == (7, 9, 96, 96, 3)
    assert clips.references.shape == (7, 3, 96, 96, 3)
    assert clips.count.tolist() == [len(KINDS[number]) for number in range(7)] == [1, 1, 1, 1, 2, 2, 3]
    case = clip_case(TINY, 4)
    assert clips.prompts[4] == case.prompt
    assert np.array_equal(clips.clips[4, 8], render(case.frames[8]).image)
    assert np.array_equal(clips.references[4, 1], render(case.references[1]).image)
    assert not clips.references[4, 2].any()


def test_a_picture_is_one_of_its_clips_frames() -> None:
    for number in range(5):
        (frame,) = clip_case(TINY_PICTURES, number).frames
        assert frame in clip_case(ClipPlan(7, FRAMES, "train", 8), number).frames


@pytest.mark.parametrize("split", ["train", "bench"])
def test_every_subject_is_of_the_split_and_people_are_grown_up(split: str) -> None:
    plan = ClipPlan(cases=48, frames=1, split=split, seed=2)
    shown = [identity for number in range(48) for identity in clip_case(plan, number).identities]
    assert {split_of(identity) for identity in shown} == {split}
    assert {identity.plan for identity in shown if identity.category == "human"} == {"man", "woman"}


def test_prompts_are_of_the_benchmarks_grammar_and_fit() -> None:
    plan = ClipPlan(cases=160, frames=1, split="train", seed=2)
    prompts = [clip_case(plan, number).prompt for number in range(160)]
    assert {word for prompt in prompts for word in prompt.split()} <= set(words())
    assert all(prompt.endswith(tuple(PLACE_PHRASES.values())) for prompt in prompts)
    assert not any(PLACE_PHRASES["studio"] in prompt or "standing" in prompt for prompt in prompts)
    longest = "a woman looking up and a penguin looking up and a camera lying under the night sky"
    assert max(len(prompt.split()) for prompt in (*prompts, longest)) + 2 <= TOKENS


def test_another_telling_is_about_the_same_subjects() -> None:
    one, other = (clip_case(TINY, 4, telling=k) for k in (0, 1))
    assert one.identities == other.identities
    assert one.references == other.references
    assert one.prompt != other.prompt


def test_clips_do_not_depend_on_the_workers_and_other_plans_are_refused(pictures: ClipSet, tmp_path: Path) -> None:
    again = render_clips(tmp_path / "two", TINY_PICTURES, workers=2)
    assert np.array_equal(again.clips, pictures.clips)
    assert np.array_equal(again.references, pictures.references)
    assert again.prompts == pictures.prompts
    with pytest.raises(DataError) as error:
        render_clips(tmp_path / "two", ClipPlan(cases=7, frames=1, split="train", seed=7))
    assert str(error.value).startswith("wanted clips of {'cases': 7, 'frames': 1, 'split': 'train', 'seed': 7} in ")
    assert str(error.value).endswith("'seed': 8}; name another folder")


# --- autoencoder ----------------------------------------------------------------------------------------------------------


def test_the_fitted_autoencoder_is_the_best_linear_one(clips: ClipSet) -> None:
    """Its error is the mean of the components that it leaves out, of which the first frame counts four times."""
    import torch

    vae = fit_clip_vae(np.array(clips.clips))
    whole = np.concatenate([np.repeat(clips.clips[:, :1], 3, axis=1), clips.clips], axis=1)
    patches = whole.reshape(7, 3, 4, 12, 8, 12, 8, 3).transpose(0, 1, 3, 5, 2, 4, 6, 7).reshape(-1, 768) / 127.5 - 1
    left_out = np.linalg.eigvalsh(np.cov(patches, rowvar=False))[:-16].sum() / 768
    with torch.inference_mode():
        given = pixels(clips.clips)
        z = vae.encode(given).latent_dist.sample()
        assert z.shape == (7, 16, 3, 12, 12)
        error = (vae.decode(z).sample - given).square().mean(dim=(0, 1, 3, 4))
        scaled = latents(vae, given)
    assert float((4 * error[0] + error[1:].sum()) / 12) == pytest.approx(left_out, rel=0.02)
    assert float(scaled.mean()) == pytest.approx(0, abs=0.01)
    assert float(scaled.var()) == pytest.approx(1, abs=0.05)


def test_a_chunk_does_not_look_ahead_and_a_picture_is_a_clip_of_one_frame(clips: ClipSet) -> None:
    import torch

    vae = fit_clip_vae(np.array(clips.clips))
    torch.nn.init.normal_(vae.leave.weight, std=0.02)
    with torch.inference_mode():
        given = pixels(clips.clips[:1])
        z = vae.encode(given).latent_dist.mode()
        short = vae.encode(given[:, :, :5]).latent_dist.mode()
        alone = vae.encode(given[:, :, :1]).latent_dist.mode()
        whole, cut = vae.decode(z).sample, vae.decode(z[:, :, :2]).sample
    assert torch.allclose(z[:, :, :2], short, atol=1e-5)
    assert torch.allclose(z[:, :, :1], alone, atol=1e-5)
    assert whole.shape == (1, 3, 9, 96, 96)
    assert torch.allclose(whole[:, :, :5], cut, atol=1e-5)


def test_the_autoencoder_survives_saving(clips: ClipSet, tmp_path: Path) -> None:
    import torch

    vae = fit_clip_vae(np.array(clips.clips))
    vae.save_pretrained(tmp_path)
    again = clip_vae_class().from_pretrained(tmp_path)
    with torch.inference_mode():
        given = pixels(clips.clips[:2])
        assert torch.equal(latents(again, given), latents(vae, given))
        assert torch.equal(*(v.decode(v.encode(given).latent_dist.mode()).sample for v in (again, vae)))


# --- what the model reads -------------------------------------------------------------------------------------------------


def test_the_control_is_the_pipelines_own(fresh: Any, clips: ClipSet) -> None:
    import torch
    from PIL import Image

    tensors = tensors_of(fresh, clips)
    shown = [Image.fromarray(np.array(clips.references[6, k])) for k in range(3)]
    with torch.inference_mode():
        video, mask, references = fresh.preprocess_conditions(
            None, None, shown, 1, 96, 96, FRAMES, torch.float32, "cpu"
        )
        wanted = torch.cat(
            [
                fresh.prepare_video_latents(video, mask, references, None, torch.device("cpu")),
                fresh.prepare_masks(mask, references),
            ],
            dim=1,
        )
        found = control(tensors.references[6:7].float().flip(1), empty_of(fresh, tensors.clips))
    assert found.shape == wanted.shape == (1, 96, 6, 12, 12)
    assert torch.allclose(found, wanted, atol=0.01)


def test_texts_are_the_pipelines_own(fresh: Any, clips: ClipSet) -> None:
    import torch

    ids, mask = told(fresh.tokenizer, clips.prompts[:2])
    with torch.inference_mode():
        found = fresh.text_encoder(ids, mask).last_hidden_state * mask[..., None]
        wanted, _ = fresh.encode_prompt(
            list(clips.prompts[:2]), do_classifier_free_guidance=False, max_sequence_length=TOKENS
        )
    assert torch.allclose(found, wanted, atol=1e-6)


def test_a_batch_has_equally_many_references_and_drops_some(fresh: Any, clips: ClipSet) -> None:
    import torch

    tensors = tensors_of(fresh, clips)
    empty = empty_of(fresh, tensors.clips)
    batches = Batches(tensors, empty, seed=0, batch=16)
    seen, silent, alone = set(), 0, 0
    for _ in range(24):
        clean, read, ids, mask, count = batches()
        n = int(count)
        seen.add(n)
        assert clean.shape == (16, 16, n + 3, 12, 12)
        assert read.shape == (16, 96, n + 3, 12, 12)
        assert torch.equal(clean[:, :, :n], read[:, :16, :n])
        assert not read[:, 32:, :n].any()
        assert (read[:, 32:, n:] == 1).all()
        silent += int((ids == empty.ids).all(1).sum())
        alone += int((clean[:, :, 0] == empty.picture).flatten(1).all(1).sum())
        assert bool((mask.sum(1) >= 2).all())
    assert seen == {1, 2, 3}
    assert 10 < silent < 80
    assert 10 < alone < 80


# --- training -------------------------------------------------------------------------------------------------------------


def test_stages_share_the_budget() -> None:
    assert sum(SHARES.values()) == pytest.approx(1)
    assert Budget(steps=100).part(SHARES["clips"]).steps == round(100 * SHARES["clips"])
    assert Budget(steps=1).part(SHARES["decoder"]).steps == 1
    assert Budget(minutes=10).part(SHARES["pictures"]).minutes == pytest.approx(10 * SHARES["pictures"])


def test_a_fresh_model_has_no_velocity(fresh: Any) -> None:
    import torch

    x = torch.randn(1, 16, 4, 12, 12)
    with torch.inference_mode():
        found = fresh.transformer(
            x, torch.tensor([500.0]), torch.randn(1, TOKENS, 64), control_hidden_states=torch.randn(1, 96, 4, 12, 12)
        ).sample
    assert not found.any()


def test_a_few_steps_lower_the_loss_and_repeat_to_the_bit(pictures: ClipSet, clips: ClipSet, tmp_path: Path) -> None:
    options: dict[str, Any] = {"seed": 3, "budget": Budget(steps=40), "layers": 2, "vace_layers": (0,)}
    names: list[str] = []
    trained = train_vace(tmp_path / "one", pictures, clips, progress=lambda name, _share: names.append(name), **options)
    assert list(dict.fromkeys(names)) == ["vace decoder", "vace pictures", "vace clips"]
    assert trained["pictures"].steps == round(40 * SHARES["pictures"])
    assert trained["pictures"].last_loss < 0.9 * trained["pictures"].first_loss
    train_vace(tmp_path / "two", pictures, clips, **options)
    for name in ("transformer", "vae", "text_encoder"):
        one, two = ((tmp_path / f / name).glob("*.safetensors") for f in ("one", "two"))
        assert next(one).read_bytes() == next(two).read_bytes()
    assert load(tmp_path / "one").transformer.config.num_layers == 2


# --- what is shipped ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pipeline() -> Any:
    return load()


def test_the_shipped_pipeline_is_the_real_one(pipeline: Any) -> None:
    import diffusers
    import torch
    import transformers

    assert type(pipeline) is diffusers.WanVACEPipeline
    assert type(pipeline.transformer) is diffusers.WanVACETransformer3DModel
    assert type(pipeline.scheduler) is diffusers.UniPCMultistepScheduler
    assert type(pipeline.text_encoder) is transformers.UMT5EncoderModel
    config = pipeline.transformer.config
    assert (config.in_channels, config.vace_in_channels, tuple(config.patch_size)) == (16, 96, (1, 2, 2))
    assert (pipeline.vae_scale_factor_spatial, pipeline.vae_scale_factor_temporal) == (8, 4)
    assert (pipeline.scheduler.config.flow_shift, pipeline.scheduler.config.use_flow_sigmas) == (3.0, True)
    assert all(p.dtype == torch.float32 and not p.requires_grad for p in pipeline.transformer.parameters())


def test_the_shipped_weights_are_small_and_in_half_precision() -> None:
    from safetensors import safe_open

    files = [file for file in SHIPPED.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 6 * 1024 * 1024
    for file in SHIPPED.rglob("*.safetensors"):
        with safe_open(file, framework="pt") as stored:
            assert {str(stored.get_tensor(k).dtype) for k in stored.keys()} == {"torch.float16"}  # noqa: SIM118


def test_adapters_find_the_modules_that_they_find_in_wan(pipeline: Any) -> None:
    names = {name for name, _ in pipeline.transformer.named_modules()}
    assert {"blocks.0.attn1.to_q", "blocks.0.attn2.to_out.0", "blocks.0.ffn.net.0.proj"} <= names
    assert {"vace_blocks.0.attn1.to_v", "vace_blocks.0.proj_in", "vace_blocks.1.proj_out"} <= names


def test_what_a_folder_lacks_is_told(tmp_path: Path) -> None:
    assert lacking() == []
    (tmp_path / "vae").mkdir()
    with pytest.raises(WeightsError) as error:
        load(tmp_path)
    assert str(error.value) == (
        f"wanted the small VACE in {str(tmp_path)!r}, found no transformer, text_encoder, scheduler, tokenizer there; install "
        f"evalkit again, or train it with `evalkit sandbox train --model vace --out {tmp_path}`"
    )


def wanted(count: int) -> list[Request]:
    rng = np.random.default_rng(1)
    texts = ("a cat running on the beach", "a robot lying in the snow and a mug tilted in the snow")
    noise = rng.integers(0, 256, (count, 2, 96, 96, 3), dtype=np.uint8)
    return [Request(texts[i % 2], tuple(noise[i][: 1 + i % 2]), i) for i in range(count)]


def made(pipeline: Any, asked: Sequence[Request], **options: Any) -> list[Any]:
    return list(sample(pipeline, asked, steps=2, **options))


def test_a_clip_does_not_depend_on_the_ones_made_beside_it(pipeline: Any) -> None:
    asked = wanted(3)
    forth, back = made(pipeline, asked), made(pipeline, asked[::-1])[::-1]
    assert all(clip.shape == (9, 96, 96, 3) and clip.dtype == np.uint8 for clip in forth)
    assert all(np.array_equal(a, b) for a, b in zip(forth, back, strict=True))
    assert np.array_equal(forth[2], made(pipeline, asked[2:])[0])


def test_a_clip_does_not_depend_on_the_number_of_threads(pipeline: Any) -> None:
    import torch

    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            found += made(pipeline, wanted(1))
    finally:
        torch.set_num_threads(threads)
    assert np.array_equal(found[0], found[1])


def test_seed_prompt_references_their_order_and_guidance_all_change_the_clip(pipeline: Any) -> None:
    _, asked = wanted(2)
    other = asked._replace(prompt="a man sitting in the snow and a cat lying in the snow")
    others = [asked._replace(seed=7), other, asked._replace(references=asked.references[::-1])]
    first, *rest = made(pipeline, [asked, *others])
    assert all(not np.array_equal(first, clip) for clip in rest)
    assert not np.array_equal(first, made(pipeline, [asked], guidance=4.0)[0])


def test_references_of_any_shape_fit(pipeline: Any) -> None:
    wide = np.full((4, 160, 3), 90, np.uint8)
    assert fitted(wide).size == (96, 8)
    same = np.zeros((96, 96, 3), np.uint8)
    assert np.array_equal(np.asarray(fitted(same)), same)
    (clip,) = made(pipeline, [Request("a cat running on the beach", (wide,), 0)])
    assert clip.shape == (9, 96, 96, 3)


def test_the_shipped_autoencoder_keeps_clips_of_held_out_subjects(pipeline: Any, tmp_path: Path) -> None:
    import torch

    held_out = render_clips(tmp_path / "bench", ClipPlan(cases=7, frames=FRAMES, split="bench", seed=9))
    given = pixels(held_out.clips)

    def error(vae: Any) -> float:
        with torch.inference_mode():
            return float((vae.decode(vae.encode(given).latent_dist.mode()).sample - given).square().mean())

    assert error(pipeline.vae) < error(fit_clip_vae(np.array(held_out.clips)))


def card() -> dict[str, Any]:
    import yaml

    found: dict[str, Any] = yaml.safe_load((SHIPPED / "card.yaml").read_text(encoding="utf-8"))
    return found


def test_the_card_is_of_this_world_and_says_that_conditions_matter() -> None:
    from evalkit.sandbox.vace.evaluate import CONDITIONS, TELLINGS
    from evalkit.sandbox.world import WORLD_VERSION

    told = card()
    figures = told["held_out"]
    assert told["world_version"] == WORLD_VERSION
    assert {plan["split"] for plan in told["training_sets"]} == {"train"}
    assert told["held_out_set"]["split"] == "bench"
    assert set(figures) == {"real", *CONDITIONS}
    for score in ("dino", "dino_own_first", "own_colour"):
        assert figures["true"][score] > 1.2 * figures["other_references"][score]
        assert figures["true"][score] > 1.2 * figures["no_references"][score]
    for score in ("clip", f"clip_top1_of_{TELLINGS}"):
        assert figures["true"][score] > 1.2 * figures["other_prompt"][score]
    assert 0.5 < figures["true"]["motion"] / figures["real"]["motion"] < 2


def test_the_card_can_be_computed_again(pipeline: Any) -> None:
    from evalkit.features.weight_files import sha256_of
    from evalkit.sandbox.kontext.evaluate import WEIGHTS
    from evalkit.sandbox.vace.evaluate import evaluate

    told = card()
    for name, digest in told["read_by"].items():
        if sha256_of([WEIGHTS / name / "model.safetensors"]) != digest:
            pytest.skip(f"the embedded {name} is not the one that the card was read by; write the card again")
    for condition, figures in evaluate(pipeline).items():
        assert figures == pytest.approx(told["held_out"][condition], abs=0.02)
