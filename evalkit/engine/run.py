"""A run from a user's words to a score table: `evalkit run`, `generate` and `score`."""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from evalkit.engine.batches import batches
from evalkit.engine.columns import check_media, choices
from evalkit.engine.generate import generate
from evalkit.engine.intake import Intake, find_samples, read_samples
from evalkit.engine.remarks import remarks
from evalkit.engine.sample_masks import SampleMasks, read_sample_masks
from evalkit.engine.setting import Request, Setting, prepare
from evalkit.engine.standing import fallen, report
from evalkit.engine.table import Table, open_table, score
from evalkit.engine.training import context_of, helps, train
from evalkit.errors import DataError, ProblemsError, UsageError
from evalkit.methods.base import Context, Method
from evalkit.metrics.base import Outcome
from evalkit.nouns import State
from evalkit.progress import warn
from evalkit.registry import METHODS, blamed, entries, load
from evalkit.runs.folder import RunFolder
from evalkit.runs.location import fresh_path
from evalkit.runs.provenance import hardware, start_invocation
from evalkit.runs.record import RunIdentity, RunRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from evalkit.benchmarks.binding import Pair
    from evalkit.engine.result import Result

FLUSH = 64
"""Rows between two appends while a folder is read."""


class Generated(NamedTuple):
    """How far `evalkit generate` came."""

    path: Path
    made: int
    wanted: int


def run_method(name: str, request: Request) -> Result | None:
    """Makes a method's samples for a benchmark, after training it where asked, and scores them.

    None in the processes that only help to train.
    """
    setting = prepare(request, method=name)
    if helps(setting):
        return None
    table = open_table(setting)  # before hours of generation: what cannot be scored is said first
    with _open_for(setting) as (method, run):
        _make(method, setting, run)
        return score(setting, run, table, rewards=method.info.rewards, problems=remarks(setting, run))


def generate_only(name: str, request: Request) -> Generated | None:
    """Makes a method's samples, after training it where asked, and leaves them unscored.

    None in the processes that only help to train.
    """
    setting = prepare(request, method=name)
    if helps(setting):
        return None
    with _open_for(setting) as (method, run):
        _make(method, setting, run)
        there = run.samples.latest()
        made = sum(1 for case, seed in setting.expected if (s := there.get((case.case_id, seed))) and s.state == "made")
        return Generated(run.path, made, len(setting.expected))


def score_folder(samples: Path, name: str, request: Request) -> Result:
    """Scores somebody's folder of samples under the name of what made them."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", name):
        raise UsageError(
            f"wanted --name of letters, digits, '_', '-' and '.', at most 100 long, found {name!r}; choose another"
        )
    if name in entries(METHODS) and load(METHODS, name).info.kind == "control":
        raise UsageError(
            f"wanted --name of what made the samples, found {name!r}, which is a control of evalkit's own; choose another"
        )
    if not samples.is_dir():
        found = "a file" if samples.exists() else "nothing"
        raise DataError(f"wanted a folder for --samples, found {found} at {str(samples)!r}; check the path")
    setting = prepare(request)
    table = open_table(setting)
    _check_masks(request, table)
    intake = find_samples(samples, setting.benchmark, setting.expected)
    with _open(setting, _identity(setting, name, "-", {"samples": str(samples.resolve())})) as run:
        return _taken_in(intake, name, setting, run, table, folder=samples)


def score_run(
    path: Path,
    metrics: tuple[str, ...],
    *,
    data: Path | None = None,
    sample_masks: Path | None = None,
    fetch: bool = False,
) -> Result:
    """Scores a run's samples again, `metrics` being added to its own; only what is missing is computed.

    `data` says where the benchmark's data lies now, None for where it lay. A run of somebody's folder reads that
    folder again; `sample_masks` the same for the masks of its samples. A sample whose file is gone or holds something
    else than was made has no score.
    """
    record = RunFolder.read(path).record
    asked = record.request
    there = Path(record.data_folder) if record.data_folder is not None else None
    request = Request(
        bench=f"{record.identity.benchmark}/{asked.protocol}",
        data=data or there,
        profile=record.identity.profile,
        seeds=len(asked.seeds),
        limit=asked.limit,
        sample_masks=sample_masks,
        out=path,
        fetch=fetch,
    )
    chosen = choices(asked.metrics, metrics)
    setting = replace(prepare(request), choices=chosen)
    check_media(chosen, setting.benchmark.cases, setting.benchmark.spec.name)
    table = open_table(setting)
    _check_masks(request, table)
    folder = record.identity.method_config.get("samples")
    intake = find_samples(Path(folder), setting.benchmark, setting.expected) if isinstance(folder, str) else None
    with _open(setting, record.identity) as run:
        if intake is not None:
            return _taken_in(intake, record.identity.method, setting, run, table, folder=Path(str(folder)))
        gone = fallen(run, setting.expected)
        problems = report(gone, mend="`evalkit run` with the same method and --out makes them again")
        masks = _masks(setting, run, table, absent=gone, names=None)
        told = (*problems, *remarks(setting, run), *masks.told)
        return score(
            setting, run, table, rewards=record.rewards, problems=told, absent=gone, sample_masks=masks.contents
        )


def _taken_in(intake: Intake, name: str, setting: Setting, run: RunFolder, table: Table, *, folder: Path) -> Result:
    """Reads what is new or changed in somebody's folder and scores it."""
    known, sha256 = run.samples.latest(), setting.case_sha256
    fresh = read_samples(intake, method=name, case_sha256=sha256, known=known, pictures=setting.pictures)
    for rows in batches(fresh, FLUSH):
        run.samples.append(rows)
    there = run.samples.latest()
    unreadable = [str(there[pair].reason) for pair in intake.files if there[pair].state == "unreadable"]
    problems = intake.report()
    if unreadable:
        problems.append(f"{len(unreadable)} files cannot be read, first: {unreadable[0]}")
    absent = dict.fromkeys(intake.missing, Outcome(State.SAMPLE_MISSING, reason="no sample for this case and seed"))
    top = folder.resolve()
    names = {pair: path.relative_to(top) for pair, path in intake.files.items()}
    masks = _masks(setting, run, table, absent=absent, names=names)
    return score(setting, run, table, problems=(*problems, *masks.told), absent=absent, sample_masks=masks.contents)


def _check_masks(request: Request, table: Table) -> None:
    """Raises UsageError for masks that nothing would read."""
    if request.sample_masks is not None and not any(column.reads_given_masks for column in table.columns):
        raise UsageError(
            "wanted a metric that reads masks of samples beside --sample-masks, found none; add one, such as "
            "--metric si_iou@given"
        )


def _masks(
    setting: Setting,
    run: RunFolder,
    table: Table,
    *,
    absent: Mapping[Pair, Outcome],
    names: Mapping[Pair, Path] | None,
) -> SampleMasks:
    """The masks of the samples where a column reads them: in the folder given now, else in the one given before."""
    recorded = run.record.sample_masks
    folder = setting.request.sample_masks or (None if recorded is None else Path(recorded))
    if folder is None or not any(column.reads_given_masks for column in table.columns):
        return SampleMasks({})
    wanted = [pair for case, seed in setting.expected if (pair := (case.case_id, seed)) not in absent]
    found = read_sample_masks(folder, run.samples.latest(), wanted, names=names, pictures=setting.pictures)
    run.update_record(sample_masks=str(folder.resolve()))
    return found


def _make(method: Method, setting: Setting, run: RunFolder) -> None:
    """Trains where asked, then makes what is missing."""
    context = context_of(setting, run.path)
    if setting.request.train:
        context = replace(context, checkpoint=train(setting, run))
    generate(method, context, run, setting.expected, setting.case_sha256)


@contextmanager
def _open_for(setting: Setting) -> Iterator[tuple[Method, RunFolder]]:
    """The method and its run folder, once it has said that it can make the samples."""
    method = setting.method
    assert method is not None
    asked = Context(setting.benchmark, setting.profile.profile, Path(), Path() if setting.request.train else None)
    with blamed(f"the method {method.info.name!r}, asked whether it can make these samples,"):
        problems = [*method.check(asked)]
    for medium in sorted({case.medium for case, _ in setting.expected}.difference(method.info.media)):
        problems.append(f"wanted the medium {medium!r}, found a method that makes {', '.join(method.info.media)}")
    if method.info.max_references != 0 and not all(case.references for case, _ in setting.expected):
        problems.append(
            f"wanted cases with a picture to look at, found some without; {setting.benchmark.spec.source.get}"
        )
    if problems:
        raise ProblemsError(f"{method.info.name} cannot make samples for {setting.benchmark.spec.name}", problems)
    config = method.config | ({"trained": _trained_on(setting)} if setting.request.train else {})
    with _open(setting, _identity(setting, method.info.name, method.info.version, config)) as run:
        if run.record.rewards != method.info.rewards:
            run.update_record(rewards=method.info.rewards)
        yield method, run


def _trained_on(setting: Setting) -> str:
    data = setting.request.train_data
    return "its own data" if data is None else str(data.resolve() if data.exists() else data)


def _identity(setting: Setting, method: str, version: str, config: dict[str, Any]) -> RunIdentity:
    return RunIdentity(
        method=method,
        method_version=version,
        method_config=config,
        benchmark=setting.benchmark.spec.name,
        world=setting.benchmark.world,
        profile=setting.profile.profile,
    )


def _folder_name(identity: RunIdentity, asked: Request) -> str:
    """Method, profile, and what was set: each setting of a method is a run of its own."""
    words = [identity.method, identity.profile, *(["trained"] if asked.train else []), *sorted(asked.options)]
    return re.sub(r"[^A-Za-z0-9_.=-]", "_", "-".join(words))[:200]


@contextmanager
def _open(setting: Setting, identity: RunIdentity) -> Iterator[RunFolder]:
    """The run folder under its lock, with this invocation noted in it."""
    asked = setting.request
    default = Path("runs") / identity.benchmark / setting.protocol.name / _folder_name(identity, asked)
    path = asked.out or default
    if not asked.resume:
        path = fresh_path(path)
    request = RunRequest(
        protocol=setting.protocol.name, metrics=setting.choices, seeds=setting.seeds, limit=asked.limit
    )
    with RunFolder.open(path, identity=identity, request=request, cases=setting.cases) as run:
        for line in run.replaced:
            warn(line)
        data = str(setting.data.resolve()) if setting.data is not None else None
        run.update_record(data_folder=data)
        run.begin(start_invocation(sys.argv))
        yield run
        run.finish(hardware())
