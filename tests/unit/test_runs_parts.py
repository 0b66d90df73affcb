"""The append-only store: order, latest rows, damage, and what a killed writer leaves."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from evalkit.errors import RunError, UsageError
from evalkit.nouns import Noun, Score
from evalkit.runs.parts import PartStore
from tests.unit.run_rows import read_only_folder, score, tiny_disk


def _store(folder: Path, *, writable: bool = True) -> PartStore[Score, tuple[str, int, str]]:
    return PartStore(folder, Score, lambda row: row.key, writable=writable)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_rows_keep_the_order_of_appending(tmp_path: Path) -> None:
    store = _store(tmp_path / "scores")
    first, second = [score(seed=2), score(seed=1)], [score(seed=3)]
    store.append(first)
    store.append(second)
    assert store.rows() == first + second
    assert len(store) == 3
    assert _names(store.folder) == ["part-000001.parquet", "part-000002.parquet"]


def test_parts_are_ordered_by_number_beyond_six_digits(tmp_path: Path) -> None:
    store = _store(tmp_path)
    store.append([score(seed=1)])
    (tmp_path / "part-000001.parquet").rename(tmp_path / "part-999999.parquet")
    store.append([score(seed=2)])
    assert _names(tmp_path) == ["part-1000000.parquet", "part-999999.parquet"]
    assert [row.seed for row in store.rows()] == [1, 2]


def test_a_store_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    store = _store(tmp_path / "none", writable=False)
    assert (store.rows(), store.latest(), len(store)) == ([], {}, 0)
    assert not (tmp_path / "none").exists()


def test_the_last_row_of_a_key_wins(tmp_path: Path) -> None:
    store = _store(tmp_path)
    store.append([score(value=0.1), score(seed=1, value=0.2), score(value=0.3)])
    store.append([score(seed=1, value=None)])
    assert store.latest() == {score().key: score(value=0.3), score(seed=1).key: score(seed=1, value=None)}
    assert len(store) == 4


def test_a_second_store_sees_what_the_first_wrote(tmp_path: Path) -> None:
    writer, reader = _store(tmp_path), _store(tmp_path, writable=False)
    writer.append([score()])
    assert reader.rows() == [score()]


def test_no_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^wanted at least one score to store in .*, found none$"):
        _store(tmp_path).append([])


def test_a_reader_cannot_append(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is open for reading only; open the run folder for writing"):
        _store(tmp_path, writable=False).append([score()])


def test_a_noun_that_cannot_be_stored_is_refused_at_once(tmp_path: Path) -> None:
    class Deep(Noun):
        inner: dict[str, str]

    with pytest.raises(UsageError, match=r"^Deep\.inner: wanted a scalar"):
        PartStore(tmp_path, Deep, lambda row: row.digest())


def test_leftovers_of_a_killed_writer_are_ignored_then_removed(tmp_path: Path) -> None:
    _store(tmp_path).append([score()])
    (tmp_path / ".0123456789abcdef.tmp").write_bytes(b"PAR1 half")
    (tmp_path / ".DS_Store").write_bytes(b"")
    assert _store(tmp_path, writable=False).rows() == [score()]
    assert ".0123456789abcdef.tmp" in _names(tmp_path)
    assert _store(tmp_path).rows() == [score()]
    assert _names(tmp_path) == [".DS_Store", "part-000001.parquet"]


def test_the_file_then_its_folder_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    real = os.fsync

    def note(handle: int) -> None:
        synced.append((Path(f"/proc/self/fd/{handle}").resolve().suffix, _names(tmp_path)))
        real(handle)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("open files are told by /proc on Linux alone")
    store = _store(tmp_path)
    monkeypatch.setattr(os, "fsync", note)
    store.append([score()])
    assert [suffix for suffix, _ in synced] == [".tmp", ""]
    assert synced[1][1] == ["part-000001.parquet"]


def _damaged_middle(folder: Path) -> PartStore[Score, tuple[str, int, str]]:
    store = _store(folder)
    for seed in range(3):
        store.append([score(seed=seed)])
    part = folder / "part-000002.parquet"
    part.write_bytes(part.read_bytes()[:-20])
    return store


def test_a_damaged_part_is_named_with_what_to_do(tmp_path: Path) -> None:
    store = _damaged_middle(tmp_path)
    part = tmp_path / "part-000002.parquet"
    told = rf"^{part} is damaged \(.*\); move it aside and run the same command again, .* mv {part} {part}\.damaged$"
    for reading in (store.rows, store.latest, store.__len__):
        with pytest.raises(RunError, match=told):
            reading()


def test_what_a_damaged_part_was_set_aside_from_goes_on(tmp_path: Path) -> None:
    store = _damaged_middle(tmp_path)
    part = tmp_path / "part-000002.parquet"
    part.rename(part.with_name(part.name + ".damaged"))  # what the message says to do
    assert [row.seed for row in store.rows()] == [0, 2]


def test_the_number_of_a_part_set_aside_is_not_used_again(tmp_path: Path) -> None:
    store = _store(tmp_path)
    store.append([score()])
    for _ in range(2):
        newest = max(tmp_path.glob("*.parquet"))
        newest.rename(newest.with_name(newest.name + ".damaged"))
        store.append([score()])
    assert len(list(tmp_path.glob("*.damaged"))) == 2
    assert store.rows() == [score()]


def test_a_part_that_cannot_be_read_is_not_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "part-000001.parquet").mkdir()
    with pytest.raises(RunError, match=r"^cannot read .*part-000001.parquet: Is a directory; mend its rights"):
        _store(tmp_path).rows()


def test_a_full_disk_leaves_whole_parts_alone(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with tiny_disk(disk, kilobytes=64):
        appended = 0

        def fill() -> None:
            nonlocal appended
            for appended in range(1000):
                store.append([score(seed=appended)])

        store = _store(disk)
        with pytest.raises(RunError, match=r"^cannot write '.*': the disk \(or the quota\) is full; free some space"):
            fill()
        assert appended > 1
        assert [row.seed for row in _store(disk).rows()] == list(range(appended))
        assert all(name.endswith(".parquet") for name in _names(disk))


def test_a_disk_that_fills_while_syncing_leaves_whole_parts_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = _store(tmp_path)
    store.append([score()])

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(RunError, match=r"is full; free some space and run the same command again"):
            store.append([score(seed=1)])
    assert _names(tmp_path) == ["part-000001.parquet"]
    store.append([score(seed=2)])
    assert [row.seed for row in store.rows()] == [0, 2]


def test_a_folder_that_cannot_be_written_is_told() -> None:
    with (
        read_only_folder() as folder,
        pytest.raises(RunError, match=r"^cannot write '.*part-000001.parquet': permission is denied; make the folder"),
    ):
        _store(folder).append([score()])


def test_a_folder_that_cannot_be_read_is_told() -> None:
    with read_only_folder() as folder:
        store = _store(folder / "scores", writable=False)
        assert store.rows() == []
    shutil.rmtree(folder, ignore_errors=True)
    folder.write_text("")
    try:
        with pytest.raises(RunError, match=r"^cannot read the folder .*: Not a directory; mend its rights"):
            _store(folder, writable=False).rows()
    finally:
        folder.unlink()
