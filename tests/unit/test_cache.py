from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from evalkit.errors import EvalkitError, UsageError
from evalkit.features.cache import CacheKey, FeatureCache, prune, uses

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEY = CacheKey("f" * 64, "embedding", "c" * 64)


def key(content: str, *, fingerprint: str = "f" * 64) -> CacheKey:
    return CacheKey(fingerprint, "embedding", content)


def fresh(root: Path) -> FeatureCache:
    """A cache that remembers nothing: what it gives comes from the disk."""
    return FeatureCache(root)


@pytest.mark.parametrize(
    "array", [np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros((0, 2), np.float32), np.array(0.5, np.float32)]
)
def test_what_is_put_comes_back_bit_for_bit(tmp_path: Path, array: NDArray[np.float32]) -> None:
    FeatureCache(tmp_path).put(KEY, array)
    found = fresh(tmp_path).get(KEY)
    assert found is not None
    assert found.shape == array.shape
    assert found.dtype == np.float32
    assert found.tobytes() == array.tobytes()


def test_odd_numbers_survive(tmp_path: Path) -> None:
    array = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45], np.float32)
    FeatureCache(tmp_path).put(KEY, array)
    found = fresh(tmp_path).get(KEY)
    assert found is not None
    assert found.tobytes() == array.tobytes()


def test_a_feature_is_one_file_by_extractor_output_and_content(tmp_path: Path) -> None:
    FeatureCache(tmp_path).put(KEY, np.zeros(3, np.float32))
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [tmp_path / ("f" * 64) / "embedding" / "cc" / ("c" * 64)]


def test_what_was_not_put_is_not_there(tmp_path: Path) -> None:
    FeatureCache(tmp_path).put(KEY, np.zeros(3, np.float32))
    cache = fresh(tmp_path)
    assert cache.get(key("d" * 64)) is None
    assert cache.get(CacheKey("e" * 64, "embedding", "c" * 64)) is None
    assert cache.get(CacheKey("f" * 64, "cls", "c" * 64)) is None
    assert cache.damaged == 0


def test_what_is_given_cannot_be_written_and_is_no_view(tmp_path: Path) -> None:
    cache, array = FeatureCache(tmp_path), np.ones(3, np.float32)
    cache.put(KEY, array)
    array[:] = 7
    for one in (cache, fresh(tmp_path)):
        found = one.get(KEY)
        assert found is not None
        assert found.tolist() == [1, 1, 1]
        with pytest.raises(ValueError, match="read-only"):
            found[0] = 2


@pytest.mark.parametrize("part", [0, 3, 10, 20, 60, -1])
def test_an_entry_cut_short_is_counted_and_not_read(tmp_path: Path, part: int) -> None:
    FeatureCache(tmp_path).put(KEY, np.arange(9, dtype=np.float32))
    path = KEY.path(tmp_path)
    path.write_bytes(path.read_bytes()[:part])
    cache = fresh(tmp_path)
    assert cache.get(KEY) is None
    assert cache.damaged == 1
    cache.put(KEY, np.ones(2, np.float32))
    assert fresh(tmp_path).get(KEY) is not None


@pytest.mark.parametrize("position", [0, 5, 25, -1])
def test_an_altered_entry_is_counted_and_not_read(tmp_path: Path, position: int) -> None:
    FeatureCache(tmp_path).put(KEY, np.arange(9, dtype=np.float32))
    data = bytearray(KEY.path(tmp_path).read_bytes())
    data[position] ^= 1
    KEY.path(tmp_path).write_bytes(data)
    cache = fresh(tmp_path)
    assert cache.get(KEY) is None
    assert cache.damaged == 1


def test_an_entry_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    KEY.path(tmp_path).mkdir(parents=True)
    with pytest.raises(
        EvalkitError, match=r"^the feature cache entry .* cannot be read: .*; mend its rights or set EVALKIT"
    ):
        fresh(tmp_path).get(KEY)


WRITER = """
import sys, numpy as np
from pathlib import Path
from evalkit.features.cache import CacheKey, FeatureCache
cache = FeatureCache(Path(sys.argv[1]))
for turn in range(150):
    cache.put(CacheKey("f" * 64, "embedding", "c" * 64), np.full(2000, float(sys.argv[2]), np.float32))
"""


def test_two_processes_may_write_one_entry(tmp_path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), number]) for number in ("1", "2")]
    seen, cache = set(), fresh(tmp_path)
    while any(writer.poll() is None for writer in writers):
        cache = fresh(tmp_path)
        if (found := cache.get(KEY)) is not None:
            assert len(set(found.tolist())) == 1
            seen.add(float(found[0]))
        assert cache.damaged == 0
    assert [writer.wait() for writer in writers] == [0, 0]
    assert seen
    assert seen <= {1.0, 2.0}
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [KEY.path(tmp_path)]


def test_a_cache_that_cannot_be_written_costs_one_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "file"
    root.write_text("not a folder", encoding="utf-8")
    cache = FeatureCache(root)
    for content in ("a", "b", "c"):
        cache.put(key(content * 64), np.ones(1, np.float32))
        assert cache.get(key(content * 64)) is not None
    told = capsys.readouterr()
    assert told.err == f"evalkit: the feature cache {root} cannot be written (Not a directory); going on without it\n"
    assert told.out == ""


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_self: Path, _target: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    FeatureCache(tmp_path).put(KEY, np.ones(1, np.float32))
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_memory_is_bounded_and_forgets_what_was_used_longest_ago() -> None:
    cache = FeatureCache(None, memory_bytes=3 * 40)
    for content in "abc":
        cache.put(key(content), np.zeros(10, np.float32))
    assert cache.get(key("a")) is not None
    cache.put(key("d"), np.zeros(10, np.float32))
    assert [content for content in "abcd" if cache.get(key(content)) is not None] == ["a", "c", "d"]


def test_an_entry_put_again_does_not_count_twice() -> None:
    cache = FeatureCache(None, memory_bytes=100)
    for _ in range(10):
        cache.put(key("a"), np.zeros(10, np.float32))
    cache.put(key("b"), np.zeros(10, np.float32))
    assert cache.get(key("a")) is not None
    assert cache.get(key("b")) is not None


def test_one_entry_larger_than_the_memory_is_kept_alone() -> None:
    cache = FeatureCache(None, memory_bytes=10)
    cache.put(key("a"), np.zeros(10, np.float32))
    assert cache.get(key("a")) is not None


def fill(root: Path, contents: str) -> list[Path]:
    """Entries whose last use is a second apart, in the order given."""
    paths = []
    for age, content in enumerate(contents):
        FeatureCache(root).put(key(content * 64), np.zeros(10, np.float32))
        paths.append(key(content * 64).path(root))
        os.utime(paths[-1], (1_000_000 + age, 1_000_000 + age))
    return paths


def test_prune_removes_what_was_used_longest_ago(tmp_path: Path) -> None:
    paths = fill(tmp_path, "bca")
    size = paths[0].stat().st_size
    assert prune(tmp_path, limit_bytes=2 * size) == (1, size)
    assert [p.exists() for p in paths] == [False, True, True]


def test_reading_an_entry_is_using_it(tmp_path: Path) -> None:
    paths = fill(tmp_path, "bca")
    assert fresh(tmp_path).get(key("b" * 64)) is not None
    prune(tmp_path, limit_bytes=2 * paths[0].stat().st_size)
    assert [p.exists() for p in paths] == [True, False, True]


def test_prune_keeps_to_its_limit(tmp_path: Path) -> None:
    paths = fill(tmp_path, "abcd")
    size = paths[0].stat().st_size
    assert prune(tmp_path, limit_bytes=4 * size) == (0, 0)
    assert prune(tmp_path, limit_bytes=4 * size - 1) == (1, size)
    assert prune(tmp_path, limit_bytes=0) == (3, 3 * size)
    assert prune(tmp_path / "nowhere", limit_bytes=0) == (0, 0)


def test_prune_wants_a_limit() -> None:
    with pytest.raises(UsageError, match="^wanted a size limit of 0 bytes or more, found -1$"):
        prune(Path("nowhere"), limit_bytes=-1)


def test_uses_tells_each_extractor_largest_first(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    cache.put(key("a", fingerprint="small"), np.zeros(1, np.float32))
    for content in "ab":
        cache.put(key(content, fingerprint="large"), np.zeros(100, np.float32))
    found = uses(tmp_path)
    assert [(use.fingerprint, use.entries) for use in found] == [("large", 2), ("small", 1)]
    assert sum(use.bytes for use in found) == sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file())
    assert uses(tmp_path / "nowhere") == []


def test_uses_says_what_features_are_of(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    cache.put(KEY, np.zeros(1, np.float32))
    cache.label(KEY.fingerprint, "backbone:x")
    cache.label("nothing there", "backbone:y")
    (use,) = uses(tmp_path)
    assert (use.label, use.entries) == ("backbone:x", 1)
    assert prune(tmp_path, limit_bytes=0)[0] == 1


def test_prune_leaves_what_another_process_is_writing(tmp_path: Path) -> None:
    FeatureCache(tmp_path).put(KEY, np.zeros(1, np.float32))
    writing, killed = (KEY.path(tmp_path).with_name(f".part-{name}") for name in ("writing", "killed"))
    for path in (writing, killed):
        path.write_bytes(b"half")
    os.utime(killed, (1, 1))
    assert prune(tmp_path, limit_bytes=0)[0] == 2
    assert writing.exists()
    assert not killed.exists()
