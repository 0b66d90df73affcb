"""The parts of a recipe: where the code is from, what it runs in, its commands and their time limits."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from evalkit.methods.external.placeholders import Arguments, placeholders
from evalkit.nouns import Noun

JobField = Literal[
    "index", "case_id", "sample", "seed", "prompt", "prompt_index", "reference", "references", "mask", "masks",
    "label", "labels", "output", "checkpoint",
]  # fmt: skip
"""What a line of the items file and a worker's request hold of a job."""
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Patch(Noun):
    """What has to be changed in the repository by hand, and why."""

    file: str
    what: str
    why: str


class Repository(Noun):
    """Where the code is from."""

    url: str = Field(min_length=1)
    commit: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{7,40}$")]
    licence: str
    patches: tuple[Patch, ...] = ()


class Environment(Noun):
    """What the commands run in."""

    kind: Literal["uv", "conda", "docker", "existing"]
    python: Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+){0,2}$")] | None = None
    """Its version, for uv and conda."""
    interpreter: str | None = None
    """A program or path, for existing; for docker, inside the image."""
    requirements: tuple[str, ...] | str = ()
    """A list, or a file in the repository, for uv and conda."""
    image: str | None = None
    mounts: tuple[str, ...] = ()
    """Folders that a container sees besides those of the run."""

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        wanted = {"uv": {"python"}, "conda": {"python"}, "docker": {"image"}, "existing": {"interpreter"}}[self.kind]
        allowed = wanted | ({"requirements"} if self.kind in ("uv", "conda") else set())
        allowed |= {"mounts", "interpreter"} if self.kind == "docker" else set()
        there = {key for key in ("python", "interpreter", "requirements", "image", "mounts") if getattr(self, key)}
        if lacking := sorted(wanted - there):
            raise ValueError(f"an environment of kind {self.kind} needs {', '.join(lacking)}")
        if beside := sorted(there - allowed):
            raise ValueError(f"an environment of kind {self.kind} has no {', '.join(beside)}")
        return self


class Train(Noun):
    """One command that trains."""

    command: Arguments
    checkpoint: str = Field(min_length=1)
    """A pattern below {output}; the last match by its numbers counts."""

    @model_validator(mode="after")
    def _stays_inside(self) -> Self:
        path, windows = PurePosixPath(self.checkpoint), PureWindowsPath(self.checkpoint)
        if path.is_absolute() or windows.drive or windows.root or ".." in path.parts or placeholders(self.checkpoint):
            raise ValueError(
                f"train.checkpoint is a pattern inside {{output}}, without placeholders, found {self.checkpoint!r}"
            )
        return self


class Generate(Noun):
    """The command that makes samples."""

    mode: Literal["item", "batch", "worker"]
    command: Arguments
    items: Literal["json", "jsonl"] | None = None
    fields: dict[str, JobField] = {}
    """The program's own names of what it reads in the items file; all fields by their own names where empty."""
    outputs: str | None = Field(default=None, min_length=1)
    """A pattern, below {output} or absolute, that says which file is which sample."""
    chunk: int | None = Field(default=None, ge=1)
    """Samples a process in batch mode; None for all at once."""
    checkpoint: str | None = None
    """What {checkpoint} is where the run has trained nothing."""


class Limits(Noun):
    """Time limits in seconds."""

    setup: Seconds | None = None
    train: Seconds | None = None
    item: Seconds | None = None
    batch: Seconds | None = None
    start: Seconds | None = None
    """What a worker's first answer may take beyond `item`."""
