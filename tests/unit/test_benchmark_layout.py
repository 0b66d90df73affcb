from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest

from evalkit.benchmarks.layout import (
    Checked,
    compare_names,
    entries,
    find_root,
    listed,
    pictures_by_stem,
    read_lines,
    undecodable,
)
from evalkit.benchmarks.spec import read_spec
from evalkit.errors import DataError
from evalkit.media import write_mask
from tests.unit.benchmark_samples import write_picture

SPEC = read_spec("dreambench")


def test_find_root_takes_the_folder_before_the_one_below(tmp_path: Path) -> None:
    (tmp_path / "below" / "mark").mkdir(parents=True)
    assert find_root(tmp_path, SPEC, mark="mark", below="below") == tmp_path / "below"
    (tmp_path / "mark").mkdir()
    assert find_root(tmp_path, SPEC, mark="mark", below="below") == tmp_path


def test_find_root_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "data.zip").write_bytes(b"x")
    with pytest.raises(
        DataError, match=r"^wanted the folder of DreamBench, found a file at '.*data.zip'; `evalkit data fetch"
    ):
        find_root(tmp_path / "data.zip", SPEC, mark="mark", below="below")


def test_entries_are_sorted_and_without_the_systems_files(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.jpg", ".DS_Store", "Thumbs.db", "Desktop.ini", "__MACOSX", "c"):
        (tmp_path / name).touch()
    assert [path.name for path in entries(tmp_path)] == ["a.jpg", "b.jpg", "c"]
    assert entries(tmp_path / "none") == []


def test_entries_of_a_closed_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(_: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", closed)
    with pytest.raises(DataError, match=r"^cannot list '.*': Permission denied; mend its permissions$"):
        entries(tmp_path)


def test_pictures_by_stem(tmp_path: Path) -> None:
    for name in ("00.jpg", "01.JPEG", "01.png", "02.webp", "03.txt"):
        (tmp_path / name).touch()
    (tmp_path / "04.jpg").mkdir()
    found, problems = pictures_by_stem(tmp_path, "here")
    assert {stem: path.name for stem, path in found.items()} == {"00": "00.jpg", "01": "01.JPEG", "02": "02.webp"}
    assert problems == [
        "here: wanted one picture numbered 01, found '01.JPEG' and '01.png'; keep one",
        "here: wanted pictures only, found the file '03.txt'; move it out",
        "here: wanted pictures only, found the folder '04.jpg'; move it out",
    ]


def test_undecodable_names_pictures_and_masks_in_order(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        write_picture(tmp_path / name, 1, size=(4, 6))
    write_mask(tmp_path / "fits.png", np.ones((6, 4), np.bool_))
    write_mask(tmp_path / "turned.png", np.ones((4, 6), np.bool_))
    (tmp_path / "empty.jpg").touch()
    checked = [Checked("empty.jpg"), Checked("a.jpg", "fits.png"), Checked("b.jpg", "turned.png"), Checked("c.jpg")]
    assert undecodable(tmp_path, checked) == [
        "cannot decode 'empty.jpg': it is empty (0 bytes); its writing was interrupted: make or fetch it again",
        "mask 'turned.png' is 4 x 6 (height x width), wanted 6 x 4, the size of its picture; masks are not resized: "
        "make it again at that size",
        "cannot decode 'c.jpg': there is no such file; check the path, or make the file again",
    ]


def test_read_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeffcafé \r\n\r\n  two\u2028parts\r\n\n \n".encode())
    assert read_lines(tmp_path / "a.txt", "a") == ["café", "", "two\u2028parts"]


def test_read_lines_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^a: cannot be read \(No such file or directory\); fetch it again$"):
        read_lines(tmp_path / "a.txt", "a")


def test_compare_names() -> None:
    assert compare_names("cats", ["a", "b"], ["b", "a"]) == []
    assert compare_names("cats", ["b", "a", "c"], ["d", "c"]) == [
        "cats: missing 'b', 'a'; fetch the data again",
        "cats: found 'd' beside the 3 wanted; take them out",
    ]


def test_listed_counts_what_it_does_not_show() -> None:
    assert listed("abcdefghij") == "'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h' and 2 more"
