"""Nouns as columns: the typed parquet form of a flat noun, written the same way every time and read back exactly."""

from __future__ import annotations

import enum
import hashlib
import shlex
import types
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin

from evalkit.errors import DataError, RunError, UsageError
from evalkit.nouns import Noun
from evalkit.runs.columns import array

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    import pyarrow.parquet as pq

N = TypeVar("N", bound=Noun)

SCHEMA_VERSION = "1"
"""Raised by hand when a column keeps its type and changes its meaning; other changes show in the columns."""
_NOUN_KEY, _VERSION_KEY, _DIGEST_KEY = "evalkit.noun", "evalkit.schema", b"evalkit.digest"
MOST_ROWS = 1_000_000
"""Of one part; a run of 1,350 cases, four seeds and twelve metrics has 64,800 scores in all of its parts."""
MOST_BYTES = 2**30
"""Of one part's columns as they lie in memory."""
_AT_A_TIME = 8192
_MEND = "use the version of evalkit that wrote the run, or start a new one"


class DamagedPartError(RunError):
    """A part that is cut short or altered, as opposed to one that is whole but of another schema."""


@cache
def arrow_schema(noun: type[Noun]) -> pa.Schema:
    """One column a field: enums and literals as strings, tuples as lists, None allowed only where the field allows it.

    Raises: UsageError for a field that is no scalar, enum or tuple of one of them.
    """
    import pyarrow as pa

    columns = [_column(noun, name) for name in noun.model_fields]
    return pa.schema(columns, metadata={_NOUN_KEY: noun.__name__.lower(), _VERSION_KEY: SCHEMA_VERSION})


def encode(noun: type[N], rows: Sequence[N]) -> bytes:
    """The parquet file of `rows`: equal rows give equal bytes with one version of pyarrow.

    The file carries a digest of its values, so that `decode` never returns altered ones: parquet's own page checksums
    leave the footer open, where one flipped bit can change what a column says.

    Raises: RunError naming the column that cannot hold a row's value (an integer beyond 64 bits), and for more than
    `MOST_ROWS`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if len(rows) > MOST_ROWS:
        raise RunError(f"wanted at most {MOST_ROWS} rows in one part, found {len(rows)}; store them in several")
    schema = arrow_schema(noun)
    arrays = [_array(field, [getattr(row, field.name) for row in rows]) for field in schema]
    digest = _digest([column.to_pylist() for column in arrays])
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, schema, compression="zstd", write_statistics=False, store_schema=False) as writer:
        writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
        writer.add_key_value_metadata({**schema.metadata, _DIGEST_KEY: digest})
    return bytes(sink.getvalue())


def decode(noun: type[N], data: bytes, *, where: str) -> list[N]:
    """The rows of one part, each validated as a noun; `where` is the part's path, for errors.

    Raises: DamagedPartError where `data` is cut short or altered; RunError naming the key where the part is of
    another noun, schema version or set of columns, or holds a value that the noun refuses.
    """
    names = list(noun.model_fields)
    rows = zip(*columns(noun, data, where=where), strict=True)
    try:
        return [noun.read(dict(zip(names, values, strict=True)), where=where) for values in rows]
    except DataError as error:
        raise RunError(f"{error}; {_MEND}") from None


def count(noun: type[Noun], data: bytes, *, where: str) -> int:
    """How many rows the part holds. Raises: as `decode`, but for values that the noun refuses."""
    return len(columns(noun, data, where=where)[0])


def columns(noun: type[Noun], data: bytes, *, where: str) -> list[list[Any]]:
    """The part's values by column, in the order of the noun's fields: as they were stored, nouns when they were.

    Several times as quick as `decode`, for those who read a million rows. Raises: as `count`; RunError for a part of more
    than `MOST_ROWS` or `MOST_BYTES`, before they are in memory.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        held = file.metadata.metadata or {}
        _check_labels(held, arrow_schema(noun).metadata, where)
        _check_columns(file.schema_arrow, arrow_schema(noun), where)
        found = [column.to_pylist() for column in _bounded(file, where).columns]
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _damaged(where, str(error)) from error
    if held.get(_DIGEST_KEY) != _digest(found):
        raise _damaged(where, "its values do not match their digest")
    return found


def _bounded(file: pq.ParquetFile, where: str) -> pa.Table:
    """A small file can announce, and hold, far more than memory does: rows are counted first and then read by the block."""
    import pyarrow as pa

    rows = file.metadata.num_rows
    if rows > MOST_ROWS:
        raise RunError(
            f"{where}: wanted at most {MOST_ROWS} rows in one part, found {rows}; no run of evalkit's has such"
        )
    held, size = [], 0
    for batch in file.iter_batches(batch_size=_AT_A_TIME, use_threads=False):
        size += batch.nbytes
        if size > MOST_BYTES:
            raise RunError(f"{where}: wanted at most {MOST_BYTES} bytes of values in one part, found more")
        held.append(batch)
    return pa.Table.from_batches(held, schema=file.schema_arrow)


def _digest(columns: list[list[Any]]) -> bytes:
    # ascii, not repr: which characters repr escapes depends on the version of Python.
    return hashlib.sha256(ascii(columns).encode()).hexdigest().encode()


def _damaged(where: str, why: str) -> DamagedPartError:
    return DamagedPartError(
        f"{where} is damaged ({' '.join(why.split()):.120}); move it aside and run the same command again, "
        f"what it held will be computed again: mv {shlex.quote(where)} {shlex.quote(where + '.damaged')}"
    )


def _check_labels(held: dict[bytes, bytes], wanted: dict[bytes, bytes], where: str) -> None:
    for key, value in wanted.items():
        if held.get(key) != value:
            there = held[key].decode(errors="replace") if key in held else None
            raise RunError(f"{where}: wanted {key.decode()} {value.decode()!r}, found {there!r}; {_MEND}")


def _check_columns(found: pa.Schema, wanted: pa.Schema, where: str) -> None:
    if found.equals(wanted):
        return
    for name in dict.fromkeys([*wanted.names, *found.names]):
        want, have = _described(wanted, name), _described(found, name)
        if want != have:
            raise RunError(f"{where}: wanted column {name!r} as {want}, found {have}; {_MEND}")
    raise RunError(f"{where}: wanted the columns {wanted.names}, found them as {found.names}; {_MEND}")


def _described(schema: pa.Schema, name: str) -> str:
    places = schema.get_all_field_indices(name)
    if len(places) != 1:
        return "no column" if not places else f"{len(places)} columns"
    field = schema.field(places[0])
    return f"{field.type}{'' if field.nullable else ' (never null)'}"


def _array(field: pa.Field, values: list[Any]) -> pa.Array:
    try:
        return array(field.type, values)
    except (OverflowError, TypeError, ValueError) as error:
        raise RunError(f"column {field.name!r} ({field.type}) cannot hold a row's value: {error}") from error


def _column(noun: type[Noun], name: str) -> pa.Field:
    import pyarrow as pa

    annotation, nullable = noun.model_fields[name].annotation, False
    if get_origin(annotation) in (Union, types.UnionType) and type(None) in get_args(annotation):
        rest = [kind for kind in get_args(annotation) if kind is not type(None)]
        annotation, nullable = rest[0] if len(rest) == 1 else annotation, True
    kind = _kind(annotation)
    if kind is None:
        raise UsageError(
            f"{noun.__name__}.{name}: wanted a scalar, an enum or a tuple of them to store, found {annotation!r}"
        )
    return pa.field(name, kind, nullable=nullable)


def _kind(annotation: Any) -> pa.DataType | None:
    import pyarrow as pa

    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return pa.string() if all(isinstance(value, str) for value in arguments) else None
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        item = _kind(arguments[0])
        return None if item is None else pa.list_(item)
    if isinstance(annotation, type) and issubclass(annotation, enum.StrEnum):
        return pa.string()
    return {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}.get(annotation)
