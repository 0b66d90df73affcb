"""RunFolder: everything one run keeps on disk, opened for writing under its lock or read as it stands.

The folder:

    run.json                              which run this is and how it was made; written last when a run begins
    store/cases.jsonl                     the cases asked for
    store/samples/part-000001.parquet     Sample rows
    store/scores/part-000001.parquet      Score rows
    samples/<case_id>/seed_<n>.png        what the method made
    logs/                                 what commands and trainers printed
    summary.json, scores.csv              results
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from evalkit.errors import DataError, RunError, UsageError
from evalkit.files import atomic_write_text
from evalkit.nouns import Sample, Score
from evalkit.progress import warn
from evalkit.runs.cases import RunCase, merged, read_cases, write_cases
from evalkit.runs.location import CASES_NAME, RECORD_NAME, STORE_NAME, holds_run, refuse_foreign, require_run, some
from evalkit.runs.lock import run_lock
from evalkit.runs.parts import PartStore, clear_unfinished
from evalkit.runs.record import MEND, Hardware, Invocation, RunIdentity, RunRecord, RunRequest
from evalkit.runs.results import scores_text, summary_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SUFFIX = re.compile(r"\.[a-z0-9]+")


class RunFolder:
    """One run on disk. Use `open` (for writing, as a context manager: it holds the lock until `close`) or `read`."""

    def __init__(self, path: Path, record: RunRecord, cases: Mapping[str, RunCase], *, writable: bool) -> None:
        self.path, self.record, self.cases = path, record, dict(cases)
        """`cases` by id: those of the newest request first, in its order, then those of earlier ones."""
        self.samples = PartStore(path / STORE_NAME / "samples", Sample, lambda row: row.key, writable=writable)
        self.scores = PartStore(path / STORE_NAME / "scores", Score, lambda row: row.key, writable=writable)
        self.replaced: list[str] = []
        """What the newest request no longer shows of the one before, for people."""
        self._writable, self._held = writable, ExitStack()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        identity: RunIdentity,
        request: RunRequest,
        cases: Sequence[RunCase],
    ) -> Self:
        """The run at `path` for writing: a new one, or the one there when it is the same run.

        `cases` are those of `request`, in the order of the benchmark; earlier requests' cases are kept.

        Raises: RunError when another process writes the run; when `path` holds another run (naming the first part
        that differs) or files that are no run; when cases changed since samples were made for them; or when the
        folder cannot be written. UsageError for a case given twice.
        """
        refuse_foreign(path)
        with ExitStack() as stack:
            stack.enter_context(run_lock(path))
            record, known, replaced = RunRecord(identity=identity, request=request), {}, []
            if holds_run(path):
                there = read_record(path)
                _refuse_other(path, there.identity, identity)
                replaced = request.replaces(there.request)
                record, known = there.model_copy(update={"request": request}), _known_cases(path)
            _clear(path)
            folder = cls(path, record, merged(known, cases), writable=True)
            folder.replaced = replaced
            folder._refuse_changed(cases)
            write_cases(_cases_path(path), folder.cases.values())
            folder._write_record(record)
            folder._held = stack.pop_all()
        return folder

    @classmethod
    def read(cls, path: Path) -> Self:
        """The run at `path` as it stands, for reading only; a writer may be at work on it.

        Raises: RunError where `path` is no run (saying what was found, and which runs lie inside it) or is damaged.
        """
        require_run(path)
        return cls(path, read_record(path), read_cases(_cases_path(path)), writable=False)

    @property
    def requested(self) -> tuple[RunCase, ...]:
        """The cases of the newest request, in its order: what is shown, and what coverage counts."""
        return tuple(case for case in self.cases.values() if case.requested)

    def update_record(self, **changes: Any) -> RunRecord:
        """Rewrites run.json with these fields of RunRecord changed; the identity stays.

        Raises: UsageError for a field that is unknown, of the wrong type, or the identity; RunError where it cannot
        be written.
        """
        if "identity" in changes:
            raise UsageError("the identity of a run cannot change; start a new run")
        self._need_writable()
        values = {name: getattr(self.record, name) for name in RunRecord.model_fields}
        try:
            record = RunRecord.read({**values, **changes}, where=RECORD_NAME)
        except DataError as error:
            raise UsageError(str(error)) from None
        self._write_record(record)
        return record

    def begin(self, invocation: Invocation) -> None:
        """Adds an invocation to run.json. Raises: RunError where it cannot be written."""
        self.update_record(invocations=(*self.record.invocations, invocation))

    def finish(self, hardware: Hardware | None = None) -> None:
        """Notes that the newest invocation finished now, and on what where `hardware` is given: by then torch, where it
        was needed, has said which GPUs there are. Raises: RunError as `begin`; UsageError where none began.
        """
        if not self.record.invocations:
            raise UsageError("wanted an invocation to finish, found none; begin one first")
        *earlier, newest = self.record.invocations
        done = newest.model_copy(update={"finished": datetime.now(UTC), "hardware": hardware or newest.hardware})
        self.update_record(invocations=(*earlier, done))

    @property
    def media_folder(self) -> Path:
        """What the paths of samples are relative to."""
        return self.path / "samples"

    @property
    def logs_folder(self) -> Path:
        """Where commands and trainers write what they print."""
        return self.path / "logs"

    def media_path(self, case_id: str, seed: int, suffix: str) -> Path:
        """Where the sample of (case, seed) goes: `samples/<case_id>/seed_<n><suffix>`, `suffix` like `.png`.

        The path alone; nothing is created. Raises: UsageError for a case that the run does not have, or no suffix.
        """
        if case_id not in self.cases:
            raise UsageError(f"wanted a case of the run {self.path}, found {case_id!r}; open the run with that case")
        if not _SUFFIX.fullmatch(suffix):
            raise UsageError(f"wanted a file suffix like '.png', found {suffix!r}")
        return self.media_folder / case_id / f"seed_{seed}{suffix}"

    def write_results(self, summary: Mapping[str, Any], scores: Sequence[Score]) -> None:
        """Writes scores.csv and summary.json, one score for each (case, seed, signature): `scores.latest()` has them.

        Raises: UsageError as `summary_text` and `scores_text`; RunError where they cannot be written.
        """
        self._need_writable()
        table, text = scores_text(scores), summary_text(summary)
        atomic_write_text(self.path / "scores.csv", table)
        atomic_write_text(self.path / "summary.json", text)

    def close(self) -> None:
        """Releases the lock. Safe to call twice."""
        self._writable = self.samples.writable = self.scores.writable = False
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _write_record(self, record: RunRecord) -> None:
        atomic_write_text(self.path / RECORD_NAME, record.text())
        self.record = record

    def _need_writable(self) -> None:
        if not self._writable:
            raise RunError(f"{self.path} is open for reading only; open the run for writing to change it")

    def _refuse_changed(self, cases: Sequence[RunCase]) -> None:
        digests = {case.case_id: case.sha256 for case in cases}
        made = [sample for sample in self.samples.latest().values() if sample.state == "made"]
        identity = self.record.identity
        others = sorted(
            {s.method for s in made if (s.method, s.method_version) != (identity.method, identity.method_version)}
        )
        if others:  # possible only where a damaged run.json was set aside
            raise RunError(
                f"{self.path} has samples of {some(others, 3)}, wanted {identity.method} version "
                f"{identity.method_version} alone; give another --out"
            )
        changed = sorted({s.case_id for s in made if digests.get(s.case_id, s.case_sha256) != s.case_sha256})
        if changed:
            raise RunError(
                f"{self.path} has samples of {len(changed)} case{'s' * (len(changed) != 1)} whose prompt or references "
                f"changed since: {some(changed, 3)}; give another --out, or --no-resume to start a new run beside it"
            )


def read_record(path: Path) -> RunRecord:
    """run.json of the run at `path`. Raises: RunError naming what is wrong with it."""
    file = path / RECORD_NAME
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"cannot read {file}: {error}; {MEND}") from error
    return RunRecord.parse(text, where=str(file))


def _clear(path: Path) -> None:
    """Removes what a killed writer left unfinished beside run.json, the cases and the samples."""
    for folder in (path, path / STORE_NAME, *(path / "samples").glob("*/")):
        clear_unfinished(folder)


def _cases_path(path: Path) -> Path:
    return path / STORE_NAME / CASES_NAME


def _known_cases(path: Path) -> dict[str, RunCase]:
    """The cases of earlier requests; where the file is damaged, none: it is written anew from the benchmark."""
    try:
        return read_cases(_cases_path(path))
    except RunError as error:
        warn(f"{error}; going on with the cases of this request alone")
        return {}


def _refuse_other(path: Path, there: RunIdentity, wanted: RunIdentity) -> None:
    if difference := there.first_difference(wanted):
        key, old, new = difference
        raise RunError(
            f"{path} holds another run: wanted {key} {new}, found {old}; give another --out, or --no-resume to "
            "start a new run beside it"
        )
