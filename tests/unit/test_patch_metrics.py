"""Metrics on cells inside a mask: the masks, sDINO against loops, and what each variant asks of its formula."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from evalkit.errors import MediaError, UsageError
from evalkit.features.spec import ImageContent
from evalkit.media import write_mask
from evalkit.metrics.base import Bound, Item, Metric, Outcome, Unscorable
from evalkit.metrics.masks import decode_mask, mask_cells, target_masks
from evalkit.metrics.nssm import nssm
from evalkit.metrics.patches import as_grid
from evalkit.metrics.sdino import sdino
from evalkit.metrics.vsm import vsm
from evalkit.nouns import Case, State
from evalkit.registry import METRICS, load

if TYPE_CHECKING:
    from numpy.typing import NDArray

RNG = np.random.default_rng(3)
LEFT = np.zeros((96, 96), bool)
LEFT[:, :48] = True
NONE = np.zeros((96, 96), bool)
ALL = ~NONE


@pytest.fixture
def masks(tmp_path: Path) -> dict[str, Path]:
    paths = {name: tmp_path / f"{name}.png" for name in ("left", "none", "all")}
    for path, mask in zip(paths.values(), (LEFT, NONE, ALL), strict=True):
        write_mask(path, mask)
    return paths


def item(*masks: Path | None) -> Item:
    case = Case(
        case_id="dog.p0",
        prompt="a dog",
        subjects=("dog",),
        references=(),
        targets=(),
        category="animal",
        prompt_index=0,
    )
    targets = tuple(ImageContent(f"{n:064d}", Path(f"{n}.png")) for n in range(len(masks)))
    return Item(case, 0, ImageContent("f" * 64, Path("s.png")), targets, masks)


def maps(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    """Features that vary smoothly about one common direction, so that some cells match and some do not."""
    rng = np.random.default_rng(seed)
    return np.asarray(np.eye(shape[-1])[0] + 0.6 * rng.normal(size=shape), np.float32)


def one(name: str, variant: str, row: list[Any], *paths: Path | None) -> Outcome:
    metric: Metric = load(METRICS, name)
    card = metric.card.variant(variant)
    (outcome,) = metric.score([item(*paths)], Bound(variant, card, card.extractor), [row])
    return outcome


class TestMasks:
    def test_a_mask_is_read_once_while_its_file_stays(self, masks: dict[str, Path]) -> None:
        first = decode_mask(masks["left"])
        assert np.array_equal(first, LEFT)
        assert decode_mask(masks["left"]) is first
        assert not first.flags.writeable
        write_mask(masks["left"], ~LEFT)
        os.utime(masks["left"], ns=(1, 1))
        assert np.array_equal(decode_mask(masks["left"]), ~LEFT)

    def test_a_mask_that_is_gone(self, tmp_path: Path) -> None:
        with pytest.raises(MediaError, match=r"gone\.png"):
            decode_mask(tmp_path / "gone.png")

    def test_cells_of_more_than_half(self) -> None:
        assert mask_cells(LEFT, (12, 12)).tolist() == [[c < 6 for c in range(12)]] * 12
        assert mask_cells(ALL, (5, 7)).all()
        assert not mask_cells(NONE, (5, 7)).any()
        speck = NONE.copy()
        speck[0, 0] = True
        assert not mask_cells(speck, (12, 12)).any()
        assert mask_cells(speck, (96, 96)).sum() == 1

    def test_every_target_needs_a_mask_with_a_pixel(self, masks: dict[str, Path], tmp_path: Path) -> None:
        assert [mask.sum() for mask in target_masks(item(masks["left"], masks["all"]))] == [96 * 48, 96 * 96]
        Image.fromarray(LEFT.astype(np.uint8) * 3).save(tmp_path / "labels.png")
        wanted = {
            (masks["left"], None): (State.MASK_MISSING, "dog.p0: no mask of the subject in its target 1.png"),
            (masks["none"],): (State.EMPTY_MASK, "dog.p0: no pixel of none.png is in the mask"),
            (tmp_path / "labels.png",): (State.REFERENCE_ERROR, "wanted white (255) on black (0) in mask "),
            (): (State.REFERENCE_MISSING, "dog.p0 has no target picture"),
        }
        for paths, (state, reason) in wanted.items():
            with pytest.raises(Unscorable) as raised:
                target_masks(item(*paths))
            assert raised.value.state is state
            assert raised.value.reason.startswith(reason)

    def test_an_item_whose_masks_nobody_named_has_none(self) -> None:
        bare = Item(item(None).case, 0, item(None).sample, item(None).targets)
        with pytest.raises(Unscorable, match="no mask of the subject in its target 0.png"):
            target_masks(bare)


class TestSdino:
    def test_is_the_mean_of_the_best(self) -> None:
        gen, ref = torch.randn(3, 9, 5), torch.randn(3, 7, 5)
        mask_ref, mask_gen = torch.rand(3, 7) > 0.4, torch.rand(3, 9) > 0.4

        def best(row: int) -> list[float]:
            inside = [y for y, there in zip(ref[row], mask_ref[row], strict=True) if there]
            return [max(torch.cosine_similarity(x.double(), y.double(), 0).item() for y in inside) for x in gen[row]]

        for row in range(3):
            chosen = [value for value, there in zip(best(row), mask_gen[row], strict=True) if there]
            whole, part = (sdino(gen, ref, mask, mask_ref)[row].item() for mask in (None, mask_gen))
            assert whole == pytest.approx(np.mean(best(row)), abs=1e-12)
            assert part == pytest.approx(np.mean(chosen), abs=1e-12)

    def test_extremes_and_what_has_no_value(self) -> None:
        x, every = torch.randn(1, 6, 4), torch.ones(1, 6, dtype=torch.bool)
        assert sdino(x, x).item() == pytest.approx(1.0, abs=1e-12)
        assert sdino(x[:, :1], -x[:, :1]).item() == pytest.approx(-1.0, abs=1e-12)
        for gen, mask_gen, mask_ref in (
            (x, ~every, every), (x, every, ~every), (torch.cat([x[:, :5], x[:, :1] * 0], 1), every, every),
        ):  # fmt: skip
            assert sdino(gen, x, mask_gen, mask_ref).isnan().tolist() == [True]
        outside = torch.cat([x[:, :5], x[:, :1] * 0], 1)
        known = every.clone()
        known[0, 5] = False
        assert sdino(outside, outside, known, known).item() == pytest.approx(1.0, abs=1e-12)
        assert sdino(x, x[:, :2]) != sdino(x[:, :2], x)
        assert sdino(x[:0], x[:0]).shape == (0,)

    def test_shapes_that_do_not_fit(self) -> None:
        told = r"^wanted patches \[B, N, C\] and \[B, M, C\] with masks \[B, N\] and \[B, M\], N, M and C at least 1, found "
        for gen, ref in (
            ((1, 6, 4), (1, 6, 3)),
            ((1, 6, 4), (1, 0, 4)),
            ((1, 0, 4), (1, 6, 4)),
            ((2, 6, 0), (2, 6, 0)),
        ):
            with pytest.raises(UsageError, match=told):
                sdino(torch.ones(gen), torch.ones(ref))

    @pytest.mark.parametrize("soft", [torch.full((1, 6), 0.3), torch.ones(1, 6, dtype=torch.uint8)])
    def test_masks_that_are_not_bool(self, soft: torch.Tensor) -> None:
        x = torch.randn(1, 6, 4)
        kind = str(soft.dtype).removeprefix("torch.")
        for masks in ((soft, None), (None, soft)):
            with pytest.raises(UsageError, match=f"^wanted bool masks, found {kind}; make them true on the subject$"):
                sdino(x, x, *masks)

    def test_the_plugin_masks_the_target_alone(self, masks: dict[str, Path]) -> None:
        gen, ref = maps(16, 6, seed=1), maps(16, 6, seed=2)
        left = torch.tensor([True, True, False, False]).repeat(4)[None]
        found = one("sdino", "divrl_unmasked", [gen, ref], masks["left"])
        wanted = sdino(torch.tensor(gen)[None], torch.tensor(ref)[None], mask_ref=left).item()
        assert found.value == pytest.approx(wanted, abs=1e-12)
        assert one("sdino", "divrl_unmasked", [gen, gen], masks["all"]).value == pytest.approx(1.0, abs=1e-12)
        zero = one("sdino", "divrl_unmasked", [gen * 0, ref], masks["left"])
        assert zero.state is State.UNDEFINED


class TestVsm:
    def rows(self, seed: int = 0) -> list[NDArray[np.float32]]:
        return [maps(6, 6, 4, seed=seed + i) for i in range(4)]

    @pytest.mark.parametrize(
        ("variant", "options"),
        [
            ("divrl", {}),
            ("visual_06", {"visual_threshold": 0.6}),
            ("visual_05", {"visual_threshold": 0.5}),
            ("equation_3", {"one_to_one": False}),
        ],
    )
    def test_a_variant_is_the_formula_with_its_thresholds(
        self, masks: dict[str, Path], variant: str, options: dict[str, Any]
    ) -> None:
        row = self.rows()
        sem_gen, vis_gen, sem_ref, vis_ref = (torch.from_numpy(a).permute(2, 0, 1)[None] for a in row)
        inside = torch.from_numpy(mask_cells(LEFT, (6, 6)))[None]
        wanted = vsm(sem_gen, sem_ref, vis_gen, vis_ref, torch.ones_like(inside), inside, **options)
        found = one("vsm", variant, list(row), masks["left"])
        assert found.value == pytest.approx(wanted.score.item(), abs=1e-7)
        assert 0 < wanted.score.item() < 1

    def test_a_copy_is_1_whatever_is_beside_the_subject(self, masks: dict[str, Path]) -> None:
        semantic, visual, *_ = self.rows()
        for variant in load(METRICS, "vsm").card.variants:
            if variant != "equation_3":
                assert one("vsm", variant, [semantic, visual] * 2, masks["left"]) == Outcome.scored(1.0)

    def test_nothing_that_corresponds(self, masks: dict[str, Path]) -> None:
        semantic, visual, *_ = self.rows()
        elsewhere = np.broadcast_to(np.eye(8, dtype=np.float32)[7], (6, 6, 8)).copy()
        wider = np.pad(semantic, ((0, 0), (0, 0), (0, 4)))
        found = one("vsm", "divrl", [wider, visual, elsewhere, visual], masks["left"])
        assert found == Outcome(State.NO_SURVIVORS, reason="no cell has a semantic match above 0.7")

    def test_a_mask_too_small_for_the_grid(self, masks: dict[str, Path]) -> None:
        speck = NONE.copy()
        speck[0, 0] = True
        write_mask(masks["none"], speck)
        reason = "the mask covers no cell of 6 x 6 by more than half"
        assert one("vsm", "divrl", self.rows(), masks["none"]) == Outcome(State.EMPTY_MASK, reason=reason)
        flat = [a.reshape(36, -1) for a in self.rows()[:2]]
        for name, variant in (("sdino", "divrl_unmasked"), ("dino_nssm", "divrl"), ("mtg_nssm", "paper")):
            assert one(name, variant, flat, masks["none"]) == Outcome(State.EMPTY_MASK, reason=reason)
        assert one("mtg_nssm", "official", flat, masks["none"]) == Outcome.scored(0.0)


class TestNssm:
    @pytest.mark.parametrize(("variant", "side", "resolution"), [
        ("paper", 48, 48), ("paper_24", 48, 24), ("official", 48, 32), ("paper", 12, 12), ("paper_24", 12, 6), ("official", 12, 8),
    ])  # fmt: skip
    def test_the_resolution_scales_with_the_grid(
        self, masks: dict[str, Path], variant: str, side: int, resolution: int
    ) -> None:
        gen, ref = maps(side, side, 4, seed=1), maps(side, side, 4, seed=2)
        kind = "official" if variant == "official" else "paper"
        tensors = [torch.from_numpy(a)[None] for a in (gen, ref, LEFT)]
        wanted = nssm(*tensors, resolution=resolution, variant=kind)  # type: ignore[arg-type]
        assert one("mtg_nssm", variant, [gen, ref], masks["left"]).value == pytest.approx(wanted.item(), abs=1e-9)

    def test_patches_in_row_order_are_a_grid(self, masks: dict[str, Path]) -> None:
        gen, ref = maps(16, 16, 4, seed=1), maps(16, 16, 4, seed=2)
        flat = one("dino_nssm", "divrl", [gen.reshape(256, 4), ref.reshape(256, 4)], masks["left"])
        assert flat.value == pytest.approx(
            nssm(*(torch.from_numpy(a)[None] for a in (gen, ref, LEFT)), resolution=16).item(), abs=1e-9
        )

    def test_cells_that_are_all_alike(self, masks: dict[str, Path]) -> None:
        even = np.ones((12, 12, 3), np.float32)
        found = one("mtg_nssm", "paper", [even, maps(12, 12, 3)], masks["left"])
        assert found.state is State.UNDEFINED
        assert found.reason == "fewer than two cells in the mask, or cells that are all alike"
        assert one("mtg_nssm", "official", [even, maps(12, 12, 3)], masks["left"]) == Outcome.scored(0.0)


class TestTargets:
    def test_the_mean_over_targets_weighs_their_number(self, masks: dict[str, Path]) -> None:
        gen, first, second = (maps(12, 12, 4, seed=n) for n in range(3))
        each = [
            one("mtg_nssm", "paper", [gen, ref], masks[name]).value for ref, name in ((first, "left"), (second, "all"))
        ]
        both = one("mtg_nssm", "paper", [gen, first, second], masks["left"], masks["all"])
        assert None not in each
        assert both.value == pytest.approx(np.mean(each))  # type: ignore[arg-type]
        assert both.weight == 2

    def test_one_target_without_a_value_leaves_the_item_without(self, masks: dict[str, Path]) -> None:
        gen, even = maps(12, 12, 4), np.ones((12, 12, 4), np.float32)
        assert one("mtg_nssm", "paper", [gen, gen, even], masks["left"], masks["left"]).state is State.UNDEFINED

    @pytest.mark.parametrize("shape", [(10, 3), (4,), (2, 2, 2, 2)])
    def test_features_that_are_no_grid(self, shape: tuple[int, ...]) -> None:
        told = rf"^wanted features \[H, W, C\], or \[N, C\] of a square grid, found \[{', '.join(map(str, shape))}\]$"
        with pytest.raises(UsageError, match=told):
            as_grid(np.zeros(shape, np.float32))
