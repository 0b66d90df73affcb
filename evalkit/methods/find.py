"""A method by the name it is registered under or by its recipe's path, and what it would do on this machine."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.errors import UsageError
from evalkit.methods.base import Job, Method, TrainOrder, rng_seed
from evalkit.methods.external.calls import Call
from evalkit.methods.external.placeholders import used
from evalkit.methods.external.places import program
from evalkit.methods.external.request import items_of
from evalkit.methods.external.setup import setup_steps
from evalkit.nouns import Noun
from evalkit.registry import METHODS, load, names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evalkit.methods.base import Context
    from evalkit.methods.command import CommandMethod

_SUFFIXES = (".yaml", ".yml")


class Finding(Noun):
    """One line of a report; `mend` is what to do about it, None where it is well."""

    name: str
    found: str
    mend: str | None = None


def find_method(name: str) -> Method:
    """The method registered as `name`, or that of the recipe at the path `name`, which ends in .yaml or .yml.

    Raises UsageError where there is neither or a recipe takes a registered method's name, DataError for a recipe that
    does not fit, PluginError for a broken plugin.
    """
    if not name.lower().endswith(_SUFFIXES):
        found: Method = load(METHODS, name)
        return found
    path = Path(name)
    if not path.is_file():
        raise UsageError(f"wanted a method's name or the path of its recipe, found no file at {name!r}; check the path")
    method = recipe_method(path)
    own = method.info.name
    if own in names(METHODS) and load(METHODS, own).config != method.config:
        raise UsageError(f"wanted a name of its own in {path}, found {own!r}, which is a registered method; rename it")
    return method


def recipe_method(path: Path) -> Method:
    """The method that the recipe at `path` is. Raises DataError."""
    from evalkit.methods.command import CommandMethod
    from evalkit.methods.precomputed import PrecomputedMethod
    from evalkit.methods.recipe import read_recipe

    recipe = read_recipe(path)
    return (CommandMethod if recipe.generate is not None else PrecomputedMethod)(recipe, path.parent)


def method_report(method: Method, context: Context) -> list[Finding]:
    """What `method` is, every command that it would run for the benchmark's first case, and what is missing.

    Nothing is run or written.
    """
    from evalkit.methods.command import CommandMethod
    from evalkit.methods.precomputed import PrecomputedMethod

    info = method.info
    found = [
        Finding(name="method", found=f"{info.title} ({info.name} {info.version}, {info.kind})"),
        Finding(name="licence", found=info.licence + " (gated)" * info.gated),
    ]
    if isinstance(method, CommandMethod):
        found += [*_by_hand(method), *_commands(method, context)]
    if isinstance(method, PrecomputedMethod):
        found += [Finding(name="samples", found=line) for line in method.told(context)]
    return found + [_lack(problem) for problem in method.check(context)]


def _lack(problem: str) -> Finding:
    found, _, mend = problem.rpartition("; ")
    return Finding(name="lacks", found=found or problem, mend=mend if found else "mend that and ask again")


def _by_hand(method: CommandMethod) -> Iterator[Finding]:
    yield from (Finding(name="note", found=note) for note in method.recipe.notes)
    repository = method.recipe.repository
    if repository is not None:
        yield Finding(
            name="repository", found=f"{repository.url} at {repository.commit}, licence: {repository.licence}"
        )
        yield from (
            Finding(name="patch", found=f"{patch.file}: {patch.what} ({patch.why})") for patch in repository.patches
        )


def _commands(method: CommandMethod, context: Context) -> Iterator[Finding]:
    """Each command with its placeholders filled in for the first case."""
    recipe, places = method.recipe, method.places
    for number, step in enumerate(setup_steps(recipe, places), start=1):
        arguments = step.arguments
        if step.inside:
            arguments = program(recipe, places, arguments, {}, scratch=places.root).arguments
        yield Finding(name=f"setup {number}", found=shlex.join(arguments))
    if recipe.train is not None:
        data = Path("DATA") if "data" in used(recipe.train.command) else None
        order = TrainOrder(context.work / "train", data, 0)
        yield Finding(name="train", found=shlex.join(method.train_program(order, context).arguments))
        if context.checkpoint is None and recipe.generate is not None and recipe.generate.checkpoint is None:
            context = replace(context, checkpoint=order.folder / recipe.train.checkpoint)
    case = context.benchmark.cases[0]
    job = Job(case, 0, rng_seed(method.info.name, case.case_id, 0))
    folder = context.work.absolute() / "call_0001"
    call = Call(folder, folder / "output", folder.with_suffix(".log"))
    request = method.request(job, context, call.output, 0)
    yield Finding(name="generate", found=shlex.join(method.program([request], call, context).arguments))
    if recipe.generate is not None and (recipe.generate.items or recipe.generate.mode == "worker"):
        told = items_of([request], recipe.generate.fields)[0]
        yield Finding(name="request", found=json.dumps(told, ensure_ascii=False))
