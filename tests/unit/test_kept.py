"""Scores that were read once: used while the run's parts are the same, and never in the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from evalkit.engine.scored import read_scored
from evalkit.errors import RunError
from evalkit.nouns import Score, State
from evalkit.runs.parts import PartStore
from tests.unit.scored_runs import values, write_run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from evalkit.engine.kept import Held

MISSING = {("clip_t", 3, 1): State.NO_FACE}


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    return write_run(tmp_path / "run", {"clip_t": values(), "dino_i": values(seed=3)}, states=MISSING)


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one whenever a run's parts are read."""
    seen: list[int] = []
    before = PartStore.columns

    def counted(self: PartStore[Any, Any]) -> Iterator[list[list[Any]]]:
        seen.append(1)
        return before(self)

    monkeypatch.setattr(PartStore, "columns", counted)
    return seen


def held(path: Path) -> Held:
    return read_scored([path])[0].held("clip_t")


def kept(tmp_path: Path) -> Path:
    (found,) = (tmp_path / "cache" / "scores").iterdir()
    return found


def alike(one: Held, other: Held) -> bool:
    return np.array_equal(one.value, other.value, equal_nan=True) and (one.weight.tolist(), one.state) == (
        other.weight.tolist(),
        other.state,
    )


def test_a_run_is_read_once(path: Path, readings: list[int]) -> None:
    first, again = held(path), held(path)
    assert len(readings) == 1
    assert alike(first, again)
    assert np.isnan(first.value[3 * 3 + 1])
    assert first.state[3 * 3 + 1] == "no_face"
    np.testing.assert_array_equal(np.delete(first.value, 10), np.delete(values().ravel(), 10))


def test_a_new_score_is_seen(path: Path, readings: list[int]) -> None:
    before = held(path)
    run = read_scored([path])[0].run
    (old,) = [row for row in run.scores.rows() if (row.case_id, row.metric) == ("s03.p1", "clip_t@dreambench_pp")]
    told = {**old.model_dump(), "state": State.SCORED, "value": 12.5, "reason": None}
    PartStore(run.scores.folder, Score, lambda row: row.key).append([Score.model_validate(told)])
    after = held(path)
    assert len(readings) == 2
    assert after.value[10] == 12.5
    assert np.isnan(before.value[10])


@pytest.mark.parametrize("spoilt", [b"", b"PK\x03\x04 not a ZIP", None])
def test_what_is_kept_and_damaged_is_read_again(
    path: Path, tmp_path: Path, readings: list[int], spoilt: bytes | None
) -> None:
    first = held(path)
    file = kept(tmp_path)
    file.write_bytes(file.read_bytes()[:-200] if spoilt is None else spoilt)
    assert alike(first, held(path))
    assert len(readings) == 2
    assert alike(first, held(path))
    assert len(readings) == 2


def test_a_damaged_part_is_not_hidden_by_what_is_kept(path: Path) -> None:
    held(path)
    (part,) = read_scored([path])[0].run.scores.folder.iterdir()
    part.write_bytes(part.read_bytes()[:-40] + b"x" * 40)
    with pytest.raises(RunError, match="is damaged"):
        held(path)


def test_a_cache_that_cannot_be_written_costs_time_alone(path: Path, tmp_path: Path, readings: list[int]) -> None:
    (tmp_path / "cache").mkdir(exist_ok=True)
    (tmp_path / "cache" / "scores").write_text("in the way", encoding="utf-8")
    assert alike(held(path), held(path))
    assert len(readings) == 2
