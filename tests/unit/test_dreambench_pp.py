from __future__ import annotations

import shutil
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.benchmarks import dreambench_pp
from evalkit.benchmarks.dreambench_pp import DREAMBENCH_PP
from evalkit.errors import DataError, ProblemsError
from evalkit.media import write_mask
from tests.unit.benchmark_samples import write_dreambench_pp


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dreambench_pp(tmp_path_factory.mktemp("dreambench_pp") / "data")


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "data"))


def problems_of(data: Path) -> tuple[str, ...]:
    with pytest.raises(ProblemsError) as caught:
        DREAMBENCH_PP.load(data, "official")
    assert caught.value.heading == f"{str(data)!r} is not a whole copy of DreamBench++"
    return caught.value.problems


def test_a_whole_copy(whole: Path) -> None:
    loaded = DREAMBENCH_PP.load(whole, "official")
    assert (len(loaded.cases), len(loaded.subjects), loaded.root, loaded.world) == (1350, 150, whole, None)
    assert len({case.case_id for case in loaded.cases}) == 1350
    assert Counter(case.category for case in loaded.cases) == {"animal": 405, "human": 180, "object": 585, "style": 180}
    tags = Counter(tag for case in loaded.cases for tag in case.tags)
    assert tags == {"photorealistic": 600, "stylised": 450, "imaginative": 300, "style_subject": 180}
    assert list(loaded.subjects) == sorted(loaded.subjects)


def test_a_case(whole: Path) -> None:
    loaded = DREAMBENCH_PP.load(whole, "divrl")
    case = loaded.cases[9 * 7 + 4]
    assert (case.case_id, case.prompt) == ("live_subject_animal_07_old_animal.p4", "animal 7 prompt 4")
    assert (case.subjects, case.tags, case.prompt_index) == (("live_subject_animal_07_old_animal",), ("stylised",), 4)
    assert case.references == case.targets
    (reference,) = case.references
    assert (reference.path, reference.label) == ("images/live_subject/animal/07.jpg", "Old animal")
    assert (reference.subject, reference.mask) == (case.subjects[0], None)
    assert loaded.real_image(case, 0) is None


def test_words_that_no_file_name_should_hold(whole: Path) -> None:
    loaded = DREAMBENCH_PP.load(whole, "official")
    case = next(case for case in loaded.cases if case.references[0].path == "images/object/03.jpg")
    assert case.case_id == "object_03_caf--_-bob-s-.p0"
    assert loaded.official_name(case, 2) == 'tgt_image/object_03_café:_"bob\'s"/0_2'


def test_the_folder_above(whole: Path) -> None:
    assert DREAMBENCH_PP.load(whole.parent, "official").root == whole


def test_pictures_of_other_kinds_and_masks(copy: Path) -> None:
    (copy / "images/style/00.jpg").rename(copy / "images/style/00.png")
    write_mask(copy / "masks/object/01.png", np.ones((8, 8), np.bool_))
    cases = DREAMBENCH_PP.load(copy, "official").cases
    found = {case.references[0].path: case.references[0].mask for case in cases}
    assert found["images/style/00.png"] is None
    assert found["images/object/01.jpg"] == "masks/object/01.png"


def test_no_folder(tmp_path: Path) -> None:
    told = r"^wanted the folder of DreamBench\+\+, found nothing at '.*none'; `evalkit data fetch dreambench_pp` where"
    with pytest.raises(DataError, match=told):
        DREAMBENCH_PP.load(tmp_path / "none", "official")


def test_another_layout(tmp_path: Path) -> None:
    (tmp_path / "data.zip").touch()
    (problem,) = problems_of(tmp_path)
    assert problem.startswith(
        "wanted 'images' in it or in its 'data', found 'data.zip'; the layout is: images/{live_subject"
    )


def test_every_problem_at_once(copy: Path) -> None:
    (copy / "images/object/05.jpg").unlink()
    (copy / "captions/style/02.txt").unlink()
    (copy / "images/style/03.jpg").write_bytes(b"<html>")
    shutil.copy(copy / "images/style/04.jpg", copy / "images/style/04.png")
    (copy / "captions/style/notes.md").touch()
    (copy / "images/plants").mkdir()
    (copy / "images/live_subject/00.jpg").touch()
    write_mask(copy / "masks/style/40.png", np.ones((8, 8), np.bool_))
    caption = copy / "captions/live_subject/human/00.txt"
    lines = caption.read_text("utf-8").splitlines()
    caption.write_text("\n".join(lines[:9]), "utf-8")
    (copy / "captions/live_subject/human/01.txt").write_text("\n".join([*lines[:4], "", *lines[5:]]), "utf-8")
    (copy / "captions/live_subject/human/02.txt").write_text("\n".join(["a/b", *lines[1:]]), "utf-8")
    (copy / "captions/live_subject/human/03.txt").write_bytes(b"caf\xe9")
    where = "wanted only the folders of 'live_subject/animal', 'live_subject/human', 'object', 'style'"
    assert problems_of(copy) == (
        f"images: {where}, found 'plants'; move them out",
        f"images/live_subject: {where}, found 'live_subject/00.jpg'; move them out",
        "captions/live_subject/human/00.txt: wanted 10 lines (subject, 9 prompts), found 9; fetch it again",
        "captions/live_subject/human/01.txt: wanted a text on every line, found nothing on line 5; fetch it again",
        "captions/live_subject/human/02.txt: wanted the subject on line 1, at most 80 characters and no slash, "
        "found 'a/b'; fetch it again",
        "captions/live_subject/human/03.txt: wanted text in UTF-8, found byte 0xe9 at position 3; save it again as UTF-8",
        "captions/object: found '05' beside the 64 wanted; take them out",
        "images/object: wanted 65 pictures, found 64; fetch the data again",
        "images/style: wanted one picture numbered 04, found '04.jpg' and '04.png'; keep one",
        "captions/style: wanted .txt files only, found 'notes.md'; move them out",
        "captions/style: missing '02'; fetch the data again",
        "masks/style: found '40' beside the 20 wanted; take them out",
        "cannot decode 'images/style/03.jpg': it is an HTML page (a failed download?); "
        "give a PNG, JPEG, WebP, BMP, TIFF or one-frame GIF",
    )


def test_a_picture_without_a_number(copy: Path) -> None:
    for kind, suffix in (("images", "jpg"), ("captions", "txt")):
        (copy / f"{kind}/object/64.{suffix}").rename(copy / f"{kind}/object/vase.{suffix}")
    assert problems_of(copy) == ("images/object: wanted pictures named by numbers, found 'vase'; rename them",)


def test_a_mask_of_another_size(copy: Path) -> None:
    write_mask(copy / "masks/object/01.png", np.ones((4, 8), np.bool_))
    (problem,) = problems_of(copy)
    assert problem.startswith(
        "mask 'masks/object/01.png' is 4 x 8 (height x width), wanted 8 x 8, the size of its picture"
    )


def test_fetch_unpacks_the_published_archive(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, asked = tmp_path / "data.zip", []
    with zipfile.ZipFile(path, "w") as file:
        for member in sorted(whole.rglob("*.*")):
            file.write(member, f"data/{member.relative_to(whole)}")

    def fetch_archive(dataset: str, archive: Any, *, get: str) -> Path:
        asked.append((dataset, archive.file, get[:9]))
        return path

    monkeypatch.setattr(dreambench_pp, "fetch_archive", fetch_archive)
    folder = DREAMBENCH_PP.fetch(tmp_path / "fetched")
    assert DREAMBENCH_PP.load(folder, "official").cases == DREAMBENCH_PP.load(whole, "official").cases
    assert DREAMBENCH_PP.fetch(folder) == folder
    assert asked == [("yuangpeng/dreambench_plus", "data.zip", "`evalkit ")]
