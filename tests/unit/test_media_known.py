from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from evalkit.errors import MediaError
from evalkit.media import decode_image
from evalkit.media.known import KnownPixels
from tests.fakes import write_picture

if TYPE_CHECKING:
    from pathlib import Path


class Decoding:
    """Decodes and remembers which files it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, path: Path) -> str:
        self.asked.append(path.name)
        return decode_image(path).sha256


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "pixels"


def learnt(root: Path, *files: Path) -> list[str]:
    """What a new process had to decode to know these files; it keeps what it learnt."""
    known, decode = KnownPixels(root), Decoding()
    for file in files:
        assert known.sha256(file, decode=decode) == decode_image(file).sha256
    known.save()
    return decode.asked


def test_a_file_is_decoded_once_a_machine(root: Path, tmp_path: Path) -> None:
    files = [write_picture(tmp_path / folder / f"{i}.png", i).path for folder in "ab" for i in range(2)]
    assert learnt(root, *files, *files) == ["0.png", "1.png", "0.png", "1.png"]
    assert learnt(root, *files) == []
    assert len(list(root.iterdir())) == 2


def test_what_is_not_saved_is_learnt_again(root: Path, tmp_path: Path) -> None:
    file, decode = write_picture(tmp_path / "a.png", 1).path, Decoding()
    KnownPixels(root).sha256(file, decode=decode)
    assert not root.exists()
    assert learnt(root, file) == ["a.png"]


def test_only_what_is_new_or_changed_is_decoded(root: Path, tmp_path: Path) -> None:
    first, second = (write_picture(tmp_path / f"{i}.png", i).path for i in range(2))
    learnt(root, first, second)
    write_picture(second, 7)
    third = write_picture(tmp_path / "2.png", 2).path
    assert learnt(root, first, second, third) == ["1.png", "2.png"]
    os.utime(first, ns=(1, 1))
    assert learnt(root, first, second, third) == ["0.png"]


def test_a_folder_has_one_file_by_whatever_path_it_is_reached(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_picture(tmp_path / "data" / "a.png", 1).path
    (tmp_path / "link").symlink_to(tmp_path / "data")
    learnt(root, file)
    monkeypatch.chdir(tmp_path)
    assert learnt(root, tmp_path / "link" / "a.png", file.relative_to(tmp_path)) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a.png": 1}', '{"a.png": [1, 2]}', "null", "\udcff"])
def test_a_damaged_file_is_learnt_again_and_mended(root: Path, tmp_path: Path, text: str) -> None:
    file = write_picture(tmp_path / "a.png", 1).path
    learnt(root, file)
    (kept,) = root.iterdir()
    kept.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert learnt(root, file) == ["a.png"]
    assert learnt(root, file) == []


def test_a_root_that_cannot_be_written_costs_a_decode_and_nothing_else(root: Path, tmp_path: Path) -> None:
    file = write_picture(tmp_path / "a.png", 1).path
    root.write_text("not a folder", encoding="utf-8")
    assert learnt(root, file) == ["a.png"]
    assert learnt(root, file) == ["a.png"]


def test_a_file_that_is_gone_is_the_decoders_to_tell(root: Path, tmp_path: Path) -> None:
    known = KnownPixels(root)
    with pytest.raises(MediaError, match=r"a\.png.*there is no such file"):
        known.sha256(tmp_path / "a.png")
    known.save()
    assert not root.exists()
