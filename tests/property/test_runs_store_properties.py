"""The store against a dict, and results that do not remember how they came about."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.errors import RunError
from evalkit.nouns import Sample, Score
from evalkit.runs.parts import PartStore
from evalkit.runs.results import scores_text
from evalkit.runs.schema import decode, encode
from tests.unit.run_rows import sample, score

if TYPE_CHECKING:
    from collections.abc import Sequence

_VALUES = st.none() | st.floats(allow_nan=False, allow_infinity=False)
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_SCORES = st.builds(
    lambda case, seed, value, signature, weight, reason: score(
        case, seed, value, signature=signature, weight=weight, reason=reason
    ),
    st.sampled_from("abc"),
    st.integers(0, 2),
    _VALUES,
    st.sampled_from(["m:x|w:1", "m:x|w:2"]),
    st.floats(min_value=0, exclude_min=True, allow_infinity=False),
    st.none() | _TEXTS,
)
_SAMPLES = st.builds(
    lambda notes, size, method: sample(notes=tuple(notes), file_size=size, method=method),
    st.lists(_TEXTS, max_size=3),
    st.none() | st.integers(-(2**63), 2**63 - 1),
    _TEXTS,
)
_PARTS = st.lists(st.lists(_SCORES, min_size=1, max_size=4), max_size=5)


def _stored(parts: Sequence[Sequence[Score]], folder: Path) -> PartStore[Score, tuple[str, int, str]]:
    store = PartStore(folder, Score, lambda row: row.key)
    for rows in parts:
        store.append(rows)
    return store


@given(_PARTS)
@settings(max_examples=60, deadline=None)
def test_latest_is_what_a_dict_would_hold(parts: list[list[Score]]) -> None:
    oracle: dict[object, Score] = {}
    for row in (row for rows in parts for row in rows):
        oracle[row.key] = row
    with tempfile.TemporaryDirectory() as folder:
        store = _stored(parts, Path(folder))
        assert store.latest() == oracle
        assert list(store.latest()) == list(oracle)
        assert len(store) == sum(map(len, parts))


@given(st.lists(_SCORES, min_size=1, max_size=12), st.data())
@settings(max_examples=60, deadline=None)
def test_results_do_not_depend_on_the_parts(rows: list[Score], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(rows)))) | {len(rows)})
    parts = [rows[start:stop] for start, stop in zip([0, *cuts], cuts, strict=False)]
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as many:
        whole = scores_text(list(_stored([rows], Path(one)).latest().values()))
        split = list(_stored(parts, Path(many)).latest().values())
        shuffled = data.draw(st.permutations(split))
    assert scores_text(shuffled) == whole


@given(st.lists(_SCORES, min_size=1, max_size=5))
@settings(max_examples=100, deadline=None)
def test_scores_come_back_bit_for_bit(rows: list[Score]) -> None:
    data = encode(Score, rows)
    back = decode(Score, data, where="p")
    assert [repr(row) for row in back] == [repr(row) for row in rows]
    assert encode(Score, back) == data


@given(st.lists(_SAMPLES, min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_samples_come_back_as_they_went(rows: list[Sample]) -> None:
    assert decode(Sample, encode(Sample, rows), where="p") == rows


@given(st.binary(max_size=40), st.integers(0, 3000), st.integers(0, 40))
@settings(max_examples=200, deadline=None)
def test_bytes_put_in_the_place_of_others_are_never_read_as_other_rows(new: bytes, at: int, cut: int) -> None:
    rows = [score(seed=n, value=n / 3) for n in range(4)]
    whole = encode(Score, rows)
    altered = whole[:at] + new + whole[at + cut :]
    try:
        back = decode(Score, altered, where="p")
    except RunError:
        return
    assert back == rows
