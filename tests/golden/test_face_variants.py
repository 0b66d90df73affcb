"""Faces and every variant of `facesim` from picture files to values, against facenet-pytorch's own classes.

The detector has its published weights, which its package carries, and finds drawn faces; where it is to find many, its
weights are random and its thresholds low. The recogniser's weights are a formula's in the published form.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import cosine_similarity

from evalkit.engine.backbones import Backbones
from evalkit.errors import UsageError, WeightsError
from evalkit.features.cache import FeatureCache
from evalkit.features.facenet import cut_out
from evalkit.features.loading import describe_extractor, load_extractor
from evalkit.features.mtcnn import Networks, find_faces
from evalkit.features.pictures import Pictures
from evalkit.features.service import FeatureService
from evalkit.features.spec import ExtractorSpec, FeatureRequest, ImageContent
from evalkit.features.weights import find_weights, weights_at_hand
from evalkit.media import decode_image, write_image
from evalkit.metrics.base import Bound, Item
from evalkit.metrics.facesim import FACESIM
from evalkit.nouns import Case, State
from tests import faces, tiny_weights
from tests.faces import DARK, PALE, Face

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from evalkit.features.facenet import Facenet
    from evalkit.metrics.base import Outcome

VGGFACE2, CASIA = "facenet/vggface2", "facenet/casia-webface"
PEOPLE = 3
PICTURES: dict[str, tuple[int, int, tuple[Face, ...]]] = {
    "two": (400, 300, (Face(110, 140, 60), Face(290, 150, 45, DARK))),
    "alone": (320, 240, (Face(150, 120, 55, DARK),)),
    "pale": (260, 300, (Face(130, 150, 80),)),
    "near": (200, 260, (Face(95, 120, 85, PALE),)),
    "dark": (240, 200, (Face(120, 100, 50, DARK),)),
    "edge": (300, 300, (Face(40, 150, 60), Face(220, 120, 40, DARK))),
    "none": (160, 120, ()),
    "tiny": (300, 19, ()),
}
CASES = {
    "two": ("pale", "near", "dark", "none"),
    "alone": ("dark", "pale"),
    "edge": ("dark", "pale", "near"),
}
"""Samples and their targets."""
SUBJECTS = {"pale": "anna", "near": "anna", "dark": "bela", "none": "the teapot"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("faces")
    for seed, (name, (width, height, shown)) in enumerate(PICTURES.items()):
        write_image(folder / f"{name}.png", faces.picture(width, height, *shown, seed=seed))
    tiny_weights.write_facenet(folder / "facenet--vggface2", "20180402-114759-vggface2.pt", people=PEOPLE)
    tiny_weights.write_facenet(
        folder / "facenet--casia-webface", "20180408-102900-casia-webface.pt", phase=7.0, people=PEOPLE, counts=False
    )
    return folder


@pytest.fixture(autouse=True)
def _at_hand(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(root))


@pytest.fixture(scope="module")
def service() -> Iterator[FeatureService]:
    backbones = Backbones(device="cpu")
    made = FeatureService(
        FeatureCache(None), Pictures(), fingerprint=backbones.fingerprint, load=backbones.load, threads=1
    )
    yield made
    made.close()


def spec_of(model: str = VGGFACE2, **changes: Any) -> ExtractorSpec:
    return ExtractorSpec(family="facenet", model=model, preprocess="mtcnn_160_32").model_copy(update=changes)


@pytest.fixture(scope="module")
def extractor(root: Path) -> Facenet:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALKIT_WEIGHTS", str(root))
        return load_extractor(spec_of(), device="cpu")  # type: ignore[return-value]


def pixels_of(root: Path, name: str) -> Any:
    return np.array(Image.open(root / f"{name}.png").convert("RGB"))


def found(extractor: Facenet, pixels: Any) -> Any:
    return extractor.encode_images(extractor.prepare(pixels)[None])["faces"][0]


@cache
def their_detector(*, keep_all: bool) -> Any:
    from facenet_pytorch import MTCNN

    return MTCNN(image_size=160, margin=32, keep_all=keep_all)


@cache
def their_recogniser(root: Path, model: str) -> Any:
    """The package's network with the layer for people, which it leaves out when it embeds, as Sync-R1 builds it."""
    from facenet_pytorch import InceptionResnetV1

    network = InceptionResnetV1(pretrained=None)
    network.logits = torch.nn.Linear(512, PEOPLE)
    (file,) = (root / model.replace("/", "--")).glob("*.pt")
    told = network.load_state_dict(torch.load(file, weights_only=True), strict=False)
    assert not told.unexpected_keys
    assert all(name.endswith("num_batches_tracked") for name in told.missing_keys)
    return network.eval()


@cache
@torch.inference_mode()
def their_faces(root: Path, name: str, model: str = VGGFACE2) -> torch.Tensor:
    """[N, 512], the largest face first."""
    cut = their_detector(keep_all=True)(Image.open(root / f"{name}.png").convert("RGB"))
    return torch.zeros(0, 512) if cut is None else their_recogniser(root, model)(cut)


@pytest.mark.parametrize("name", [name for name in PICTURES if name != "tiny"])
def test_faces_are_the_packages(name: str, root: Path, extractor: Facenet) -> None:
    ours = found(extractor, pixels_of(root, name))
    boxes, chances = their_detector(keep_all=True).detect(Image.open(root / f"{name}.png"))
    assert len(ours) == len(PICTURES[name][2]) == (0 if boxes is None else len(boxes))
    if len(ours):
        np.testing.assert_allclose(ours[:, 512:516], boxes.astype(np.float64), rtol=0, atol=2e-4)
        np.testing.assert_allclose(ours[:, 516], chances.astype(np.float64), rtol=0, atol=1e-6)
        np.testing.assert_allclose(ours[:, :512], their_faces(root, name), rtol=0, atol=1e-6)


def test_the_drawn_faces_are_told_apart(root: Path) -> None:
    """Else any embedding would pass for another."""
    first, second = their_faces(root, "two")
    assert float(cosine_similarity(first, second, dim=0)) < 0.9


def random_networks(seed: int) -> tuple[Networks, tuple[Any, ...]]:
    from facenet_pytorch.models.mtcnn import ONet, PNet, RNet

    torch.manual_seed(seed)
    theirs = tuple(kind(pretrained=False).eval() for kind in (PNet, RNet, ONet))
    return Networks(*theirs), theirs


def in_order(boxes: Any) -> Any:
    """Boxes by their corners: those of equal size come in any order."""
    return boxes[np.lexsort(boxes.round(2).T)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("width", "height"), [(40, 57), (33, 24)])
@torch.inference_mode()
def test_each_stage_is_the_packages_on_random_networks(seed: int, width: int, height: int) -> None:
    from facenet_pytorch.models.utils.detect_face import detect_face

    networks, theirs = random_networks(seed)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    picture = torch.from_numpy(pixels).permute(2, 0, 1).float()
    sizes = []
    for thresholds in ((0.0, 0.0, 0.0), (0.5, 0.0, 0.0), (0.0, 0.5, 0.0), (0.0, 0.0, 0.5), (0.0, 0.0, 1.0)):
        ours = find_faces(networks, picture, thresholds=thresholds).numpy()
        boxes, _ = detect_face(Image.fromarray(pixels), 20, *theirs, list(thresholds), 0.709, torch.device("cpu"))
        expected = np.array(boxes[0], np.float64).reshape(-1, 5)
        assert len(ours) == len(expected)
        np.testing.assert_allclose(in_order(ours), in_order(expected), rtol=0, atol=2e-3)
        sizes.append(len(ours))
    assert sizes[0] > 1
    assert sizes[-1] == 0


def test_the_largest_face_is_first(root: Path, extractor: Facenet) -> None:
    boxes = found(extractor, pixels_of(root, "two"))[:, 512:516]
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    assert areas[0] > areas[1]
    mirrored = found(extractor, pixels_of(root, "two")[:, ::-1].copy())[:, 512:516]
    assert mirrored[0, 0] > 200 > boxes[0, 0]


@pytest.mark.parametrize("shape", [(19, 300), (5, 5), (1, 1), (20, 20)])
def test_a_picture_smaller_than_a_face_shows_none(shape: tuple[int, int], extractor: Facenet) -> None:
    assert found(extractor, np.full((*shape, 3), 128, np.uint8)).shape == (0, 517)


@pytest.mark.parametrize(
    "box", [(10.2, 20.7, 60.9, 90.1), (-12.5, 3.0, 40.0, 70.0), (50.0, 60.0, 130.0, 140.0), (0.0, 0.0, 100.0, 80.0)]
)
def test_a_face_is_cut_out_as_the_package_does(box: tuple[float, ...], root: Path) -> None:
    from facenet_pytorch import extract_face

    pixels = np.random.default_rng(2).integers(0, 256, (80, 100, 3)).astype(np.uint8)
    given = np.array(box, np.float32)
    cut = cut_out(pixels, given)
    assert cut is not None
    theirs = extract_face(Image.fromarray(pixels), given, image_size=160, margin=32)
    np.testing.assert_array_equal(cut.transpose(2, 0, 1), theirs.numpy())


@pytest.mark.parametrize("box", [(120.0, 10.0, 140.0, 30.0), (-60.0, 10.0, -30.0, 40.0), (10.0, 200.0, 40.0, 230.0)])
def test_a_box_outside_the_picture_is_no_face(box: tuple[float, ...]) -> None:
    assert cut_out(np.zeros((80, 100, 3), np.uint8), np.array(box, np.float32)) is None


def test_a_batch_of_several_is_refused(extractor: Facenet) -> None:
    with pytest.raises(
        UsageError, match=r"^wanted one picture, whose faces are as many as it shows, found a batch of 2$"
    ):
        extractor.encode_images(np.zeros((2, 3, 40, 40), np.float32))


def test_no_face_is_a_feature_that_the_cache_keeps(root: Path, tmp_path: Path) -> None:
    path = root / "none.png"
    request = FeatureRequest(spec_of(), ImageContent(decode_image(path).sha256, path), "faces")
    backbones = Backbones(device="cpu")
    shapes = []
    for load in (backbones.load, None):
        kept = FeatureService(
            FeatureCache(tmp_path), Pictures(), fingerprint=backbones.fingerprint, load=load or _never, threads=1
        )
        feature: Any = kept.features([request])[request]
        shapes.append(feature.shape)
        kept.close()
    assert shapes == [(0, 517)] * 2


def _never(_spec: ExtractorSpec) -> Any:
    raise AssertionError("a kept feature is not computed again")


def test_what_can_change_a_face_changes_the_fingerprint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from evalkit.features import facenet

    digests = [describe_extractor(spec).digest for spec in (spec_of(), spec_of(CASIA), spec_of(dtype="bfloat16"))]
    other = tmp_path / "net.pt"
    torch.save({"x": torch.zeros(1)}, other)
    with monkeypatch.context() as patch:
        patch.setattr(facenet, "_detector_files", lambda: [other])
        digests.append(describe_extractor(spec_of()).digest)
    monkeypatch.setattr(facenet, "CODE_VERSION", 99)
    digests.append(describe_extractor(spec_of()).digest)
    assert len(set(digests)) == len(digests)
    assert dict(describe_extractor(spec_of()).parts)["pre"] == "mtcnn_160_32"


class TestWeights:
    def test_they_are_found_where_the_package_puts_them(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("EVALKIT_WEIGHTS")
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        assert weights_at_hand(VGGFACE2) is None
        kept = tmp_path / "hub" / "checkpoints" / "20180402-114759-vggface2.pt"
        kept.parent.mkdir(parents=True)
        kept.write_bytes(b"x")
        assert find_weights(VGGFACE2).files == (kept,)
        assert find_weights(VGGFACE2).origin == "torch cache"

    @pytest.mark.parametrize("fetch", [False, True])
    def test_none_is_one_line_with_the_remedy(
        self, fetch: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path))
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        with pytest.raises(WeightsError) as raised:
            find_weights(VGGFACE2, fetch=fetch)
        told = str(raised.value)
        assert told.startswith(
            "wanted the weights of 'facenet/vggface2' (about 112 MB, licence MIT (package); none stated for the weights, "
            "trained on VGGFace2, commercial use unclear), found none in EVALKIT_WEIGHTS "
        )
        remedy = "from facenet_pytorch import InceptionResnetV1 as N; N(pretrained='vggface2')"
        assert told.endswith(f'`python -c "{remedy}"`, or put the files into $EVALKIT_WEIGHTS/facenet--vggface2')

    def test_another_models_file_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = tmp_path / "facenet--vggface2"
        folder.mkdir()
        torch.save({"conv2d_1a.conv.weight": torch.zeros(3, 3)}, folder / "20180402-114759-vggface2.pt")
        monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path))
        with pytest.raises(
            WeightsError, match=r"wanted the weights of InceptionResnetV1, found conv2d_1a\.conv\.weight"
        ):
            load_extractor(spec_of(), device="cpu")


def item(root: Path, sample: str, targets: Sequence[str]) -> Item:
    case = Case(
        case_id="s.p0", prompt="s", subjects=("anna", "bela"), references=(), targets=(), category="c", prompt_index=0
    )  # fmt: skip
    shown, *others = (
        ImageContent(decode_image(path).sha256, path) for path in (root / f"{n}.png" for n in (sample, *targets))
    )
    return Item(case, 0, shown, tuple(others), target_subjects=tuple(SUBJECTS[name] for name in targets))


def bound(variant: str) -> Bound:
    card = FACESIM.card.variant(variant)
    return Bound(variant, card, card.extractor)


def outcome(root: Path, service: FeatureService, variant: str, sample: str, targets: Sequence[str]) -> Outcome:
    one = item(root, sample, targets)
    asked = FACESIM.requests(one, bound(variant))
    features: Any = service.features(asked)
    return FACESIM.score([one], bound(variant), [[features[request] for request in asked]])[0]


def largest(root: Path, sample: str, targets: Sequence[str], model: str = VGGFACE2) -> float:
    """OpenS2V's: the largest faces, cosines at least 0, targets without a face left out."""
    ours = their_faces(root, sample, model)
    others = [kept for target in targets if len(kept := their_faces(root, target, model))]
    return float(np.mean([max(0.0, float(cosine_similarity(ours[0], faces[0], dim=0))) for faces in others]))


def best(root: Path, sample: str, target: str) -> float:
    similar = cosine_similarity(their_faces(root, sample), their_faces(root, target)[:1])
    return max(0.0, float(similar.max()))


def by_person(root: Path, sample: str, targets: Sequence[str]) -> list[float]:
    shown = {SUBJECTS[target] for target in targets} - {"the teapot"}
    return [float(np.mean([best(root, sample, t) for t in targets if SUBJECTS[t] == name])) for name in sorted(shown)]


@cache
@torch.inference_mode()
def sync_r1(root: Path, sample: str, targets: tuple[str, ...]) -> float:
    """Sync-R1's score with its detector, which gives the largest face alone."""
    detect, embed = their_detector(keep_all=False), their_recogniser(root, VGGFACE2)
    scores = []
    ours = embed(detect(Image.open(root / f"{sample}.png").convert("RGB"))[None])
    for target in targets:
        face = detect(Image.open(root / f"{target}.png").convert("RGB"))
        if face is not None:
            cosine = cosine_similarity(ours, embed(face[None])).item()
            scores.append(0.0 if cosine < 0.5 else 2 * (cosine - 0.5))
    return sum(scores) / len(scores)


REFERENCES: dict[str, Callable[[Path, str, tuple[str, ...]], float]] = {
    "largest": largest,
    "largest_or_zero": largest,
    "best": lambda root, s, ts: float(np.mean([best(root, s, t) for t in ts if SUBJECTS[t] != "the teapot"])),
    "subjects_mean": lambda root, s, ts: float(np.mean(by_person(root, s, ts))),
    "id_crafter": lambda root, s, ts: 0.5 * float(np.mean(by_person(root, s, ts))) + 0.5 * min(by_person(root, s, ts)),
    "sync_r1": sync_r1,
    "casia": lambda root, s, ts: largest(root, s, ts, CASIA),
}


def test_each_variant_has_a_reference() -> None:
    card = FACESIM.card
    ours = {name for name, variant in card.variants.items() if variant.extractor.family == "facenet"}
    assert set(REFERENCES) == {name for name in ours if "image" in card.reads(name)}


@pytest.mark.parametrize("variant", REFERENCES)
def test_a_variant_is_within_its_tolerance(variant: str, root: Path, service: FeatureService) -> None:
    for sample, targets in CASES.items():
        got = outcome(root, service, variant, sample, targets)
        expected = REFERENCES[variant](root, sample, targets)
        assert got.value == pytest.approx(expected, abs=bound(variant).card.tolerance, rel=0)
        people = [target for target in targets if SUBJECTS[target] != "the teapot"]
        assert got.weight == (1 if "min_share" in bound(variant).card.params else len(people))


def test_the_pictures_tell_variants_apart(root: Path) -> None:
    """But for what counts where the sample has no face, the one difference of `largest_or_zero`."""
    names = [name for name in REFERENCES if name != "largest_or_zero"]
    values = {n: [REFERENCES[n](root, sample, targets) for sample, targets in CASES.items()] for n in names}
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            assert np.abs(np.subtract(values[one], values[other])).max() > 1e-3, f"{one} and {other} agree"


@pytest.mark.parametrize("variant", REFERENCES)
def test_without_a_face_there_is_a_state_or_the_official_zero(
    variant: str, root: Path, service: FeatureService
) -> None:
    got = outcome(root, service, variant, "none", ("pale", "dark"))
    if variant == "largest_or_zero":
        assert (got.state, got.value, got.weight) == (State.SCORED, 0.0, 2)
    else:
        assert (got.state, got.reason) == (State.NO_FACE, "no face in the sample none.png")
    unknown = outcome(root, service, variant, "two", ("none",))
    assert (unknown.state, unknown.reason) == (State.NO_FACE, "s.p0: no face in its targets: none.png")


@pytest.mark.parametrize("variant", REFERENCES)
def test_a_copy_is_one(variant: str, root: Path, service: FeatureService) -> None:
    assert outcome(root, service, variant, "pale", ("pale",)).value == pytest.approx(1.0, abs=1e-6)


def test_one_pass_serves_every_variant(root: Path, service: FeatureService) -> None:
    for sample, targets in CASES.items():
        for variant in REFERENCES:
            outcome(root, service, variant, sample, targets)
    before = service.extracted.copy()
    assert set(before.values()) <= set(range(1, len(PICTURES) + 1))
    for variant in REFERENCES:
        outcome(root, service, variant, "two", CASES["two"])
    assert service.extracted == before
