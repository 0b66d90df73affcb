"""From samples to a stored score table: the columns of a setting, their scores, and what the run folder holds of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.engine.backbones import Backbones
from evalkit.engine.columns import Column, columns
from evalkit.engine.derived import derivation
from evalkit.engine.result import Result
from evalkit.engine.score import Scorer
from evalkit.engine.summary import summarise
from evalkit.features.cache import DEFAULT_LIMIT_BYTES, FeatureCache, prune
from evalkit.features.service import FeatureService
from evalkit.metrics.derived import DerivedMetric
from evalkit.paths import cache_root
from evalkit.progress import warn
from evalkit.runs.record import Backbone

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from evalkit.engine.setting import Setting
    from evalkit.features.spec import ImageContent
    from evalkit.metrics.base import Outcome
    from evalkit.nouns import Score
    from evalkit.runs.folder import RunFolder


@dataclass(frozen=True)
class Table:
    """The columns of a score table with the backbones behind them."""

    backbones: Backbones
    columns: tuple[Column, ...]

    @property
    def problems(self) -> list[str]:
        """One line for each backbone that cannot be had, with the columns that go without numbers for it."""
        lacking: dict[str, list[str]] = {}
        for column in self.columns:
            if column.lacking is not None:
                lacking.setdefault(column.lacking, []).append(column.label)
        return [f"no scores of {', '.join(labels)}: {why}" for why, labels in lacking.items()]


def open_table(setting: Setting) -> Table:
    """The setting's columns, bound to their backbones; warns of those whose weights are not at hand. Loads no model."""
    backbones = Backbones(device="cpu" if setting.profile.profile == "sandbox" else None, fetch=setting.request.fetch)
    table = Table(backbones, tuple(columns(setting.choices, setting.profile.profile, backbones)))
    for line in table.problems:
        warn(line)
    return table


def score(
    setting: Setting,
    run: RunFolder,
    table: Table,
    *,
    rewards: Sequence[str] = (),
    problems: Sequence[str] = (),
    absent: Mapping[tuple[str, int], Outcome] | None = None,
    sample_masks: Mapping[tuple[str, int], ImageContent] | None = None,
) -> Result:
    """Computes what the run's score table lacks and writes the table into the run.

    `rewards`: what the method was trained on. `problems`: lines about the samples, shown with the table. `absent`:
    (case, seed) pairs whose sample does not stand, with what their scores get. `sample_masks`: the masks that the user
    gave.
    """
    for line in problems:
        warn(line)
    cache = FeatureCache(cache_root() / "features")
    service = FeatureService(
        cache, setting.pictures, fingerprint=table.backbones.fingerprint, load=table.backbones.load
    )
    try:
        scorer = Scorer(run, table.columns, setting.targets, service, absent=absent, sample_masks=sample_masks)
        scorer.score(setting.expected)
    finally:
        service.close()
    if service.extracted and cache.root is not None:
        prune(cache.root, limit_bytes=DEFAULT_LIMIT_BYTES)
    described = table.backbones.described()
    for fingerprint, parts in described.items():
        cache.label(fingerprint, " ".join(f"{key}:{value}" for key, value in parts.items()))
    used = {fingerprint: Backbone(parts=parts) for fingerprint, parts in described.items()}
    run.update_record(backbones={**run.record.backbones, **used})
    return _stored(setting, run, table, rewards, (*problems, *table.problems))


def _stored(setting: Setting, run: RunFolder, table: Table, rewards: Sequence[str], problems: Sequence[str]) -> Result:
    scores = run.scores.latest()
    result = Result(
        path=run.path,
        method=run.record.identity.method,
        benchmark=run.record.identity.benchmark,
        protocol=setting.protocol.name,
        profile=setting.profile.profile,
        scores=summarise(table.columns, setting.expected, scores),
        scales={column.label: column.bound.card.scale for column in table.columns},
        directions={column.label: column.metric.card.direction for column in table.columns},
        in_domain=tuple(c.label for c in table.columns if c.metric.card.family(c.choice.variant) in rewards),
        part=part_of(setting),
        problems=(*problems, *_underived(table.columns, setting, scores)),
    )
    signatures = {str(column.signature) for column in table.columns}
    wanted = {(case.case_id, seed) for case, seed in setting.expected}
    shown = [s for s in scores.values() if s.signature in signatures and (s.case_id, s.seed) in wanted]
    run.write_results(result.to_summary() | {"request": run.record.request.digest()}, shown)
    return result


def _underived(
    columns: Sequence[Column], setting: Setting, scores: Mapping[tuple[str, int, str], Score]
) -> Iterator[str]:
    """One line for each derived column that lacks components."""
    for column in columns:
        if isinstance(column.metric, DerivedMetric):
            lacking = derivation(column, columns, setting.expected, scores).lacking
            if lacking:
                made_of = column.metric.components(column.bound)
                names = ", ".join(f"{made_of[name]} ({name})" for name in lacking)
                yield f"no {column.label}: no sample has a value of {names}"


def part_of(setting: Setting) -> str | None:
    """What was asked for where it is not what the protocol says, None where it is."""
    cases, seeds = len(setting.cases), len(setting.seeds)
    told = [] if cases == len(setting.benchmark.cases) else [f"{cases} of {len(setting.benchmark.cases)} cases"]
    if seeds != setting.protocol.seeds:
        told.append(f"{seeds} seed{'s' * (seeds != 1)} where the protocol has {setting.protocol.seeds}")
    return ", ".join(told) or None
