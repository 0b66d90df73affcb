"""DreamBench++: 150 subjects of one picture each, nine prompts each; real, or rendered by the embedded world.

Source: yuangpeng/dreambench_plus at 66ca27e, `dreambench_plus/dreambench_plus_dataset.py` (layout, names),
`generate_images.py` (names of samples).
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from evalkit.benchmarks.base import Loaded
from evalkit.benchmarks.dreambench_pp_layout import DreamBenchPPFacts, cases_of, read_subjects
from evalkit.benchmarks.dreambench_pp_world import WORLD_FILE, World
from evalkit.benchmarks.hub import fetch_archive, unpack
from evalkit.benchmarks.layout import Checked, find_root, heading, undecodable
from evalkit.benchmarks.spec import read_spec
from evalkit.errors import DataError, ProblemsError
from evalkit.files import write_error
from evalkit.progress import warn

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from evalkit.benchmarks.spec import BenchmarkSpec
    from evalkit.nouns import Case

_TOPS = ("images", "captions")


class DreamBenchPP:
    """The loader. `data` is the folder of `images/` and `captions/`, or the one above it that calls it `data`."""

    @property
    def spec(self) -> BenchmarkSpec:
        """The declaration."""
        return read_spec("dreambench_pp")

    def load(self, data: Path, protocol: str) -> Loaded:
        """Nine cases a subject, subjects in the authors' order; 1350 of the published data.

        With a `world.json` the data are the embedded world's: that file says how many subjects there are, prompts must
        be its prompts, and `real_image` renders what the prompt asks for. The published subjects have one picture each,
        the reference, so there `real_image` gives None. `masks/` of the same names are used where they are.

        `official_name` is `tgt_image/<collection id>/<prompt>_<seed>`, as the authors' script writes samples.

        Raises: DataError, ProblemsError (see Benchmark.load); UsageError for a protocol that the spec does not have.
        """
        name = self.spec.protocol(protocol).name
        facts = self._facts()
        root = find_root(data, self.spec, mark="images", below="data")
        world = World(root) if (root / WORLD_FILE).exists() else None
        published = {category: fact.subjects for category, fact in facts.categories.items()}
        subjects, problems = read_subjects(root, facts, world.counts(facts.categories) if world else published)
        problems += undecodable(root, (Checked(s.reference.path, s.reference.mask) for s in subjects))
        problems += world.differences(subjects) if world else []
        if problems:
            raise ProblemsError(heading(root, self.spec), problems)
        cases = tuple(case for subject in subjects for case in cases_of(subject, facts.prompt_kinds))
        by_id = {subject.collection_id: subject for subject in subjects}

        def real_image(case: Case, seed: int) -> NDArray[np.uint8] | None:
            return world.picture(by_id[case.subjects[0]], case, seed) if world else None

        def official_name(case: Case, seed: int) -> str:
            return f"tgt_image/{case.subjects[0]}/{case.prompt_index}_{seed}"

        return Loaded(self.spec, name, cases, root, real_image, official_name, world.version if world else None)

    def fetch(self, folder: Path) -> Path:
        """Brings the published archive (15 MB) from the hub, verified, and unpacks its pictures and captions.

        A `folder` that holds them already is returned as it is. Raises: see `fetch_archive` and `unpack`.
        """
        if not all((folder / top).is_dir() for top in _TOPS):
            source = self.spec.source
            unpack(fetch_archive(str(source.hub), self._facts().archive, get=source.get), folder, tops=_TOPS)
        return folder

    def embed(self, folder: Path) -> Path:
        """Writes the embedded world into a folder of its version in `folder`, where it stays for the next time.

        A folder there that was damaged since is drawn again. Raises: RunError when it cannot be written.
        """
        from evalkit.sandbox.benchmark import write_dreambench_pp
        from evalkit.sandbox.world import WORLD_VERSION

        root = folder / f"world-{WORLD_VERSION}"
        try:
            write_dreambench_pp(root)
        except DataError:  # the cache is ours: what is there is a damaged world
            warn(f"the embedded world in {root} is damaged; drawing it again")
            _remove(root)
            write_dreambench_pp(root)
        return root

    def _facts(self) -> DreamBenchPPFacts:
        return DreamBenchPPFacts.read(self.spec.facts, where="benchmarks/dreambench_pp/spec.yaml, facts")


def _remove(root: Path) -> None:
    try:
        shutil.rmtree(root) if root.is_dir() else root.unlink()
    except OSError as error:
        raise write_error(root, error) from error


DREAMBENCH_PP = DreamBenchPP()
