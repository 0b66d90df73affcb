"""OpenS2V-Eval: videos of one to three given things; published, or rendered by the embedded world.

Source: franciszzj/OpenS2V-Nexus at ef17513, `eval/` (files, ids, names of samples).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.benchmarks.base import Loaded
from evalkit.benchmarks.hub_files import fetch_files
from evalkit.benchmarks.layout import Checked, find_root, heading, undecodable
from evalkit.benchmarks.opens2v_layout import Entry, OpenS2VFacts, cases_of, read_entries
from evalkit.benchmarks.spec import read_spec
from evalkit.errors import ProblemsError
from evalkit.progress import warn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from evalkit.benchmarks.base import TrueClip
    from evalkit.benchmarks.spec import BenchmarkSpec
    from evalkit.nouns import Case
    from evalkit.sandbox.scenes import SceneWorld

WORLD_FILE = "world.json"
PICTURES = "Images"
_DOMAINS = {"": "open", "single": "single", "human": "human"}
"""Of a protocol, by what follows its release: `v1.1_human`."""


class OpenS2V:
    """The loader. `data` is the folder of the three files and of `Images/`, or the one above it."""

    @property
    def spec(self) -> BenchmarkSpec:
        """The declaration."""
        return read_spec("opens2v")

    def load(self, data: Path, protocol: str) -> Loaded:
        """A case for each entry of the protocol's domain, in the order of its file; 180, 90 or 60 of the published data.

        Without any `Images/` the cases load all the same, with a warning: what needs no reference can be scored. With a
        `world.json` the data are the embedded world's, and `real_clip` renders what an entry asks for. `official_name` is
        the id, as the authors' scripts want videos named.

        Raises: DataError, ProblemsError (see Benchmark.load); UsageError for a protocol that the spec does not have.
        """
        name = self.spec.protocol(protocol).name
        domain = _DOMAINS[name.partition("_")[2]]
        root = find_root(data, self.spec, mark=self._facts(None).domains["open"].file, below="OpenS2V-Eval")
        world = _world(root)
        entries, problems = read_entries(root, self._facts(world).domains[domain])
        problems += self._pictures(root, entries)
        if problems:
            raise ProblemsError(heading(root, self.spec), problems)

        def real_clip(case: Case, seed: int) -> TrueClip | None:
            return None if world is None else world.clip(case.case_id, seed)

        return Loaded(
            self.spec, name, cases_of(entries), root, lambda _case, _seed: None, _official_name,
            None if world is None else world.version, real_clip=real_clip,
        )  # fmt: skip

    def _pictures(self, root: Path, entries: Sequence[Entry]) -> list[str]:
        """A line for each picture that is missing or does not decode; none where there is no picture at all."""
        named = sorted({picture for entry in entries for picture in entry.pictures})
        if not (root / PICTURES).is_dir():
            warn(
                f"{root} holds no {PICTURES}/: what compares with references has no value, and no method can be run on it; "
                f"{self.spec.source.get}"
            )
            return []
        return undecodable(root, (Checked(picture) for picture in named))

    def fetch(self, folder: Path) -> Path:
        """Brings the three files and the pictures from the hub. A `folder` that holds them already is returned as it is.

        Raises: see `fetch_files`.
        """
        files = [domain.file for domain in self._facts(None).domains.values()]
        if not all((folder / name).exists() for name in (*files, PICTURES)):
            fetch_files(str(self.spec.source.hub), folder, wanted=(*files, f"{PICTURES}/**"), get=self.spec.source.get)
        return folder

    def embed(self, folder: Path) -> Path:
        """Writes the embedded world's cases into a folder of its version in `folder`. Raises: RunError."""
        from evalkit.sandbox.opens2v import embed_opens2v

        return embed_opens2v(folder)

    def _facts(self, world: SceneWorld | None) -> OpenS2VFacts:
        if world is not None:
            return OpenS2VFacts.read(world.facts, where=f"{WORLD_FILE}, facts")
        return OpenS2VFacts.read(self.spec.facts, where="benchmarks/opens2v/spec.yaml, facts")


def _official_name(case: Case, seed: int) -> str | None:
    """The authors' videos are of one seed."""
    return case.case_id if seed == 0 else None


def _world(root: Path) -> SceneWorld | None:
    if not (root / WORLD_FILE).exists():
        return None
    from evalkit.sandbox.scenes import SceneWorld

    return SceneWorld(root)


OPENS2V = OpenS2V()
