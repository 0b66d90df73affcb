"""Plugins by entry point; first-party metrics, benchmarks, methods and extractors use the same way as anybody's."""

from __future__ import annotations

import difflib
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from evalkit.errors import PluginError, UsageError

METRICS = "evalkit.metrics"
BENCHMARKS = "evalkit.benchmarks"
METHODS = "evalkit.methods"
EXTRACTORS = "evalkit.extractors"
_WORD = {METRICS: "metric", BENCHMARKS: "benchmark", METHODS: "method", EXTRACTORS: "backbone family"}

_LISTING = {group: f"evalkit list {_WORD[group]}s" for group in (METRICS, BENCHMARKS, METHODS)} | {
    EXTRACTORS: "evalkit list backbones"
}


@cache
def entries(group: str) -> dict[str, EntryPoint]:
    """Name to entry point, sorted by name. Raises PluginError where two distributions claim one name."""
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=group):
        other = found.get(entry.name)
        if other is not None and other.value != entry.value:
            raise PluginError(
                f"two plugins claim the {_WORD[group]} {entry.name!r}: {_owner(other)} ({other.value}) and "
                f"{_owner(entry)} ({entry.value}); uninstall or rename one"
            )
        found[entry.name] = entry
    return dict(sorted(found.items()))


def names(group: str) -> list[str]:
    """Every registered name of the group, sorted."""
    return list(entries(group))


@cache
def load(group: str, name: str) -> Any:
    """The object behind a name.

    Raises UsageError with the nearest names where there is none, PluginError naming the plugin where it fails to load.
    """
    if name not in entries(group):
        raise UsageError(unknown(_WORD[group], name, names(group), _LISTING[group]))
    entry = entries(group)[name]
    try:
        return entry.load()
    except Exception as error:
        raise PluginError(
            f"the {_WORD[group]} {name!r} of {_owner(entry)} does not load from {entry.value!r}: "
            f"{type(error).__name__}: {error}; mend or uninstall that plugin"
        ) from error


def unknown(word: str, name: str, known: list[str], listing: str) -> str:
    """The message for a name that is not known, with the nearest ones."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"`{listing}` shows the {len(known)} there are"
    return f"wanted a {word}, found {name!r}, which is none; {hint}"


def _owner(entry: EntryPoint) -> str:
    return repr(entry.dist.name) if entry.dist is not None else "an unnamed distribution"
