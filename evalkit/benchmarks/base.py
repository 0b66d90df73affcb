"""The contract of a benchmark: a spec, and a loader from data on disk to cases."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from evalkit.benchmarks.spec import BenchmarkSpec
    from evalkit.nouns import Case

    TrueClip = tuple[NDArray[np.uint8], float]


@dataclass(frozen=True)
class Loaded:
    """A benchmark's cases for one protocol, with the folder that their references live in.

    `real_image(case, seed)` gives pixels uint8 [H, W, 3] of a true picture of the case's subject that is not the
    reference, or None where the data holds none: the ceiling control asks for it.
    `official_name(case, seed)` gives the sample's path without suffix in the benchmark's own output layout, so that
    `evalkit score` reads folders that the authors' scripts wrote.
    `real_clip(case, seed)` is the same of videos: frames uint8 [T, H, W, 3] and frames a second, or None.
    `world` says which embedded world drew the data (its version), None for real data.
    """

    spec: BenchmarkSpec
    protocol: str
    cases: tuple[Case, ...]
    root: Path
    real_image: Callable[[Case, int], NDArray[np.uint8] | None]
    official_name: Callable[[Case, int], str | None] = field(default=lambda _case, _seed: None)
    world: str | None = None
    real_clip: Callable[[Case, int], TrueClip | None] = field(default=lambda _case, _seed: None)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Every subject, in the order of the cases."""
        return tuple(dict.fromkeys(subject for case in self.cases for subject in case.subjects))


@runtime_checkable
class Benchmark(Protocol):
    """What an entry point of `evalkit.benchmarks` holds."""

    @property
    def spec(self) -> BenchmarkSpec:
        """The declaration."""
        ...

    def load(self, data: Path, protocol: str) -> Loaded:
        """Cases for a protocol from a folder in the official layout.

        Checks counts, names, prompt files and that every picture decodes. Raises ProblemsError with all problems at once.
        """
        ...

    def fetch(self, folder: Path) -> Path:
        """Brings the data from where it is published into `folder` in the official layout; returns the folder to load.

        Whole or not at all: `evalkit.benchmarks.hub_files` and `hub` do so. What is there is left and not brought again. Who
        calls (`evalkit.benchmarks.obtain`) shows the terms first, verifies, and writes the manifest without which no run
        takes the folder. Raises DataError saying how to get the data where it is not published as such or cannot be reached.
        """
        ...

    def embed(self, folder: Path) -> Path:
        """Writes the embedded counterpart into `folder` in the official layout and returns the folder to load.

        Raises DataError where there is none.
        """
        ...
