"""Brings a recipe's repository at its commit and makes its environment, in a folder of the cache; only when asked to."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, NamedTuple

from evalkit.errors import DataError, MethodError
from evalkit.files import atomic_write_text
from evalkit.methods.external.places import places_of, program
from evalkit.methods.external.process import Program, find_program, run
from evalkit.nouns import digest

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.methods.external.parts import Environment
    from evalkit.methods.external.places import Places
    from evalkit.methods.recipe import Recipe

_MARK = "ready.json"
_QUICK = 20.0
"""Seconds that a question to git or docker may take."""
Arguments = tuple[str, ...]


class Step(NamedTuple):
    """One command of the setup; `inside` the recipe's environment or beside it."""

    arguments: Arguments
    inside: bool = False


def setup_steps(recipe: Recipe, places: Places) -> list[Step]:
    """Every command that sets the recipe up, in order; empty where there is nothing to set up."""
    steps = []
    if recipe.repository is not None and places.repository is not None:
        folder = str(places.repository)
        clone = ("git", "clone", "--filter=blob:none", "--no-checkout", "--", recipe.repository.url, folder)
        steps += [Step(clone), Step(("git", "-C", folder, "checkout", "--detach", recipe.repository.commit))]
    if recipe.environment is not None:
        steps += [Step(command) for command in _environment(recipe.environment, places)]
    return steps + [Step(command, inside=True) for command in recipe.setup]


def _environment(asked: Environment, places: Places) -> list[Arguments]:
    if asked.kind == "docker":
        return [("docker", "pull", str(asked.image))]
    if places.environment is None or places.python is None:
        return []
    folder, version = str(places.environment), str(asked.python)
    made: Arguments = ("uv", "venv", "--python", version, folder)
    install: Arguments = ("uv", "pip", "install", "--python", places.python)
    if asked.kind == "conda":
        made = ("conda", "create", "--yes", "--prefix", folder, f"python={version}", "pip")
        install = (places.python, "-m", "pip", "install")
    if isinstance(asked.requirements, str):
        return [made, (*install, "--requirement", str((places.repository or places.recipe) / asked.requirements))]
    return [made, (*install, *asked.requirements)] if asked.requirements else [made]


def set_up(recipe: Recipe, folder: Path) -> Path:
    """Sets the recipe in `folder` up and returns where; what an earlier, broken call left half made is made again.

    A repository at the recipe's commit stays as it is. Logs are beside it, `setup_N.log` a command.
    Raises MethodError with the command's log where one fails, DataError where another repository is in the way.
    """
    places = places_of(recipe, folder)
    steps = setup_steps(recipe, places)
    if not steps or _is_ready(recipe, places):
        return places.root
    places.root.mkdir(parents=True, exist_ok=True)
    skip = 2 if places.repository is not None and _stands(recipe, places) else 0
    if places.environment is not None:
        shutil.rmtree(places.environment, ignore_errors=True)
    until = time.monotonic() + (recipe.seconds.setup or 0)
    for number, step in enumerate(steps[skip:], start=skip + 1):
        ready = Program(step.arguments, places.root, dict(os.environ) | {"GIT_TERMINAL_PROMPT": "0"})
        if step.inside:
            ready = program(recipe, places, step.arguments, {}, scratch=places.root)
        find_program(ready, f"setup step {number}")
        left = max(until - time.monotonic(), 1.0)
        ended = run(ready, places.root / f"setup_{number}.log", seconds=left, key="seconds.setup")
        if ended.code != 0:
            told = f"setup step {number} of {recipe.name} failed (`{shlex.join(ready.arguments)}`): {ended.told()}"
            raise MethodError(f"{told}; mend it and set up again")
    atomic_write_text(places.root / _MARK, json.dumps({"setup": _digest(recipe)}))
    return places.root


def unready(recipe: Recipe, places: Places) -> list[str]:
    """What is missing before a command of the recipe can run, one line each; asks git and docker at most."""
    mend = f"`evalkit doctor {recipe.name} --setup` sets it up"
    told = []
    if recipe.repository is not None and places.repository is not None:
        told += _repository_problem(recipe, places.repository, mend)
    asked = recipe.environment
    if asked is not None and asked.kind == "docker":
        told += _docker_problem(str(asked.image), mend)
    elif asked is not None and places.python is not None:
        found = shutil.which(places.python)
        mend_it = (
            mend if places.environment is not None else "install it, or mend environment.interpreter in the recipe"
        )
        told += [] if found else [f"wanted the interpreter {places.python}, found none; {mend_it}"]
    if not told and setup_steps(recipe, places) and not _is_ready(recipe, places):
        why = "the recipe has changed since" if (places.root / _MARK).is_file() else "it was never finished"
        told.append(f"wanted the setup of {recipe.name} in {places.root} done, found that {why}; {mend}")
    return told


def _repository_problem(recipe: Recipe, folder: Path, mend: str) -> list[str]:
    if recipe.repository is None:
        return []
    wanted, found = recipe.repository.commit, head(folder)
    if found is None:
        return [f"wanted a clone of {recipe.repository.url} in {folder}, found none; {mend}"]
    if not found.startswith(wanted):
        return [
            f"wanted {recipe.repository.url} at commit {wanted}, found {found} in {folder}; "
            f"`git -C {folder} checkout {wanted}`, or move the folder away and set up again"
        ]
    return []


def _docker_problem(image: str, mend: str) -> list[str]:
    if shutil.which("docker") is None:
        return ["wanted docker, found no such program; install it, or write another environment into the recipe"]
    if _asked(("docker", "image", "inspect", "--format", "{{.Id}}", image)) is None:
        return [f"wanted the image {image}, and docker does not have it or does not answer; {mend}"]
    return []


def head(folder: Path) -> str | None:
    """The commit that a clone stands at, None where there is no clone."""
    return _asked(("git", "-C", str(folder), "rev-parse", "--verify", "HEAD")) if (folder / ".git").exists() else None


def _asked(command: Arguments) -> str | None:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_QUICK,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _stands(recipe: Recipe, places: Places) -> bool:
    """Whether the clone is there at its commit; one without files is removed. Raises DataError for anything else."""
    folder = places.repository
    if recipe.repository is None or folder is None or not folder.exists():
        return False
    if (found := head(folder)) is not None and found.startswith(recipe.repository.commit):
        return True
    if all(path.name == ".git" for path in folder.iterdir()):
        shutil.rmtree(folder)
        return False
    at = f"commit {found}" if found is not None else "files that are no clone"
    raise DataError(
        f"wanted to clone {recipe.repository.url} at {recipe.repository.commit} into {folder}, found {at} there; "
        "move that folder away and set up again"
    )


def _is_ready(recipe: Recipe, places: Places) -> bool:
    try:
        found = json.loads((places.root / _MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("setup") == _digest(recipe)


def _digest(recipe: Recipe) -> str:
    return digest(
        {
            "repository": recipe.model_dump(mode="json", include={"repository": {"url", "commit"}}),
            "rest": recipe.model_dump(mode="json", include={"environment", "setup"}),
        }
    )
