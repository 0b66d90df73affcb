from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from evalkit.errors import MediaError
from evalkit.features.pictures import Pictures
from evalkit.features.spec import ImageContent, PairContent, PromptedContent, TextContent
from tests.fakes import picture, write_picture

if TYPE_CHECKING:
    from pathlib import Path

BYTES = picture(0).nbytes


def test_a_picture_is_decoded_once(tmp_path: Path) -> None:
    pictures, content = Pictures(), write_picture(tmp_path / "a.png", 0)
    assert pictures.decode(content.path).sha256 == content.sha256
    for _ in range(3):
        assert np.array_equal(pictures.pixels(content), picture(0))
    assert pictures.decoded == 1


def test_one_that_was_forgotten_is_decoded_again(tmp_path: Path) -> None:
    contents = [write_picture(tmp_path / f"{i}.png", i) for i in range(3)]
    pictures = Pictures(memory_bytes=2 * BYTES)
    for content in contents:
        pictures.pixels(content)
    pictures.pixels(contents[2])
    assert pictures.decoded == 3
    pictures.pixels(contents[0])
    assert pictures.decoded == 4


def test_what_was_used_longest_ago_is_forgotten_first(tmp_path: Path) -> None:
    contents = [write_picture(tmp_path / f"{i}.png", i) for i in range(3)]
    pictures = Pictures(memory_bytes=2 * BYTES)
    for index in (0, 1, 0, 2, 0):
        pictures.pixels(contents[index])
    assert pictures.decoded == 3


def test_two_files_of_one_picture_take_room_once(tmp_path: Path) -> None:
    pictures = Pictures(memory_bytes=2 * BYTES)
    a, twin, b = (write_picture(tmp_path / f"{n}.png", seed) for n, seed in enumerate((0, 0, 1)))
    for content in (a, twin, b):
        pictures.decode(content.path)
    for content in (a, twin, b):
        pictures.pixels(content)
    assert pictures.decoded == 3


def test_a_file_that_changed_is_refused(tmp_path: Path) -> None:
    content = write_picture(tmp_path / "a.png", 0)
    found = write_picture(content.path, 1)
    with pytest.raises(MediaError) as raised:
        Pictures().pixels(content)
    assert raised.value.reason == "changed"
    assert str(raised.value) == (
        f"{content.path} changed while it was being scored: wanted pixels {content.sha256[:12]}, found "
        f"{found.sha256[:12]}; run again"
    )


def test_a_file_that_is_gone_is_a_media_error(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=re.escape(str(tmp_path / "a.png"))):
        Pictures().pixels(ImageContent("0" * 64, tmp_path / "a.png"))


def test_threads_share_the_memory(tmp_path: Path) -> None:
    contents = [write_picture(tmp_path / f"{i}.png", i) for i in range(4)]
    pictures = Pictures(memory_bytes=2 * BYTES)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(pictures.pixels, contents * 10))
    assert all(np.array_equal(pixels, picture(i % 4)) for i, pixels in enumerate(found))


def test_keys_of_pictures_texts_and_pairs_cannot_meet(tmp_path: Path) -> None:
    a, b = write_picture(tmp_path / "a.png", 0), write_picture(tmp_path / "b.png", 1)
    keys = [a.key, b.key, TextContent(a.key).key, TextContent("").key, PairContent(a, b).key, PairContent(b, a).key]
    keys += [PromptedContent(a, "").key, PromptedContent(a, b.key).key, PromptedContent(b, "").key]
    assert len(set(keys)) == len(keys)
    assert TextContent("é").key == "t4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c"


def test_what_is_cut_out_of_a_picture_is_those_pixels_from_one_decode(tmp_path: Path) -> None:
    pictures, content = Pictures(), write_picture(tmp_path / "a.png", 0)
    part = replace(content, box=(1, 0, 2, 2))
    assert np.array_equal(pictures.pixels(part), picture(0)[0:2, 1:2])
    assert np.array_equal(pictures.pixels(content), picture(0))
    assert pictures.decoded == 1
    assert part.whole == content == content.whole
    keys = {part.key, content.key, replace(part, box=(0, 0, 2, 2)).key, PairContent(part, content).key}
    assert len(keys) == 4
    assert PromptedContent(part, "a").key != PromptedContent(content, "a").key
