"""Where a run may lie: what a folder holds, told before anything is written into it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.errors import RunError
from evalkit.runs.lock import LOCK_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

RECORD_NAME = "run.json"
DAMAGED_RECORD_NAME = "run.json.damaged"
STORE_NAME = "store"
CASES_NAME = "cases.jsonl"
_SHOWN = 5


def holds_run(path: Path) -> bool:
    """Whether a run has begun at `path`. Raises: RunError where the folder may not be looked into."""
    return _exists(path / RECORD_NAME)


def require_run(path: Path) -> None:
    """Raises: RunError where `path` is no run, saying what was found and which runs lie inside it."""
    if not holds_run(path):
        raise RunError(f"wanted a run folder (with {RECORD_NAME}), found {_found(path)}; {_suggested(path)}")


def refuse_foreign(path: Path) -> None:
    """Raises: RunError where `path` holds anything but a run, the beginnings of one, or hidden files.

    A run killed before run.json was written has left the lock and the cases, and its folder is used again; so is one
    whose damaged run.json was set aside.
    """
    if holds_run(path) or not _exists(path):
        return
    begun = path.is_dir() and _visible(path) <= {STORE_NAME} and _visible(path / STORE_NAME) <= {CASES_NAME}
    if not begun and not _exists(path / DAMAGED_RECORD_NAME):
        raise RunError(f"wanted a run folder, or a new or empty one, found {_found(path)}; give another --out")


def fresh_path(path: Path) -> Path:
    """`path` where nothing is there yet, else the first of `path-2`, `path-3`, ... that is free."""
    number, free = 1, path
    while _exists(free):
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


def some(items: Sequence[str], shown: int) -> str:
    """The first `shown` items, and how many more there are."""
    more = f" and {len(items) - shown} more" if len(items) > shown else ""
    return ", ".join(items[:shown]) + more


def _exists(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise RunError(f"cannot look at {path}: {error.strerror}; mend its rights or give another path") from error
    return True


def _names(path: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in path.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"cannot read the folder {path}: {error.strerror}; mend its rights") from error


def _visible(path: Path) -> set[str]:
    return {name for name in _names(path) if name != LOCK_NAME and not name.startswith(".")}


def _found(path: Path) -> str:
    if not _exists(path):
        return f"nothing at {path}"
    if not path.is_dir():
        return f"a file at {path}"
    names = _names(path)
    return f"{path} with {some([repr(name) for name in names], _SHOWN)}" if names else f"an empty folder at {path}"


def _suggested(path: Path) -> str:
    depths = ("*", "*/*", "*/*/*", "*/*/*/*")
    runs = sorted(str(file.parent) for below in depths for file in path.glob(f"{below}/{RECORD_NAME}"))
    return f"runs inside it: {some(runs, _SHOWN)}" if runs else "give the folder that `evalkit run` wrote"
