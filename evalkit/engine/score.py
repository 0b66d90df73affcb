"""The second half of a run: scores for every sample, each backbone run once for all metrics that need it."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.engine.contract import broken, checked, checked_requests
from evalkit.features.service import Missing
from evalkit.features.spec import ImageContent
from evalkit.metrics.base import Item, Outcome, Unscorable
from evalkit.nouns import Score, State, digest
from evalkit.progress import progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from evalkit.engine.columns import Column
    from evalkit.engine.targets import Targets
    from evalkit.features.service import FeatureService, FeatureView
    from evalkit.features.spec import FeatureRequest
    from evalkit.nouns import Case, Sample
    from evalkit.runs.folder import RunFolder

CHUNK = 64
"""Samples scored together: one append to the store, and the bound on memory."""


@dataclass(frozen=True)
class _Work:
    """One (sample, column) that has no valid score yet."""

    column: Column
    case: Case
    seed: int
    inputs: str
    item: Item | None
    requests: tuple[FeatureRequest, ...]
    outcome: Outcome | None
    """Known without features."""


class Scorer:
    """Scores a run's samples; construct once, call `score`."""

    def __init__(
        self,
        run: RunFolder,
        columns: Sequence[Column],
        targets: Targets,
        service: FeatureService,
        *,
        chunk: int = CHUNK,
        absent: Mapping[tuple[str, int], Outcome] | None = None,
    ) -> None:
        self._run, self._targets, self._service, self._chunk = run, targets, service, chunk
        self._absent = absent or {}
        """(case, seed) pairs whose sample does not stand, whatever the store holds, with what their scores get."""
        # One metric aggregated in two ways is two columns of one signature: its scores are computed once.
        self._columns = tuple({str(column.signature): column for column in columns}.values())

    def score(self, expected: Sequence[tuple[Case, int]]) -> int:
        """Computes every score that is missing, stale or worth trying again; returns how many are new."""
        samples, scores = self._run.samples.latest(), self._run.scores.latest()
        count = 0
        stale = [pair for pair in expected if self._work(*pair, samples, scores)]
        chunks = [stale[start : start + self._chunk] for start in range(0, len(stale), self._chunk)]
        with (
            progress("score", len(expected), done=len(expected) - len(stale), unit="samples") as advance,
            ThreadPoolExecutor(1, thread_name_prefix="evalkit-stage") as stager,
        ):
            staged = self._staged(chunks, samples, scores, stager)
            for pairs, work in zip(chunks, staged, strict=True):
                new = [score for score in self._scored(work) if scores.get(score.key) != score]
                if new:
                    self._run.scores.append(new)
                count += len(new)
                advance(len(pairs))
        return count

    def _staged(
        self,
        chunks: Sequence[Sequence[tuple[Case, int]]],
        samples: Mapping[tuple[str, int], Sample],
        scores: Mapping[tuple[str, int, str], Score],
        stager: ThreadPoolExecutor,
    ) -> Iterator[list[_Work]]:
        """Each chunk's work, with the next chunk's pictures being decoded meanwhile."""

        def stage(pairs: Sequence[tuple[Case, int]]) -> list[_Work]:
            work = [w for pair in pairs for w in self._work(*pair, samples, scores)]
            self._service.ahead(request for w in work for request in w.requests)
            return work

        ahead = stager.submit(stage, chunks[0]) if chunks else None
        for index in range(len(chunks)):
            assert ahead is not None
            work = ahead.result()
            ahead = stager.submit(stage, chunks[index + 1]) if index + 1 < len(chunks) else None
            yield work

    def _work(
        self,
        case: Case,
        seed: int,
        samples: Mapping[tuple[str, int], Sample],
        scores: Mapping[tuple[str, int, str], Score],
    ) -> list[_Work]:
        """What is to do for one sample: columns without a score for exactly these inputs."""
        fallen = self._absent.get((case.case_id, seed))
        sample = samples.get((case.case_id, seed)) if fallen is None else None
        targets, masks = self._targets.of(case), self._targets.masks(case)
        picture = (sample.pixels_sha256, sample.true_picture) if sample is not None else None
        inputs = digest([picture, self._targets.identity(case), case.prompt, case.texts])
        unmade = fallen or _known(sample)
        found = []
        for column in self._columns:
            old = scores.get((case.case_id, seed, str(column.signature)))
            if old is not None and old.inputs == inputs and not old.state.retried:
                continue
            needs = column.metric.card.needs
            lost = (what for name, what in (("targets", targets), ("target_masks", masks)) if name in needs)
            known = unmade or next((what for what in lost if isinstance(what, Outcome)), None)
            item = known or _item(case, seed, sample, (targets, masks), self._run.media_folder)
            found.append(self._one(column, case, seed, inputs, item))
        return found

    @staticmethod
    def _one(column: Column, case: Case, seed: int, inputs: str, item: Item | Outcome) -> _Work:
        if not column.applies(case):
            item = Outcome(
                State.NOT_APPLICABLE, reason=f"the protocol limits {column.choice.metric} to {column.choice.where}"
            )
        if isinstance(item, Outcome):
            return _Work(column, case, seed, inputs, None, (), item)
        try:
            requests = checked_requests(column.metric.requests(item, column.bound))
        except Unscorable as why:
            return _Work(column, case, seed, inputs, item, (), Outcome(why.state, reason=why.reason))
        except Exception as error:  # a plugin's code: see `_measured`
            return _Work(column, case, seed, inputs, item, (), broken(error))
        return _Work(column, case, seed, inputs, item, requests, None)

    def _scored(self, work: Sequence[_Work]) -> list[Score]:
        view = self._service.features(request for w in work for request in w.requests)
        outcomes: dict[int, Outcome] = {}
        ready: dict[int, list[int]] = defaultdict(list)
        for index, one in enumerate(work):
            known = one.outcome or _lacking(one, view)
            if known is not None:
                outcomes[index] = known
            else:
                ready[id(one.column)].append(index)
        for indices in ready.values():
            outcomes |= zip(indices, _measured([work[i] for i in indices], view), strict=True)
        return [_score(one, outcomes[index]) for index, one in enumerate(work)]


def _known(sample: Sample | None) -> Outcome | None:
    if sample is None:
        return Outcome(State.SAMPLE_MISSING, reason="no sample for this case and seed")
    if sample.state == "failed":
        return Outcome(State.SAMPLE_FAILED, reason=sample.reason)
    return Outcome(State.DECODE_ERROR, reason=sample.reason) if sample.state == "unreadable" else None


def _item(
    case: Case,
    seed: int,
    sample: Sample | None,
    shown: tuple[tuple[ImageContent, ...] | Outcome, tuple[Path | None, ...] | Outcome],
    media: Path,
) -> Item:
    """The item of a sample that was made; `shown` are its targets and their masks, as far as they can be decoded."""
    assert sample is not None
    picture = ImageContent(str(sample.pixels_sha256), media / str(sample.path))
    targets = () if isinstance(shown[0], Outcome) else shown[0]
    masks = (None,) * len(targets) if isinstance(shown[1], Outcome) else shown[1]
    kept = [
        (target, mask, told.subject)
        for target, mask, told in zip(targets, masks, case.targets, strict=False)
        if not sample.true_picture or target.sha256 != picture.sha256
    ]
    targets, masks, subjects = zip(*kept, strict=True) if kept else ((), (), ())
    return Item(case, seed, picture, targets, masks, subjects)


def _lacking(one: _Work, view: FeatureView) -> Outcome | None:
    for request in one.requests:
        if isinstance(feature := view[request], Missing):
            of_target = (
                feature.state is State.DECODE_ERROR and one.item is not None and feature.picture != one.item.sample
            )
            return Outcome(State.REFERENCE_ERROR if of_target else feature.state, reason=feature.reason)
    return None


def _measured(work: Sequence[_Work], view: FeatureView) -> list[Outcome]:
    """The metric's outcomes; where its code fails on the batch, one by one, so that one bad item costs only itself."""
    column = work[0].column
    items = [one.item for one in work if one.item is not None]
    features = [[array for r in one.requests if not isinstance(array := view[r], Missing)] for one in work]
    try:
        outcomes = [checked(outcome, column) for outcome in column.metric.score(items, column.bound, features)]
    except Exception as error:  # a plugin's code: its failure is a state of its scores, not the end of the run
        if len(work) > 1:
            return [outcome for one in work for outcome in _measured([one], view)]
        return [broken(error)]
    if len(outcomes) != len(items):
        reason = f"{column.choice.metric} gave {len(outcomes)} outcomes for {len(items)} items"
        return [Outcome(State.METRIC_ERROR, reason=reason)] * len(items)
    return outcomes


def _score(one: _Work, outcome: Outcome) -> Score:
    return Score(
        case_id=one.case.case_id,
        seed=one.seed,
        metric=one.column.choice.column,
        signature=str(one.column.signature),
        inputs=one.inputs,
        state=outcome.state,
        value=outcome.value,
        weight=outcome.weight,
        reason=outcome.reason,
    )
