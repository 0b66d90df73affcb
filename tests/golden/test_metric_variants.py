"""Every variant of the first-party metrics against its source's computation, within the tolerance that its card states.

Weights are small and come in the published format, at the published input sizes; pictures are of odd shapes, so that
the variants' roundings, crops and resizes tell.
"""

from __future__ import annotations

from functools import cache, partial
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import torch

from evalkit.engine.backbones import Backbones
from evalkit.features.backbones import backbones as published
from evalkit.features.cache import FeatureCache
from evalkit.features.pictures import Pictures
from evalkit.features.service import FeatureService, Missing
from evalkit.features.spec import ImageContent
from evalkit.media import decode_image, write_image
from evalkit.metrics.base import Bound, Item, Mate, Metric
from evalkit.nouns import Case
from evalkit.registry import METRICS, entries, load
from tests import official, tiny_rewards, tiny_weights
from tests.golden.metric_references import REFERENCES, Shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from evalkit.features.extractor import Extractor
    from evalkit.features.spec import ExtractorSpec

pytestmark = pytest.mark.filterwarnings("ignore")  # dreamsim, lpips and peft warn of their own deprecations


VISION_LANGUAGE = ("qwen_vqa", "clip_t5", "gme", "q_align")
"""Families whose answers are compared in tests of their own."""


def of_pictures(name: str) -> list[str]:
    """A metric's variants that score pictures; those of videos are compared in `test_video_variants.py`."""
    card = load(METRICS, name).card
    told = {name: variant.extractor.family for name, variant in card.variants.items() if "image" in card.reads(name)}
    return [name for name, family in told.items() if family not in VISION_LANGUAGE]


FIRST_PARTY = [
    name for name, entry in entries(METRICS).items() if entry.dist is not None and entry.dist.name == "evalkit"
]
JUDGED = [n for n in FIRST_PARTY if load(METRICS, n).card.reward_family == "judge"]
COMPARED = [
    n for n in FIRST_PARTY if "target_masks" not in load(METRICS, n).card.needs and n not in ("facesim", *JUDGED)
]
"""Those of pictures and prompts; what is measured inside masks is compared in `test_masked_variants.py`, faces, which these
pictures do not show, in `test_face_variants.py`; a judge has no weights, and its reading of replies is in `test_judge_parse.py`."""
VARIANTS = [(name, variant) for name in COMPARED for variant in of_pictures(name)]
TRUNCATING = [
    (n, v)
    for n, v in VARIANTS
    if load(METRICS, n).card.variants[v].extractor.text in ("hf_truncate", "openai_truncate")
]
DREAMSIM = ("ensemble", "dino_vitb16", "dinov2_vitb14", "clip_vitb32", "open_clip_vitb32")
WRITERS: dict[str, Callable[[Path], Path]] = {
    "openai/clip-vit-base-patch32": partial(tiny_weights.write_published_clip, patch=32),
    "openai/clip-vit-large-patch14": partial(tiny_weights.write_published_clip, patch=14),
    "facebook/dino-vits16": partial(tiny_weights.write_dino, side=224, patch=16),
    "facebook/dino-vits8": partial(tiny_weights.write_dino, side=224, patch=8),
    "facebook/dinov2-small": partial(tiny_weights.write_dinov2, trained=518, side=224, patch=14),
    "facebook/dinov2-base": partial(tiny_weights.write_dinov2, trained=518, side=224, patch=14, layers=3),
    **{f"dreamsim/{kind}": partial(tiny_weights.write_dreamsim, kind=kind) for kind in DREAMSIM},
    "lpips/alex": lambda folder: tiny_weights.write_trunk(folder, *official.LPIPS_TRUNKS["alex"]),
    "lpips/vgg": lambda folder: tiny_weights.write_trunk(folder, *official.LPIPS_TRUNKS["vgg"]),
    "ViT-H-14/hps_v2.0": partial(tiny_rewards.write_hps, version="v2.0"),
    "ViT-H-14/hps_v2.1": partial(tiny_rewards.write_hps, version="v2.1"),
    "aesthetic/sac_logos_ava1": tiny_rewards.write_aesthetic,
    "THUDM/ImageReward": tiny_rewards.write_image_reward,
    "google-bert/bert-base-uncased": tiny_rewards.write_vocabulary,
}
SIZES = ((300, 406), (455, 300), (227, 224), (64, 91), (500, 750))
"""Height and width; at a shorter side of 224 the first two are cropped one pixel apart by the two roundings in use."""
UNWASHED = (
    "A photo of a  blue teapot &amp; cup, in the caf\u00e9\N{RIGHT SINGLE QUOTATION MARK}s "
    "\N{LEFT DOUBLE QUOTATION MARK}window\N{RIGHT DOUBLE QUOTATION MARK}!"
)
"""A prompt that the `clip` package cleans before it is tokenised."""
ROWS = 3
"""Of a forward pass, as many as there are pairs: at the eight of a run VGG would take most of the time."""


class Scene(NamedTuple):
    """The folder of published weights, what is shown, and the service that gives features of it."""

    weights: Path
    shown: tuple[Shown, ...]
    service: FeatureService


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("variants")
    pictures = [root / f"{n}.png" for n in range(len(SIZES))]
    draw(pictures)
    shown = (
        Shown(
            pictures[0],
            (pictures[2], pictures[3]),
            UNWASHED,
        ),
        Shown(pictures[1], (pictures[4], pictures[0]), "grey stone at night"),
    )
    backbones = Backbones(device="cpu")

    def load_small(spec: ExtractorSpec) -> Extractor:
        extractor = backbones.load(spec)
        extractor.forward_batch = ROWS
        return extractor

    service = FeatureService(FeatureCache(None), Pictures(), fingerprint=backbones.fingerprint, load=load_small)
    yield Scene(root / "weights", shown, service)
    service.close()


def draw(pictures: Sequence[Path]) -> None:
    """Blocks of colour under noise, of the sizes above."""
    rng = np.random.default_rng(11)
    for path, (height, width) in zip(pictures, SIZES, strict=True):
        blocks = np.kron(rng.integers(0, 200, (9, 7, 3)), np.ones((height // 9 + 1, width // 7 + 1, 1)))
        noisy = blocks[:height, :width] + rng.integers(0, 56, (height, width, 3))
        write_image(path, noisy.astype(np.uint8))


@pytest.fixture(autouse=True)
def _at_hand(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(scene.weights))


def item(n: int, shown: Shown) -> Item:
    """Each target shows a subject of its own and is a mate as well."""
    case = Case(
        case_id=f"s.p{n}", prompt=shown.prompt, subjects=("one", "two"), references=(), targets=(), category="c",
        prompt_index=n, set_id="set", texts={"own_prompt": shown.own_prompt},
    )  # fmt: skip
    sample, *targets = (ImageContent(decode_image(path).sha256, path) for path in (shown.sample, *shown.targets))
    mates = tuple(Mate(case, picture) for picture in targets)
    return Item(case, 0, sample, tuple(targets), target_subjects=case.subjects[: len(targets)], mates=mates)


def bound_of(name: str, variant: str) -> Bound:
    card = load(METRICS, name).card.variant(variant)
    return Bound(variant, card, card.extractor, card.beside)


def write_weights(scene: Scene, name: str, variant: str) -> None:
    """The small weights of a variant's backbones and of what they stand on, where they are not yet."""
    models = [spec.model for spec in bound_of(name, variant).extractors]
    for part in (part for model in models for part in (model, *published()[model].parts)):
        folder = scene.weights / part.replace("/", "--")
        if not folder.is_dir():
            WRITERS[part](folder)


def ours(scene: Scene, name: str, variant: str, shown: Sequence[Shown]) -> list[float | None]:
    """The values as a run gets them."""
    metric: Metric = load(METRICS, name)
    bound, items = bound_of(name, variant), [item(n, one) for n, one in enumerate(shown)]
    asked = [metric.requests(one, bound) for one in items]
    found = scene.service.features(request for requests in asked for request in requests)
    assert [answer.reason for answer in found.values() if isinstance(answer, Missing)] == []
    features: list[list[Any]] = [[found[request] for request in requests] for requests in asked]
    return [outcome.value for outcome in metric.score(items, bound, features)]


@cache
@torch.inference_mode()
def theirs(weights: Path, name: str, variant: str, shown: Shown) -> float:
    return REFERENCES[name, variant](weights, shown)


def check(scene: Scene, name: str, variant: str, shown: Sequence[Shown]) -> None:
    """Asserts that every value is within the card's tolerance of the reference's."""
    write_weights(scene, name, variant)
    tolerance = bound_of(name, variant).card.tolerance
    expected = [theirs(scene.weights, name, variant, one) for one in shown]
    assert ours(scene, name, variant, shown) == [pytest.approx(value, abs=tolerance, rel=0) for value in expected]


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_a_variant_has_a_reference(name: str, variant: str) -> None:
    assert (name, variant) in REFERENCES, f"compute {name} {variant} as its source does, in metric_references.py"
    for model in (spec.model for spec in bound_of(name, variant).extractors):
        assert model in WRITERS, f"write small weights of {model}, in tiny_weights.py"


def test_no_reference_is_of_a_variant_that_is_gone() -> None:
    assert set(REFERENCES) <= set(VARIANTS)


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_a_variant_is_within_its_tolerance(name: str, variant: str, scene: Scene) -> None:
    check(scene, name, variant, scene.shown)


@pytest.mark.parametrize(("name", "variant"), TRUNCATING)
def test_a_long_prompt_is_cut_as_the_source_cuts_it(name: str, variant: str, scene: Scene) -> None:
    check(scene, name, variant, [scene.shown[0]._replace(prompt="a red dog on the beach in the snow, " * 12)])


@pytest.mark.parametrize("name", COMPARED)
def test_pictures_and_prompts_tell_variants_apart(name: str, scene: Scene) -> None:
    """A variant that were computed as another one of its metric would leave its tolerance."""
    cards = load(METRICS, name).card.variants
    for one, other in combinations(of_pictures(name), 2):
        a, b = cards[one], cards[other]
        if (a.extractor, a.params) == (b.extractor, b.params):
            assert a.scale != b.scale, f"{one} and {other} are one computation"
            continue
        write_weights(scene, name, one)
        write_weights(scene, name, other)
        pairs = [[theirs(scene.weights, name, variant, s) for variant in (one, other)] for s in scene.shown]
        apart = max(abs(x / a.scale - y / b.scale) for x, y in pairs)
        assert apart > max(a.tolerance / a.scale, b.tolerance / b.scale), f"{one} and {other} agree"
