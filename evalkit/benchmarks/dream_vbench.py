"""Dream-VBench: videos of DreamBench's subjects in motion, alone and in pairs.

Source: Consis-GCPO, section 4.1 and appendix A.1.2, for subjects, number and measures; its prompts are not public. The
prompts here are evalkit's own (`evalkit.benchmarks.action_grammar`), or the user's in the same form.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pydantic import Field

from evalkit.benchmarks.base import Loaded
from evalkit.benchmarks.dreambench import ACTIONS_FILE, DREAMBENCH, read_dreambench
from evalkit.benchmarks.json_files import Text, read_json, repeated
from evalkit.benchmarks.layout import listed
from evalkit.benchmarks.spec import read_spec
from evalkit.content import content
from evalkit.errors import DataError, ProblemsError
from evalkit.nouns import Case, Noun

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from evalkit.benchmarks.base import TrueClip
    from evalkit.benchmarks.dreambench_cases import DreamBenchData
    from evalkit.benchmarks.spec import BenchmarkSpec

_SIZES = {"single": 1, "multi": 2}
"""Protocols of one kind of cases, by the number of their subjects."""


class Action(Noun):
    """One line of the prompt file."""

    subjects: tuple[str, ...] = Field(min_length=1, max_length=2)
    """Names of DreamBench's subjects."""
    prompt: Text


class DreamVBench:
    """The loader. `data` is DreamBench's folder; a `prompts.json` in it stands in for the prompts that evalkit has."""

    @property
    def spec(self) -> BenchmarkSpec:
        """The declaration."""
        return read_spec("dream_vbench")

    def load(self, data: Path, protocol: str) -> Loaded:
        """A case for each prompt, in the order of the file, of the medium `video`.

        References and targets are the one photograph of each subject that UNO's lists show. With a `world.json` the data
        are the embedded world's, and `real_clip` renders what a prompt asks for. `official_name` gives None: no layout of
        samples is published.

        Raises: DataError, ProblemsError (see Benchmark.load); UsageError for a protocol that the spec does not have.
        """
        name = self.spec.protocol(protocol).name
        root, found, world = read_dreambench(data, self.spec)
        own = root / ACTIONS_FILE
        path = own if own.exists() else content("benchmarks", self.spec.name, "evalkit_actions", ACTIONS_FILE)
        actions = read_actions(path)
        if problems := list(_faults(actions, found)):
            raise ProblemsError(f"{str(path)!r} does not fit DreamBench's subjects", problems)
        wanted = _SIZES.get(name)
        cases = tuple(case for case in _cases(actions, found) if wanted in (None, len(case.subjects)))

        def real_clip(case: Case, seed: int) -> TrueClip | None:
            return None if world is None else world.clip(case.case_id, seed)

        drawn = world.version if world is not None else None
        return Loaded(self.spec, name, cases, root, lambda _case, _seed: None, world=drawn, real_clip=real_clip)

    def fetch(self, folder: Path) -> Path:
        """Brings DreamBench's photographs; the prompts travel with evalkit. Raises: see `fetch_files`."""
        return DREAMBENCH.fetch(folder)

    def embed(self, folder: Path) -> Path:
        """Writes the embedded world's subjects, with prompts for clips, into a folder in `folder`. Raises: RunError."""
        from evalkit.sandbox.dreambench import embed_dream_vbench

        return embed_dream_vbench(folder)


DREAM_VBENCH = DreamVBench()


def read_actions(path: Path) -> tuple[Action, ...]:
    """A prompt file: a JSON list of objects with `subjects` (one or two) and `prompt`. Raises: DataError, ProblemsError."""
    actions = read_json(path, tuple[Action, ...])
    if not actions:
        raise DataError(f"{path}: wanted prompts, found none; write one or take evalkit's own")
    return actions


def _faults(actions: Sequence[Action], data: DreamBenchData) -> Iterator[str]:
    """A line for each prompt whose subjects are not to be had."""
    for number, action in enumerate(actions):
        if strangers := [subject for subject in action.subjects if subject not in data.facts.classes]:
            one = next(iter(data.facts.classes))
            yield f"{number}: wanted subjects of DreamBench, found {listed(strangers)}; {one!r} is one"
        elif twice := repeated(action.subjects):
            yield f"{number}: wanted two subjects, found {twice[0]!r} twice; name it once or another beside it"


def _cases(actions: Sequence[Action], data: DreamBenchData) -> Iterator[Case]:
    facts, numbers = data.facts, Counter[tuple[str, ...]]()
    for action in actions:
        subjects = action.subjects
        shown = tuple(data.chosen(subject) for subject in subjects)
        index = numbers[subjects]
        numbers[subjects] += 1
        kinds = "_".join(facts.kind(subject) for subject in subjects)
        yield Case(
            case_id=f"{'.'.join(subjects)}.a{index:02d}",
            prompt=action.prompt,
            subjects=subjects,
            references=shown,
            targets=shown,
            category=kinds,
            tags=("single" if len(subjects) == 1 else "multi",),
            prompt_index=index,
            medium="video",
        )
