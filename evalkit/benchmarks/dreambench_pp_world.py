"""The embedded world in the layout of DreamBench++: what `world.json` adds, and pictures of what a prompt asks for."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from evalkit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from evalkit.benchmarks.dreambench_pp_layout import Category, Subject
    from evalkit.nouns import Case
    from evalkit.sandbox.benchmark import WorldCase

WORLD_FILE = "world.json"


class World:
    """A written world benchmark. Raises: DataError when `world.json` is damaged or of another version of the world."""

    def __init__(self, root: Path) -> None:
        from evalkit.sandbox.benchmark import load_world

        path = root / WORLD_FILE
        try:
            cases, record = load_world(root), json.loads(path.read_text(encoding="utf-8"))
            self.version, self._size = str(record["world_version"]), int(record["size"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{WORLD_FILE}: damaged ({type(error).__name__}: {error}); delete its folder and write it again"
            ) from error
        self._cases: Mapping[tuple[str, int], WorldCase] = {(case.subject, case.prompt_index): case for case in cases}

    def counts(self, categories: Mapping[str, Category]) -> Mapping[str, int]:
        """How many subjects it has of each category."""
        folders = Counter(place.rpartition("/")[0] for place in {place for place, _ in self._cases})
        return {name: folders[category.folder] for name, category in categories.items()}

    def differences(self, subjects: Sequence[Subject]) -> list[str]:
        """A line for each subject with other prompts than in `world.json`: its true pictures would show another scene."""
        lines = []
        for subject in subjects:
            told = [self._cases.get((subject.place, index)) for index in range(len(subject.prompts))]
            for index, (prompt, case) in enumerate(zip(subject.prompts, told, strict=True)):
                if case is None or case.prompt != prompt:
                    wanted = "no such prompt" if case is None else repr(case.prompt)
                    lines.append(
                        f"captions/{subject.place}.txt, prompt {index}: wanted what {WORLD_FILE} has ({wanted}), "
                        f"found {prompt!r}; write the world again"
                    )
                    break
        return lines

    def picture(self, subject: Subject, case: Case, seed: int) -> NDArray[np.uint8]:
        """What the case's prompt asks for, rendered: uint8 [H, W, 3]. Another seed gives another view and pose."""
        from evalkit.sandbox.benchmark import true_scene
        from evalkit.sandbox.world import render

        return render(true_scene(self._cases[subject.place, case.prompt_index], seed=seed), size=self._size).image
