"""Plugins by entry point; first-party metrics, benchmarks, methods and extractors use the same way as anybody's."""

from __future__ import annotations

import difflib
import inspect
from contextlib import contextmanager
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from evalkit.errors import EvalkitError, PluginError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

METRICS = "evalkit.metrics"
BENCHMARKS = "evalkit.benchmarks"
METHODS = "evalkit.methods"
EXTRACTORS = "evalkit.extractors"
_WORD = {METRICS: "metric", BENCHMARKS: "benchmark", METHODS: "method", EXTRACTORS: "backbone family"}

_LISTING = {group: f"evalkit list {_WORD[group]}s" for group in (METRICS, BENCHMARKS, METHODS)} | {
    EXTRACTORS: "evalkit list backbones"
}
_PARTS = {
    METRICS: ("card", "requests", "score"),
    BENCHMARKS: ("spec", "load", "fetch", "embed"),
    METHODS: ("info", "check", "make"),
}
"""What a plugin's object needs, the declaration first, whose name is that of the entry point."""


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

    Raises UsageError with the nearest names where there is none, DataError for a declaration that does not validate,
    PluginError naming the plugin where it fails to load or does not keep its contract.
    """
    if name not in entries(group):
        raise UsageError(unknown(_WORD[group], name, names(group), _LISTING[group]))
    entry = entries(group)[name]
    try:
        thing = entry.load()
    except Exception as error:
        raise PluginError(
            f"the {_WORD[group]} {name!r} of {_owner(entry)} does not load from {entry.value!r}: "
            f"{type(error).__name__}: {error}; mend or uninstall that plugin"
        ) from error
    if group in _PARTS:
        _check(group, entry, thing)
    return thing


@contextmanager
def blamed(who: str) -> Iterator[None]:
    """Runs a plugin's code: whatever it raises beside evalkit's own errors becomes a PluginError that names `who`.

    Example:
        >>> with blamed("the benchmark 'dice'"):
        ...     int("six")
        Traceback (most recent call last):
        evalkit.errors.PluginError: the benchmark 'dice' failed (ValueError: invalid literal for int() with base 10: 'six'); ...
    """
    try:
        yield
    except EvalkitError:
        raise
    except Exception as error:
        raise PluginError(
            f"{who} failed ({type(error).__name__}: {error}); --debug before the command shows where"
        ) from error


def unknown(word: str, name: str, known: list[str], listing: str) -> str:
    """The message for a name that is not known, with the nearest ones."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"`{listing}` shows the {len(known)} there are"
    return f"wanted a {word}, found {name!r}, which is none; {hint}"


def _check(group: str, entry: EntryPoint, thing: Any) -> None:
    """Raises PluginError where the object is a class, lacks a part of the contract or goes by another name."""
    who = f"the {_WORD[group]} {entry.name!r} of {_owner(entry)}"
    if inspect.isclass(thing):
        raise PluginError(
            f"{who}: wanted an object behind {entry.value!r}, found the class itself; name an instance of it"
        )
    # A part is looked for without being read: a declaration that cannot be read has a message of its own.
    missing = [part for part in _PARTS[group] if inspect.getattr_static(thing, part, None) is None]
    if missing:
        raise PluginError(
            f"{who}: wanted an object with {', '.join(_PARTS[group])}, "
            f"found {type(thing).__name__} without {', '.join(missing)}; mend or uninstall that plugin"
        )
    declaration = _PARTS[group][0]
    with blamed(f"{who}, reading its {declaration},"):
        told = getattr(thing, declaration).name
    if told != entry.name:
        raise PluginError(
            f"{who}: wanted that name in its {declaration}, found {told!r}; give entry point and {declaration} one name"
        )


def _owner(entry: EntryPoint) -> str:
    return repr(entry.dist.name) if entry.dist is not None else "an unnamed distribution"
