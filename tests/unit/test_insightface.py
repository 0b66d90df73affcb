"""insightface's detector and recognisers on small graphs of their form: faces found, aligned and told apart by hand."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from evalkit.errors import UsageError, WeightsError
from evalkit.features.face_alignment import TEMPLATE, aligned, similarity
from evalkit.features.loading import describe_extractor, load_extractor
from evalkit.features.scrfd import Faces, find_faces
from evalkit.registry import METRICS, load
from tests import tiny_insightface

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from evalkit.features.extractor import Extractor
    from evalkit.features.spec import ExtractorSpec

ARC: ExtractorSpec = load(METRICS, "facesim").card.variant("arc").extractor
CUR: ExtractorSpec = load(METRICS, "facesim").card.variant("cur").extractor
RED = (255, 0, 0)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    tiny_insightface.write_insightface(folder)
    return folder


@pytest.fixture(autouse=True)
def _at_hand(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(root))


@pytest.fixture(scope="module", params=["arc", "cur"])
def backbone(request: pytest.FixtureRequest, root: Path) -> Extractor:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALKIT_WEIGHTS", str(root))
        return load_extractor({"arc": ARC, "cur": CUR}[request.param], device="cpu")


def picture(height: int, width: int, *patches: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Dark green texture with red patches (left, top, right, bottom), so that only these are faces."""
    rng = np.random.default_rng(height)
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 1] = rng.integers(40, 120, (height, width))
    for left, top, right, bottom in patches:
        pixels[top:bottom, left:right] = RED
    return pixels


def faces_of(backbone: Any, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = backbone.encode_images(backbone.prepare(pixels)[None])["faces"][0]
    return found


def box_at(x: float, y: float, stride: int, scale: float = 1.0) -> NDArray[np.float64]:
    left, top, right, bottom = np.array(tiny_insightface.EDGES[stride]) * stride
    return np.array([x - left, y - top, x + right, y + bottom]) / scale


def marks_at(x: float, y: float, stride: int, scale: float = 1.0) -> NDArray[np.float64]:
    return np.asarray((np.array([x, y]) + np.array(tiny_insightface.MARKS) * stride) / scale)


def least_squares(points: NDArray[Any], onto: NDArray[Any]) -> NDArray[np.float64]:
    """The similarity without mirroring, by solving for its four numbers."""
    rows, told = [], []
    for (x, y), (u, v) in zip(points, onto, strict=True):
        rows += [[x, -y, 1, 0], [y, x, 0, 1]]
        told += [u, v]
    a, b, right, down = np.linalg.lstsq(np.array(rows), np.array(told), rcond=None)[0]
    return np.array([[a, -b, right], [b, a, down]])


@pytest.mark.parametrize("seed", range(6))
def test_the_similarity_is_the_least_squares_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = np.array(TEMPLATE) * rng.uniform(0.3, 3) + rng.normal(0, 6, (5, 2)) + rng.uniform(-50, 300, 2)
    turn = rng.uniform(-np.pi, np.pi)
    points = points @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    np.testing.assert_allclose(similarity(points, TEMPLATE), least_squares(points, np.array(TEMPLATE)), atol=1e-9)


def test_a_mirrored_face_is_not_mirrored_back() -> None:
    mirrored = np.array(TEMPLATE) * [-1, 1]
    matrix = similarity(mirrored, TEMPLATE)
    assert np.linalg.det(matrix[:, :2]) > 0
    np.testing.assert_allclose(matrix, least_squares(mirrored, np.array(TEMPLATE)), atol=1e-9)
    assert np.isnan(similarity([[1.0, 2.0]] * 5, TEMPLATE)).all()


def test_landmarks_come_to_lie_on_the_template() -> None:
    pixels = np.zeros((300, 200, 3), np.uint8)
    turned = (np.array(TEMPLATE) - 56) @ np.array([[0.8, 0.6], [-0.6, 0.8]]) * 1.3 + [100, 150]
    for number, (x, y) in enumerate(turned):
        cv2.circle(pixels, (round(x), round(y)), 4, (40 + 40 * number,) * 3, -1)
    for side in (112, 224):
        face = aligned(pixels, turned, side)
        assert face.shape == (side, side, 3)
        for number, (x, y) in enumerate(np.array(TEMPLATE) * side / 112):
            assert abs(int(face[round(y), round(x), 0]) - (40 + 40 * number)) <= 2


@pytest.mark.parametrize(
    ("size", "scale"), [((320, 320), 1.0), ((640, 640), 0.5), ((640, 480), 0.5), ((240, 320), 1.0)]
)
def test_a_face_is_found_and_told_as_by_hand(backbone: Extractor, size: tuple[int, int], scale: float) -> None:
    left, top = round(80 / scale), round(96 / scale)
    side = round(8 / scale)
    pixels = picture(*size, (left, top, left + side, top + side))
    (face,) = faces_of(backbone, pixels)
    np.testing.assert_allclose(face[512:516], box_at(80, 96, 8, scale), atol=1e-3)
    assert 0.5 < face[516] < 0.7
    matrix = least_squares(marks_at(80, 96, 8, scale), np.array(TEMPLATE))
    if backbone.spec == ARC:
        seen, seed = cv2.warpAffine(pixels, matrix, (112, 112)), 1
    else:
        seen, seed = cv2.resize(cv2.warpAffine(pixels, 2 * matrix, (224, 224)), (112, 112)), 2
    np.testing.assert_allclose(face[:512], tiny_insightface.embedding(seen, seed), atol=2e-4)
    assert np.linalg.norm(face[:512]) == pytest.approx(1, abs=1e-6)


def test_the_largest_face_is_first_and_overlapping_ones_are_one(backbone: Extractor) -> None:
    pixels = picture(320, 320, (16, 16, 32, 24), (192, 192, 224, 224))
    found = faces_of(backbone, pixels)
    areas = (found[:, 514] - found[:, 512]) * (found[:, 515] - found[:, 513])
    assert (np.diff(areas) <= 0).all()
    np.testing.assert_allclose(found[0, 512:516], box_at(192, 192, 32), atol=1e-3)
    small = found[found[:, 512] < 60]
    np.testing.assert_allclose(small[:, 512:516], [box_at(16, 16, 8)], atol=1e-3)


def test_without_a_face_there_is_none(backbone: Extractor) -> None:
    assert faces_of(backbone, picture(200, 150)).shape == (0, 517)
    with pytest.raises(UsageError, match="wanted one picture, whose faces are as many as it shows, found a batch of 2"):
        backbone.encode_images(np.zeros((2, 3, 8, 8), np.float32))


def test_a_picture_without_a_face_is_looked_at_again_with_a_margin() -> None:
    seen: list[NDArray[np.float32]] = []

    def network(prepared: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        seen.append(prepared)
        told = [np.zeros(((320 // s) ** 2 * 2, width), np.float32) for width in (1, 4, 10) for s in (8, 16, 32)]
        if len(seen) == 2:
            told[0][2 * (20 * 40 + 15), 0] = 0.9
            told[3][:] = 1.0
        return told

    found: Faces = find_faces(network, picture(100, 200))
    assert len(seen) == 2
    assert (seen[1][0, :, 5, 5] == np.float32((128 - 127.5) / 128)).all()
    centre = np.array([15, 20]) * 8 / (320 / 300) - [50, 25]  # 200 x 100 with a quarter on each side is 300 x 150
    np.testing.assert_allclose(found.boxes[0, :4], [*(centre - 7.5), *(centre + 7.5)], atol=1e-3)
    np.testing.assert_allclose(found.landmarks[0], np.tile(centre, (5, 1)), atol=1e-3)


def test_arcface_sees_the_margin_that_a_face_was_found_in_and_curricularface_does_not(backbone: Extractor) -> None:
    """The patch fills no cell of the detector before the picture has a quarter of grey on each side."""
    pixels = picture(400, 320, (12, 4, 26, 18))
    scale, shift = 320 / 600, np.array([80, 100])
    (face,) = faces_of(backbone, pixels)
    np.testing.assert_allclose(face[512:516], box_at(48, 56, 8, scale) - np.tile(shift, 2), atol=1e-3)
    marks = marks_at(48, 56, 8, scale)
    padded = cv2.copyMakeBorder(pixels, 100, 100, 80, 80, cv2.BORDER_CONSTANT, value=(128, 128, 128))
    within = cv2.warpAffine(padded, least_squares(marks, np.array(TEMPLATE)), (112, 112))
    large = cv2.warpAffine(pixels, 2 * least_squares(marks - shift, np.array(TEMPLATE)), (224, 224))
    alone = cv2.resize(large, (112, 112))
    seed = 1 if backbone.spec == ARC else 2
    wanted, other = (
        tiny_insightface.embedding(seen, seed) for seen in ((within, alone) if seed == 1 else (alone, within))
    )
    np.testing.assert_allclose(face[:512], wanted, atol=2e-4)
    assert wanted @ other < 0.9


def test_without_onnxruntime_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert describe_extractor(ARC).digest != describe_extractor(CUR).digest
    with pytest.raises(
        UsageError, match=r"^wanted onnxruntime .*, found none; install it with `pip install 'evalkit\[faces\]'`$"
    ):
        load_extractor(ARC, device="cpu")


def test_other_files_are_refused(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(root / tiny_insightface.PACK, tmp_path / tiny_insightface.PACK)
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path))
    with pytest.raises(
        WeightsError, match=r"make curricularface\.onnx \(CurricularFace's IR-101, .*\) and put it into "
    ):
        describe_extractor(CUR)
    pack = tmp_path / tiny_insightface.PACK
    shutil.copy(pack / "w600k_r50.onnx", pack / "det_10g.onnx")
    with pytest.raises(
        WeightsError, match=r"wanted one input and 9 outputs, found 1 and 1; these are another model's weights"
    ):
        load_extractor(ARC, device="cpu")
    (pack / "det_10g.onnx").write_bytes(b"no graph")
    with pytest.raises(WeightsError, match=r"det_10g\.onnx: wanted an ONNX graph, found .*; get the file again"):
        load_extractor(ARC, device="cpu")
    (pack / "det_10g.onnx").unlink()
    with pytest.raises(WeightsError, match=r"lacks det_10g\.onnx \| models/buffalo_l/det_10g\.onnx"):
        describe_extractor(ARC)
