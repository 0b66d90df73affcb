"""The pieces of the sandbox's training, and a few real steps of each on a tiny set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from evalkit.errors import UsageError
from evalkit.sandbox.training.data import (
    ATTRIBUTES,
    GRID,
    IMAGES_PER_IDENTITY,
    SetPlan,
    WorldSet,
    attribute_labels,
    identity_of,
    identity_scenes,
    patch_matches,
    render_set,
    single_scene,
)
from evalkit.sandbox.training.evaluate import evaluate_identity, evaluate_patches, retrieval
from evalkit.sandbox.training.glitches import GlitchPlan
from evalkit.sandbox.training.loop import Budget, attribute_loss, drop_tokens, learning_rate, to_pixels
from evalkit.sandbox.training.tokenizer import learn_merges, write_tokenizer
from evalkit.sandbox.world import correspondences, render, split_of, words

if TYPE_CHECKING:
    pass

TINY = SetPlan(identities=8, styles=3, pairs=3, split="train", seed=5)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> WorldSet:
    return render_set(tmp_path_factory.mktemp("sets") / "tiny", TINY)


def test_a_set_is_complete_and_labelled(tiny: WorldSet) -> None:
    known = TINY.identities * IMAGES_PER_IDENTITY
    assert tiny.images.shape == (known + 6, 96, 96, 3)
    assert tiny.identity.tolist() == [*np.repeat(np.arange(8), 8).tolist(), *[-1] * 6]
    assert tiny.labels.shape == (known + 6, len(ATTRIBUTES))
    assert len(tiny.captions) == known + 6
    assert tiny.matches.shape == (known // 2, GRID * GRID)
    assert all(" and " in plain for plain, _ in tiny.captions[-3:])


def test_a_set_does_not_depend_on_the_number_of_workers(tiny: WorldSet, tmp_path: Path) -> None:
    again = render_set(tmp_path / "two", TINY, workers=2)
    assert np.array_equal(again.images, tiny.images)
    assert np.array_equal(again.matches, tiny.matches)
    assert again.captions == tiny.captions


def test_a_complete_set_is_opened_and_not_rendered_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = SetPlan(identities=1, styles=0, pairs=0, split="train", seed=5)
    done: list[float] = []
    first = render_set(tmp_path / "set", plan, progress=lambda _name, share: done.append(share))
    assert done[-1] == 1.0
    monkeypatch.setattr("evalkit.sandbox.training.data._render_all", lambda *_: pytest.fail("rendered again"))
    assert np.array_equal(render_set(tmp_path / "set", plan).images, first.images)


def test_training_identities_are_never_of_the_benchmark() -> None:
    plan = SetPlan(identities=60, styles=20, pairs=20, split="train", seed=3, lookalikes=0.5)
    assert all(split_of(identity_of(plan, i)) == "train" for i in range(60))
    for scene in (single_scene(plan, i) for i in range(40)):
        assert all(split_of(i) == "train" for i in scene.identities)
        assert scene.style_identity is None or split_of(scene.style_identity) == "train"


def test_labels_name_the_scene() -> None:
    scene = identity_scenes(TINY, 0)[0]
    named = {n: values[k] for (n, values), k in zip(ATTRIBUTES.items(), attribute_labels(scene), strict=True)}
    first = scene.identities[0]
    assert (named["plan"], named["palette"], named["pattern"]) == (first.plan, first.palette, first.pattern)
    assert named["place"] == (scene.place if scene.twist == "none" else scene.twist)
    assert named["action"] == scene.poses[0].action


def test_a_picture_matches_its_own_patches() -> None:
    r = render(identity_scenes(TINY, 2)[0])
    matches = patch_matches(r, r)
    found = np.flatnonzero(matches >= 0)
    assert len(found) > 5
    assert np.array_equal(matches[found], found)
    pixels = correspondences(r, r)[:, :2] // 8
    full = np.bincount(pixels[:, 0] * GRID + pixels[:, 1], minlength=GRID * GRID) >= 10
    assert np.array_equal(np.flatnonzero(full), found)


def test_a_budget_is_steps_or_minutes() -> None:
    assert list(Budget(steps=4).shares()) == [0, 0.25, 0.5, 0.75]
    spent = list(Budget(minutes=0.0005).shares())
    assert spent == sorted(spent)
    assert 0 <= spent[0] <= spent[-1] < 1
    with pytest.raises(UsageError, match="needs steps or minutes; found steps=None, minutes=None"):
        Budget()
    with pytest.raises(UsageError, match="found steps=1, minutes=2"):
        Budget(steps=1, minutes=2)


def test_the_schedule_warms_up_and_ends_at_zero() -> None:
    rates = [learning_rate(s, 1.0) for s in np.linspace(0, 1, 101).tolist()]
    assert max(rates) == pytest.approx(1.0, abs=0.05)
    assert rates[0] < 0.05
    assert rates[-1] == pytest.approx(0)


def test_pixels_are_normalised_channel_by_channel() -> None:
    pixels = to_pixels(np.full((1, 2, 2, 3), 255, np.uint8), (0.5, 0.0, 1.0), (0.5, 1.0, 0.25))
    assert pixels.shape == (1, 3, 2, 2)
    assert pixels[0, :, 0, 0].tolist() == pytest.approx([1, 1, 0])


def test_dropping_tokens_keeps_the_class_token_and_says_which() -> None:
    import torch

    tokens = torch.arange(11.0).view(1, 11, 1)
    kept, index = drop_tokens(tokens, 0.5, np.random.default_rng(0))
    assert kept[0, 0, 0] == 0
    assert (kept[0, 1:, 0] - 1).tolist() == index.tolist() == sorted(index.tolist())
    assert len(index) == 5


def test_attribute_loss_is_zero_for_certain_truth() -> None:
    import torch

    labels = torch.tensor([[0, 2, 1, 0, 0, 0, 0]])
    sure = torch.full((1, len(ATTRIBUTES["palette"]) + len(ATTRIBUTES["pattern"])), -50.0)
    sure[0, 2] = sure[0, len(ATTRIBUTES["palette"]) + 1] = 50.0
    assert float(attribute_loss(sure, labels, ("palette", "pattern"))) == pytest.approx(0, abs=1e-6)


def test_each_word_of_the_vocabulary_is_one_token(tmp_path: Path) -> None:
    from transformers import AutoTokenizer, CLIPTokenizer

    write_tokenizer(tmp_path)
    tokenizer = CLIPTokenizer.from_pretrained(tmp_path)
    assert all(len(tokenizer(word)["input_ids"]) == 3 for word in words())
    assert len(tokenizer("a cat")["input_ids"]) == 4
    strange = tokenizer("zebra xylophone")["input_ids"]
    assert tokenizer.decode(strange, skip_special_tokens=True) == "zebra xylophone"
    assert AutoTokenizer.from_pretrained(tmp_path)("a cat")["input_ids"] == tokenizer("a cat")["input_ids"]


def test_merges_are_the_most_frequent_pairs_first() -> None:
    assert learn_merges(("ab", "ab")) == [("a", "b</w>")]
    assert learn_merges(("aab", "ab"))[0] == ("a", "b</w>")


def test_identity_losses_prefer_the_truth() -> None:
    import torch

    from evalkit.sandbox.training.dino import identity_loss, patch_loss

    identity = torch.tensor([0, 0, 1, 1])
    good = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    bad = good[[0, 2, 1, 3]]
    assert float(identity_loss(good, identity)) < 0.01
    assert float(identity_loss(bad, identity)) > 1
    tokens = torch.eye(GRID * GRID)[None].repeat(2, 1, 1)
    own = torch.arange(GRID * GRID)[None]
    everything = torch.arange(GRID * GRID)
    assert float(patch_loss(tokens, everything, own)) < 0.01
    assert float(patch_loss(tokens, everything, own.flip(1))) > 5
    assert float(patch_loss(tokens, everything, torch.full_like(own, -1))) == 0


def test_equal_captions_share_their_target() -> None:
    import torch

    from evalkit.sandbox.training.clip import contrastive

    features = torch.tensor([[1.0, 0], [1, 0], [0, 1]])
    same = torch.tensor([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]])
    scale = torch.tensor(4.0)
    assert float(contrastive(features, features, scale, same)) == pytest.approx(2 / 3 * np.log(2), abs=1e-4)
    assert float(contrastive(features, features.roll(1, 0), scale, same)) > 10


def test_identity_figures_at_their_extremes() -> None:
    identity = np.repeat(np.arange(4), 3)
    plan = identity // 2
    perfect = evaluate_identity(np.eye(4, dtype=np.float32)[identity], identity, plan)
    assert (perfect["identity_top1"], perfect["identity_map"], perfect["auc"], perfect["auc_same_plan"]) == (1, 1, 1, 1)
    assert perfect["identity_top1_chance"] == pytest.approx(2 / 11)
    blind = evaluate_identity(np.ones((12, 2), np.float32), identity, plan)
    assert (blind["auc"], blind["auc_same_plan"]) == (0.5, 0.5)
    plans_only = evaluate_identity(np.eye(2, dtype=np.float32)[plan], identity, plan)
    assert plans_only["auc_same_plan"] == 0.5 < plans_only["auc"] < 1


def test_patch_figures_at_their_extremes(tiny: WorldSet) -> None:
    position = np.eye(GRID * GRID, dtype=np.float32)
    patches = np.repeat(position[None], len(tiny.images), axis=0)
    for pair, (_, second) in enumerate(tiny.matched):
        for source in np.flatnonzero(tiny.matches[pair] >= 0):
            patches[second, tiny.matches[pair, source]] += 2 * position[source]
    figures = evaluate_patches(patches, tiny)
    assert figures["pck_1"] > 0.9
    assert 0 < figures["pck_1_chance"] < figures["pck_2_chance"] < 0.2


def test_retrieval_is_perfect_for_equal_embeddings() -> None:
    vectors = np.eye(70, dtype=np.float32)
    names = [str(i) for i in range(70)]
    assert retrieval(vectors, vectors, names, seed=0) == (1.0, 1.0)
    top1, top5 = retrieval(np.roll(vectors, 1, axis=0), vectors, names, seed=0)
    assert top1 < 0.5
    assert top5 >= top1


@pytest.mark.parametrize("name", ["clip", "dino", "lpips"])
def test_a_few_steps_lower_the_loss_and_repeat_to_the_bit(name: str, tiny: WorldSet, tmp_path: Path) -> None:
    from evalkit.sandbox.training.clip import train_clip
    from evalkit.sandbox.training.dino import train_dino
    from evalkit.sandbox.training.lpips_trunk import train_lpips_trunk

    def train(folder: str, seed: int) -> tuple[float, float, bytes]:
        out, budget = tmp_path / folder, Budget(steps=24)
        if name == "clip":
            done = train_clip(out, tiny, seed=seed, budget=budget, batch=16, width=32, depth=1)
        elif name == "dino":
            done = train_dino(out, tiny, seed=seed, budget=budget, identities=4, width=32, depth=1)
        else:
            done = train_lpips_trunk(out, tiny, seed=seed, budget=budget, batch=8)
        assert done.steps == 24
        return done.first_loss, done.last_loss, next(out.glob("*.safetensors")).read_bytes()

    first, last, weights = train("one", 0)
    assert last < 0.97 * first
    assert train("again", 0)[2] == weights
    assert train("other", 1)[2] != weights


def test_train_all_writes_a_card_and_refuses_to_overwrite_it(tmp_path: Path) -> None:
    import yaml

    from evalkit.sandbox.training.run import MODELS, Plans, train_all

    plans = Plans(
        held_out=SetPlan(identities=12, styles=0, pairs=0, split="bench", seed=2, lookalikes=0.0),
        train=SetPlan(identities=24, styles=24, pairs=0, split="train", seed=1),
        held_out_glitches=GlitchPlan(groups=12, split="bench", seed=2, stylised=0.0),
        train_glitches=GlitchPlan(groups=16, split="train", seed=1),
    )
    budgets = dict.fromkeys(MODELS, Budget(steps=1))
    seen: set[str] = set()
    card = train_all(
        tmp_path / "out", seed=0, work=tmp_path / "work", budgets=budgets, plans=plans,
        progress=lambda name, _share: seen.add(name),
    )  # fmt: skip
    assert seen == {"render", *MODELS}
    assert yaml.safe_load((tmp_path / "out" / "card.yaml").read_text(encoding="utf-8")) == json.loads(json.dumps(card))
    assert all(card["models"][n]["stages"][0]["steps"] == 1 and card["models"][n]["held_out"] for n in MODELS)
    more = train_all(
        tmp_path / "more",
        seed=1,
        work=tmp_path / "work",
        budgets=budgets,
        plans=plans,
        start=tmp_path / "out",
    )
    assert [s["seed"] for s in more["models"]["dino"]["stages"]] == [0, 1]
    with pytest.raises(UsageError, match=r"wanted card\.yaml among the weights to go on from"):
        train_all(tmp_path / "x", seed=0, work=tmp_path / "work", plans=plans, start=tmp_path)
    with pytest.raises(UsageError, match=r"found card\.yaml in"):
        train_all(tmp_path / "out", seed=0, work=tmp_path / "work")
    with pytest.raises(UsageError, match="budgets go to clip, dino, lpips, mtg; found"):
        train_all(tmp_path / "other", seed=0, work=tmp_path, budgets={"vgg": Budget(steps=1)})
