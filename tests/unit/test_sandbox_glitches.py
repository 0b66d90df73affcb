"""Groups of pictures with known glitches, and the training and evaluation of the heads that are to see them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from evalkit.sandbox.training.data import GRID
from evalkit.sandbox.training.evaluate_mtg import evaluate_mtg
from evalkit.sandbox.training.glitches import (
    CELLS,
    LOOKALIKE,
    OTHER,
    REFERENCE,
    SAME,
    Glitches,
    GlitchPlan,
    group_of,
    render_glitches,
)
from evalkit.sandbox.training.loop import Budget
from evalkit.sandbox.training.mtg_heads import Truth, glitch_loss, layer_maps, load_heads, train_mtg
from evalkit.sandbox.world import split_of

DINO = Path(__file__).parents[2] / "evalkit" / "sandbox" / "weights" / "dino"
TINY = GlitchPlan(groups=16, split="train", seed=9)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Glitches:
    return render_glitches(tmp_path_factory.mktemp("glitches") / "tiny", TINY)


def test_groups_differ_by_their_subject_alone() -> None:
    for number in range(30):
        group = group_of(TINY, number)
        reference, same, near, other = group.scenes
        who, lookalike, stranger = same.identities[0], near.identities[0], other.identities[0]
        assert reference.identities == same.identities
        assert {type(s)(**{**vars(s), "identities": (who,)}) for s in (near, other)} == {same}
        assert lookalike != who
        assert stranger.palette != who.palette
        assert stranger.plan == lookalike.plan == who.plan
        assert all(split_of(one) == "train" for one in (who, lookalike, stranger))
        assert lookalike.proportions == who.proportions
        assert reference.drawn_style == "photo"


def test_a_look_alike_differs_in_one_trait() -> None:
    traits = {}
    for number in range(60):
        group = group_of(TINY, number)
        who, near = group.scenes[SAME].identities[0], group.scenes[LOOKALIKE].identities[0]
        traits[group.trait] = {name for name, value in vars(who).items() if getattr(near, name) != value}
    assert set(traits) == {"palette", "pattern", "accessory", "accent", "hair", "skin"}
    for trait, changed in traits.items():
        assert trait in changed
        assert changed <= {trait, "main", "second", "pattern_scale", "pattern_phase", "hair_style"}


def test_what_is_known_of_the_cells_holds_together(tiny: Glitches) -> None:
    assert tiny.images.shape == (16, 4, 96, 96, 3)
    assert tiny.subject.shape == (16, 4, CELLS)
    assert tiny.subject.max() <= 64
    for picture in (SAME, LOOKALIKE, OTHER):
        matches, alike = tiny.matches[:, picture - 1], tiny.alike[:, picture - 1]
        assert (matches >= 0).sum() > 100
        assert matches.max() < CELLS
        assert not ((alike != 0) & (tiny.subject[:, picture] == 0)).any()
        group, cell = np.nonzero(matches >= 0)
        assert (tiny.subject[group, REFERENCE, matches[group, cell]] > 0).all()
    assert not (tiny.alike[:, SAME - 1] < 0).any()
    assert not (tiny.alike[:, OTHER - 1] > 0).any()
    assert (tiny.alike[:, LOOKALIKE - 1] < 0).sum() > 50
    assert (tiny.alike[:, LOOKALIKE - 1] > 0).sum() > 50


def test_a_changed_cell_looks_otherwise(tiny: Glitches) -> None:
    cells = tiny.images.reshape(16, 4, GRID, 8, GRID, 8, 3).transpose(0, 1, 2, 4, 3, 5, 6).reshape(16, 4, CELLS, -1)
    difference = np.abs(cells[:, LOOKALIKE].astype(int) - cells[:, SAME]).mean(-1)
    changed, alike = tiny.alike[:, LOOKALIKE - 1] < 0, tiny.alike[:, LOOKALIKE - 1] > 0
    assert difference[changed].min() > 0
    assert difference[changed].mean() > 10 * difference[alike].mean()


def test_groups_do_not_depend_on_the_number_of_workers_and_are_rendered_once(
    tiny: Glitches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = render_glitches(tmp_path / "two", TINY, workers=2)
    for name in vars(tiny):
        assert np.array_equal(getattr(again, name), getattr(tiny, name)), name
    monkeypatch.setattr("evalkit.sandbox.training.glitches._render_group", lambda _: pytest.fail("rendered again"))
    assert len(render_glitches(tmp_path / "two", TINY)) == 16


def truth(**changes: torch.Tensor) -> Truth:
    """One group, all of every picture the subject, each cell matched with itself and looking as it should."""
    own = torch.arange(CELLS).expand(1, 3, CELLS)
    told = {
        "subject": torch.full((1, 4, CELLS), 64),
        "matches": own,
        "alike": torch.ones(1, 3, CELLS, dtype=torch.int64),
        "photo": torch.ones(1, dtype=torch.int64),
    }
    return Truth(**(told | changes))


def test_the_loss_wants_what_the_truth_says() -> None:
    own = torch.eye(CELLS).expand(1, 4, CELLS, CELLS)
    moved = torch.cat([own[:, :1], own[:, 1:].roll(1, 2)], 1)
    vague = torch.ones(1, 4, CELLS, CELLS) / CELLS**0.5
    # With one group the stranger's reference is its own, so strangers are left out by a small subject in SAME.
    subject = torch.full((1, 4, CELLS), 64)
    subject[:, SAME] = 20
    right = truth(subject=subject)
    assert float(glitch_loss({"semantic": own, "visual": own}, right)) < 0.1
    for wrong in (moved, vague):
        assert float(glitch_loss({"semantic": wrong, "visual": own}, right)) > 1
        assert float(glitch_loss({"semantic": own, "visual": wrong}, right)) > 1
    changed = truth(subject=subject, alike=-torch.ones(1, 3, CELLS, dtype=torch.int64))
    assert float(glitch_loss({"semantic": own, "visual": own}, changed)) > 1
    assert float(glitch_loss({"semantic": own, "visual": moved * 0}, changed)) < 0.1
    drawn = truth(subject=subject, alike=changed.alike, photo=torch.zeros(1, dtype=torch.int64))
    assert float(glitch_loss({"semantic": own, "visual": own}, drawn)) < 0.1


def test_background_must_not_match_the_subject() -> None:
    subject = torch.full((1, 4, CELLS), 64)
    subject[:, SAME:] = 0
    bare = truth(
        subject=subject, matches=torch.full((1, 3, CELLS), -1), alike=torch.zeros(1, 3, CELLS, dtype=torch.int64)
    )
    own = torch.eye(CELLS).expand(1, 4, CELLS, CELLS)
    apart = torch.cat([own[:, :1], torch.zeros_like(own[:, 1:])], 1)
    assert float(glitch_loss({"semantic": own, "visual": apart}, bare)) > 1
    assert float(glitch_loss({"semantic": apart, "visual": apart}, bare)) < 0.1


def test_a_few_steps_lower_the_loss_repeat_to_the_bit_and_are_measured(tiny: Glitches, tmp_path: Path) -> None:
    def train(folder: str, seed: int) -> tuple[float, float, bytes]:
        done = train_mtg(tmp_path / folder, tiny, dino=DINO, seed=seed, budget=Budget(steps=12), batch=4)
        assert done.images_seen == 12 * 16
        return done.first_loss, done.last_loss, (tmp_path / folder / "model.safetensors").read_bytes()

    first, last, weights = train("one", 0)
    assert last < 0.9 * first
    assert train("again", 0)[2] == weights
    assert train("other", 1)[2] != weights
    more = train_mtg(
        tmp_path / "more", tiny, dino=DINO, seed=0, budget=Budget(steps=1), batch=4, start=tmp_path / "one"
    )
    assert more.first_loss < first
    figures = evaluate_mtg(tmp_path / "one", tiny, dino=DINO)
    assert figures["semantic_pck_1"] > figures["semantic_pck_1_chance"]
    assert 0 <= figures["vsm_0.7_same"] <= 1


def test_the_shipped_heads_give_what_the_extractor_gives(tiny: Glitches) -> None:
    from evalkit.features.loading import load_extractor
    from evalkit.features.spec import ExtractorSpec
    from evalkit.sandbox.training.mtg_heads import both_maps

    extractor = load_extractor(ExtractorSpec(family="mtg", model="sandbox:mtg", preprocess="mtg"), device="cpu")
    assert extractor.forward_batch == 8
    batch = np.stack([extractor.prepare(picture) for picture in tiny.images[:2].reshape(-1, 96, 96, 3)])
    found = extractor.encode_images(batch)
    layers = layer_maps(DINO, Glitches(tiny.images[:2], *(getattr(tiny, n)[:2] for n in vars(tiny) if n != "images")))
    with torch.inference_mode():
        wanted = both_maps(load_heads(DINO.parent / "mtg", layers), layers)
    for kind, vectors in wanted.items():
        assert found[kind].shape == (8, GRID, GRID, 128)
        np.testing.assert_allclose(found[kind].reshape(2, 4, CELLS, -1), vectors.numpy(), atol=0.01)
        np.testing.assert_allclose(np.linalg.norm(found[kind], axis=-1), 1, atol=1e-5)
