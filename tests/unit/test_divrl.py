"""DivRL on a Kontext of two blocks: the policy is the pipeline, its adapter is what is saved and loaded, options and data."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from evalkit.errors import DataError, MethodError, ProblemsError, UsageError, WeightsError
from evalkit.methods.base import Context, TrainOrder
from evalkit.methods.divrl.data import read_lessons, training_folder, write_lesson
from evalkit.methods.divrl.memory import need_memory, training_gib
from evalkit.methods.divrl.method import DIVRL, SHIPPED
from evalkit.methods.divrl.policy import Item, KontextPolicy, with_adapter
from evalkit.methods.divrl.preset import preset, presets
from evalkit.methods.divrl.reward import gated
from evalkit.methods.divrl.train import _identity, _item
from evalkit.methods.divrl.world import world_lessons
from evalkit.registry import METRICS, load, names
from evalkit.rl.reward import MetricScores, Rewards, Subject
from evalkit.rl.rollout import Plan, rollout
from evalkit.rl.settings import Settings
from evalkit.rl.trainer import Trainer
from evalkit.sandbox.kontext.assemble import assemble, new_scheduler, new_text_encoders, new_tokenizer, new_transformer
from evalkit.sandbox.kontext.vae import fit_patch_vae
from tests.fakes import tiny_benchmark

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

PROMPTS = ("a red dog in the park", "a cup on a table", "a boy by the sea")


@pytest.fixture
def pipeline(tmp_path: Path) -> Callable[[], Any]:
    """The same small pipeline, made anew at each call."""
    pictures = np.random.default_rng(0).integers(0, 256, (8, 96, 96, 3)).astype(np.uint8)

    def made() -> Any:
        with torch.random.fork_rng():
            torch.manual_seed(4)
            tokenizer = new_tokenizer(tmp_path / "tokenizer")
            clip, t5 = new_text_encoders(tokenizer.get_vocab())
            transformer = new_transformer(double=1, single=1)
            for parameter in transformer.parameters():  # it starts as the identity: nothing to tell apart
                torch.nn.init.normal_(parameter, std=0.05)
            parts = {"transformer": transformer, "text_encoder": clip, "text_encoder_2": t5, "vae": fit_patch_vae(pictures),
                     "tokenizer": tokenizer, "tokenizer_2": tokenizer, "scheduler": new_scheduler()}  # fmt: skip
            for name in ("transformer", "text_encoder", "text_encoder_2", "vae"):
                parts[name].eval().requires_grad_(False)
            return assemble(parts)

    return made


@pytest.fixture
def items() -> list[Item]:
    rng = np.random.default_rng(1)
    nothing = Subject(None, (), ())  # type: ignore[arg-type] # no reward of these tests looks at it
    return [Item(prompt, rng.integers(0, 256, (96, 96, 3)).astype(np.uint8), nothing) for prompt in PROMPTS]


def policy_on(pipeline: Any, **changes: Any) -> KontextPolicy:
    told: dict[str, Any] = {"side": 96, "guidance": 2.5, "text_tokens": 20, "rank": 4, "alpha": 8, "seed": 0}
    return KontextPolicy(pipeline, **told | changes)


def sampled(pipeline: Any, items: list[Item], noise: torch.Tensor, steps: int) -> NDArray[np.uint8]:
    images = torch.from_numpy(np.stack([i.reference for i in items])).permute(0, 3, 1, 2).float() / 255
    made = pipeline(
        image=images, prompt=[i.prompt for i in items], height=96, width=96, max_area=96 * 96, num_inference_steps=steps,
        guidance_scale=2.5, max_sequence_length=20, output_type="np", latents=noise, _auto_resize=False,
    ).images  # fmt: skip
    pixels: NDArray[np.uint8] = np.rint(made * 255).astype(np.uint8)
    return pixels


def test_without_noise_a_rollout_is_the_pipeline(pipeline: Callable[[], Any], items: list[Item]) -> None:
    policy = policy_on(pipeline())
    condition = policy.encode(items)
    went = rollout(policy, condition, [1, 2, 3], Plan(steps=5, kind="ode"))
    expected = sampled(pipeline(), items, went.states[:, 0], 5)
    found = np.stack(policy.decode(went.final))
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1
    assert len(np.unique(found)) > 20


def test_a_fresh_adapter_changes_nothing_and_alone_learns(pipeline: Callable[[], Any], items: list[Item]) -> None:
    policy = policy_on(pipeline())
    condition = policy.encode(items)
    state = policy.start(condition, [torch.Generator().manual_seed(n) for n in range(3)])
    here = policy.velocity(state, 0.7, condition)
    with policy.reference():
        base = policy.velocity(state, 0.7, condition)
    torch.testing.assert_close(here, base)
    names = policy.trainable()
    assert names
    assert all("lora_" in name for name in names)
    adapted = {name.split(".lora_")[0].rsplit("transformer_blocks.0.", 1)[1] for name in names}
    assert adapted == {
        "attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0", "attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj",
        "attn.to_add_out", "ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2", "proj_mlp",
    }  # fmt: skip


def test_a_saved_adapter_is_what_was_trained(pipeline: Callable[[], Any], items: list[Item], tmp_path: Path) -> None:
    policy = policy_on(pipeline())
    with torch.no_grad():
        for number, parameter in enumerate(policy.trainable().values()):
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number)) * 0.1)
    condition = policy.encode(items)
    went = rollout(policy, condition, [1, 2, 3], Plan(steps=4, kind="ode"))
    policy.save(tmp_path / "adapter")
    found = sampled(with_adapter(pipeline(), tmp_path / "adapter"), items, went.states[:, 0], 4)
    expected = np.stack(policy.decode(went.final)).astype(int)
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert np.abs(expected - sampled(pipeline(), items, went.states[:, 0], 4).astype(int)).max() > 5
    again = policy_on(pipeline(), start=tmp_path / "adapter")
    for (name, one), other in zip(policy.trainable().items(), again.trainable().values(), strict=True):
        assert torch.equal(one, other), name


def test_an_adapter_of_another_model_is_named(pipeline: Callable[[], Any], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="wanted a peft adapter"):
        with_adapter(pipeline(), tmp_path)
    policy_on(pipeline()).save(tmp_path / "adapter")
    small = pipeline()
    small.transformer = new_transformer(double=1, single=1, heads=2)
    with pytest.raises(
        WeightsError, match=r"attn.to_k.lora_A.weight': wanted 64 features, found shape \[4, 128\]; it is of "
    ):
        with_adapter(small, tmp_path / "adapter")
    none = pipeline()
    none.transformer = new_transformer(double=1, single=0)
    with pytest.raises(WeightsError, match=r"found '.*single_transformer_blocks.0.*wanted modules of this model alone"):
        with_adapter(none, tmp_path / "adapter")


@pytest.mark.slow
def test_a_reward_that_can_be_seen_is_learnt(pipeline: Callable[[], Any], items: list[Item], tmp_path: Path) -> None:
    def brightness(items: Any, pictures: Any) -> Rewards:
        return Rewards(torch.tensor([float(p.mean()) / 255 for p in pictures]), {})

    settings = Settings(epochs=12, groups=3, group_size=8, steps=4, learning_rate=1e-2, clip=1e-2, rollout_batch=24)
    trainer = Trainer(policy_on(pipeline()), items, brightness, settings, tmp_path)
    trainer.run()
    rewards = [row["reward"] for row in trainer.curves]
    assert sum(rewards[-3:]) / 3 > sum(rewards[:3]) / 3 + trainer.curves[0]["reward_std"]


def test_the_gate_punishes_only_what_is_below_it() -> None:
    nssm, vsm = torch.tensor([0.3, 0.3, 0.3, float("nan")]), torch.tensor([0.9, 0.5, 0.1, 0.9])
    assert gated(nssm, vsm)[:3].tolist() == pytest.approx([0.3, 0.3, 0.3 - 5 * 0.16])
    assert gated(nssm, vsm)[3].isnan()
    assert gated(nssm[:1], torch.tensor([float("nan")])).isnan().all()


def test_presets_say_what_their_sources_say() -> None:
    paper, code = preset("paper"), preset("official_code")
    assert (paper.trainer.beta, paper.trainer.std, paper.nssm) == (0.1, "group", "mtg_nssm@paper_24")
    assert (code.trainer.beta, code.trainer.std, code.nssm) == (0.0, "global", "mtg_nssm@official")
    assert [stage.continues for stage in code.stages] == [True, False]
    for told in (paper, code):
        assert (told.trainer.group_size, told.trainer.steps, told.trainer.noise_level) == (21, 6, 0.9)
        assert (told.base.rank, told.base.alpha, told.base.guidance) == (64, 128, 2.5)
        assert (told.threshold, told.weight) == (0.5, 5.0)
        assert (told.trainer.learning_rate, told.trainer.clip, told.trainer.advantage_clip) == (3e-4, 1e-4, 5.0)
    assert set(presets()) == {"paper", "official_code", "sandbox"}


def test_the_shipped_adapter_fits_the_small_model_and_is_small() -> None:
    from safetensors.torch import load_file

    from evalkit.sandbox.kontext.assemble import load as small_kontext

    state = load_file(SHIPPED / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in state.values()} == {torch.float16}
    assert all(tensor.isfinite().all() for tensor in state.values())
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 2**20
    told = json.loads((SHIPPED / "adapter_config.json").read_text(encoding="utf-8"))
    base = preset("sandbox").base
    assert (told["r"], told["lora_alpha"], told["base_model_name_or_path"]) == (base.rank, base.alpha, None)
    plain, changed = small_kontext().transformer, with_adapter(small_kontext(), SHIPPED).transformer
    theirs = dict(changed.named_parameters())
    moved = {name for name, own in plain.named_parameters() if not torch.equal(own, theirs.get(name, own))}
    assert len(moved) == len(state) / 2  # each adapted layer has two factors


def test_an_ablation_has_one_stage_as_long_as_all() -> None:
    told = preset("sandbox").with_options({"ablation": "nssm_only", "epochs": "5"})
    assert [(stage.reward, stage.epochs) for stage in told.stages] == [("nssm", 10)]
    plain, ablated = preset("sandbox"), preset("sandbox").with_options({"ablation": "vsm_only"})
    lengths = [plain.settings(stage, seed=0).epochs for stage in plain.stages]
    assert len(set(lengths)) > 1
    assert [ablated.settings(stage, seed=3).epochs for stage in ablated.stages] == [sum(lengths)]
    assert ablated.settings(ablated.stages[0], seed=3).seed == 3
    assert [paper.epochs for paper in preset("paper").stages] == [None, None]
    linear = preset("sandbox").with_options({"ablation": "linear", "share": "0.25"})
    assert (linear.stages[0].reward, linear.share) == ("linear", 0.25)
    gate = preset("paper").with_options({"threshold": "0.7", "weight": "50"})
    assert (gate.threshold, gate.weight) == (0.7, 50.0)
    assert preset("paper").with_options({"features": "dinov2"}).nssm.startswith("dino_nssm@")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "papr"}, "wanted a preset of divrl, found 'papr', which is none; did you mean 'paper'?"),
        ({"ablation": "vsm"}, "wanted a value of ablation, found 'vsm', which is none; did you mean 'vsm_only'?"),
        ({"epochs": "0"}, "wanted epochs from 1 to 100000, found '0'; give a whole number"),
        ({"share": "2"}, "wanted share from 0 to 1, found '2'; give a number between them"),
        ({"threshold": "nan"}, "wanted threshold from 0 to 1, found 'nan'; give a number between them"),
        (
            {"share": "0.5"},
            "wanted options that do something, found share, which only the reward 'linear' reads; this training has gated, nssm",
        ),
        (
            {"ablation": "vsm_only", "weight": "2"},
            "wanted options that do something, found weight, which only the reward 'gated' reads; this training has vsm",
        ),
        ({"stage": "stage_3"}, "wanted a stage, found 'stage_3', which is none; did you mean 'stage_2' or 'stage_1'?"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        DIVRL.configured(options)
    assert str(raised.value) == message


def test_an_option_that_there_is_not() -> None:
    with pytest.raises(UsageError, match=r"^wanted options of divrl, found colour; it has preset, ablation, "):
        DIVRL.configured({"colour": "red"})


def test_what_was_set_is_part_of_the_run(tmp_path: Path) -> None:
    assert DIVRL.config == {}
    assert DIVRL.configured({"epochs": "3", "ablation": "vsm_only"}).config == {"ablation": "vsm_only", "epochs": "3"}


def test_a_training_option_without_training_is_refused_and_the_reverse(tmp_path: Path) -> None:
    data = tiny_benchmark(tmp_path / "data")
    told = DIVRL.configured({"epochs": "3", "seed": "1"}).check(Context(data, "sandbox", tmp_path))
    assert "wanted options that do something, found epochs, seed; add --train, which they are for" in told
    trained = Context(data, "sandbox", tmp_path, checkpoint=tmp_path)
    assert DIVRL.configured({"epochs": "3"}).check(trained) == []
    told = DIVRL.configured({"stage": "stage_1"}).check(trained)
    assert told == ["wanted options that do something, found stage; leave out --train, which makes its own adapter"]


def test_too_little_memory_says_what_would_fit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = preset("paper")
    wanted, one = training_gib(told), training_gib(told.at_a_time(1))
    assert 35 < one < wanted < 80
    need_memory(told, wanted)
    with pytest.raises(MethodError, match=r"3 samples at a time wants a CUDA device .*; --set batch=1 would fit$"):
        need_memory(told, one)
    with pytest.raises(MethodError, match=rf"about {wanted:.0f} GiB, found one with 24 GiB; --profile sandbox trains"):
        need_memory(told, 24.0)
    without = told.model_copy(update={"base": told.base.model_copy(update={"save_memory": False})})
    assert training_gib(without) > 2 * wanted
    monkeypatch.setattr("evalkit.methods.divrl.method.cuda_gib", lambda: 0.0)
    order = TrainOrder(tmp_path, data=tmp_path, seed=0)
    with pytest.raises(MethodError, match="wants a CUDA device with about .* GiB, found none"):
        DIVRL.configured({"preset": "paper"}).train(order, Context(None, "paper", tmp_path))  # type: ignore[arg-type]


def test_a_batch_changes_what_is_in_memory_alone() -> None:
    told = preset("sandbox").with_options({"batch": "6", "epochs": "3"})
    plain = preset("sandbox")
    assert told.trainer == plain.trainer.model_copy(update={"rollout_batch": 6, "micro_batch": 6})
    assert [told.settings(stage, seed=0).epochs for stage in told.stages] == [3, 3]


@pytest.mark.parametrize(
    ("options", "families"),
    [
        ({}, {"nssm", "vsm"}),
        ({"stage": "stage_1"}, {"nssm", "vsm"}),
        ({"epochs": "2"}, {"nssm", "vsm"}),
        ({"ablation": "nssm_only"}, {"nssm"}),
        ({"ablation": "vsm_only"}, {"vsm"}),
        ({"ablation": "linear"}, {"nssm", "vsm"}),
        ({"features": "dinov2"}, {"dino_nssm", "sdino"}),
        ({"features": "dinov2", "ablation": "nssm_only"}, {"dino_nssm"}),
    ],
)
def test_what_is_rewarded_is_what_is_declared(options: dict[str, str], families: set[str]) -> None:
    method = DIVRL.configured(options)
    assert set(method.info.rewards) == families
    cards = [load(METRICS, name).card for name in names(METRICS)]
    known = {card.family(variant) for card in cards for variant in card.variants}
    assert families <= known


def test_training_data_are_known_by_their_pixels_and_masks(tmp_path: Path) -> None:
    def identity(folder: Path, **changes: Any) -> str:
        lesson(folder, **changes)
        with closing(MetricScores(("mtg_nssm@paper_24",), "sandbox", device="cpu")) as scores:
            return _identity([_item(one, scores, lambda pixels: pixels) for one in read_lessons(folder)])

    first = identity(tmp_path / "a")
    assert identity(tmp_path / "b") == first
    assert identity(tmp_path / "c", picture=np.full((20, 30, 3), 91, np.uint8)) != first
    assert identity(tmp_path / "d", mask=np.ones((20, 30), bool)) != first


def test_published_weights_that_are_missing_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    lines = DIVRL.check(Context(tiny_benchmark(tmp_path / "data"), "paper", tmp_path))
    assert any("gated" in line and "hf download black-forest-labs/FLUX.1-Kontext-dev" in line for line in lines)
    assert any(line.startswith("wanted the adapter 'QWW/DivRL' (stage_2), found none") for line in lines)
    trained = Context(tiny_benchmark(tmp_path / "data"), "paper", tmp_path, checkpoint=tmp_path)
    assert not any("QWW/DivRL" in line for line in DIVRL.check(trained))


def lesson(folder: Path, name: str = "toy", **changes: Any) -> None:
    picture = np.full((20, 30, 3), 90, np.uint8)
    mask = np.zeros((20, 30), bool)
    mask[5:15, 5:15] = True
    told: dict[str, Any] = {
        "picture": picture,
        "mask": mask,
        "lines": ["a toy", "a toy in the park", "a toy by the sea"],
    }
    write_lesson(folder, name, **told | changes)


def test_training_data_in_the_documented_form(tmp_path: Path) -> None:
    lesson(tmp_path)
    lessons = read_lessons(tmp_path)
    assert [item.case.prompt for item in lessons] == ["a toy in the park", "a toy by the sea"]
    (reference,) = lessons[0].case.references
    assert (reference.label, reference.mask) == ("a toy", "masks/toy.png")
    assert training_folder(tmp_path, tmp_path / "cache") == tmp_path


def test_a_dataset_with_the_columns_is_written_in_that_form(tmp_path: Path) -> None:
    from datasets import Dataset
    from PIL import Image

    picture = Image.fromarray(np.full((20, 30, 3), 90, np.uint8))
    mask = Image.fromarray(np.pad(np.full((10, 10), 255, np.uint8), ((5, 5), (5, 15))))
    rows = {"image": [picture], "mask": [mask], "caption": ["a toy\na toy in the park"]}
    Dataset.from_dict({"image": [1], "caption": ["x"]}).save_to_disk(tmp_path / "bad")
    with pytest.raises(
        DataError, match=r"^wanted the columns image, mask and caption, found image, caption; rename or add mask"
    ):
        training_folder(tmp_path / "bad", tmp_path / "cache")
    from datasets import Features, Value
    from datasets import Image as Column

    features = Features({"image": Column(), "mask": Column(), "caption": Value("string")})
    Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "good")
    folder = training_folder(tmp_path / "good", tmp_path / "cache")
    (found,) = read_lessons(folder)
    assert found.case.prompt == "a toy in the park"
    assert training_folder(tmp_path / "good", tmp_path / "cache") == folder


def test_every_fault_of_training_data_is_told_at_once(tmp_path: Path) -> None:
    lesson(tmp_path, "a", mask=np.zeros((20, 30), bool))
    lesson(tmp_path, "b", lines=["only a subject"])
    lesson(tmp_path, "c")
    (tmp_path / "masks" / "c.png").unlink()
    lesson(tmp_path, "d", mask=np.ones((5, 5), bool))
    lesson(tmp_path, "e")
    (tmp_path / "images" / "e.png").write_bytes(b"")
    with pytest.raises(ProblemsError) as raised:
        read_lessons(tmp_path)
    told = str(raised.value)
    assert "(5 problems)" in told
    for line in (
        "masks/a.png: wanted white on the subject, found an empty mask",
        "captions/b.txt: wanted a line that names the subject and 1 to 63 prompts, found 1 lines",
        "images/c.png: wanted its mask masks/c.png, found none",
        "wanted 20 x 30",
        "e.png",
    ):
        assert line in told


@pytest.mark.parametrize("what", ["nothing", "a file", "no folder images/ in it"])
def test_training_data_that_are_none(tmp_path: Path, what: str) -> None:
    place = tmp_path / "data"
    if what == "a file":
        place.write_text("", encoding="utf-8")
    elif what != "nothing":
        place.mkdir()
    with pytest.raises(DataError, match=rf"^wanted training data \(images/, masks/ and captions/\), found {what}"):
        read_lessons(place)


def test_the_worlds_lessons_are_no_benchmarks(tmp_path: Path) -> None:
    folder = world_lessons(tmp_path, subjects=3, prompts=2)
    lessons = read_lessons(folder)
    assert len(lessons) == 6
    assert len({item.case.subjects for item in lessons}) == 3
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert world_lessons(tmp_path, subjects=3, prompts=2) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize("name", ["dreamsim_pairwise@ensemble", "recognition@official"])
def test_a_metric_of_no_single_pictures_is_no_reward(name: str) -> None:
    with pytest.raises(UsageError, match=f"wanted metrics of single pictures as rewards, found {name}; choose another"):
        MetricScores((name,), "sandbox", device="cpu")
