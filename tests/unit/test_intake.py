from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from evalkit.benchmarks.binding import Intake, _seeds_named, find_samples
from evalkit.engine.intake import read_samples
from evalkit.errors import DataError, ProblemsError
from evalkit.features.pictures import Pictures
from evalkit.nouns import Sample
from tests.fakes import moved, tiny_benchmark, write_picture

if TYPE_CHECKING:
    from evalkit.benchmarks.base import Loaded

Pair = tuple[str, int]


@pytest.fixture
def benchmark(tmp_path: Path) -> Loaded:
    return tiny_benchmark(tmp_path / "data")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine").mkdir()
    return tmp_path / "mine"


def found(folder: Path, benchmark: Loaded, *, seeds: int = 1) -> Intake:
    return find_samples(folder, benchmark, [(case, seed) for case in benchmark.cases for seed in range(seeds)])


def names(intake: Intake, folder: Path) -> dict[Pair, str]:
    return {pair: path.relative_to(folder).as_posix() for pair, path in intake.files.items()}


def write(folder: Path, *files: str) -> None:
    for seed, name in enumerate(files):
        write_picture(folder / f"{name}.tmp.png", seed)
        (folder / f"{name}.tmp.png").rename(folder / name)


def manifest(folder: Path, *lines: Any) -> None:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    (folder / "manifest.jsonl").write_text(text + "\n", encoding="utf-8")


def problems(folder: Path, benchmark: Loaded) -> list[str]:
    with pytest.raises(ProblemsError) as raised:
        found(folder, benchmark)
    assert raised.value.heading == f"the samples in {folder} do not fit tiny/plain"
    return list(raised.value.problems)


@pytest.mark.parametrize(
    ("name", "pair"),
    [
        ("s0.p1/seed_0.png", ("s0.p1", 0)),
        ("s0.p1/seed_1.png", ("s0.p1", 1)),
        ("s0.p1_0.png", ("s0.p1", 0)),
        ("s0.p1_1.png", ("s0.p1", 1)),
        ("s0.p1.png", ("s0.p1", 0)),
    ],
)
def test_names_that_evalkit_knows(folder: Path, benchmark: Loaded, name: str, pair: Pair) -> None:
    write(folder, name)
    intake = found(folder, benchmark, seeds=2)
    assert names(intake, folder) == {pair: name}
    assert len(intake.missing) == 7
    assert intake.extra == ()


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"])
def test_every_kind_of_picture(folder: Path, benchmark: Loaded, suffix: str) -> None:
    write(folder, f"s1.p0{suffix}")
    assert names(found(folder, benchmark), folder) == {("s1.p0", 0): f"s1.p0{suffix}"}


def test_the_benchmarks_own_layout(folder: Path, benchmark: Loaded) -> None:
    own = moved(benchmark, official_name=lambda case, seed: f"{case.subjects[0]}/{case.prompt_index}_{seed}")
    write(folder, "s0/1_0.png", "s1/0_1.jpg")
    assert names(found(folder, own, seeds=2), folder) == {("s0.p1", 0): "s0/1_0.png", ("s1.p0", 1): "s1/0_1.jpg"}


def test_an_official_name_may_be_none(folder: Path, benchmark: Loaded) -> None:
    write(folder, "s0.p0.png")
    assert len(found(folder, benchmark).files) == 1


def test_files_come_in_the_order_of_the_cases(folder: Path, benchmark: Loaded) -> None:
    ids = [case.case_id for case in benchmark.cases]
    write(folder, *(f"{case_id}.png" for case_id in reversed(ids)))
    assert [pair[0] for pair in found(folder, benchmark).files] == ids


def test_what_is_missing_and_extra_is_reported(folder: Path, benchmark: Loaded) -> None:
    write(folder, "s0.p0.png", "sheet.png", "old/s0.p0.png", "s9.p0.png", "notes.txt")
    intake = found(folder, benchmark)
    assert intake.missing == (("s0.p1", 0), ("s1.p0", 0), ("s1.p1", 0))
    assert intake.extra == ("old/s0.p0.png", "s9.p0.png", "sheet.png")
    assert intake.report() == [
        "3 samples are missing, first: s0.p1 seed 0, s1.p0 seed 0, s1.p1 seed 0",
        "3 files are no case's sample and were left out, first: old/s0.p0.png, s9.p0.png, sheet.png",
    ]


def test_a_whole_folder_has_nothing_to_report(folder: Path, benchmark: Loaded) -> None:
    write(folder, *(f"{case.case_id}.png" for case in benchmark.cases))
    assert found(folder, benchmark).report() == []


def test_two_files_of_one_case_are_an_error(folder: Path, benchmark: Loaded) -> None:
    write(folder, "s0.p0.png", "s0.p0.jpg", "s0.p0/seed_0.png", "s1.p1.png", "s1.p1_0.png")
    assert problems(folder, benchmark) == [
        "3 files for case 's0.p0' seed 0: s0.p0/seed_0.png, s0.p0.jpg, s0.p0.png; leave one",
        "2 files for case 's1.p1' seed 0: s1.p1_0.png, s1.p1.png; leave one",
    ]


def test_a_folder_that_is_none(tmp_path: Path, benchmark: Loaded) -> None:
    with pytest.raises(DataError) as raised:
        found(tmp_path / "no", benchmark)
    assert str(raised.value) == f"wanted a folder of samples, found nothing at {tmp_path / 'no'}; check the path"
    (tmp_path / "no").write_text("", encoding="utf-8")
    with pytest.raises(DataError, match=r"^wanted a folder of samples, found a file at "):
        found(tmp_path / "no", benchmark)


def test_a_folder_without_a_picture(folder: Path, benchmark: Loaded) -> None:
    with pytest.raises(DataError) as raised:
        found(folder, benchmark)
    assert str(raised.value) == (
        "wanted samples of tiny/plain named CASE_ID/seed_N.png, CASE_ID_N.png or CASE_ID.png (seed 0), the benchmark's "
        f"own layout, or a manifest.jsonl with case ids like 's0.p0'; found no pictures in {folder}; rename them, write "
        "a manifest, or check --bench"
    )


def test_a_folder_of_something_else(folder: Path, benchmark: Loaded) -> None:
    write(folder, "holiday/b.png", "holiday/a.png")
    with pytest.raises(DataError, match=r"; found 2 pictures such as 'holiday/a\.png' in "):
        found(folder, benchmark)


def test_samples_of_other_seeds_alone(folder: Path, benchmark: Loaded) -> None:
    write(folder, "s0.p0_3.png")
    with pytest.raises(DataError) as raised:
        found(folder, benchmark)
    assert str(raised.value) == (
        f"{folder} holds samples, but none of the cases and seeds asked for; raise --limit or --seeds"
    )


def test_a_manifest_names_the_files(folder: Path, benchmark: Loaded) -> None:
    write(folder, "x/anything.png", "b.jpg", "s1.p1.png")
    manifest(
        folder, {"case_id": "s0.p1", "file": "x/anything.png"}, "", {"case_id": "s1.p0", "file": "b.jpg", "seed": 1}
    )
    intake = found(folder, benchmark, seeds=2)
    assert names(intake, folder) == {("s0.p1", 0): "x/anything.png", ("s1.p0", 1): "b.jpg"}
    assert intake.extra == ("s1.p1.png",)


def test_every_line_of_a_manifest_that_does_not_fit_is_told(folder: Path, benchmark: Loaded) -> None:
    write(folder, "a.png")
    outside = folder.parent / "secret.png"
    write_picture(outside, 1)
    manifest(
        folder,
        {"case_id": "s0.p0", "file": "a.png", "colour": 1},
        "{'case_id': 's0.p0'}",
        {"case_id": "s0.p0", "file": "../secret.png"},
        {"case_id": "s0.p0", "file": str(outside)},
        {"case_id": "s7.p0", "file": "a.png"},
        {"case_id": "s0.p0", "file": "b.png"},
        {"case_id": "s0.p0", "file": "a.png", "seed": -1},
        {"file": "a.png"},
        [1],
        {"case_id": "s0.p0", "file": "a" * 300},
    )
    told = problems(folder, benchmark)
    assert told[0] == "manifest.jsonl line 1: not a manifestline: colour is not a known key"
    assert told[1].startswith("manifest.jsonl line 2: not a manifestline: document: Invalid JSON: ")
    leaves = (
        f"manifest.jsonl line {{}}: wanted a path inside '{folder}', found {{!r}}, which {{}}; "
        "write paths relative to that folder"
    )
    assert told[2] == leaves.format(3, "../secret.png", "climbs out of it")
    assert told[3] == leaves.format(4, str(outside), "is absolute")
    assert told[4] == "manifest.jsonl line 5: 's7.p0' is no case of tiny/plain"
    assert told[5] == "manifest.jsonl line 6: there is no file 'b.png'"
    assert (
        told[6]
        == "manifest.jsonl line 7: not a manifestline: seed: Input should be greater than or equal to 0, found -1"
    )
    assert told[7] == "manifest.jsonl line 8: not a manifestline: case_id is missing"
    assert told[8].startswith("manifest.jsonl line 9: not a manifestline: document: ")
    assert "which cannot be resolved ([Errno 36] File name too long" in told[9]
    assert len(told) == 10


def test_a_key_twice_in_a_line_is_told(folder: Path, benchmark: Loaded) -> None:
    write(folder, "a.png")
    (folder / "manifest.jsonl").write_text('{"case_id": "s0.p0", "file": "a.png", "case_id": "s0.p1"}\n')
    with pytest.raises(
        ProblemsError, match=r"manifest\.jsonl line 1: wanted each key once, found 'case_id' again; keep"
    ):
        find_samples(folder, benchmark, [(case, 0) for case in benchmark.cases])


def test_a_manifest_that_names_a_case_twice(folder: Path, benchmark: Loaded) -> None:
    write(folder, "a.png", "b.png")
    manifest(folder, {"case_id": "s0.p0", "file": "a.png"}, {"case_id": "s0.p0", "file": "b.png", "seed": 0})
    assert problems(folder, benchmark) == ["2 files for case 's0.p0' seed 0: a.png, b.png; leave one"]


def test_a_manifest_link_does_not_leave_the_folder(folder: Path, benchmark: Loaded) -> None:
    write_picture(folder.parent / "secret.png", 1)
    (folder / "link.png").symlink_to(folder.parent / "secret.png")
    manifest(folder, {"case_id": "s0.p0", "file": "link.png"})
    (told,) = problems(folder, benchmark)
    assert "which a symbolic link leads to" in told


def test_an_empty_manifest_is_said_to_bind_nothing(folder: Path, benchmark: Loaded) -> None:
    write(folder, "s0.p0.png")
    manifest(folder)
    with pytest.raises(DataError, match=r"found 1 pictures such as 's0\.p0\.png'"):
        found(folder, benchmark)


def read(intake: Intake, known: dict[Pair, Sample] | None = None) -> dict[Pair, Sample]:
    digests = dict.fromkeys((case_id for case_id, _ in intake.files), "digest")
    fresh = read_samples(intake, method="mine", case_sha256=digests, known=known or {}, pictures=Pictures())
    return {sample.key: sample for sample in fresh}


def test_a_file_becomes_a_sample(folder: Path, benchmark: Loaded) -> None:
    content = write_picture(folder / "s0.p0.png", 3)
    sample = read(found(folder, benchmark))["s0.p0", 0]
    stat = content.path.stat()
    assert sample == Sample(
        case_id="s0.p0", seed=0, state="made", path=str(content.path.resolve()), pixels_sha256=content.sha256,
        file_size=stat.st_size, file_mtime_ns=stat.st_mtime_ns, width=8, height=6, case_sha256="digest", method="mine",
        method_version="-",
    )  # fmt: skip


def test_how_a_file_was_converted_is_noted(folder: Path, benchmark: Loaded) -> None:
    write(folder, "s0.p0.jpg")
    assert read(found(folder, benchmark))["s0.p0", 0].notes == ("wrong_extension:jpg is png",)


def test_a_file_that_cannot_be_decoded_is_a_sample_that_says_so(folder: Path, benchmark: Loaded) -> None:
    write(folder, "s0.p0.png", "s0.p1.png")
    (folder / "s0.p1.png").write_bytes(b"no picture")
    samples = read(found(folder, benchmark))
    assert samples["s0.p0", 0].state == "made"
    broken = samples["s0.p1", 0]
    assert (broken.state, broken.pixels_sha256, broken.file_size) == ("unreadable", None, 10)
    assert str(folder / "s0.p1.png") in str(broken.reason)


def test_a_folder_is_read_once(folder: Path, benchmark: Loaded) -> None:
    write(folder, "s0.p0.png", "s0.p1.png")
    (folder / "s0.p1.png").write_bytes(b"no picture")
    intake = found(folder, benchmark)
    samples = read(intake)
    assert len(samples) == 2
    assert read(intake, samples) == {}


def test_a_changed_file_is_read_again_and_no_other(folder: Path, benchmark: Loaded) -> None:
    write(folder, "s0.p0.png", "s0.p1.png")
    intake = found(folder, benchmark)
    samples = read(intake)
    content = write_picture(folder / "s0.p1.png", 99)
    assert {pair: s.pixels_sha256 for pair, s in read(intake, samples).items()} == {("s0.p1", 0): content.sha256}


def test_a_touched_file_is_read_again(folder: Path, benchmark: Loaded) -> None:
    write(folder, "s0.p0.png")
    intake = found(folder, benchmark)
    samples = read(intake)
    os.utime(folder / "s0.p0.png", ns=(1, 1))
    assert read(intake, samples)["s0.p0", 0].pixels_sha256 == samples["s0.p0", 0].pixels_sha256


def manifest_of_all(folder: Path, benchmark: Loaded) -> None:
    write(folder, *(f"{index}.png" for index in range(len(benchmark.cases))))
    manifest(folder, *({"case_id": c.case_id, "file": f"{i}.png"} for i, c in enumerate(benchmark.cases)))


def test_a_manifest_in_a_relative_folder(folder: Path, benchmark: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest_of_all(folder, benchmark)
    monkeypatch.chdir(folder.parent)
    intake = found(Path(folder.name), benchmark)
    assert intake.report() == []
    assert names(intake, folder.resolve())["s0.p1", 0] == "1.png"


def test_a_manifest_in_a_linked_folder(folder: Path, benchmark: Loaded) -> None:
    manifest_of_all(folder, benchmark)
    (folder.parent / "link").symlink_to(folder)
    intake = found(folder.parent / "link", benchmark)
    assert intake.report() == []
    assert len(intake.files) == 4


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85"])
def test_a_manifest_line_ends_at_its_newline_alone(folder: Path, benchmark: Loaded, separator: str) -> None:
    write(folder, f"a{separator}b.png")
    manifest(folder, json.dumps({"case_id": "s0.p0", "file": f"a{separator}b.png"}, ensure_ascii=False))
    assert names(found(folder, benchmark), folder) == {("s0.p0", 0): f"a{separator}b.png"}


@pytest.mark.parametrize("stray", ["IMG_12345", "IMG_123456", "IMG_20240131"])
def test_a_stray_number_does_not_make_a_folder_slow(folder: Path, benchmark: Loaded, stray: str) -> None:
    asked: Counter[int] = Counter()

    def official(_case: Any, seed: int) -> None:
        asked[seed] += 1

    write(folder, "s0.p0_7.png", f"{stray}.png")
    intake = found(folder, moved(benchmark, official_name=official), seeds=8)
    assert names(intake, folder) == {("s0.p0", 7): "s0.p0_7.png"}
    assert intake.extra == (f"{stray}.png",)
    assert set(asked) == {0, 7}


def test_only_seeds_that_end_a_name_are_looked_for() -> None:
    assert _seeds_named([]) == [0]
    assert _seeds_named(["a_3", "b/seed_12", "c", "d_999", "e_1000", "f_12345", "g_0003"]) == [0, 3, 12, 999]


def test_a_file_that_could_be_two_samples_names_both(folder: Path, benchmark: Loaded) -> None:
    first, second, *_ = benchmark.cases
    doubtful = moved(benchmark, cases=(first, second.model_copy(update={"case_id": "s0.p0_1"})))
    write(folder, "s0.p0_1.png")
    assert problems(folder, doubtful) == [
        "s0.p0_1.png could be s0.p0_1 seed 0 or s0.p0 seed 1; say which in a manifest.jsonl"
    ]
    manifest(folder, {"case_id": "s0.p0_1", "file": "s0.p0_1.png"})
    assert names(found(folder, doubtful), folder) == {("s0.p0_1", 0): "s0.p0_1.png"}
