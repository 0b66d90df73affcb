"""What every noun shares: frozen, strict about unknown keys, one JSON form."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from evalkit.errors import DataError

_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")
_FILE_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,180}")


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(f"a name is lower-case letters, digits and '_', found {value!r}")
    return value


def _file_safe(value: str) -> str:
    if not _FILE_SAFE.fullmatch(value) or ".." in value:
        raise ValueError(
            f"an id is letters, digits, '_', '-' and '.', at most 181 long and without '..', found {value!r}"
        )
    return value


def _protocol_name(value: str) -> str:
    for part in value.split("."):
        _name(part)
    return value


Name = Annotated[str, AfterValidator(_name)]
ProtocolName = Annotated[str, AfterValidator(_protocol_name)]
"""As a name, with dots inside for a version: `v1.1`."""
FileSafeId = Annotated[str, AfterValidator(_file_safe)]


class Noun(BaseModel):
    """A frozen value with a JSON form; a key it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def read(cls, data: Any, *, where: str) -> Self:
        """The noun in `data` (a dict, or JSON text); `where` names the source in errors.

        Raises DataError naming each key that is missing, unknown or of the wrong type.
        """
        try:
            return cls.model_validate_json(data) if isinstance(data, str | bytes) else cls.model_validate(data)
        except ValidationError as error:
            raise DataError(f"{where}: not a {cls.__name__.lower()}: {_told(error)}") from None

    def to_json(self) -> str:
        """One line of JSON, keys in declaration order; `read` takes it back."""
        return self.model_dump_json()

    def digest(self) -> str:
        """sha256 of the JSON form with sorted keys, hexadecimal.

        Keys at their default are left out, so that one that is added later, with a default, changes no digest.
        """
        return digest(self.model_dump(mode="json", exclude_defaults=True))


def digest(value: Any) -> str:
    """sha256 of `value` as compact JSON with sorted keys, hexadecimal."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _told(error: ValidationError) -> str:
    told = []
    for problem in error.errors(include_url=False):
        key = ".".join(str(part) for part in problem["loc"]) or "document"
        found = "" if problem["type"] in ("missing", "extra_forbidden") else f", found {problem['input']!r:.80}"
        message = {"missing": "is missing", "extra_forbidden": "is not a known key"}.get(
            problem["type"], problem["msg"]
        )
        told.append(
            f"{key} {message}{found}"
            if problem["type"] in ("missing", "extra_forbidden")
            else f"{key}: {message}{found}"
        )
    return "; ".join(told)
