"""Scores of a run as arrays, kept beside the features, so that claims and sites read a run's parts once."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evalkit.errors import RunError
from evalkit.files import atomic_write_bytes
from evalkit.nouns import Score, digest
from evalkit.paths import cache_root

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from evalkit.runs.folder import RunFolder
    from evalkit.stats.sheet import Floats

VERSION = 1
"""Raised whenever what is kept changes."""


@dataclass(frozen=True)
class Held:
    """The newest scores under one signature, in the order of the keys asked for."""

    value: Floats
    """[samples]; NaN where there is no score or it has no value."""
    weight: Floats
    """[samples]; 1 where there is no score."""
    state: list[str]
    """Empty where there is no score."""

    @classmethod
    def nothing(cls, size: int) -> Held:
        """No score of any of so many samples."""
        return cls(np.full(size, np.nan), np.ones(size), [""] * size)


def held_scores(run: RunFolder, keys: Sequence[tuple[str, int]]) -> dict[str, Held]:
    """By signature, the newest score of each (case, seed) of `keys`.

    What was read once is kept under the cache, by the run's place, and used while the run's parts and the keys are the
    same. Raises: RunError as reading the parts does.
    """
    stamp = digest([VERSION, run.scores.stamp(), *map(list, keys)])
    path = cache_root() / "scores" / f"{digest(str(run.path.resolve()))[:32]}.npz"
    if (known := _known(path, stamp, len(keys))) is not None:
        return known
    found = _read(run, keys)
    with contextlib.suppress(OSError, RunError):  # a cache that cannot be written costs time alone
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_bytes(path, _packed(stamp, found))
    return found


def _read(run: RunFolder, keys: Sequence[tuple[str, int]]) -> dict[str, Held]:
    """Columns as they are stored: runs are read by the hundred thousand rows."""
    places = {key: place for place, key in enumerate(keys)}
    found: dict[str, Held] = {}
    for columns in run.scores.columns():
        part = dict(zip(Score.model_fields, columns, strict=True))
        at = [places.get(key) for key in zip(part["case_id"], part["seed"], strict=True)]
        rows = zip(at, *(part[name] for name in ("signature", "state", "value", "weight")), strict=True)
        for place, signature, state, value, weight in rows:
            if place is None:
                continue
            if (one := found.get(signature)) is None:
                one = found[signature] = Held.nothing(len(keys))
            one.value[place] = np.nan if value is None else value
            one.weight[place] = weight
            one.state[place] = state
    return found


def _packed(stamp: str, found: dict[str, Held]) -> bytes:
    states = sorted({state for one in found.values() for state in one.state})
    codes = {state: code for code, state in enumerate(states)}
    told = json.dumps({"stamp": stamp, "signatures": list(found), "states": states})
    arrays = {
        "value": np.array([one.value for one in found.values()]),
        "weight": np.array([one.weight for one in found.values()]),
        "state": np.array([[codes[state] for state in one.state] for one in found.values()], dtype=np.int32),
    }
    out = io.BytesIO()
    np.savez(out, told=np.frombuffer(told.encode(), dtype=np.uint8), **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def _known(path: Path, stamp: str, size: int) -> dict[str, Held] | None:
    """What is kept there, None where nothing is, it is of other parts, or it is damaged."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            told = json.loads(file["told"].tobytes())
            if told["stamp"] != stamp:
                return None
            value, weight, state = file["value"], file["weight"], file["state"]
        states, signatures = np.array(told["states"]), told["signatures"]
        if {array.shape for array in (value, weight, state)} != {(len(signatures), size)}:
            return None
        return {
            name: Held(value[place], weight[place], states[state[place]].tolist())
            for place, name in enumerate(signatures)
        }
    except (OSError, EOFError, ValueError, KeyError, IndexError, TypeError, zipfile.BadZipFile):
        return None
