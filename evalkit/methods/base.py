"""The contract of everything that makes samples: what it is, and pictures for jobs."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from evalkit.nouns import Medium, Name, Noun

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
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
    rewards: tuple[str, ...] = ()
    """Reward families it was trained on; its cells on metrics of these families are in-domain."""
    licence: str
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
    """A picture for a job: pixels uint8 [H, W, 3], or why there is none."""

    job: Job
    pixels: NDArray[np.uint8] | None
    reason: str | None = None
    true_picture: bool = False
    """True where the picture may be one of the targets themselves: it is then not compared with itself."""


@dataclass(frozen=True)
class Context:
    """What a method may know of the run it makes samples for."""

    benchmark: Loaded
    profile: Profile
    work: Path
    """A folder of its own, for logs and checkpoints."""


class Method(ABC):
    """What an entry point of `evalkit.methods` holds an instance of."""

    info: MethodInfo

    def check(self, context: Context) -> list[str]:
        """Reasons why this method cannot make samples for this benchmark; empty when it can. Must be quick."""
        return []

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
