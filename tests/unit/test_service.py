from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from evalkit.features.cache import FeatureCache
from evalkit.features.extractor import Extractor
from evalkit.features.model_input import CLIP_224, ModelInput
from evalkit.features.pictures import Pictures
from evalkit.features.preprocess import preprocess
from evalkit.features.service import FeatureService, Missing
from evalkit.features.spec import FeatureRequest, ImageContent, PairContent, PromptedContent, TextContent
from evalkit.features.weights import NO_WEIGHTS
from evalkit.media import decode_image, write_image
from evalkit.nouns import State
from tests.fakes import (
    LONGEST_TEXT,
    SPEC,
    FakeBackbones,
    FakeExtractor,
    fake_fingerprint,
    replace_spec,
    write_picture,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from evalkit.features.spec import Content, ExtractorSpec

OTHER = replace_spec(SPEC, model="fake/two")


@pytest.fixture
def backbones() -> FakeBackbones:
    return FakeBackbones()


@pytest.fixture
def service(backbones: FakeBackbones) -> Iterator[FeatureService]:
    made = backbones.service()
    yield made
    made.close()


@pytest.fixture
def contents(tmp_path: Path) -> list[ImageContent]:
    return [write_picture(tmp_path / f"{i}.png", i) for i in range(6)]


def test_the_fake_keeps_the_contract() -> None:
    assert isinstance(FakeExtractor(), Extractor)


def test_one_extraction_whatever_asks(
    service: FeatureService, backbones: FakeBackbones, contents: list[ImageContent]
) -> None:
    request = FeatureRequest(SPEC, contents[0], "embedding")
    same = FeatureRequest(replace_spec(SPEC), ImageContent(contents[0].sha256, contents[0].path), "embedding")
    for _ in range(3):
        view = service.features([request, same, request])
    assert list(view) == [request]
    assert service.extracted == {"fake/one": 1}
    assert len(backbones.loaded[0].shapes) == 1


def test_two_outputs_come_from_one_forward(
    service: FeatureService, backbones: FakeBackbones, contents: list[ImageContent]
) -> None:
    requests = [FeatureRequest(SPEC, c, output) for c in contents[:4] for output in ("embedding", "mean")]
    view = service.features(requests)
    assert set(view) == set(requests)
    assert backbones.loaded[0].shapes == [(4, 3, 2, 2)]
    arrays = [array for array in view.values() if not isinstance(array, Missing)]
    assert sorted(array.shape for array in arrays) == [(), (), (), (), (5,), (5,), (5,), (5,)]


def test_every_forward_has_the_same_shape(
    service: FeatureService, backbones: FakeBackbones, contents: list[ImageContent]
) -> None:
    pairs = [PairContent(contents[0], c) for c in contents[1:]]
    texts = [TextContent(str(i)) for i in range(5)]
    asked: list[Content] = [*contents, *texts]
    service.features(FeatureRequest(SPEC, c, "embedding") for c in asked)
    service.features(FeatureRequest(SPEC, c, "distance") for c in pairs)
    shapes = backbones.loaded[0].shapes
    assert sorted(shapes) == [(4,)] * 2 + [(4, 3, 2, 2)] * 4
    assert service.extracted == {"fake/one": 6 + 5 + 5}


def test_rows_answer_their_own_requests(service: FeatureService, contents: list[ImageContent]) -> None:
    requests = [FeatureRequest(SPEC, c, "embedding") for c in contents]
    view = service.features(requests)
    alone = FakeBackbones().service()
    for request in reversed(requests):
        mine, theirs = view[request], alone.features([request])[request]
        assert not isinstance(mine, Missing)
        assert not isinstance(theirs, Missing)
        assert mine.tobytes() == theirs.tobytes()
    alone.close()
    assert len({np.asarray(view[request]).tobytes() for request in requests}) == len(contents)


def test_pairs_are_measured(service: FeatureService, contents: list[ImageContent], tmp_path: Path) -> None:
    twin = write_picture(tmp_path / "twin.png", 0)
    same = FeatureRequest(SPEC, PairContent(contents[0], twin), "distance")
    there = FeatureRequest(SPEC, PairContent(contents[0], contents[1]), "distance")
    back = FeatureRequest(SPEC, PairContent(contents[1], contents[0]), "distance")
    view = service.features([same, there, back])
    assert float(np.asarray(view[same])) == 0.0
    assert float(np.asarray(view[there])) == float(np.asarray(view[back])) > 0
    assert service.extracted == {"fake/one": 3}


def test_extractors_of_one_preprocessing_share_what_is_prepared(
    service: FeatureService, backbones: FakeBackbones, contents: list[ImageContent]
) -> None:
    service.features(FeatureRequest(spec, c, "embedding") for spec in (SPEC, OTHER) for c in contents)
    assert sum(extractor.prepared for extractor in backbones.loaded) == len(contents)
    assert service.pictures.decoded == len(contents)


def test_extractors_of_two_preprocessings_share_the_decode(
    service: FeatureService, backbones: FakeBackbones, contents: list[ImageContent]
) -> None:
    other = replace_spec(OTHER, preprocess="other")
    service.features(FeatureRequest(spec, c, "embedding") for spec in (SPEC, other) for c in contents)
    assert [extractor.prepared for extractor in backbones.loaded] == [len(contents)] * 2
    assert service.pictures.decoded == len(contents)


def test_a_picture_in_several_pairs_is_prepared_once(
    service: FeatureService, backbones: FakeBackbones, contents: list[ImageContent]
) -> None:
    service.features(FeatureRequest(SPEC, PairContent(contents[0], c), "distance") for c in contents[1:])
    assert backbones.loaded[0].prepared == len(contents)


def test_what_was_prepared_ahead_is_not_prepared_again(
    service: FeatureService, backbones: FakeBackbones, contents: list[ImageContent]
) -> None:
    requests = [FeatureRequest(SPEC, c, "embedding") for c in contents]
    service.ahead(requests)
    service.ahead(requests)
    service.features(requests)
    assert backbones.loaded[0].prepared == service.pictures.decoded == len(contents)
    assert len(backbones.loaded) == 1


def test_cached_features_never_load_the_model(tmp_path: Path, contents: list[ImageContent]) -> None:
    asked: list[Content] = [*contents, TextContent("a dog")]
    requests = [FeatureRequest(SPEC, c, "embedding") for c in asked]
    first, again = FakeBackbones().service(FeatureCache(tmp_path / "cache")), FakeBackbones()
    made = first.features(requests)
    first.close()
    second = again.service(FeatureCache(tmp_path / "cache"))
    second.ahead(requests)
    found = second.features(requests)
    second.close()
    assert again.loaded == []
    assert second.pictures.decoded == 0
    assert all(np.array_equal(np.asarray(made[r]), np.asarray(found[r])) for r in requests)


def test_a_feature_is_the_same_bytes_computed_and_cached(service: FeatureService, contents: list[ImageContent]) -> None:
    request = FeatureRequest(SPEC, contents[0], "embedding")
    computed, cached = (np.asarray(service.features([request])[request]) for _ in range(2))
    assert computed.dtype == cached.dtype == np.float32
    assert computed.tobytes() == cached.tobytes()


def test_missing_weights_are_a_state_of_what_was_asked_of_them(contents: list[ImageContent]) -> None:
    service = FakeBackbones(missing={"fake/two"}).service()
    there, lacking = (FeatureRequest(spec, contents[0], "embedding") for spec in (SPEC, OTHER))
    view = service.features([there, lacking])
    service.close()
    assert view[lacking] == Missing(State.WEIGHTS_MISSING, "wanted the weights of 'fake/two', found none")
    assert not isinstance(view[there], Missing)


def test_weights_that_are_described_but_do_not_load_are_missing(contents: list[ImageContent]) -> None:
    backbones = FakeBackbones(missing={"fake/one"})
    service = FeatureService(FeatureCache(None), Pictures(), fingerprint=lambda _: "f", load=backbones.load)
    requests = [FeatureRequest(SPEC, c, "embedding") for c in contents[:2]]
    view = service.features(requests)
    service.close()
    reason = "wanted the weights of 'fake/one', found none"
    assert [view[r] for r in requests] == [Missing(State.WEIGHTS_MISSING, reason)] * 2


def test_a_file_that_changed_since_it_was_hashed_is_missing(
    service: FeatureService, contents: list[ImageContent]
) -> None:
    write_picture(contents[0].path, 99)
    requests = [FeatureRequest(SPEC, c, "embedding") for c in contents[:2]]
    view = service.features(requests)
    missing = view[requests[0]]
    assert isinstance(missing, Missing)
    assert missing.state is State.DECODE_ERROR
    assert "changed while it was being scored" in missing.reason
    assert not isinstance(view[requests[1]], Missing)
    assert service.extracted == {"fake/one": 1}


def test_a_pair_with_a_file_that_is_gone_is_missing(service: FeatureService, contents: list[ImageContent]) -> None:
    contents[1].path.unlink()
    broken = FeatureRequest(SPEC, PairContent(contents[0], contents[1]), "distance")
    whole = FeatureRequest(SPEC, PairContent(contents[0], contents[2]), "distance")
    view = service.features([broken, whole])
    missing = view[broken]
    assert isinstance(missing, Missing)
    assert missing.state is State.DECODE_ERROR
    assert not isinstance(view[whole], Missing)


def test_a_missing_feature_is_tried_again(service: FeatureService, contents: list[ImageContent]) -> None:
    request, pixels = FeatureRequest(SPEC, contents[0], "embedding"), contents[0].path.read_bytes()
    contents[0].path.unlink()
    assert isinstance(service.features([request])[request], Missing)
    contents[0].path.write_bytes(pixels)
    assert not isinstance(service.features([request])[request], Missing)


def test_a_text_that_is_too_long_is_missing_and_runs_nothing(service: FeatureService, backbones: FakeBackbones) -> None:
    short, long = (FeatureRequest(SPEC, TextContent("x" * n), "embedding") for n in (LONGEST_TEXT, LONGEST_TEXT + 1))
    view = service.features([long])
    assert view[long] == Missing(State.TEXT_TOO_LONG, "wanted at most 40 characters, found 41")
    assert backbones.loaded[0].shapes == []
    assert not isinstance(service.features([short, long])[short], Missing)


def test_a_picture_with_a_text_is_read_at_once(
    service: FeatureService, backbones: FakeBackbones, contents: list[ImageContent]
) -> None:
    asked = [PromptedContent(picture, text) for picture in contents[:2] for text in ("one", "two", "three")]
    requests = [FeatureRequest(SPEC, content, "fit") for content in asked]
    view = service.features([*requests, requests[0]])
    values = [float(np.asarray(view[request])) for request in requests]
    assert len(set(values)) == 6
    assert service.extracted == {"fake/one": 6}
    assert backbones.loaded[0].prepared == 2
    alone = FakeBackbones().service()
    assert [float(np.asarray(alone.features([request])[request])) for request in reversed(requests)] == values[::-1]
    alone.close()


def test_a_picture_with_a_text_is_missing_by_either(service: FeatureService, contents: list[ImageContent]) -> None:
    contents[1].path.unlink()
    kinds = [(contents[0], "x" * (LONGEST_TEXT + 1)), (contents[1], "x"), (contents[0], "x")]
    requests = [FeatureRequest(SPEC, PromptedContent(picture, text), "fit") for picture, text in kinds]
    view = service.features(requests)
    long, gone = (view[request] for request in requests[:2])
    assert isinstance(long, Missing)
    assert isinstance(gone, Missing)
    assert (long.state, gone.state, gone.picture) == (State.TEXT_TOO_LONG, State.DECODE_ERROR, contents[1])
    assert not isinstance(view[requests[2]], Missing)


def test_how_a_text_is_read_tells_a_picture_with_a_text_apart(
    service: FeatureService, contents: list[ImageContent]
) -> None:
    specs = [replace_spec(SPEC, text=name) for name in ("hf_pad", "hf_truncate")]
    service.features(FeatureRequest(spec, PromptedContent(contents[0], "one"), "fit") for spec in specs)
    assert service.extracted == {"fake/one": 2}


def test_nothing_asked_nothing_done(service: FeatureService, backbones: FakeBackbones) -> None:
    assert service.features([]) == {}
    assert backbones.loaded == []


def test_a_pair_of_one_picture_is_measured(service: FeatureService, contents: list[ImageContent]) -> None:
    a, b = contents[:2]
    same, other = (FeatureRequest(SPEC, PairContent(a, second), "distance") for second in (a, b))
    assert float(np.asarray(service.features([same])[same])) == 0.0
    mixed = FakeBackbones().service()
    view = mixed.features([other, same])
    mixed.close()
    assert float(np.asarray(view[same])) == 0.0 < float(np.asarray(view[other]))


def test_equal_pixels_at_two_paths_run_once(
    service: FeatureService, backbones: FakeBackbones, contents: list[ImageContent], tmp_path: Path
) -> None:
    twin = write_picture(tmp_path / "twin.png", 0)
    view = service.features(FeatureRequest(SPEC, c, "embedding") for c in (contents[0], twin))
    first, second = (np.asarray(array) for array in view.values())
    assert first.tobytes() == second.tobytes()
    assert service.extracted == {"fake/one": 1}
    assert backbones.loaded[0].prepared == 1


class Extracting(FakeExtractor):
    """A backbone whose `encode_images` is replaced."""

    def __init__(self, outputs: dict[str, Any] | BaseException, spec: ExtractorSpec = SPEC) -> None:
        super().__init__(spec)
        self.outputs = outputs

    def encode_images(self, batch: Any) -> dict[str, Any]:
        if isinstance(self.outputs, BaseException):
            raise self.outputs
        return {name: np.repeat(row[None], len(batch), axis=0) for name, row in self.outputs.items()}


def of(extractor: FakeExtractor, cache: FeatureCache | None = None) -> FeatureService:
    """A service that hands out this extractor for SPEC and a sound one for any other."""
    return FeatureService(
        cache or FeatureCache(None), Pictures(), fingerprint=fake_fingerprint,
        load=lambda spec: extractor if spec == SPEC else FakeExtractor(spec),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("outputs", "reason"),
    [(RuntimeError("no memory"), "RuntimeError: no memory"), ({"mean": np.zeros(1)}, "KeyError: 'embedding'")],
)
def test_a_backbone_that_fails_is_a_state_of_what_was_asked_of_it(
    contents: list[ImageContent], outputs: Any, reason: str
) -> None:
    service = of(Extracting(outputs))
    broken, whole = (FeatureRequest(spec, contents[0], "embedding") for spec in (SPEC, OTHER))
    view = service.features([broken, whole])
    service.close()
    assert view[broken] == Missing(State.EXTRACTOR_ERROR, f"fake/one: {reason}")
    assert not isinstance(view[whole], Missing)
    assert service.extracted["fake/two"] == 1


def test_a_preparation_that_fails_is_a_state(contents: list[ImageContent], monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_self: FakeExtractor, _pixels: object) -> None:
        raise ValueError("too narrow")

    monkeypatch.setattr(FakeExtractor, "prepare", fails)
    service, request = of(FakeExtractor()), FeatureRequest(SPEC, contents[0], "embedding")
    view = service.features([request])
    service.close()
    assert view[request] == Missing(State.EXTRACTOR_ERROR, "fake/one: ValueError: too narrow")


def test_a_strip_is_a_state_of_what_was_asked_of_it_alone(
    contents: list[ImageContent], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = preprocess("clip_hf", ModelInput(2, None, CLIP_224.mean, CLIP_224.std), among=("clip_hf",))
    monkeypatch.setattr(FakeExtractor, "prepare", lambda _self, pixels: steps(pixels))
    write_image(tmp_path / "strip.png", np.zeros((1, 3000, 3), np.uint8))
    strip = ImageContent(decode_image(tmp_path / "strip.png").sha256, tmp_path / "strip.png")
    asked = [FeatureRequest(SPEC, content, "embedding") for content in (strip, contents[0])]
    service = of(FakeExtractor())
    view = service.features(asked)
    service.close()
    missing = view[asked[0]]
    assert isinstance(missing, Missing)
    assert missing.state is State.EXTRACTOR_ERROR
    assert "wanted a picture at most 200 times as long as wide, found 1 x 3000" in missing.reason
    assert not isinstance(view[asked[1]], Missing)


def test_a_family_without_weights_is_told_by_its_own_name(contents: list[ImageContent]) -> None:
    spec = replace_spec(SPEC, model=NO_WEIGHTS)
    service = FeatureService(
        FeatureCache(None),
        Pictures(),
        fingerprint=fake_fingerprint,
        load=lambda _: Extracting(RuntimeError("no"), spec),
    )
    request = FeatureRequest(spec, contents[0], "embedding")
    view = service.features([request])
    service.close()
    assert view[request] == Missing(State.EXTRACTOR_ERROR, "fake: RuntimeError: no")


def test_an_interruption_is_not_swallowed(contents: list[ImageContent]) -> None:
    service = of(Extracting(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        service.features([FeatureRequest(SPEC, contents[0], "embedding")])
    service.close()


def test_a_float64_output_is_the_same_bits_computed_and_cached(tmp_path: Path, contents: list[ImageContent]) -> None:
    request, third = FeatureRequest(SPEC, contents[0], "embedding"), np.full(3, 1 / 3)
    found = []
    for _ in range(2):
        service = of(Extracting({"embedding": third}), FeatureCache(tmp_path / "cache"))
        found.append(np.asarray(service.features([request])[request]))
        service.close()
    assert service.extracted == {}
    assert [array.dtype for array in found] == [np.float32] * 2
    assert found[0].tobytes() == found[1].tobytes() == third.astype(np.float32).tobytes()


def test_what_was_prepared_ahead_and_never_asked_for_is_forgotten(
    service: FeatureService, contents: list[ImageContent]
) -> None:
    for content in contents:
        service.ahead([FeatureRequest(SPEC, content, "embedding")])
        assert len(service._prepared) <= 2
    assert set(service._prepared) == {("corners", content.sha256) for content in contents[-2:]}
