"""Submissions: somebody else's run folder, looked at from every side before its numbers stand beside others."""

from __future__ import annotations

import math
import os
import shutil
import stat
import tempfile
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from evalkit.engine.result import Result, read_result
from evalkit.engine.run import score_run
from evalkit.engine.scored import ScoredRun
from evalkit.engine.setting import Request, Setting, prepare
from evalkit.engine.standing import fallen
from evalkit.engine.summary import SummaryRow, macro, micro
from evalkit.engine.table import open_table
from evalkit.errors import DataError, EvalkitError
from evalkit.files import atomic_write_text
from evalkit.leaderboard.site.collect import slug
from evalkit.metrics.derived import DerivedMetric
from evalkit.nouns import Noun, Signature
from evalkit.registry import BENCHMARKS, METRICS, entries, load
from evalkit.runs.folder import RunFolder
from evalkit.runs.location import RECORD_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Outcome = Literal["pass", "warn", "fail", "skip"]
LONGEST_NAME = 200
AT_THE_TOP = {"run.json", "summary.json", "scores.csv", "store", "samples", "train", "logs", ".lock"}
CARRIED = ("run.json", "summary.json", "scores.csv", "store")
ROUNDING = 1e-9
"""Share of a metric's scale that summing in another order may change."""


class Check(Noun):
    """One thing that was looked at."""

    name: str
    outcome: Outcome
    told: str


class _Held(NamedTuple):
    """A submission that could be read."""

    path: Path
    scored: ScoredRun
    setting: Setting | None
    why_no_setting: str


def verify(path: Path, *, data: Path | None = None, again: bool = True) -> list[Check]:
    """Every check of a submission, in order; those that need what is not at hand are skipped and say so.

    data: the benchmark's data, None for the embedded world or what was fetched. again: score the samples anew where
    they are there. What keeps a submission from being read at all ends the list.
    """
    first = _files(path)
    if first.outcome == "fail":
        return [first]
    try:
        scored = ScoredRun("", read_result(path), RunFolder.read(path))
        rows = len(scored.run.scores)
    except EvalkitError as error:
        return [first, Check(name="record", outcome="fail", told=str(error))]
    told = f"{scored.result.method} on {scored.result.benchmark}/{scored.result.protocol}, {rows} scores"
    checks = [first, Check(name="record", outcome="pass", told=told), _names(scored), _paths(scored)]
    if any(check.outcome == "fail" for check in checks):
        return checks
    held = _Held(path, scored, *_setting(scored, data))
    return [
        *checks,
        *(_tried(name, look, held) for name, look in _LOOKS),
        _again(held, data) if again else _not_again(),
    ]


def add(
    path: Path, to: Path, *, data: Path | None = None, again: bool = True, samples: bool = True
) -> tuple[list[Check], Path | None]:
    """Verifies a submission and, where nothing failed, copies it below `to`; returns the checks and where it lies.

    Its folder is BENCHMARK/PROTOCOL/METHOD. What it says of folders on its maker's machine is left out. Raises
    DataError where that folder is there already.
    """
    checks = verify(path, data=data, again=again)
    if any(check.outcome == "fail" for check in checks):
        return checks, None
    run = RunFolder.read(path)
    identity = run.record.identity
    target = to / slug(identity.benchmark) / slug(run.record.request.protocol) / slug(identity.method)
    if target.exists():
        raise DataError(f"wanted a new folder for the submission, found {target}; take the old one away first")
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        for name in (*CARRIED, *(["samples"] if samples else []), "train"):
            _carry(path / name, fresh / name, only="curves.csv" if name == "train" else None)
        record = run.record.model_copy(update={"data_folder": None, "sample_masks": None})
        atomic_write_text(fresh / RECORD_NAME, record.text())
        fresh.chmod(0o755)
        fresh.rename(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return checks, target


def _carry(source: Path, to: Path, *, only: str | None) -> None:
    if source.is_file():
        shutil.copyfile(source, to)
    for file in sorted(source.rglob(only or "*")) if source.is_dir() else []:
        if file.is_file():
            place = to / file.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)


def _files(path: Path) -> Check:
    """Plain files and folders alone, nothing that a run does not have."""
    if not path.is_dir():
        return Check(
            name="files", outcome="fail", told=f"wanted a folder, found {'a file' if path.exists() else 'nothing'}"
        )
    odd, count, size = [], 0, 0
    for folder, folders, files in os.walk(path, followlinks=False):
        for name in (*folders, *files):
            entry = Path(folder) / name
            mode = entry.lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                odd.append(f"{entry.relative_to(path)} is a link or no plain file")
            count, size = count + stat.S_ISREG(mode), size + entry.lstat().st_size
    odd += [f"{name} belongs to no run" for name in sorted({entry.name for entry in path.iterdir()} - AT_THE_TOP)]
    if odd:
        return Check(name="files", outcome="fail", told=f"{len(odd)} that may not be there, first: {odd[0]}")
    return Check(name="files", outcome="pass", told=f"{count} plain files, {size / 2**20:.1f} MiB")


def _names(scored: ScoredRun) -> Check:
    """Names that can be read: no control or direction marks, not endless."""
    method = scored.result.method
    hidden = [letter for letter in method if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co")]
    if hidden or not method.strip() or len(method) > LONGEST_NAME:
        told = f"wanted a name of at most {LONGEST_NAME} visible characters, found {method!a:.120}"
        return Check(name="names", outcome="fail", told=told)
    return Check(name="names", outcome="pass", told=f"{method!r} can be read")


def _paths(scored: ScoredRun) -> Check:
    """Every sample's path stays in the submission."""
    root = scored.run.media_folder
    bad = [
        str(sample.path)
        for sample in scored.run.samples.latest().values()
        if sample.path is not None and (Path(sample.path).is_absolute() or ".." in Path(sample.path).parts)
    ]
    if bad:
        told = f"{len(bad)} samples are named outside {root.name}/, first: {bad[0]!r}; submit a run of `evalkit run`"
        return Check(name="paths", outcome="fail", told=told)
    return Check(name="paths", outcome="pass", told="every sample's path stays in the folder")


def _setting(scored: ScoredRun, data: Path | None) -> tuple[Setting | None, str]:
    identity, asked = scored.run.record.identity, scored.run.record.request
    if identity.benchmark not in entries(BENCHMARKS):
        return None, f"no benchmark {identity.benchmark!r} is installed"
    request = Request(
        bench=f"{identity.benchmark}/{asked.protocol}", data=data, profile=identity.profile, seeds=len(asked.seeds),
        limit=asked.limit,
    )  # fmt: skip
    try:
        return prepare(request), ""
    except EvalkitError as error:
        return None, str(error).splitlines()[0]


def _tried(name: str, look: Callable[[_Held], tuple[Outcome, str]], held: _Held) -> Check:
    try:
        outcome, told = look(held)
    except EvalkitError as error:
        outcome, told = "fail", str(error)
    return Check(name=name, outcome=outcome, told=told)


def _protocol(held: _Held) -> tuple[Outcome, str]:
    """Everything that the protocol asks for was scored."""
    if held.setting is None:
        return "skip", held.why_no_setting
    asked = held.scored.run.record.request
    lacking = [str(choice) for choice in held.setting.protocol.metrics if choice not in asked.metrics]
    if lacking:
        return "fail", f"{len(lacking)} metrics of the protocol were left out: {', '.join(lacking[:5])}"
    if asked.limit is not None:
        return "warn", f"only {asked.limit} cases were asked for; it is shown apart from whole runs"
    return "pass", f"all {len(held.setting.protocol.metrics)} metrics of the protocol, all cases"


def _cases(held: _Held) -> tuple[Outcome, str]:
    """The cases are the benchmark's: prompts, references and their pixels."""
    if held.setting is None:
        return "skip", held.why_no_setting
    mine, theirs = held.setting.case_sha256, {c.case_id: c.sha256 for c in held.scored.run.requested}
    if set(mine) != set(theirs):
        both = len(set(mine) & set(theirs))
        return "fail", f"wanted the benchmark's {len(mine)} cases, found {len(theirs)}, {both} of them the same"
    changed = [name for name in mine if mine[name] != theirs[name]]
    if changed:
        return "fail", f"{len(changed)} cases have another prompt or other references, first: {changed[0]!r}"
    return "pass", f"{len(mine)} cases with the benchmark's prompts and references"


def _table(held: _Held) -> tuple[Outcome, str]:
    """The table's numbers follow from its scores; totals of other columns are left to scoring again."""
    scored, wrong, totals = held.scored, [], 0
    for label, summary in scored.result.scores.items():
        choice = scored.choice(label)
        if isinstance(load(METRICS, choice.metric), DerivedMetric):
            totals += 1
            continue
        column = scored.held(label)
        rows = [
            SummaryRow(scored.cases[case_id], seed, value, weight)
            for (case_id, seed), value, weight in zip(
                scored.keys, column.value.tolist(), column.weight.tolist(), strict=True
            )
            if not math.isnan(value)
        ]
        value = (micro if choice.aggregation == "micro" else macro)(rows)
        if len(rows) != summary.n_scored:
            wrong.append(f"{label} says {summary.n_scored} scored, its scores are {len(rows)}")
        elif value is None or summary.value is None:
            wrong += [f"{label} says {summary.value}, its scores give {value}"] if value != summary.value else []
        elif abs(value - summary.value) > ROUNDING * scored.result.scales[label]:
            wrong.append(f"{label} says {summary.value:.6g}, its scores give {value:.6g}")
    if wrong:
        return "fail", "; ".join(wrong[:3])
    left = f", {totals} totals are not looked at here" if totals else ""
    return "pass", f"{len(scored.result.scores) - totals} numbers follow from their scores{left}"


def _signatures(held: _Held) -> tuple[Outcome, str]:
    """The numbers were computed as this installation computes them."""
    if held.setting is None:
        return "skip", held.why_no_setting
    mine = {column.label: column.full_signature for column in open_table(held.setting).columns}
    told = []
    for label, summary in held.scored.result.scores.items():
        if label not in mine:
            continue
        first = mine[label].first_difference(Signature.parse(summary.signature))
        if first is not None:
            told.append(f"{label}: {first[0]} is {first[2] or 'nothing'}, here {first[1] or 'nothing'}")
    if told:
        return (
            "warn",
            f"{len(told)} are computed otherwise here and will not be ranked beside such: {'; '.join(told[:3])}",
        )
    return "pass", "every signature is this installation's"


def _samples(held: _Held) -> tuple[Outcome, str]:
    """The samples are there and are what was scored."""
    if not held.scored.run.media_folder.is_dir():
        return "skip", "no samples were submitted"
    expected = [(case.case, seed) for case in held.scored.run.requested for seed in held.scored.seeds]
    gone = fallen(held.scored.run, expected)
    if gone:
        return "fail", f"{len(gone)} samples are not what was scored, first: {next(iter(gone.values())).reason}"
    return "pass", f"{len(expected)} samples are what was scored"


_LOOKS: tuple[tuple[str, Callable[[_Held], tuple[Outcome, str]]], ...] = (
    ("protocol", _protocol),
    ("cases", _cases),
    ("table", _table),
    ("signatures", _signatures),
    ("samples", _samples),
)


def _not_again() -> Check:
    return Check(name="scored again", outcome="skip", told="not asked for")


def _again(held: _Held, data: Path | None) -> Check:
    """Scores the samples anew in a copy and compares every number."""
    name = "scored again"
    if held.setting is None:
        return Check(name=name, outcome="skip", told=held.why_no_setting)
    if not held.scored.run.media_folder.is_dir():
        return Check(name=name, outcome="skip", told="no samples were submitted")
    with tempfile.TemporaryDirectory(prefix="evalkit-verify-") as folder:
        copy = Path(folder) / "run"
        copy.mkdir()
        for part in ("samples", "store"):
            _carry(held.path / part, copy / part, only=None)
        shutil.rmtree(copy / "store" / "scores", ignore_errors=True)
        record = held.scored.run.record.model_copy(update={"data_folder": None, "sample_masks": None})
        atomic_write_text(copy / RECORD_NAME, record.text())
        try:
            found = score_run(copy, (), data=data)
        except EvalkitError as error:
            return Check(name=name, outcome="fail", told=str(error).splitlines()[0])
        wrong = list(_differing(held.scored, found))
    if wrong:
        return Check(name=name, outcome="fail", told=f"{len(wrong)} numbers do not come again: {'; '.join(wrong[:3])}")
    return Check(name=name, outcome="pass", told=f"{len(found.scores)} numbers come again from the samples")


def _differing(scored: ScoredRun, again: Result) -> Iterator[str]:
    for label, summary in scored.result.scores.items():
        new = again.scores.get(label)
        if new is None:
            continue
        if new.value is None or summary.value is None:
            if new.value != summary.value and not new.states.get("weights_missing"):
                yield f"{label} says {summary.value}, again {new.value}"
            continue
        tolerance = scored.card(label).variant(scored.choice(label).variant).tolerance * scored.result.scales[label]
        if abs(new.value - summary.value) > max(tolerance, ROUNDING):
            yield f"{label} says {summary.value:.6g}, again {new.value:.6g}"
