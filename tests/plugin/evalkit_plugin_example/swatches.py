"""The benchmark `swatches`: one picture of each of four colours, and prompts that are the same for all of them."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from evalkit.benchmarks.base import Loaded
from evalkit.benchmarks.layout import (
    Checked,
    compare_names,
    find_root,
    heading,
    pictures_by_stem,
    read_lines,
    undecodable,
)
from evalkit.benchmarks.spec import BenchmarkSpec
from evalkit.content import read_yaml
from evalkit.errors import DataError, ProblemsError
from evalkit.files import atomic_write_text
from evalkit.media import write_image
from evalkit.nouns import Case, Name, Noun, Reference

_SPEC = Path(__file__).parent / "spec.yaml"
_PICTURES, _PROMPTS = "pictures", "prompts.txt"
_WORLD_FILE, _WORLD = "world.txt", "swatches-1"
"""Says that pictures were drawn, and by which version of `embed`: raised when it draws others."""
_PLACE = "{}"

Channel = Annotated[int, Field(ge=0, le=255)]


class SwatchesFacts(Noun):
    """The `facts` of the spec: what `load` wants to find and `embed` draws."""

    side: int = Field(gt=0)
    colours: dict[Name, tuple[Channel, Channel, Channel]]
    prompts: tuple[str, ...]


class Swatches:
    """The loader. `data` is the folder of `pictures/` and `prompts.txt`, or the one above it that calls it `swatches`."""

    @cached_property
    def spec(self) -> BenchmarkSpec:
        """The declaration."""
        return BenchmarkSpec.read(read_yaml(_SPEC), where=str(_SPEC))

    def load(self, data: Path, protocol: str) -> Loaded:
        """A case for each colour and prompt; the colour's picture is reference and target.

        Raises: DataError, ProblemsError (see Benchmark.load); UsageError for a protocol that the spec does not have.
        """
        name = self.spec.protocol(protocol).name
        root = find_root(data, self.spec, mark=_PROMPTS, below=self.spec.name)
        pictures, problems = pictures_by_stem(root / _PICTURES, _PICTURES)
        problems += compare_names(_PICTURES, self._facts.colours, pictures)
        shown = {colour: f"{_PICTURES}/{path.name}" for colour, path in sorted(pictures.items())}
        problems += undecodable(root, map(Checked, shown.values()))
        prompts, lines = _read_prompts(root, self.spec.expected.prompts_per_subject)
        problems += lines
        if problems:
            raise ProblemsError(heading(root, self.spec), problems)
        cases = tuple(
            _case(colour, path, i, prompt) for colour, path in shown.items() for i, prompt in enumerate(prompts)
        )
        world = " ".join(read_lines(root / _WORLD_FILE, _WORLD_FILE)) if (root / _WORLD_FILE).exists() else None
        return Loaded(self.spec, name, cases, root, real_image=lambda _case, _seed: None, world=world)

    def fetch(self, folder: Path) -> Path:
        """Raises DataError: nobody publishes pictures of these swatches."""
        raise DataError(
            f"wanted to fetch {self.spec.title} into {str(folder)!r}, found nowhere to fetch them from; "
            f"{self.spec.source.get}"
        )

    def embed(self, folder: Path) -> Path:
        """Draws the colours, plain, and writes the prompts. Raises: RunError when they cannot be written."""
        root = folder / _WORLD
        for colour, rgb in self._facts.colours.items():
            side = self._facts.side
            write_image(root / _PICTURES / f"{colour}.png", np.full((side, side, 3), rgb, np.uint8))
        atomic_write_text(root / _PROMPTS, "".join(f"{prompt}\n" for prompt in self._facts.prompts))
        atomic_write_text(root / _WORLD_FILE, f"{_WORLD}\n")
        return root

    @cached_property
    def _facts(self) -> SwatchesFacts:
        return SwatchesFacts.read(self.spec.facts, where=f"{_SPEC}, facts")


def _read_prompts(root: Path, wanted: int) -> tuple[list[str], list[str]]:
    """The prompts, and a line for each problem with them."""
    try:
        prompts = read_lines(root / _PROMPTS, _PROMPTS)
    except DataError as error:
        return [], [str(error)]
    problems = [
        f"{_PROMPTS}, line {number}: wanted {_PLACE!r} once, for the colour's name, found {prompt!r}; put it in"
        for number, prompt in enumerate(prompts, start=1)
        if prompt.count(_PLACE) != 1
    ]
    if len(prompts) != wanted:
        problems.append(f"{_PROMPTS}: wanted {wanted} prompts, one a line, found {len(prompts)}; add or remove some")
    return prompts, problems


def _case(colour: str, path: str, index: int, prompt: str) -> Case:
    reference = Reference(path=path, subject=colour, label="colour")
    return Case(
        case_id=f"{colour}.p{index}",
        prompt=prompt.replace(_PLACE, colour),
        subjects=(colour,),
        references=(reference,),
        targets=(reference,),
        category="colour",
        prompt_index=index,
    )


SWATCHES = Swatches()
