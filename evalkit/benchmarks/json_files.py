"""JSON files that people publish or write, read strictly."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from evalkit.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

_TOLD = 160
T = TypeVar("T")


def read_json(path: Path, kind: type[T], *, missing: str = "fetch the data again") -> T:
    """The data in a JSON file as `kind`; `missing` says what brings a file that is not there.

    Raises: DataError naming the file and the first thing that does not fit.
    """
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8-sig"))
        return TypeAdapter(kind).validate_python(data)
    except OSError as error:
        raise DataError(f"wanted {str(path)!r}, found {error.strerror or error}; {missing}") from error
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(map(str, problem["loc"])) or "document"
        raise DataError(f"{path}: not of the form that is wanted: {where}: {problem['msg']}") from None
    except ValueError as error:
        raise DataError(
            f"{path}: wanted JSON, found something else: {' '.join(str(error).split()):.{_TOLD}}"
        ) from error
