"""What run.json says: which run this is, what was asked of it last, and under which conditions it was made."""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import Annotated, Final, Literal, Self

from pydantic import Field, JsonValue, field_validator

from evalkit.errors import DataError, RunError
from evalkit.nouns import MetricChoice, Name, Noun, Profile, ProtocolName

RECORD_VERSION: Final = 1
MEND = "restore the file, or rename it to run.json.damaged and run the same command again: samples and scores are kept"


class RunIdentity(Noun):
    """What makes two invocations the same run: all of it must match for one to resume the other."""

    method: str
    method_version: str
    method_config: dict[str, JsonValue] = Field(default_factory=dict)
    benchmark: Name
    world: str | None = None
    """Version of the embedded world that drew the data, None for real data."""
    profile: Profile

    @field_validator("method_config")
    @classmethod
    def _survives_json(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if not _finite(value):
            raise ValueError("a method's configuration holds finite numbers only, for JSON has no others")
        return value

    def first_difference(self, other: Self) -> tuple[str, str, str] | None:
        """(key, mine, theirs) of the first part that differs, values as JSON text; None when equal.

        A part of the method's configuration is named `method_config.KEY`; one that is left out is `nothing`.
        """
        mine, theirs = self._parts(), other._parts()
        for key in dict.fromkeys([*mine, *theirs]):
            if mine.get(key) != theirs.get(key):
                return key, mine.get(key, "nothing"), theirs.get(key, "nothing")
        return None

    def _parts(self) -> dict[str, str]:
        # As JSON texts, for to Python `1`, `1.0` and `True` are equal.
        parts = self.model_dump(mode="json")
        config = parts.pop("method_config")
        parts |= {f"method_config.{key}": config[key] for key in sorted(config)}
        return {key: json.dumps(value, sort_keys=True, ensure_ascii=False) for key, value in parts.items()}


class RunRequest(Noun):
    """What was asked for; the newest one is what is shown and what coverage counts."""

    protocol: ProtocolName
    metrics: tuple[MetricChoice, ...] = Field(min_length=1)
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    limit: int | None = Field(default=None, ge=1)
    """Only so many of the protocol's cases, spread over all of them; None for all."""

    def replaces(self, earlier: RunRequest) -> list[str]:
        """What `earlier` showed and this request does not, one line for all of it; empty where nothing is lost."""
        told = []
        if earlier.protocol != self.protocol:
            told.append(f"protocol {earlier.protocol}")
        dropped = [str(metric) for metric in earlier.metrics if metric not in self.metrics]
        if dropped and earlier.protocol == self.protocol:
            told.append(f"metrics {', '.join(dropped)}")
        if earlier.limit != self.limit:
            told.append("all cases" if earlier.limit is None else f"--limit {earlier.limit}")
        if earlier.seeds != self.seeds:
            told.append(f"--seeds {len(earlier.seeds)}")
        if not told:
            return []
        return [
            f"this run was asked for {' with '.join(told)} before; its table is replaced, its samples and scores stay: "
            "ask for that again to see it"
        ]


class GitState(Noun):
    """The commit of the working folder; `dirty` is None where it could not be told in time."""

    commit: str
    dirty: bool | None


class Hardware(Noun):
    """The machine; None where the system does not say."""

    cpu: str
    cores: int | None
    memory_bytes: int | None
    gpus: tuple[str, ...] = ()
    """Names of the CUDA devices, empty where torch was not in use."""


class Invocation(Noun):
    """One time that evalkit worked on the run."""

    command: tuple[str, ...]
    started: datetime
    finished: datetime | None = None
    """None while it works, and for ever where it was killed."""
    hostname: str
    versions: dict[str, str]
    """Python, evalkit and the packages that numbers depend on."""
    git: GitState | None = None
    hardware: Hardware


class Backbone(Noun):
    """One extractor as it was used."""

    parts: dict[str, str]
    """Its parts of the signature: backbone, weights, preprocessing, dtype."""


class RunRecord(Noun):
    """All of run.json."""

    schema_version: Literal[1] = RECORD_VERSION
    identity: RunIdentity
    request: RunRequest
    data_folder: str | None = None
    """Where the benchmark's data lay, as the user gave it."""
    sample_masks: str | None = None
    """Where the masks of the samples lay, None where none were given."""
    rewards: tuple[str, ...] = ()
    """Metrics that the method declares to have been trained on."""
    method_weights: dict[str, str] = Field(default_factory=dict)
    """sha256 of each weights file that a training in this run left."""
    backbones: dict[str, Backbone] = Field(default_factory=dict)
    """By the extractor's fingerprint."""
    invocations: tuple[Invocation, ...] = ()

    @classmethod
    def parse(cls, text: str, *, where: str) -> Self:
        """The record in `text`. Raises: RunError naming the key that is missing, unknown or wrong."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RunError(f"{where}: wanted JSON, found none ({error}); {MEND}") from None
        version = data.get("schema_version") if isinstance(data, dict) else None
        if isinstance(version, int) and version > RECORD_VERSION:
            raise RunError(
                f"{where}: wanted schema_version {RECORD_VERSION}, found {version!r}; the run was written by a newer "
                "evalkit, use that one"
            )
        try:
            return cls.read(data, where=where)
        except DataError as error:
            raise RunError(f"{error}; use the version of evalkit that wrote it, or {MEND}") from None

    def text(self) -> str:
        """The file's text; `parse` takes it back."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: JsonValue) -> bool:
    if isinstance(value, dict):
        return all(_finite(item) for item in value.values())
    if isinstance(value, list):
        return all(_finite(item) for item in value)
    return not isinstance(value, float) or math.isfinite(value)
