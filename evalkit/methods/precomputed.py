"""A recipe whose samples are there already: a folder, bound to cases as `evalkit score --samples` binds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.benchmarks.binding import Binding, bind_samples, patterns
from evalkit.errors import DataError, MediaError, ProblemsError
from evalkit.methods.base import Context, Job, Made, Method
from evalkit.methods.taken import taken
from evalkit.progress import warn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pydantic import JsonValue

    from evalkit.benchmarks.base import Loaded
    from evalkit.methods.recipe import Recipe


class PrecomputedMethod(Method):
    """What a recipe with `precomputed` in `folder` is; `folder` is where its file lies."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        if recipe.precomputed is None:
            raise DataError(f"{recipe.name}: wanted a recipe with precomputed samples, found one with generate")
        self.recipe, self.info = recipe, recipe.info()
        self.samples = (folder / recipe.precomputed).absolute()

    @property
    def config(self) -> dict[str, JsonValue]:
        """The recipe's digest and where the samples are."""
        return {"recipe": self.recipe.identity(), "precomputed": str(self.samples)}

    def check(self, context: Context) -> list[str]:
        """Whether the folder holds samples of this benchmark, each bound to one case and seed."""
        try:
            bound = bind_samples(self.samples, context.benchmark)
        except ProblemsError as error:
            return list(error.problems)
        except DataError as error:
            return [str(error)]
        if bound.files:
            return []
        named = patterns(context.benchmark)
        wanted = f"{context.benchmark.spec.name}/{context.benchmark.protocol} in {self.samples}, named {named}"
        return [f"wanted samples of {wanted}; found {len(bound.media)} files, of which none is one"]

    def told(self, context: Context) -> list[str]:
        """How many samples the folder holds, and what else; nothing where it does not fit, which `check` tells."""
        try:
            bound = bind_samples(self.samples, context.benchmark)
        except (DataError, ProblemsError):
            return []
        cases = len({case_id for case_id, _ in bound.files})
        counted = f"{len(bound.files)} samples of {cases} of {len(context.benchmark.cases)} cases in {self.samples}"
        return [counted, *_extra(bound, context.benchmark)]

    def make(self, jobs: Sequence[Job], context: Context) -> Iterator[Made]:
        """The sample of each job, or that it is missing or why it cannot be read.

        Raises DataError and ProblemsError as `bind_samples`.
        """
        bound = bind_samples(self.samples, context.benchmark)
        for line in _extra(bound, context.benchmark):
            warn(line)
        for job in jobs:
            path = bound.files.get((job.case.case_id, job.seed))
            if path is None:
                yield Made(job, None, f"no file for case {job.case.case_id!r} seed {job.seed} in {self.samples}")
                continue
            try:
                yield taken(job, path)
            except MediaError as error:
                yield Made(job, None, str(error))


def _extra(bound: Binding, benchmark: Loaded) -> list[str]:
    named = set(bound.files.values())
    left = [path.relative_to(bound.folder).as_posix() for path in bound.media if path not in named]
    if not left:
        return []
    first = ", ".join(left[:3])
    return [
        f"{len(left)} files in {bound.folder} are no sample of {benchmark.spec.name} and are left out, first: {first}"
    ]
