"""Submissions: somebody else's run folder, looked at from every side before its numbers stand beside others."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.errors import DataError, EvalkitError
from evalkit.files import atomic_write_text, write_error
from evalkit.leaderboard.site.collect import slug
from evalkit.leaderboard.site.submitted import Check, Found, Submitted
from evalkit.leaderboard.site.submitted_files import files, names, paths, read_submission
from evalkit.leaderboard.site.submitted_numbers import cases, columns, protocol, rewards, signatures, table
from evalkit.leaderboard.site.submitted_samples import carry, samples, scored_again
from evalkit.runs.folder import RunFolder
from evalkit.runs.location import RECORD_NAME

if TYPE_CHECKING:
    from collections.abc import Callable

CARRIED = ("run.json", "summary.json", "scores.csv", "store")
_FORM: tuple[tuple[str, Callable[[Submitted], Found]], ...] = (("names", names), ("paths", paths), ("columns", columns))
_LOOKS: tuple[tuple[str, Callable[[Submitted], Found]], ...] = (
    ("protocol", protocol),
    ("cases", cases),
    ("table", table),
    ("signatures", signatures),
    ("rewards", rewards),
)
_NOT_ASKED: Callable[[], Found] = partial(Found, "skip", "not asked for")


def verify(path: Path, *, data: Path | None = None, again: bool = True) -> list[Check]:
    """Every check of a submission, in order; those that need what is not at hand are skipped and say so.

    data: the benchmark's data, None for the embedded world or what was fetched. again: score the samples anew where
    they are there. What keeps a submission from being read at all ends the list.
    """
    checks, rescore = _looked(path, data)
    if rescore is not None:
        checks.append(_tried("scored again", rescore if again else _NOT_ASKED))
    return checks


def _looked(path: Path, data: Path | None) -> tuple[list[Check], Callable[[], Found] | None]:
    """Every check but the last, and that one, None where the others ended early."""
    made: list[Submitted] = []

    def record() -> Found:
        scored = read_submission(path)
        made.append(Submitted(path, scored, data))
        result = scored.result
        told = f"{result.method!a:.100} on {result.benchmark}/{result.protocol}, {len(scored.run.scores)} scores"
        return Found("pass", told)

    checks: list[Check] = []
    for name, look in (("files", partial(files, path)), ("record", record)):
        checks.append(_tried(name, look))
        if _failed(checks):
            return checks, None
    held = made[0]
    checks += [_tried(name, partial(each, held)) for name, each in _FORM]
    if _failed(checks):
        return checks, None
    checks += [_tried(name, partial(each, held)) for name, each in _LOOKS]
    stands = _tried("samples", partial(samples, held))
    return [*checks, stands], partial(scored_again, held, Found(stands.outcome, stands.told))


def _room(folder: Path) -> None:
    """Raises RunError where the folder could not be made or written, before work is lost to that."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise write_error(folder, OSError(errno.ENOTDIR, ""))
    if not os.access(there, os.W_OK | os.X_OK):
        raise write_error(folder, OSError(errno.EACCES, ""))


def _failed(checks: list[Check]) -> bool:
    return any(check.outcome == "fail" for check in checks)


def _tried(name: str, look: Callable[[], Found]) -> Check:
    """What a look came to; one that a submission makes impossible has failed."""
    try:
        found = look()
    except EvalkitError as error:
        found = Found("fail", str(error).splitlines()[0])
    except Exception as error:  # a stranger's files: whatever they do to a check is a finding and not the end
        found = Found("fail", f"it cannot be looked at: {type(error).__name__}: {error!s:.200}")
    return Check(name=name, outcome=found.outcome, told=found.told)


def add(
    path: Path, to: Path, *, data: Path | None = None, again: bool = True, samples: bool = True
) -> tuple[list[Check], Path | None]:
    """Verifies a submission and, where nothing failed, copies it below `to`; returns the checks and where it lies.

    Its folder is BENCHMARK/PROTOCOL/METHOD. What it says of folders on its maker's machine is left out. Raises
    DataError where that folder is there already and RunError where none can be made, before anything is scored again.
    """
    checks, rescore = _looked(path, data)
    if rescore is None or _failed(checks):
        return checks, None
    run = RunFolder.read(path)
    identity = run.record.identity
    target = to / slug(identity.benchmark) / slug(run.record.request.protocol) / slug(identity.method)
    if target.exists():
        raise DataError(f"wanted a new folder for the submission, found {target}; take the old one away first")
    _room(target.parent)
    checks.append(_tried("scored again", rescore if again else _NOT_ASKED))
    if _failed(checks):
        return checks, None
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        for name in (*CARRIED, *(["samples"] if samples else []), "train"):
            carry(path / name, fresh / name, only="curves.csv" if name == "train" else None)
        record = run.record.model_copy(update={"data_folder": None, "sample_masks": None})
        atomic_write_text(fresh / RECORD_NAME, record.text())
        fresh.chmod(0o755)
        fresh.rename(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return checks, target
