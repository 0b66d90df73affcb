"""Where a recipe's repository and environment are on this machine, and its commands made ready to start there."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from evalkit.methods.external.placeholders import fill
from evalkit.methods.external.process import Program
from evalkit.paths import cache_root

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from evalkit.methods.recipe import Recipe

_OURS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX")
"""Variables of evalkit's own environment, which would lead another one astray."""
_PASSED_ON = ("CUDA_VISIBLE_DEVICES", "HF_HOME", "HF_HUB_OFFLINE", "HF_TOKEN")
"""Variables that a container is given by name."""


class Places(NamedTuple):
    """Paths of one recipe, absolute; `python` is the interpreter of its environment."""

    root: Path
    recipe: Path
    """The folder of the recipe's file."""
    repository: Path | None
    environment: Path | None
    python: str | None

    def values(self) -> dict[str, str]:
        """What the placeholders of places stand for."""
        return {key: str(value) for key, value in self._asdict().items() if value is not None and key != "root"}


def places_of(recipe: Recipe, folder: Path) -> Places:
    """Where things of a recipe in `folder` are, whether set up or not: below the cache, by name and commit."""
    commit = recipe.repository.commit[:12] if recipe.repository is not None else recipe.version
    root = cache_root().absolute() / "methods" / f"{recipe.name}-{commit}"
    asked = recipe.environment
    environment = root / "environment" if asked is not None and asked.python is not None else None
    python = str(environment / "bin" / "python") if environment is not None else None
    if asked is not None and environment is None:
        python = str(Path(asked.interpreter or "python").expanduser())
    repository = root / "repository" if recipe.repository is not None else None
    return Places(root, folder.resolve(), repository, environment, python)


def program(
    recipe: Recipe,
    places: Places,
    arguments: Sequence[str],
    values: Mapping[str, str],
    *,
    scratch: Path,
    sees: Iterable[Path] = (),
) -> Program:
    """A command of the recipe, filled in; it runs in the repository, or in `scratch` where there is none.

    `sees` are the paths that a container needs besides.
    """
    values = {**places.values(), **values}
    filled = tuple(fill(argument, values) for argument in arguments)
    cwd = places.repository or scratch
    variables = {"PYTHONUNBUFFERED": "1"} | {name: fill(text, values) for name, text in recipe.variables.items()}
    if recipe.environment is not None and recipe.environment.kind == "docker":
        return _contained(recipe, places, filled, cwd, variables, [scratch, *sees])
    return Program(filled, cwd, _inherited(places) | variables)


def _inherited(places: Places) -> dict[str, str]:
    inherited = dict(os.environ)
    if places.environment is not None:
        inherited = {name: value for name, value in inherited.items() if name not in _OURS}
        inherited["VIRTUAL_ENV"] = str(places.environment)
    if places.python is not None and os.sep in places.python:
        inherited["PATH"] = os.pathsep.join([str(Path(places.python).parent), inherited.get("PATH", os.defpath)])
    return inherited


def _contained(
    recipe: Recipe,
    places: Places,
    arguments: Sequence[str],
    cwd: Path,
    variables: Mapping[str, str],
    sees: Iterable[Path],
) -> Program:
    """The same command in a container that sees the same paths; a container outlives its client, hence `kill`."""
    environment = recipe.environment
    name = f"evalkit-{recipe.name}-{secrets.token_hex(6)}"
    cache = [Path(os.environ["HF_HOME"])] if os.environ.get("HF_HOME") else []
    mounts = [Path(mount).expanduser() for mount in (environment.mounts if environment else ())]
    shared = [path for path in (places.recipe, places.repository, *cache, *mounts, *sees) if path is not None]
    command = ["docker", "run", "--rm", "--init", "--interactive", "--name", name, "--workdir", str(cwd)]
    command += ["--user", f"{os.getuid()}:{os.getgid()}"]
    for path in dict.fromkeys(path.absolute() for path in shared):
        command += ["--mount", f"type=bind,{_cell('source', path)},{_cell('target', path)}"]
    for variable in _PASSED_ON:
        command += ["--env", variable] if variable in os.environ else []
    for variable, value in ({"HOME": "/tmp"} | dict(variables)).items():
        command += ["--env", f"{variable}={value}"]
    command += ["--gpus", "all"] if recipe.cuda_gib else []
    command += ["--entrypoint", arguments[0], str(environment.image if environment else ""), *arguments[1:]]
    return Program(tuple(command), Path.cwd(), dict(os.environ), kill=("docker", "kill", name))


def _cell(key: str, path: Path) -> str:
    """`key=path` as a field of the comma-separated line that docker reads."""
    return '"' + f"{key}={path}".replace('"', '""') + '"'
