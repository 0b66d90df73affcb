"""A recipe: how samples are had from a program that is not evalkit's own, as a YAML file; docs/recipes.md has each key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from evalkit.content import read_yaml
from evalkit.errors import DataError
from evalkit.methods.base import MethodInfo
from evalkit.methods.external.parts import Environment, Generate, Limits, Repository, Train
from evalkit.methods.external.placeholders import Arguments, check_arguments, check_text, used
from evalkit.nouns import Name, Noun, digest

if TYPE_CHECKING:
    from pathlib import Path

STATIC = {"repository", "environment", "python", "recipe"}
JOB = {
    "prompt",
    "reference",
    "references",
    "mask",
    "label",
    "case_id",
    "sample",
    "seed",
    "prompt_index",
    "reference_stem",
}
OUTPUTS = {"case_id", "sample", "seed", "index", "prompt_index", "reference_stem", "repository"}
_SET_UP = ("repository", "environment", "setup", "train", "generate", "seconds", "variables", "seed_bits")


class Recipe(Noun):
    """A method outside evalkit."""

    name: Name
    version: str
    title: str
    kind: Literal["control", "baseline", "method"] = "method"
    meaning: str
    media: tuple[Literal["image"], ...] = ("image",)
    max_references: int | None = Field(default=None, ge=0)
    needs_masks: bool = False
    sizes: tuple[tuple[int, int], ...] = ()
    rewards: tuple[str, ...] = ()
    licence: str
    gated: bool = False
    weights: tuple[str, ...] = ()
    """Hub ids of what it loads."""
    cuda_gib: float = Field(default=0, ge=0)
    """CUDA memory that it needs."""
    source: str
    stochastic: bool = True
    notes: tuple[str, ...] = ()
    """What else somebody has to know or do."""
    repository: Repository | None = None
    environment: Environment | None = None
    setup: tuple[Arguments, ...] = ()
    train: Train | None = None
    generate: Generate | None = None
    seconds: Limits = Limits()
    variables: dict[str, str] = {}
    seed_bits: Literal[32, 63] = 63
    """A generator's seed is passed modulo 2 to this power."""
    precomputed: str | None = None
    """A folder of samples, relative to the recipe's file; nothing is run then."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.generate is None) == (self.precomputed is None):
            raise ValueError("a recipe has either generate, a command, or precomputed, a folder of samples")
        if self.precomputed is not None and (beside := [key for key in _SET_UP if key in self.model_fields_set]):
            raise ValueError(f"samples that are there need no {', '.join(beside)}")
        if self.gated and not self.weights:
            raise ValueError("gated is for weights whose terms have to be accepted: name their hub ids in weights")
        return self

    @model_validator(mode="after")
    def _knows_its_placeholders(self) -> Self:
        here = STATIC - ({"repository"} if self.repository is None else set())
        here -= {"environment", "python"} if self.environment is None else set()
        here -= {"environment"} if self.environment is None or self.environment.python is None else set()
        for number, command in enumerate(self.setup, start=1):
            check_arguments(f"setup command {number}", command, here)
        for name, value in self.variables.items():
            check_text(f"variables.{name}", value, here)
        if self.train is not None:
            check_arguments("train.command", self.train.command, here | {"output", "seed", "data"})
        if self.generate is not None:
            self._check_generate(self.generate, here)
        return self

    def _check_generate(self, generate: Generate, here: set[str]) -> None:
        known = {"item": {"items", "output"} | JOB, "batch": {"items", "output"}, "worker": {"shim", "output"}}[
            generate.mode
        ]
        check_arguments("generate.command", generate.command, here | known | {"checkpoint"})
        asked = used(generate.command)
        if "checkpoint" in asked and self.train is None and generate.checkpoint is None:
            raise ValueError(
                "generate.command asks for {checkpoint}: add train, or say in generate.checkpoint what it is"
            )
        if "mask" in asked and not self.needs_masks:
            raise ValueError("generate.command asks for {mask}: add needs_masks: true")
        if ("items" in asked) != (generate.items is not None):
            raise ValueError("{items} in generate.command and generate.items (json or jsonl) go together")
        if generate.mode == "batch" and generate.items is None:
            raise ValueError("mode batch needs generate.items and {items} in generate.command")
        if generate.mode != "batch" and generate.chunk is not None:
            raise ValueError("generate.chunk is for mode batch")
        if (generate.mode == "worker") != (generate.outputs is None):
            raise ValueError(
                "generate.outputs is needed in modes item and batch, and not in mode worker, which answers with files"
            )
        if generate.outputs is not None:
            check_text("generate.outputs", generate.outputs, OUTPUTS - (STATIC - here))

    @model_validator(mode="after")
    def _limits_what_it_runs(self) -> Self:
        sets_up = self.setup or self.repository or (self.environment and self.environment.kind != "existing")
        needed = {"setup": bool(sets_up), "train": self.train is not None}
        if self.generate is not None:
            needed["batch" if self.generate.mode == "batch" else "item"] = True
        if lacking := [
            f"seconds.{key}" for key, needs in needed.items() if needs and getattr(self.seconds, key) is None
        ]:
            raise ValueError(f"every command has a time limit: add {', '.join(lacking)}")
        return self

    def info(self) -> MethodInfo:
        """The declaration of the method that this recipe makes."""
        keys = {*MethodInfo.model_fields} - {"trains", "options"}
        return MethodInfo(**self.model_dump(include=keys), trains=self.train is not None)

    def identity(self) -> str:
        """sha256 of what can change a sample."""
        changing = {"version", "max_references", "repository", *_SET_UP} - {"seconds"}
        return digest(
            self.model_dump(
                mode="json", include=changing, exclude={"repository": {"licence", "patches"}, "generate": {"chunk"}}
            )
        )


def read_recipe(path: Path) -> Recipe:
    """The recipe in a YAML file. Raises DataError naming the file and each key that does not fit."""
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise DataError(
            f"{path}: wanted a recipe with keys such as name and generate, found {type(data).__name__}; mend the file"
        )
    return Recipe.read(data, where=str(path))
