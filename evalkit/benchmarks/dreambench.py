"""DreamBench: 30 subjects in 158 photographs, 25 prompts each, by three conventions of use.

Source: google/dreambooth (data); bytedance/UNO, `datasets/dreambench_singleip.json` and `dreambench_multiip.json`, for
which photograph and which pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.benchmarks.base import Loaded
from evalkit.benchmarks.dreambench_cases import DreamBenchData, dreambooth_cases, uno_multi_cases, uno_single_cases
from evalkit.benchmarks.dreambench_facts import DreamBenchFacts
from evalkit.benchmarks.dreambench_prompts import PromptFile, parse_prompt_file
from evalkit.benchmarks.hub_files import fetch_files
from evalkit.benchmarks.layout import (
    Checked,
    compare_names,
    entries,
    find_root,
    heading,
    listed,
    pictures_by_stem,
    read_lines,
    undecodable,
)
from evalkit.benchmarks.spec import read_spec
from evalkit.errors import DataError, ProblemsError
from evalkit.nouns import Reference

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from evalkit.benchmarks.spec import BenchmarkSpec
    from evalkit.nouns import Case
    from evalkit.sandbox.scenes import SceneWorld

PROMPT_FILE = "prompts_and_classes.txt"
BELOW = "dataset"
"""What the published repository calls the folder."""
WORLD_FILE = "world.json"
ACTIONS_FILE = "prompts.json"
"""Prompts of videos, which `dream_vbench` reads."""
_PAPERS = frozenset(
    {PROMPT_FILE, WORLD_FILE, ACTIONS_FILE, "references_and_licenses.txt", "LICENSE", "LICENSE.md", "README.md"}
)
_CASES = {"dreambooth": dreambooth_cases, "uno_single": uno_single_cases, "uno_multi": uno_multi_cases}


class DreamBench:
    """The loader. `data` is the folder of the 30 subject folders, or the one above it that calls it `dataset`."""

    @property
    def spec(self) -> BenchmarkSpec:
        """The declaration."""
        return read_spec("dreambench")

    def load(self, data: Path, protocol: str) -> Loaded:
        """The cases of `dreambooth` (750), `uno_single` (750) or `uno_multi` (750), subject-major.

        `real_image` gives another photograph of the subject, number (prompt_index + seed) modulo how many there are.
        In `uno_single` the target is not among them. In `dreambooth` every photograph is a target, and a real image is
        compared with the others alone (`Sample.true_picture`). In `uno_multi` there is none. With a `world.json` the
        data are the embedded world's: that file says which subjects and pairs there are, and `real_image` renders what
        the prompt asks for, of pairs too.

        `official_name` is UNO's `{i}_{j}` (position in the list, seed) for its two protocols. DreamBooth's authors
        publish no layout: `<subject>/<prompt_index>/<seed>` stands in for one.

        Raises: DataError, ProblemsError (see Benchmark.load); UsageError for a protocol that the spec does not have.
        """
        name = self.spec.protocol(protocol).name
        root, found, world = read_dreambench(data, self.spec)
        cases = tuple(_CASES[name](found))
        official = _official_name(name, cases)
        if world is None:
            return Loaded(self.spec, name, cases, root, _real_image(found, root), official)

        def real_image(case: Case, seed: int) -> NDArray[np.uint8] | None:
            return world.picture(case.case_id, seed)

        return Loaded(self.spec, name, cases, root, real_image, official, world.version)

    def fetch(self, folder: Path) -> Path:
        """Brings the photographs, prompts and licences from the hub. A `folder` that holds them is returned as it is.

        Raises: see `fetch_files`.
        """
        if not (folder / BELOW / PROMPT_FILE).exists():
            source = self.spec.source
            fetch_files(str(source.hub), folder, wanted=(f"{BELOW}/**",), get=source.get)
        return folder

    def embed(self, folder: Path) -> Path:
        """Writes the embedded world's subjects and pairs into a folder of its version in `folder`. Raises: RunError."""
        from evalkit.sandbox.dreambench import embed_dreambench

        return embed_dreambench(folder)


DREAMBENCH = DreamBench()


def read_dreambench(data: Path, spec: BenchmarkSpec) -> tuple[Path, DreamBenchData, SceneWorld | None]:
    """The folder of the photographs, what it holds, and the embedded world where the photographs are drawn.

    `spec` is told where something is wrong. Raises: DataError, ProblemsError (see Benchmark.load).
    """
    root = find_root(data, spec, mark=PROMPT_FILE, below=BELOW)
    world = _world(root)
    found, problems = _read(root, DREAMBENCH.spec, world)
    if problems:
        raise ProblemsError(heading(root, spec), problems)
    return root, found, world


def _world(root: Path) -> SceneWorld | None:
    """The embedded world in the folder, None where the data are photographs. Raises: DataError for a damaged one."""
    if not (root / WORLD_FILE).exists():
        return None
    from evalkit.sandbox.scenes import SceneWorld

    return SceneWorld(root)


def _read(root: Path, spec: BenchmarkSpec, world: SceneWorld | None) -> tuple[DreamBenchData, list[str]]:
    published, where = spec.facts, f"benchmarks/{spec.name}/spec.yaml, facts"
    count = spec.expected.prompts_per_subject
    if world is not None:
        published, where, count = (
            world.facts.get("dreambench", {}),
            f"{WORLD_FILE}, facts",
            world.facts.get("prompts", 0),
        )
    facts = DreamBenchFacts.read(published, where=where)
    prompts, problems = _read_prompts(root, facts, count)
    inside = entries(root)
    problems += compare_names("subject folders", facts.classes, [path.name for path in inside if path.is_dir()])
    strays = [path.name for path in inside if not path.is_dir() and path.name not in _PAPERS]
    if strays:
        problems.append(
            f"wanted subject folders and {PROMPT_FILE}, found the files {listed(strays)} too; move them out"
        )
    photographs = {}
    for subject in facts.classes:
        if (root / subject).is_dir():
            photographs[subject], lines = _read_photographs(root, subject, facts)
            problems += lines
    problems += undecodable(root, (Checked(shot.path) for shots in photographs.values() for shot in shots))
    return DreamBenchData(facts, prompts.phrases, photographs), problems


def _read_prompts(root: Path, facts: DreamBenchFacts, wanted: int) -> tuple[PromptFile, list[str]]:
    try:
        parsed = parse_prompt_file(read_lines(root / PROMPT_FILE, PROMPT_FILE))
    except DataError as error:
        return PromptFile(), [str(error)]
    problems = [f"{PROMPT_FILE}, {line}" for line in parsed.problems]
    problems += compare_names(f"{PROMPT_FILE}, class table", facts.classes, parsed.classes)
    for subject, word in facts.classes.items():
        found = parsed.classes.get(subject, word)
        if found != word:
            problems.append(f"{PROMPT_FILE}, class table: wanted class {word!r} for {subject!r}, found {found!r}")
    for kind, phrases in parsed.phrases.items():
        if len(phrases) != wanted:
            problems.append(f"{PROMPT_FILE}: wanted {wanted} {kind} prompts, found {len(phrases)}; fetch it again")
    return parsed, problems


def _read_photographs(root: Path, subject: str, facts: DreamBenchFacts) -> tuple[tuple[Reference, ...], list[str]]:
    found, problems = pictures_by_stem(root / subject, subject)
    numbers = facts.numbers(subject)
    problems += compare_names(f"photographs of {subject}", numbers, found)
    shots = (found[number] for number in numbers if number in found)
    word = facts.classes[subject]
    return tuple(Reference(path=f"{subject}/{p.name}", subject=subject, label=word) for p in shots), problems


def _real_image(data: DreamBenchData, root: Path) -> Callable[[Case, int], NDArray[np.uint8] | None]:
    def real_image(case: Case, seed: int) -> NDArray[np.uint8] | None:
        from evalkit.media import decode_image

        if len(case.subjects) > 1:
            return None
        every = data.photographs[case.subjects[0]]
        others = [shot for shot in every if shot not in case.targets] or every
        return decode_image(root / others[(case.prompt_index + seed) % len(others)].path).pixels

    return real_image


def _official_name(protocol: str, cases: tuple[Case, ...]) -> Callable[[Case, int], str | None]:
    if protocol == "dreambooth":
        return lambda case, seed: f"{case.subjects[0]}/{case.prompt_index}/{seed}"
    position = {case.case_id: index for index, case in enumerate(cases)}
    return lambda case, seed: f"{position[case.case_id]}_{seed}"
