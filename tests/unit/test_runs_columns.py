"""Columns built without pandas are those that pyarrow itself would build."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from evalkit.runs.columns import array

if TYPE_CHECKING:
    from pathlib import Path

_STORE = """
import sys
from pathlib import Path
from evalkit.nouns import Score
from evalkit.runs.parts import PartStore
store = PartStore(Path(sys.argv[1]), Score, lambda row: row.key)
store.append([Score(case_id="c", seed=0, metric="m", signature="s", inputs="i", state="scored", value=0.5)])
assert len(store.rows()) == 1
print(" ".join(sorted({"pandas", "torch", "scipy"} & set(sys.modules))))
"""


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.string(), ["a", "", "tür\n\0", "日本"]),
        (pa.string(), ["a", None, "", None, *"bcdefgh"]),
        (pa.int64(), [0, -1, 2**63 - 1, -(2**63)]),
        (pa.int64(), [None, 3]),
        (pa.float64(), [0.1, -0.0, 1e308, 5e-324, 3]),
        (pa.float64(), [None] * 9),
        (pa.bool_(), [True, False] * 5),
        (pa.bool_(), [None, True]),
        (pa.list_(pa.string()), [("a", "b"), (), ("c",)]),
        (pa.list_(pa.string()), [None, ("a",)]),
        (pa.list_(pa.float64()), [(0.5,), (None, 1.5)]),
        (pa.int64(), []),
    ],
)
def test_equal_to_pyarrow(kind: pa.DataType, values: list[Any]) -> None:
    made = array(kind, values)
    made.validate(full=True)
    assert made.equals(pa.array(values, kind))
    assert made.null_count == values.count(None)


@pytest.mark.parametrize(
    ("kind", "values", "error"),
    [
        (pa.int64(), [2**63], OverflowError),
        (pa.int64(), ["x"], ValueError),
        (pa.float64(), [object()], TypeError),
        (pa.string(), [3], TypeError),
    ],
)
def test_values_that_do_not_fit_are_refused(kind: pa.DataType, values: list[Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        array(kind, values)


def test_storing_and_reading_import_nothing_that_takes_seconds(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _STORE, str(tmp_path)]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "\n"
