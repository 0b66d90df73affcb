"""The columns of a noun, and that no altered byte is ever read as data."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalkit.errors import RunError, UsageError
from evalkit.nouns import Noun, Sample, Score, State
from evalkit.runs import schema
from tests.unit.run_rows import sample, score


def test_columns_of_a_score() -> None:
    columns = {field.name: (str(field.type), field.nullable) for field in schema.arrow_schema(Score)}
    assert columns == {
        "case_id": ("string", False),
        "seed": ("int64", False),
        "metric": ("string", False),
        "signature": ("string", False),
        "inputs": ("string", False),
        "state": ("string", False),
        "value": ("double", True),
        "weight": ("double", False),
        "reason": ("string", True),
    }


def test_tuples_are_lists_and_literals_strings() -> None:
    columns = schema.arrow_schema(Sample)
    assert pa.types.is_list(columns.field("notes").type)
    assert columns.field("state").type == pa.string()


def test_rows_come_back_as_they_went() -> None:
    rows = [score(value=0.1 + 0.2), score(value=None, reason="tür\nzu"), score(value=-0.0, weight=3)]
    back = schema.decode(Score, schema.encode(Score, rows), where="p")
    assert back == rows
    assert back[1].state is State.NO_FACE
    assert str(back[2].value) == "-0.0"


def test_samples_come_back_with_tuples_and_nones() -> None:
    rows = [sample(notes=("a", "b"), rng_seed=2**63 - 1), sample(seed=1)]
    back = schema.decode(Sample, schema.encode(Sample, rows), where="p")
    assert back == rows
    assert back[0].notes == ("a", "b")
    assert back[1].rng_seed is None


def test_equal_rows_give_equal_bytes() -> None:
    rows = [score(seed=n) for n in range(100)]
    assert schema.encode(Score, rows) == schema.encode(Score, list(rows))


def test_an_integer_beyond_64_bits_is_refused_by_column() -> None:
    with pytest.raises(RunError, match=r"^column 'rng_seed' \(int64\) cannot hold a row's value: "):
        schema.encode(Sample, [sample(rng_seed=2**64)])


class _Nested(Noun):
    inner: dict[str, str]


class _Numbered(Noun):
    level: Literal[1, 2]


@pytest.mark.parametrize(("noun", "name"), [(_Nested, "inner"), (_Numbered, "level")])
def test_a_noun_that_is_not_flat_is_refused(noun: type[Noun], name: str) -> None:
    with pytest.raises(UsageError, match=rf"^{noun.__name__}\.{name}: wanted a scalar, an enum or a tuple of them"):
        schema.arrow_schema(noun)


def test_every_flipped_bit_is_noticed_or_harmless() -> None:
    rows = [score(), score(seed=1, value=None, reason="none")]
    whole = schema.encode(Score, rows)
    noticed = 0
    for position in range(len(whole)):
        altered = bytearray(whole)
        altered[position] ^= 1 << position % 8
        try:
            assert schema.decode(Score, bytes(altered), where="p") == rows, f"byte {position} changed what was read"
        except RunError:
            noticed += 1
    assert noticed > len(whole) // 2


@pytest.mark.parametrize("kept", [0, 1, 4, 8, 100, -1, -8])
def test_a_part_cut_short_is_damaged(kept: int) -> None:
    data = schema.encode(Score, [score()])
    with pytest.raises(schema.DamagedPartError, match=r"^my run/p is damaged \(.+\); move it aside .* mv 'my run/p' "):
        schema.decode(Score, data[:kept], where="my run/p")


def test_a_part_of_another_noun_is_named() -> None:
    data = schema.encode(Sample, [sample()])
    with pytest.raises(RunError, match=r"^p: wanted evalkit.noun 'score', found 'sample'; use the version of evalkit"):
        schema.decode(Score, data, where="p")


def test_a_part_of_another_schema_version_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    data = schema.encode(Score, [score()])
    monkeypatch.setattr(schema, "SCHEMA_VERSION", "2")
    schema.arrow_schema.cache_clear()
    try:
        with pytest.raises(RunError, match=r"^p: wanted evalkit.schema '2', found '1'; "):
            schema.decode(Score, data, where="p")
    finally:
        monkeypatch.undo()
        schema.arrow_schema.cache_clear()


def _rewritten(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, store_schema=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(schema.arrow_schema(Score).metadata)
    return bytes(sink.getvalue())


def test_columns_of_another_type_missing_or_new_are_named() -> None:
    table = pq.read_table(pa.BufferReader(schema.encode(Score, [score()])))
    place = table.schema.get_field_index("seed")
    texts = table.set_column(place, pa.field("seed", pa.string(), nullable=False), pa.array(["0"]))
    with pytest.raises(
        RunError, match=r"^p: wanted column 'seed' as int64 \(never null\), found string \(never null\)"
    ):
        schema.decode(Score, _rewritten(texts), where="p")
    with pytest.raises(RunError, match=r"^p: wanted column 'weight' as double \(never null\), found no column; "):
        schema.decode(Score, _rewritten(table.drop_columns(["weight"])), where="p")
    with pytest.raises(RunError, match=r"^p: wanted column 'extra' as no column, found string; "):
        schema.decode(Score, _rewritten(table.append_column("extra", pa.array(["x"]))), where="p")
    names = ["weight", *(name for name in table.column_names if name != "weight")]
    with pytest.raises(
        RunError, match=r"^p: wanted the columns \['case_id', .*, found them as \['weight', 'case_id', "
    ):
        schema.decode(Score, _rewritten(table.select(names)), where="p")


def test_a_small_part_of_very_many_rows_is_refused_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pq.read_table(pa.BufferReader(schema.encode(Score, [score()])))
    data = _rewritten(pa.concat_tables([table] * 10).take([0] * 2_000_000))
    assert len(data) < 100_000
    with monkeypatch.context() as patch:
        patch.delattr(pq.ParquetFile, "iter_batches")
        with pytest.raises(RunError, match=r"^p: wanted at most 1000000 rows in one part, found 2000000; "):
            schema.decode(Score, data, where="p")
    monkeypatch.setattr(schema, "MOST_ROWS", 1)
    with pytest.raises(RunError, match="^wanted at most 1 rows in one part, found 2; store them in several"):
        schema.encode(Score, [score(), score(seed=1)])


def test_a_small_part_of_very_long_texts_is_refused_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    long = score().model_copy(update={"signature": "x" * 100_000})
    table = pq.read_table(pa.BufferReader(schema.encode(Score, [long])))
    data = _rewritten(table.take([0] * 200))
    monkeypatch.setattr(schema, "MOST_BYTES", 2**20)
    monkeypatch.setattr(schema, "_AT_A_TIME", 8)
    assert len(data) < 2**20
    with pytest.raises(RunError, match="^p: wanted at most 1048576 bytes of values in one part, found more"):
        schema.decode(Score, data, where="p")


def test_parts_of_several_blocks_come_back_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "_AT_A_TIME", 2)
    rows = [score(seed=seed) for seed in range(5)]
    assert schema.decode(Score, schema.encode(Score, rows), where="p") == rows


def test_a_file_of_somebody_else_is_not_ours() -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": [1]}), sink)
    with pytest.raises(RunError, match=r"^p: wanted evalkit.noun 'score', found None; "):
        schema.decode(Score, bytes(sink.getvalue()), where="p")


def test_a_value_that_the_noun_refuses_is_named() -> None:
    bad = Score.model_construct(**{**score().model_dump(), "state": "vanished"})
    with pytest.raises(RunError, match=r"^p: not a score: state: .*found 'vanished'; use the version of evalkit"):
        schema.decode(Score, schema.encode(Score, [bad]), where="p")
