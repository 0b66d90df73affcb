"""Arrow arrays from lists of Python values, built from their buffers.

pyarrow's own `pa.array` looks for pandas when it is given a list, and importing that takes seconds: more than all the
rest of storing a small part.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa


def array(kind: pa.DataType, values: Sequence[Any]) -> pa.Array:
    """An array of `values`, None for null; `kind` is string, int64, float64, bool or a list of one of them.

    Raises: OverflowError for an integer beyond 64 bits, or more than 2 GiB of text; TypeError or ValueError for what
    is no number or no text at all.
    """
    import pyarrow as pa

    buffers, children = [_validity(values)], []
    if pa.types.is_string(kind):
        texts = [b"" if value is None else str.encode(value) for value in values]
        buffers += [_offsets(texts), pa.py_buffer(b"".join(texts))]
    elif pa.types.is_list(kind):
        lists = [() if value is None else value for value in values]
        buffers.append(_offsets(lists))
        children.append(array(kind.value_type, [item for items in lists for item in items]))
    elif pa.types.is_boolean(kind):
        buffers.append(_bits([bool(value) for value in values]))
    else:
        buffers.append(_numbers([0 if value is None else value for value in values], str(kind)))
    return pa.Array.from_buffers(kind, len(values), buffers, children=children)


def _validity(values: Sequence[Any]) -> pa.Buffer | None:
    return _bits([value is not None for value in values]) if None in values else None


def _bits(flags: Sequence[bool]) -> pa.Buffer:
    import numpy as np
    import pyarrow as pa

    return pa.py_buffer(np.packbits(np.array(flags, dtype=bool), bitorder="little").tobytes())


def _offsets(items: Sequence[Sequence[Any] | bytes]) -> pa.Buffer:
    return _numbers(list(accumulate(map(len, items), initial=0)), "int32")


def _numbers(values: Sequence[float], dtype: Any) -> pa.Buffer:
    import numpy as np
    import pyarrow as pa

    return pa.py_buffer(np.array(values, dtype=dtype).tobytes())
