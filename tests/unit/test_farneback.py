"""Optical flow as a backbone: one look at a clip serves every metric, and nothing else can be asked of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evalkit.engine.backbones import Backbones
from evalkit.errors import UsageError
from evalkit.features.cache import FeatureCache
from evalkit.features.extractor import Extractor, Watcher
from evalkit.features.pictures import Pictures
from evalkit.features.service import FeatureService, Missing
from evalkit.features.spec import ClipContent, ExtractorSpec, ImageContent
from evalkit.media import decode_video, encode_mp4
from evalkit.metrics.base import Bound, Item
from evalkit.metrics.motion import MOTION_AMPLITUDE, motion_amplitude
from evalkit.nouns import Case, State
from tests.unit.video_samples import moving

SPEC = ExtractorSpec(family="farneback", model="none", preprocess="grey_rb_swapped")


def clip_at(path: Path, frames: int) -> ClipContent:
    path.write_bytes(encode_mp4(moving(frames), 8))
    clip = decode_video(path)
    shots = tuple(ImageContent(sha256, path, n) for n, sha256 in enumerate(clip.frame_sha256))
    return ClipContent(clip.sha256, path, shots, clip.fps)


def item(clip: ClipContent) -> Item:
    case = Case(
        case_id="a",
        prompt="a",
        subjects=("a",),
        references=(),
        targets=(),
        category="c",
        prompt_index=0,
        medium="video",
    )
    return Item(case, 0, ImageContent(clip.sha256, clip.path), (), clip=clip)


def test_both_variants_are_the_formula_and_one_pass_serves_them(tmp_path: Path) -> None:
    clip, backbones = clip_at(tmp_path / "a.mp4", 6), Backbones(device="cpu")
    service = FeatureService(FeatureCache(None), Pictures(), fingerprint=backbones.fingerprint, load=backbones.load)
    for variant in ("official", "corrected"):
        card = MOTION_AMPLITUDE.card.variant(variant)
        bound = Bound(variant, card, card.extractor)
        requests = MOTION_AMPLITUDE.requests(item(clip), bound)
        view = service.features(requests)
        features = [array for request in requests if not isinstance(array := view[request], Missing)]
        (outcome,) = MOTION_AMPLITUDE.score([item(clip)], bound, [features])
        assert outcome.value == pytest.approx(motion_amplitude(moving(6), variant=variant), rel=card.tolerance)
        assert [array.shape for array in features] == [(5,)]
    service.close()
    assert service.pictures.decoded <= 2
    assert service.extracted["none"] == 2


def test_a_single_frame_is_undefined(tmp_path: Path) -> None:
    backbones = Backbones(device="cpu")
    looked = backbones.load(SPEC)
    assert isinstance(looked, Watcher)
    assert isinstance(looked, Extractor)
    (means,) = {array.shape for array in looked.watch([*moving(1)]).values()}
    assert means == (0,)
    card = MOTION_AMPLITUDE.card.variant("official")
    bound = Bound("official", card, card.extractor)
    one = item(clip_at(tmp_path / "a.mp4", 1))
    (outcome,) = MOTION_AMPLITUDE.score([one], bound, [[np.zeros(0, np.float32)]])
    assert (outcome.state, outcome.reason) == (State.UNDEFINED, "a single frame has no motion")


def test_nothing_else_can_be_asked_of_it() -> None:
    looked, batch = Backbones(device="cpu").load(SPEC), np.zeros((1, 3, 4, 4), np.float32)
    assert looked.text_problem("a") == "the family 'farneback' reads no text"
    for ask in (
        lambda: looked.prepare(np.zeros((4, 4, 3), np.uint8)),
        lambda: looked.encode_images(batch),
        lambda: looked.encode_texts(["a"]),
        lambda: looked.encode_pairs(batch, batch),
        lambda: looked.encode_prompted(batch, ["a"]),
    ):
        with pytest.raises(UsageError, match="found the family 'farneback', which looks at clips"):
            ask()
    wrong = SPEC.model_copy(update={"preprocess": "clip_hf"})
    with pytest.raises(
        UsageError, match="the preprocessing 'grey_rb_swapped' for 'farneback', found 'none' and 'clip_hf'"
    ):
        Backbones(device="cpu").describe(wrong)
