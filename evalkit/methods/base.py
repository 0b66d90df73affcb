"""The contract of everything that makes samples: what it is, and pictures, clips or answers for jobs."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import JsonValue

from evalkit.errors import UsageError
from evalkit.nouns import Medium, Name, Noun

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from evalkit.benchmarks.base import Loaded
    from evalkit.nouns import Case, Profile


class MethodInfo(Noun):
    """A method's declaration."""

    name: Name
    version: str
    """Raised whenever a sample can change."""
    title: str
    kind: Literal["control", "baseline", "method"]
    meaning: str
    """What it does, and for a control what its row calibrates."""
    media: tuple[Medium, ...]
    max_references: int | None
    """How many reference pictures it can look at; None for any number."""
    needs_masks: bool = False
    """Whether it wants the references' masks."""
    sizes: tuple[tuple[int, int], ...] = ()
    """(height, width) of the pictures it can make; empty where it makes any, or takes the reference's."""
    trains: bool = False
    """Whether `train` does something: `--train` is for such methods alone."""
    options: dict[str, str] = {}
    """What can be set with `--set NAME=VALUE`, and what it means."""
    rewards: tuple[str, ...] = ()
    """Reward families it was trained on; its cells on metrics of these families are in-domain."""
    licence: str
    gated: bool = False
    """Whether its weights are given only to who accepts their terms."""
    source: str
    stochastic: bool
    """False where every seed gives the same sample."""


class Job(NamedTuple):
    """One sample to make."""

    case: Case
    seed: int
    rng_seed: int
    """The generator's seed; depends on method, case and seed alone."""


class Made(NamedTuple):
    """A sample for a job, of the medium of its case, or why there is none: exactly one of the four."""

    job: Job
    pixels: NDArray[np.uint8] | None = None
    """A picture, uint8 [H, W, 3]."""
    reason: str | None = None
    true_picture: bool = False
    """True where the picture may be one of the targets themselves: it is then not compared with itself."""
    clip: NDArray[np.uint8] | None = None
    """A video, uint8 [T, H, W, 3], with its `fps`."""
    fps: float | None = None
    text: str | None = None
    """An answer; white space around it is no part of it."""


@dataclass(frozen=True)
class Context:
    """What a method may know of the run it makes samples for."""

    benchmark: Loaded
    profile: Profile
    work: Path
    """A folder of its own, for logs and scratch files."""
    checkpoint: Path | None = None
    """What `train` left in this run, None where the method was not trained in it."""


class TrainOrder(NamedTuple):
    """What to train on, and where to."""

    folder: Path
    """A folder of the run: what an earlier, interrupted call left there is gone on from."""
    data: Path | None
    """The user's own training data in the documented form, None for the method's own."""
    seed: int


class Method(ABC):
    """What an entry point of `evalkit.methods` holds an instance of."""

    info: MethodInfo

    def configured(self, options: Mapping[str, str]) -> Method:
        """This method with options of `info.options` set. Raises UsageError naming the option that does not fit."""
        unknown = sorted(set(options) - set(self.info.options))
        if unknown:
            known = f"it has {', '.join(self.info.options)}" if self.info.options else "it has none"
            raise UsageError(f"wanted options of {self.info.name}, found {', '.join(unknown)}; {known}")
        return self

    @property
    def config(self) -> dict[str, JsonValue]:
        """Settings that can change a sample: part of a run's identity."""
        return {}

    def check(self, context: Context) -> list[str]:
        """Reasons why this method cannot make samples for this benchmark; empty when it can. Must be quick."""
        return []

    def train(self, order: TrainOrder, context: Context) -> Path:
        """Trains, or goes on training, and returns the checkpoint, a file or folder inside `order.folder`.

        Only for methods whose `info.trains` is true. Raises MethodError, DataError, WeightsError.
        """
        raise UsageError(f"{self.info.name} has no trainer; leave out --train")

    @abstractmethod
    def make(self, jobs: Sequence[Job], context: Context) -> Iterator[Made]:
        """One Made a job, in any order. A sample must not depend on which jobs are asked for together."""


def rng_seed(method: str, case_id: str, seed: int) -> int:
    """The generator's seed for one sample, in [0, 2**63).

    Example:
        >>> rng_seed("noise", "dog.p00", 0) == rng_seed("noise", "dog.p00", 0) != rng_seed("noise", "dog.p00", 1)
        True
    """
    digest = hashlib.sha256(f"{method}\x00{case_id}\x00{seed}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
