"""Variants that score videos against their sources' computations, frame by frame, within the cards' tolerances.

A clip's frames are also written as pictures, and what a source says of each picture is put together as it does.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from evalkit.engine.backbones import Backbones
from evalkit.features.cache import FeatureCache
from evalkit.features.pictures import Pictures
from evalkit.features.service import FeatureService, Missing
from evalkit.features.spec import ClipContent, ImageContent
from evalkit.media import decode_image, decode_video, encode_mp4, write_image
from evalkit.metrics.base import Bound, Item, Metric
from evalkit.nouns import Case
from evalkit.registry import METRICS, entries, load
from tests import tiny_rewards, tiny_weights
from tests.golden.metric_references import REFERENCES, Shown, TransformersClip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from evalkit.metrics.base import Outcome

pytestmark = pytest.mark.filterwarnings("ignore")

FRAMES, HEIGHT, WIDTH = 5, 250, 310
FAMILIES = ("clip", "dino", "aesthetic")
"""The backbones of which there are small weights here. Faces are compared in test_face_variants.py and test_facesim.py, flow
in test_motion.py and test_opens2v_numbers.py, other families in tests of their own."""


class Scene(NamedTuple):
    """A clip as a file and as pictures, a target, the folder of weights, and the service that gives features."""

    video: Path
    shots: tuple[Path, ...]
    target: Path
    prompt: str
    weights: Path
    service: FeatureService


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("videos")
    rng = np.random.default_rng(3)
    frames = np.kron(rng.integers(0, 256, (FRAMES, HEIGHT // 10, WIDTH // 10, 3)), np.ones((1, 10, 10, 1))).astype(
        np.uint8
    )
    video, shots = root / "clip.mp4", tuple(root / f"frame{n}.png" for n in range(FRAMES))
    video.write_bytes(encode_mp4(frames, 8))
    for path, frame in zip(shots, frames, strict=True):
        write_image(path, frame)
    write_image(root / "target.png", frames[0, :, ::-1])
    weights = root / "weights"
    tiny_weights.write_published_clip(weights / "openai--clip-vit-base-patch32", patch=32)
    tiny_weights.write_published_clip(weights / "openai--clip-vit-large-patch14", patch=14)
    tiny_weights.write_dino(weights / "facebook--dino-vits16", side=224, patch=16)
    tiny_rewards.write_aesthetic(weights / "aesthetic--sac_logos_ava1")
    backbones = Backbones(device="cpu")
    service = FeatureService(FeatureCache(None), Pictures(), fingerprint=backbones.fingerprint, load=backbones.load)
    yield Scene(video, shots, root / "target.png", "a red dog on the beach " * 40, weights, service)
    service.close()


def outcome(scene: Scene, name: str, variant: str) -> Outcome:
    """As a run gets it."""
    metric: Metric = load(METRICS, name)
    card = metric.card.variant(variant)
    clip = decode_video(scene.video)
    frames = tuple(ImageContent(sha256, scene.video, n) for n, sha256 in enumerate(clip.frame_sha256))
    case = Case(
        case_id="a",
        prompt=scene.prompt,
        subjects=("a",),
        references=(),
        targets=(),
        category="c",
        prompt_index=0,
        medium="video",
    )
    target = ImageContent(decode_image(scene.target).sha256, scene.target)
    content = ClipContent(clip.sha256, scene.video, frames, clip.fps)
    item = Item(case, 0, ImageContent(clip.sha256, scene.video), (target,), clip=content)
    bound = Bound(variant, card, card.extractor, card.beside)
    requests = metric.requests(item, bound)
    found = scene.service.features(requests)
    features = [array for request in requests if not isinstance(array := found[request], Missing)]
    assert len(features) == len(requests), list(found.values())
    return metric.score([item], bound, [features])[0]


def mean_of(name: str, variant: str) -> Callable[[Scene], float]:
    """What a source computes of pictures, over the frames."""
    return lambda scene: float(
        np.mean(
            [REFERENCES[name, variant](scene.weights, Shown(s, (scene.target,), scene.prompt)) for s in scene.shots]
        )
    )


def over_32(scene: Scene) -> float:
    """The mean over 32 frames of the five, as numpy's `linspace` takes them."""
    places = np.linspace(0, FRAMES - 1, 32, dtype=int)
    values = [REFERENCES["aesthetic", "opens2v"](scene.weights, Shown(scene.shots[p], (), "")) for p in range(FRAMES)]
    return float(np.mean([values[place] for place in places]))


def prompted(scene: Scene) -> float:
    text = clip_of(scene).cut_text(scene.prompt)
    return float(np.mean([cosine_similarity(clip_of(scene).image(shot), text).item() for shot in scene.shots]))


def adjacent(scene: Scene) -> float:
    embedded = [clip_of(scene).image(shot) for shot in scene.shots]
    return float(np.mean([cosine_similarity(a, b).item() for a, b in pairwise(embedded)]))


def vbench(scene: Scene) -> float:
    embedded = [clip_of(scene).image(shot) for shot in scene.shots]
    pairs = [
        (max(0.0, cosine_similarity(now, before).item()) + max(0.0, cosine_similarity(now, embedded[0]).item())) / 2
        for before, now in pairwise(embedded)
    ]
    return float(np.mean(pairs))


def clip_of(scene: Scene) -> TransformersClip:
    return TransformersClip(scene.weights / "openai--clip-vit-base-patch32")


OF_VIDEOS: dict[tuple[str, str], Callable[[Scene], float]] = {
    ("clip_t", "consis_gcpo"): prompted,
    ("clip_i", "consis_gcpo"): mean_of("clip_i", "dreambooth"),
    ("dino_i", "consis_gcpo"): mean_of("dino_i", "dreambooth"),
    ("aesthetic", "opens2v_video"): over_32,
    ("temporal_consistency", "consis_gcpo"): adjacent,
    ("temporal_consistency", "vbench"): vbench,
}


def test_every_variant_of_videos_has_a_reference() -> None:
    own = [name for name, entry in entries(METRICS).items() if entry.dist is not None and entry.dist.name == "evalkit"]
    cards = {name: load(METRICS, name).card for name in own}
    of_videos = {
        (n, v): card.variants[v] for n, card in cards.items() for v in card.variants if card.reads(v) == ("video",)
    }
    assert {pair for pair, variant in of_videos.items() if variant.extractor.family in FAMILIES} == {*OF_VIDEOS}


@pytest.mark.parametrize(("name", "variant"), OF_VIDEOS)
def test_a_variant_is_within_its_tolerance(
    name: str, variant: str, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(scene.weights))
    with torch.inference_mode():
        expected = OF_VIDEOS[name, variant](scene)
    found = outcome(scene, name, variant)
    tolerance = load(METRICS, name).card.variant(variant).tolerance
    assert found.value == pytest.approx(expected, abs=tolerance, rel=0)
    assert found.weight == (FRAMES - 1 if variant == "vbench" else 1)


def test_the_frames_are_decoded_once_for_all_of_them(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(scene.weights))
    scene.service.pictures.decode_video(scene.video)
    before = scene.service.pictures.decoded
    for name, variant in OF_VIDEOS:
        outcome(scene, name, variant)
    assert scene.service.pictures.decoded - before <= 1  # the target
