"""A run from a user's words to a score table: `evalkit run`, `generate` and `score`."""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from evalkit.engine.backbones import Backbones
from evalkit.engine.batches import batches
from evalkit.engine.columns import Column, choices, columns
from evalkit.engine.generate import generate
from evalkit.engine.intake import find_samples, read_samples
from evalkit.engine.result import Result
from evalkit.engine.score import Scorer
from evalkit.engine.setting import Request, Setting, prepare
from evalkit.engine.summary import summarise
from evalkit.errors import DataError, ProblemsError, UsageError
from evalkit.features.cache import DEFAULT_LIMIT_BYTES, FeatureCache, prune
from evalkit.features.service import FeatureService
from evalkit.methods.base import Context, Method
from evalkit.paths import cache_root
from evalkit.progress import warn
from evalkit.registry import METHODS, load
from evalkit.runs.folder import RunFolder
from evalkit.runs.location import fresh_path
from evalkit.runs.provenance import start_invocation
from evalkit.runs.record import Backbone, RunIdentity, RunRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FLUSH = 64
"""Rows between two appends while a folder is read."""


class Generated(NamedTuple):
    """How far `evalkit generate` came."""

    path: Path
    made: int
    wanted: int


def run_method(name: str, request: Request) -> Result:
    """Makes a method's samples for a benchmark and scores them."""
    setting = prepare(request, method=name)
    method: Method = load(METHODS, name)
    with _open_for(method, setting) as run:
        generate(method, _context(method, setting, run), run, setting.expected, setting.case_sha256)
        return _score(setting, run, rewards=method.info.rewards)


def generate_only(name: str, request: Request) -> Generated:
    """Makes a method's samples and leaves them unscored."""
    setting = prepare(request, method=name)
    method: Method = load(METHODS, name)
    with _open_for(method, setting) as run:
        generate(method, _context(method, setting, run), run, setting.expected, setting.case_sha256)
        there = run.samples.latest()
        made = sum(1 for case, seed in setting.expected if (s := there.get((case.case_id, seed))) and s.state == "made")
        return Generated(run.path, made, len(setting.expected))


def score_folder(samples: Path, name: str, request: Request) -> Result:
    """Scores somebody's folder of samples under the name of what made them."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", name):
        raise UsageError(
            f"wanted --name of letters, digits, '_', '-' and '.', at most 100 long, found {name!r}; choose another"
        )
    if not samples.is_dir():
        found = "a file" if samples.exists() else "nothing"
        raise DataError(f"wanted a folder for --samples, found {found} at {str(samples)!r}")
    setting = prepare(request)
    intake = find_samples(samples, setting.benchmark, setting.expected)
    identity = _identity(setting, name, "-", {"samples": str(samples.resolve())})
    with _open(setting, identity) as run:
        known, sha256 = run.samples.latest(), setting.case_sha256
        fresh = read_samples(intake, method=name, case_sha256=sha256, known=known, pictures=setting.pictures)
        for rows in batches(fresh, FLUSH):
            run.samples.append(rows)
        there = run.samples.latest()
        unreadable = [str(there[pair].reason) for pair in intake.files if there[pair].state == "unreadable"]
        report = intake.report()
        if unreadable:
            report.append(f"{len(unreadable)} files cannot be read, first: {unreadable[0]}")
        return _score(setting, run, problems=report, absent=intake.missing)


def score_run(path: Path, metrics: tuple[str, ...], *, fetch: bool) -> Result:
    """Scores a run's samples again, `metrics` being added to its own; only what is missing is computed."""
    record = RunFolder.read(path).record
    asked = record.request
    request = Request(
        bench=f"{record.identity.benchmark}/{asked.protocol}",
        data=Path(record.data_folder) if record.data_folder is not None else None,
        profile=record.identity.profile,
        seeds=len(asked.seeds),
        limit=asked.limit,
        out=path,
        fetch=fetch,
    )
    chosen = choices(asked.metrics, metrics)
    setting = replace(prepare(request), choices=chosen)
    with _open(setting, record.identity) as run:
        return _score(setting, run, rewards=record.rewards)


def _context(method: Method, setting: Setting, run: RunFolder) -> Context:
    return Context(setting.benchmark, setting.profile.profile, run.path / "logs" / method.info.name)


@contextmanager
def _open_for(method: Method, setting: Setting) -> Iterator[RunFolder]:
    """The run folder of a method that has said it can make the samples."""
    problems = method.check(Context(setting.benchmark, setting.profile.profile, Path()))
    if setting.benchmark.spec.medium not in method.info.media:
        made = ", ".join(method.info.media)
        problems.append(f"wanted the medium {setting.benchmark.spec.medium!r}, found a method that makes {made}")
    if problems:
        raise ProblemsError(f"{method.info.name} cannot make samples for {setting.benchmark.spec.name}", problems)
    with _open(setting, _identity(setting, method.info.name, method.info.version, {})) as run:
        if run.record.rewards != method.info.rewards:
            run.update_record(rewards=method.info.rewards)
        yield run


def _identity(setting: Setting, method: str, version: str, config: dict[str, Any]) -> RunIdentity:
    return RunIdentity(
        method=method,
        method_version=version,
        method_config=config,
        benchmark=setting.benchmark.spec.name,
        world=setting.benchmark.world,
        profile=setting.profile.profile,
    )


@contextmanager
def _open(setting: Setting, identity: RunIdentity) -> Iterator[RunFolder]:
    """The run folder under its lock, with this invocation noted in it."""
    asked = setting.request
    path = (
        asked.out or Path("runs") / identity.benchmark / setting.protocol.name / f"{identity.method}-{identity.profile}"
    )
    if not asked.resume and asked.out is None:
        path = fresh_path(path)
    request = RunRequest(
        protocol=setting.protocol.name, metrics=setting.choices, seeds=setting.seeds, limit=asked.limit
    )
    with RunFolder.open(path, identity=identity, request=request, cases=setting.cases, resume=asked.resume) as run:
        data = str(setting.data.resolve()) if setting.data is not None else None
        run.update_record(data_folder=data)
        run.begin(start_invocation(sys.argv))
        yield run
        run.finish()


def _score(
    setting: Setting,
    run: RunFolder,
    *,
    rewards: Sequence[str] = (),
    problems: Sequence[str] = (),
    absent: Sequence[tuple[str, int]] = (),
) -> Result:
    backbones = Backbones(device="cpu" if setting.profile.profile == "sandbox" else None, fetch=setting.request.fetch)
    table = columns(setting.choices, setting.profile.profile, backbones)
    lacking = [f"{column.label}: {column.lacking}" for column in table if column.lacking is not None]
    for line in (*problems, *lacking):
        warn(line)
    cache = FeatureCache(cache_root() / "features")
    service = FeatureService(cache, setting.pictures, fingerprint=backbones.fingerprint, load=backbones.load)
    try:
        Scorer(run, table, setting.targets, service, absent=absent).score(setting.expected)
    finally:
        service.close()
    if service.extracted and cache.root is not None:
        prune(cache.root, limit_bytes=DEFAULT_LIMIT_BYTES)
    used = {digest: Backbone(parts=parts) for digest, parts in backbones.described().items()}
    run.update_record(backbones={**run.record.backbones, **used})
    return _stored(setting, run, table, rewards, (*problems, *lacking))


def _stored(
    setting: Setting, run: RunFolder, table: Sequence[Column], rewards: Sequence[str], problems: Sequence[str]
) -> Result:
    scores = run.scores.latest()
    result = Result(
        path=run.path,
        method=run.record.identity.method,
        benchmark=run.record.identity.benchmark,
        protocol=setting.protocol.name,
        profile=setting.profile.profile,
        scores=summarise(table, setting.expected, scores),
        scales={column.label: column.bound.card.scale for column in table},
        in_domain=tuple(column.label for column in table if column.metric.card.reward_family in rewards),
        problems=tuple(problems),
    )
    signatures = {str(column.signature) for column in table}
    wanted = {(case.case_id, seed) for case, seed in setting.expected}
    shown = [s for s in scores.values() if s.signature in signatures and (s.case_id, s.seed) in wanted]
    run.write_results(result.to_summary() | {"request": run.record.request.digest()}, shown)
    return result
