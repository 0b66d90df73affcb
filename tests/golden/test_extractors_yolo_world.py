"""YOLO-World's boxes against those of OpenS2V's own modules on the same small weights, and NexusScore put together of them.

`yolo_world_official.json` holds what mmyolo and YOLO-World as franciszzj/OpenS2V-Nexus (ef17513) carries them found, by the
functions of its `eval/get_nexusscore.py`, with the weights of `tests.tiny_yolo_world` and pictures fitted into 96 pixels; for
`yolo_world_640` with the colours put right before.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from evalkit.engine.backbones import Backbones
from evalkit.errors import UsageError, WeightsError
from evalkit.features import yolo_world
from evalkit.features.cache import FeatureCache
from evalkit.features.loading import describe_extractor, load_extractor
from evalkit.features.pictures import Pictures
from evalkit.features.service import FeatureService, Missing
from evalkit.features.spec import ClipContent, ImageContent
from evalkit.features.yolo_world_names import L, read_sizes, shapes
from evalkit.media import decode_image, pixel_sha256, write_image
from evalkit.metrics.base import Bound, Item, Metric
from evalkit.metrics.nexus import nexus_score
from evalkit.nouns import Case
from evalkit.registry import METRICS, load
from tests import tiny_vlms, tiny_yolo_world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

pytestmark = pytest.mark.filterwarnings("ignore")
METRIC: Metric = load(METRICS, "nexus_score")
OFFICIAL: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("yolo_world_official.json").read_text(encoding="utf-8")
)
SPECS = {variant: card.beside["detector"] for variant, card in METRIC.card.variants.items()}
NAMES_AND_SHAPES = "8306828e1e6e211ab9c2b2a830aa27d60db0d172128dd8a996df2e580e1c25e4"
"""sha256 of the lines `name shape` of the published configuration's own module, sorted, as far as they are used."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("yolo")
    tiny_yolo_world.write_yolo_world(folder)
    tiny_vlms.write_gme(folder / "Alibaba-NLP--gme-Qwen2-VL-7B-Instruct")
    return folder


@pytest.fixture(autouse=True)
def _at_hand(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(root))
    monkeypatch.setattr(yolo_world, "SIDE", 96)


def picture(height: int, width: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(height * 7 + width)
    blocks = np.kron(rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3)), np.ones((8, 8, 1)))
    return np.asarray(blocks[:height, :width] // 2 + rng.integers(0, 128, (height, width, 3)), np.uint8)


def boxes(backbone: Any, pixels: NDArray[np.uint8], sought: NDArray[np.uint8]) -> NDArray[np.float32]:
    told = backbone.encode_pairs(backbone.prepare(pixels)[None], backbone.prepare(sought)[None])
    found: NDArray[np.float32] = told["boxes"][0]
    assert found.dtype == np.float32
    return found


@pytest.mark.parametrize("variant", ["v1_1", "corrected"])
def test_boxes_are_the_official_modules(variant: str) -> None:
    spec = SPECS[variant]
    backbone = load_extractor(spec, device="cpu")
    assert OFFICIAL[0]["yolo_world_640"][0] != OFFICIAL[0]["yolo_world_640_bgr"][0]
    for told in OFFICIAL:
        found, wanted = boxes(backbone, picture(*told["picture"]), picture(*told["sought"])), told[spec.preprocess]
        assert len(found) == len(wanted) > 50
        np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_the_names_and_shapes_are_those_of_the_published_configuration() -> None:
    told = shapes(L)
    lines = "\n".join(f"{name} {list(shape)}" for name, shape in sorted(told.items()))
    assert len(told) == 655
    assert hashlib.sha256(lines.encode()).hexdigest() == NAMES_AND_SHAPES
    assert read_sizes({name: torch.empty(shape, device="meta") for name, shape in told.items()}, where=Path("x")) == L


def test_where_nothing_is_sure_there_is_no_box(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yolo_world, "SCORE", 1.0)
    assert boxes(load_extractor(SPECS["v1_1"], device="cpu"), picture(60, 90), picture(70, 50)).shape == (0, 5)


def test_a_picture_is_seen_once_for_all_that_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def counted(name: str, real: Any) -> Any:
        def call(*given: Any) -> Any:
            calls.append(name)
            return real(*given)

        return call

    for name in ("see", "projected"):
        monkeypatch.setattr(yolo_world, name, counted(name, getattr(yolo_world, name)))
    backbone = load_extractor(SPECS["v1_1"], device="cpu")
    sought, frames = [picture(33, 40), picture(50, 44)], [picture(60, 90), picture(48, 64)]
    together = [boxes(backbone, frame, one) for frame in frames for one in sought]
    assert sorted(calls) == ["projected"] * 2 + ["see"] * 2
    alone = load_extractor(SPECS["v1_1"], device="cpu")
    backwards = [boxes(alone, frame, one) for frame in frames[::-1] for one in sought[::-1]][::-1]
    assert [b.tobytes() for b in together] == [b.tobytes() for b in backwards]


def test_the_fingerprint_tells_the_colours_and_the_model_by_which_is_looked_for(root: Path, tmp_path: Path) -> None:
    told = {variant: describe_extractor(spec) for variant, spec in SPECS.items()}
    assert told["v1_0"].digest == told["v1_1"].digest != told["corrected"].digest
    assert dict(told["corrected"].parts)["pre"] == "yolo_world_640"


def test_what_is_no_whole_model_is_refused(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = load_extractor(SPECS["v1_1"], device="cpu")
    two = np.zeros((2, 3, 32, 32), np.float32)
    with pytest.raises(
        UsageError, match=r"^wanted one pair, whose boxes are as many as are found, found a batch of 2$"
    ):
        backbone.encode_pairs(two, two)
    alone = SPECS["v1_1"].model_copy(update={"model": str(root / "yolo_world--v2_l_image_prompt")})
    with pytest.raises(
        WeightsError, match="wanted the detector and the CLIP that reads its prompts, found .* alone; name"
    ):
        describe_extractor(alone)
    folder = tmp_path / "yolo_world--v2_l_image_prompt"
    folder.mkdir()
    state = tiny_yolo_world.weights()
    last = state.pop("image_prompt_encoder.projector.2.weight")
    (tmp_path / "openai--clip-vit-base-patch32").symlink_to(root / "openai--clip-vit-base-patch32")
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path))
    torch.save(state, folder / tiny_yolo_world.FILE)
    with pytest.raises(
        WeightsError, match=r"YOLO-World with an image prompt, found no image_prompt_encoder.projector.2"
    ):
        load_extractor(SPECS["v1_1"], device="cpu")
    torch.save(state | {"image_prompt_encoder.projector.2.weight": last[:, :-1]}, folder / tiny_yolo_world.FILE)
    with pytest.raises(
        WeightsError, match=r"wanted the weights of YoloWorld, found .* of shape \[24, 47\] instead of \[24, 48\]"
    ):
        load_extractor(SPECS["v1_1"], device="cpu")


@pytest.fixture
def service() -> Iterator[FeatureService]:
    backbones = Backbones(device="cpu")
    made = FeatureService(FeatureCache(None), Pictures(), fingerprint=backbones.fingerprint, load=backbones.load)
    yield made
    made.close()


@pytest.mark.parametrize("variant", ["v1_0", "corrected"])
def test_the_score_is_that_of_boxes_cut_out_one_by_one(
    variant: str, service: FeatureService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yolo_world, "MOST", 2)
    shots, sought = [picture(60, 90), picture(64, 64)], [picture(40, 50), picture(52, 44)]
    for n, pixels in enumerate([*shots, *sought]):
        write_image(tmp_path / f"{n}.png", pixels)
    contents = [ImageContent(decode_image(p).sha256, p) for p in (tmp_path / f"{n}.png" for n in range(4))]
    clip = ClipContent(pixel_sha256(shots[0]), tmp_path / "clip.mp4", tuple(contents[:2]), 8.0)
    case = Case(
        case_id="humanobj_1", prompt="p", subjects=("a", "b"), references=(), targets=(), category="c", prompt_index=0,
        medium="video",
    )  # fmt: skip
    item = Item(case, 0, contents[0], tuple(contents[2:]), clip=clip, target_labels=("Man", "Cup"))
    card = METRIC.card.variant(variant)
    gme = card.extractor.model_copy(update={"dtype": "float32"})
    one = Bound(variant, card.model_copy(update={"params": card.params | {"frames": 2}}), gme, card.beside)
    first = METRIC.requests(item, one)
    found = service.features(first)
    told = [array for request in first if not isinstance(array := found[request], Missing)]
    assert len(told) == len(first), [*found.values()]
    second = METRIC.further(item, one, told)
    found = service.features(second)
    told += [array for request in second if not isinstance(array := found[request], Missing)]
    assert len(told) == len(first) + len(second)
    (outcome,) = METRIC.score([item], one, [told])
    assert outcome.value is not None

    detector, embedder = load_extractor(SPECS[variant], device="cpu"), load_extractor(gme, device="cpu")
    known = [
        (
            embedder.encode_images(embedder.prepare(pixels)[None])["embedding"][0],
            embedder.encode_texts([word])["embedding"][0],
        )
        for pixels, word in zip(sought, ("human", "Cup"), strict=True)
    ]
    rows: list[tuple[Any, ...]] = []
    for number, shot in enumerate(shots):
        for place, reference in enumerate(sought):
            for *sides, confidence in boxes(detector, shot, reference):
                cut = np.asarray(Image.fromarray(shot).crop([float(side) for side in sides]))  # type: ignore[arg-type]
                seen = embedder.encode_images(embedder.prepare(cut)[None])["embedding"][0]
                rows.append((confidence, *(float(seen @ each) for each in known[place]), number, place))
    wanted = nexus_score(*zip(*rows, strict=True), variant=card.params["formula"])
    assert outcome.value == pytest.approx(wanted, abs=1e-5)
