"""Every variant of the metrics inside masks, from picture files to values, against plain computations of their formulas.

Features come from the same small weights through the backbones' own libraries; similarities are formed cell by cell. Masks
of the sample are given, whatever the variant would make them with, which has tests of its own.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import avg_pool2d, interpolate
from torchvision import transforms as t

from evalkit.engine.backbones import Backbones
from evalkit.features.cache import FeatureCache
from evalkit.features.pictures import Pictures
from evalkit.features.service import FeatureService
from evalkit.features.spec import ExtractorSpec, ImageContent
from evalkit.media import decode_image, write_image, write_mask
from evalkit.metrics.base import Bound, Item, Metric, Outcome
from evalkit.nouns import Case, State
from evalkit.registry import METRICS, load
from tests import tiny_mtg, tiny_weights
from tests.golden.test_extractors_mtg import by_hand

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Maps = dict[str, NDArray[np.float64]]

LAYERS = ("us3", "us6")
MASKED = ("vsm", "mtg_nssm", "dino_nssm", "sdino", "si_iou")
CONSISTENT = ("consistency_ratio", "diversity_over_consistency")
VARIANTS = [(name, variant) for name in MASKED for variant in load(METRICS, name).card.variants]
DINO = "facebook--dinov2-small"
GIVEN = ExtractorSpec(family="given_mask", model="none", preprocess="given_mask_256")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights, a sample, two targets and their masks."""
    torch.set_num_threads(1)
    folder = tiny_mtg.write_mtg(tmp_path_factory.mktemp("masked"), layers=LAYERS)
    tiny_weights.write_dinov2(folder / DINO)
    sparse(folder / tiny_mtg.MTG / "mtg_weights.safetensors")
    rng = np.random.default_rng(5)
    base = np.kron(rng.integers(0, 256, (6, 8, 3)), np.ones((16, 16, 1)))
    for name, (height, width) in {"sample": (96, 128), "first": (90, 120), "second": (96, 100)}.items():
        noise = 0 if name == "sample" else rng.normal(0, 40, (height, width, 3))
        write_image(folder / f"{name}.png", (base[:height, :width] + noise).clip(0, 255).astype(np.uint8))
        mask = np.zeros((height, width), bool)
        mask[10 : height - 15, 5 : width // 2 + 22] = True
        if name == "sample":
            mask[10 : height // 2, 5:30] = False
        write_mask(folder / f"{name}-mask.png", mask)
    return folder


def sparse(heads: Path) -> None:
    """Lets few channels of a cell be above zero, so that cells differ as a trained network's do."""
    from safetensors.torch import load_file, save_file

    state = load_file(heads)
    save_file({name: x - 1.2 if name.endswith("conv3.norm.bias") else x for name, x in state.items()}, heads)


def item(root: Path) -> Item:
    case = Case(
        case_id="s.p0", prompt="s", subjects=("s",), references=(), targets=(), category="c", prompt_index=0
    )  # fmt: skip
    paths = [root / f"{name}.png" for name in ("sample", "first", "second")]
    sample, *targets = (ImageContent(decode_image(path).sha256, path) for path in paths)
    masks = tuple(root / f"{name}-mask.png" for name in ("first", "second"))
    own = root / "sample-mask.png"
    return Item(case, 0, sample, tuple(targets), masks, sample_mask=ImageContent(decode_image(own).sha256, own))


def maps_of(root: Path, name: str) -> Maps:
    """`semantic` and `visual` [6, 6, 32] and DINO's `patches` [4, 4, 128] of a picture."""
    picture = Image.open(root / f"{name}.png")
    with torch.inference_mode():
        pixels = t.Compose([t.Resize((tiny_mtg.SIDE, tiny_mtg.SIDE)), t.ToTensor()])(picture)[None] * 2 - 1
        maps = [interpolate(m, (6, 6), mode="bilinear", align_corners=False) for m in by_hand(pixels, LAYERS)]
        from safetensors.torch import load_file
        from transformers import Dinov2Model

        heads = load_file(root / tiny_mtg.MTG / "mtg_weights.safetensors")
        told = {kind: tiny_mtg.reference(heads, kind, maps, 4)[0] for kind in ("semantic", "visual")}
        steps = [t.Resize((32, 32), t.InterpolationMode.BICUBIC), t.ToTensor()]
        steps.append(t.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        model = Dinov2Model.from_pretrained(root / DINO, dtype=torch.float32)
        told["patches"] = model(t.Compose(steps)(picture)[None]).last_hidden_state[0, 1:].reshape(4, 4, -1)
    return {key: values.double().numpy() for key, values in told.items()}


def levels(root: Path, name: str, side: int) -> NDArray[np.float64]:
    """The mask as PIL brings it to side x side, in [0, 1]."""
    mask = Image.open(root / f"{name}-mask.png").resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(mask, np.float64) / 255


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def plain_vsm(
    gen: Maps, ref: Maps, mask: NDArray[np.float64], *, own: NDArray[np.float64] | None, visual: float, one_to_one: bool
) -> float:
    def similarity(kind: str) -> NDArray[np.float64]:
        target = unit(ref[kind].reshape(36, -1)) * (mask > 0.5).reshape(36, 1)
        return np.asarray(unit(gen[kind].reshape(36, -1)) @ target.T)

    semantic, looks = similarity("semantic"), similarity("visual").max(1)
    best: dict[int, int] = {}
    kept = []
    for cell, row in enumerate(semantic):
        match = int(row.argmax())
        if row[match] <= 0.7 or (own is not None and own.flat[cell] <= 0.5):
            continue
        kept.append(cell)
        if match not in best or row[match] > semantic[best[match], match]:
            best[match] = cell
    cells = list(best.values()) if one_to_one else kept
    return float(np.mean([looks[cell] > visual for cell in cells]))


def plain_nssm(gen: NDArray[Any], ref: NDArray[Any], at_grid: NDArray[Any], cells: int, *, official: bool) -> float:
    def pooled(features: NDArray[Any]) -> NDArray[Any]:
        grid = torch.from_numpy(unit(features)).permute(2, 0, 1)[None]
        grid = avg_pool2d(grid, 2) if cells < grid.shape[-1] else grid
        grid = interpolate(grid, (cells, cells), mode="bilinear", align_corners=False)
        return grid[0].flatten(1).T.numpy()

    mask = torch.from_numpy(at_grid)[None, None]
    mask = interpolate(mask, (cells, cells), mode="bilinear", align_corners=False) if cells < len(at_grid) else mask
    inside = (mask[0, 0] > 0.5).flatten().numpy()
    x, y = pooled(gen)[inside], pooled(ref)[inside]
    pairs = ~np.eye(len(x), dtype=bool)
    a, b = (x @ x.T)[pairs], (y @ y.T)[pairs]
    if not official:
        return float(1 - np.corrcoef(a, b)[0, 1])
    correlation = ((a - a.mean()) * (b - b.mean())).mean() / (a.std(ddof=1) * b.std(ddof=1) + 1e-8)
    return float(1 - correlation)


def plain_sdino(gen: NDArray[Any], ref: NDArray[Any], mask: NDArray[Any], own: NDArray[Any] | None) -> float:
    inside = unit(ref.reshape(16, -1))[(mask > 0.5).reshape(16)]
    shown = np.ones(16, bool) if own is None else (own > 0.5).reshape(16)
    return float(np.mean([max(float(x @ y) for y in inside) for x in unit(gen.reshape(16, -1))[shown]]))


def plain_si_iou(root: Path, target: str) -> float:
    """Each pixel of the target's crop takes the nearest of the sample's, by centres, the later of two equally near."""
    crops = []
    for name in ("sample", target):
        mask = np.asarray(Image.open(root / f"{name}-mask.png")) > 127
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        crops.append(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    gen, ref = crops
    row, column = (
        [int(np.floor((i + 0.5) * a / b)) for i in range(b)] for a, b in zip(gen.shape, ref.shape, strict=True)
    )
    resized = gen[np.ix_(row, column)]
    return float((resized & ref).sum() / (resized | ref).sum())


def plain(root: Path, name: str, variant: str) -> float:
    gen, values = maps_of(root, "sample"), []
    for target in ("first", "second"):
        ref = maps_of(root, target)
        if name == "vsm":
            visual = {"visual_06": 0.6, "visual_05": 0.5}.get(variant, 0.7)
            own = levels(root, "sample", 6) if variant in ("mind_the_glitch", "given") else None
            one_to_one = variant != "equation_3"
            value = plain_vsm(gen, ref, levels(root, target, 6), own=own, visual=visual, one_to_one=one_to_one)
        elif name == "si_iou":
            value = plain_si_iou(root, target)
        elif name == "mtg_nssm":
            cells = {"paper": 6, "paper_24": 3, "official": 4}[variant]
            mask = levels(root, target, 6)
            value = plain_nssm(gen["visual"], ref["visual"], mask, cells, official=variant == "official")
        elif name == "dino_nssm":
            value = plain_nssm(gen["patches"], ref["patches"], levels(root, target, 4), 4, official=False)
        else:
            own = None if variant == "divrl_unmasked" else levels(root, "sample", 4)
            value = plain_sdino(gen["patches"], ref["patches"], levels(root, target, 4), own)
        values.append(value)
    return float(np.mean(values))


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_a_variant_is_its_formula(name: str, variant: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(root))
    outcome = outcome_of(root, name, variant)
    assert outcome.weight == 2
    assert outcome.value == pytest.approx(plain(root, name, variant), abs=2e-5)
    assert 0.02 < outcome.value < 1.5  # type: ignore[operator]


def outcome_of(root: Path, name: str, variant: str, **changed: Any) -> Outcome:
    """Of the sample against both targets, with some of the variant's parameters changed."""
    metric: Metric = load(METRICS, name)
    card = metric.card.variant(variant)
    card = card.model_copy(update={"params": card.params | changed})
    main = GIVEN if card.extractor.family == "grounded_sam" else card.extractor
    bound, backbones = Bound(variant, card, main, dict.fromkeys(card.beside, GIVEN)), Backbones(device="cpu")
    service = FeatureService(
        FeatureCache(None), Pictures(), fingerprint=backbones.fingerprint, load=backbones.load, threads=1
    )
    one = item(root)
    found = service.features(metric.requests(one, bound))
    service.close()
    features: list[Any] = [found[request] for request in metric.requests(one, bound)]
    (outcome,) = metric.score([one], bound, [features])
    return outcome


@pytest.mark.parametrize("variant", ["vsm_06", "sdino_075", "sdino_075_masked"])
@pytest.mark.parametrize("above", [True, False])
def test_a_gated_variant_is_its_formula(variant: str, above: bool, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(root))
    identity, diversity = {
        "vsm_06": ("vsm@divrl", "mtg_nssm@paper"),
        "sdino_075": ("sdino@divrl_unmasked", "dino_nssm@divrl"),
        "sdino_075_masked": ("sdino@divrl", "dino_nssm@divrl"),
    }[variant]
    score, nssm = (plain(root, *text.split("@")) for text in (identity, diversity))
    gate = score - 1e-3 if above else score + 1e-3
    ratio, conditional = (outcome_of(root, name, variant, gate=gate) for name in CONSISTENT)
    assert ratio.value == float(above)
    if above:
        assert conditional.value == pytest.approx(nssm, abs=2e-5)
    else:
        assert conditional.state is State.INCONSISTENT
        assert conditional.reason == f"not consistent: wanted identity above {gate:g}, found {score:.3f}"


def test_the_pictures_tell_the_variants_of_a_metric_apart(root: Path) -> None:
    for name in MASKED:
        values = sorted({plain(root, name, variant) for one, variant in VARIANTS if one == name})
        assert all(b - a > 1e-3 for a, b in pairwise(values)), name
