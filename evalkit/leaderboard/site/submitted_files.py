"""What a submission's folder is: plain files, one record that agrees with itself, names to read, paths that stay inside."""

from __future__ import annotations

import os
import stat
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.engine.result import read_result
from evalkit.engine.scored import ScoredRun
from evalkit.errors import DataError
from evalkit.files import inside
from evalkit.leaderboard.site.submitted import Found
from evalkit.runs.folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evalkit.leaderboard.site.submitted import Submitted

LONGEST_NAME = 200
AT_THE_TOP = {"run.json", "summary.json", "scores.csv", "store", "samples", "train", "logs", ".lock"}


def files(path: Path) -> Found:
    """Plain files and folders alone, nothing that a run does not have."""
    if path.is_symlink() or not path.is_dir():
        found = "a link" if path.is_symlink() else "a file" if path.exists() else "nothing"
        return Found("fail", f"wanted a folder, found {found}")
    odd, count, size = [], 0, 0
    for folder, folders, names in os.walk(path, followlinks=False):
        for name in (*folders, *names):
            entry = Path(folder) / name
            mode = entry.lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                odd.append(f"{entry.relative_to(path)} is a link or no plain file")
            count, size = count + stat.S_ISREG(mode), size + entry.lstat().st_size
    odd += [f"{name} belongs to no run" for name in sorted({entry.name for entry in path.iterdir()} - AT_THE_TOP)]
    if odd:
        return Found("fail", f"{len(odd)} that may not be there, first: {odd[0]}")
    return Found("pass", f"{count} plain files, {size / 2**20:.1f} MiB")


def read_submission(path: Path) -> ScoredRun:
    """The run in the folder, without a name of its own.

    Raises: RunError for what is no scored run; DataError where its table is said to be another run's than its record.
    """
    scored = ScoredRun("", read_result(path), RunFolder.read(path))
    result, record = scored.result, scored.run.record
    told = {
        "method": result.method,
        "benchmark": result.benchmark,
        "profile": result.profile,
        "protocol": result.protocol,
    }
    wanted = {key: getattr(record.identity, key) for key in ("method", "benchmark", "profile")}
    for key, value in (wanted | {"protocol": record.request.protocol}).items():
        if told[key] != value:
            raise DataError(
                f"wanted one {key} in run.json and summary.json, found {value!a:.100} and {told[key]!a:.100}; "
                f"`evalkit score` with this folder writes the summary anew"
            )
    return scored


def names(held: Submitted) -> Found:
    """Names that can be read: no control or direction marks, not endless."""
    identity = held.scored.run.record.identity
    for what, name in (("name", identity.method), ("version", identity.method_version)):
        hidden = [letter for letter in name if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co")]
        if hidden or not name.strip() or len(name) > LONGEST_NAME:
            return Found("fail", f"wanted a {what} of at most {LONGEST_NAME} visible characters, found {name!a:.120}")
    return Found("pass", f"{identity.method!r} can be read")


def paths(held: Submitted) -> Found:
    """Every path stays in its folder: those of samples in the submission, those of references in the benchmark's data."""
    if "samples" in held.scored.run.record.identity.method_config:
        return Found("fail", "its samples lie in a folder of its maker's machine; submit a run of `evalkit run`")
    root = held.scored.run.media_folder
    bad = [told for path in dict.fromkeys(_paths(held)) if (told := _outside(root, path)) is not None]
    if bad:
        return Found("fail", f"{len(bad)} paths leave their folder, first: {bad[0]}; submit a run of `evalkit run`")
    return Found("pass", "every path stays in its folder")


def _paths(held: Submitted) -> Iterator[str]:
    yield from (sample.path for sample in held.samples.values() if sample.path is not None)
    for case in held.scored.run.cases.values():
        named = dict.fromkeys((*case.case.references, *case.case.targets))
        yield from (path for one in named for path in (one.path, one.mask) if path is not None)


def _outside(root: Path, path: str) -> str | None:
    try:
        inside(root, path)
    except DataError:
        return f"{path!a:.120}"
    return None
