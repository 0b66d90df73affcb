"""A benchmark's declaration: `benchmarks/<name>/spec.yaml`, typed."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field

from evalkit.content import content, read_yaml
from evalkit.errors import UsageError
from evalkit.nouns import Medium, Name, Noun, Protocol, ProtocolName
from evalkit.registry import unknown


class Source(Noun):
    """Where a dataset comes from and on what terms."""

    paper: str
    repository: str
    hub: str | None = None
    """Id of the dataset on the hub, where there is one."""
    licence: str
    accept: str | None = None
    """Name of a licence that is to be accepted by that name before the data are fetched, as where use is not free to all."""
    size: str | None = None
    """How much there is to fetch, where it is known."""
    get: str
    """One sentence: how a user gets the data onto this machine."""


class Design(Noun):
    """How the cases hang together, for statistics."""

    unit: Literal["subject", "set", "video"]
    prompts: Literal["crossed", "nested"]
    """Crossed: every subject has the same prompts. Nested: each subject has its own."""
    strata: tuple[str, ...] = ()
    note: str = ""


class Expected(Noun):
    """What a whole copy of the data holds; loaders check it."""

    subjects: int
    prompts_per_subject: int
    cases: dict[ProtocolName, int | None]
    """Cases for each protocol, None where the number is not published."""


class BenchmarkSpec(Noun):
    """Everything about a benchmark that a person may edit. Holds facts, no copyrighted data."""

    name: Name
    title: str
    meaning: str
    """Two sentences: what it asks of a method."""
    medium: Medium
    beside: tuple[Medium, ...] = ()
    """Further media of its cases; which a protocol asks for is the cases' own."""
    source: Source
    data_card: str
    layout: str
    """The folder layout that `--data` must have."""
    design: Design
    expected: Expected
    default_protocol: ProtocolName
    protocols: tuple[Protocol, ...] = Field(min_length=1)
    sandbox: bool
    """True where an embedded counterpart exists."""
    data_of: Name | None = None
    """The benchmark whose data it reads, where it has none of its own."""
    sha256: dict[str, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]] = {}
    """Of published files, by their path below the folder that is loaded; `evalkit data verify` holds those that are there to it."""
    shipped: Name | None = None
    """Folder beside the spec whose data travels with evalkit, for benchmarks that are texts of our own."""
    facts: dict[str, Any] = {}
    """What this benchmark's loader needs (chosen references, pairs, templates); the loader validates it."""

    def protocol(self, name: str | None) -> Protocol:
        """The protocol of that name, the default one for None. Raises UsageError with the nearest names."""
        wanted = name or self.default_protocol
        by_name = {protocol.name: protocol for protocol in self.protocols}
        if wanted not in by_name:
            raise UsageError(
                unknown(f"protocol of {self.name}", wanted, list(by_name), f"evalkit describe benchmark {self.name}")
            )
        return by_name[wanted]


@cache
def read_spec(name: str) -> BenchmarkSpec:
    """The spec of a first-party benchmark. Raises DataError where the file does not validate."""
    path = content("benchmarks", name, "spec.yaml")
    return BenchmarkSpec.read(read_yaml(path), where=f"benchmarks/{name}/spec.yaml")
