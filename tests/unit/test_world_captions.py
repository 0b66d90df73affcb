"""The grammar is closed: every caption and prompt is made of listed words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evalkit.sandbox.world import (
    Pose,
    Scene,
    caption,
    prompt_for,
    sample_identity,
    sample_scene,
    style_prompt,
    subject_words,
    words,
)
from evalkit.sandbox.world.captions import PLACE_PHRASES, STYLE_PHRASES, TWIST_PHRASES
from evalkit.sandbox.world.vocabulary import CATEGORIES, PLACES, STYLES, TWISTS


def test_every_place_twist_and_style_has_its_phrase() -> None:
    assert (tuple(PLACE_PHRASES), tuple(TWIST_PHRASES), tuple(STYLE_PHRASES)) == (PLACES, TWISTS[1:], STYLES)
    assert len(set(PLACE_PHRASES.values()) | set(TWIST_PHRASES.values())) == len(PLACES) + len(TWISTS) - 1


@pytest.mark.parametrize("category", CATEGORIES)
def test_captions_use_listed_words_only(category: str) -> None:
    known = set(words())
    for index in range(60):
        rng = np.random.default_rng(index)
        content = sample_identity("object", index, split="train")
        scene = sample_scene(
            sample_identity(category, index, split="train"), rng=rng, content=content, others=(content,)
        )
        for text in (caption(scene), caption(scene, detailed=True, light=True)):
            assert set(text.split()) <= known, text


def test_a_caption_reads_as_documented() -> None:
    cat = replace(sample_identity("animal", 0, split="train"), palette="red", pattern="striped", accessory="hat")
    scene = Scene((cat,), (Pose("sitting"),), place="beach", style="oil", light="sunset")
    assert caption(scene) == "an oil painting of a cat sitting on the beach"
    assert caption(scene, detailed=True, light=True) == (
        "an oil painting of a red striped cat with a hat sitting on the beach at sunset"
    )
    assert caption(replace(scene, twist="moon", style="photo")) == "a photo of a cat sitting upside down on the moon"


def test_several_subjects_are_joined() -> None:
    pair = (sample_identity("animal", 4, split="train"), sample_identity("human", 0, split="train"))
    scene = Scene(pair, (Pose(), Pose("waving")), place="snow")
    assert caption(scene) == "a photo of an elephant standing and a man waving in the snow"


def test_humans_are_described_by_their_clothes() -> None:
    girl = replace(sample_identity("human", 3, split="train"), palette="blue", pattern="plain", accessory="none")
    assert "a girl in blue clothes standing" in caption(Scene((girl,), (Pose(),)), detailed=True)


def test_prompts() -> None:
    assert prompt_for("elephant", twist="space") == "an elephant standing in outer space"
    assert style_prompt("mug", "pop", action="tilted", place="lake") == "a mug tilted by a lake in pop art style"
    assert subject_words(sample_identity("style", 0, split="train")) == "pencil sketch style"
    assert subject_words(sample_identity("animal", 0, split="train")) == "cat"
