"""The second half of a run: scores for every sample, each backbone run once for all metrics that need it."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from evalkit.engine.batches import batches
from evalkit.engine.contract import broken, checked, checked_requests
from evalkit.engine.items import identity_of, item_of, why_none
from evalkit.engine.mates import Sets
from evalkit.engine.shown import chunks, is_heavy
from evalkit.features.service import Missing
from evalkit.metrics.base import Item, Mate, Outcome, Unscorable
from evalkit.metrics.derived import DerivedMetric
from evalkit.nouns import Score, State, digest
from evalkit.progress import progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from evalkit.engine.columns import Column
    from evalkit.engine.targets import Targets
    from evalkit.features.service import FeatureService, FeatureView
    from evalkit.features.spec import FeatureRequest, ImageContent
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
        sample_masks: Mapping[tuple[str, int], ImageContent] | None = None,
    ) -> None:
        self._run, self._targets, self._service, self._chunk = run, targets, service, chunk
        self._sets = Sets((), run.media_folder)
        self._made: Mapping[tuple[str, int], Sample] = {}
        self._absent = absent or {}
        """(case, seed) pairs whose sample does not stand, whatever the store holds, with what their scores get."""
        self._masks = sample_masks or {}
        # One metric aggregated in two ways is two columns of one signature: its scores are computed once.
        distinct = {str(column.signature): column for column in columns}
        self._columns = tuple(c for c in distinct.values() if not isinstance(c.metric, DerivedMetric))

    def score(self, expected: Sequence[tuple[Case, int]]) -> int:
        """Computes every score that is missing, stale or worth trying again; returns how many are new."""
        samples, scores = self._run.samples.latest(), self._run.scores.latest()
        self._sets = Sets(expected, self._run.media_folder)
        count = 0
        stale = [pair for pair in expected if self._work(*pair, samples, scores)]
        self._made = samples
        pieces = list(chunks(stale, self._chunk, self._sample))
        with (
            progress("score", len(expected), done=len(expected) - len(stale), unit="samples") as advance,
            ThreadPoolExecutor(1, thread_name_prefix="evalkit-stage") as stager,
        ):
            staged = self._staged(pieces, samples, scores, stager)
            for pairs, work in zip(pieces, staged, strict=True):
                new = [score for score in self._scored(work) if scores.get(score.key) != score]
                if new:
                    self._run.scores.append(new)
                count += len(new)
                advance(len(pairs))
        return count

    def _staged(
        self,
        pieces: Sequence[Sequence[tuple[Case, int]]],
        samples: Mapping[tuple[str, int], Sample],
        scores: Mapping[tuple[str, int, str], Score],
        stager: ThreadPoolExecutor,
    ) -> Iterator[list[_Work]]:
        """Each chunk's work, with the next chunk's pictures being decoded meanwhile."""

        def stage(pairs: Sequence[tuple[Case, int]]) -> list[_Work]:
            work = [w for pair in pairs for w in self._work(*pair, samples, scores)]
            if not is_heavy(pairs, self._sample):
                self._service.ahead(request for w in work for request in w.requests)
            return work

        ahead = stager.submit(stage, pieces[0]) if pieces else None
        for index in range(len(pieces)):
            assert ahead is not None
            work = ahead.result()
            ahead = stager.submit(stage, pieces[index + 1]) if index + 1 < len(pieces) else None
            yield work

    def _sample(self, pair: tuple[Case, int]) -> Sample | None:
        return self._made.get((pair[0].case_id, pair[1]))

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
        picture = identity_of(sample) if sample is not None else None
        told = [picture, self._targets.identity(case), case.prompt, case.texts]
        alone, mates = digest(told), self._mates(case, seed, samples)
        standing = None if isinstance(mates, Outcome) else [mate.sample.sha256 for mate in mates]
        together = alone if case.set_id is None else digest([*told, standing])
        unmade = fallen or why_none(sample)
        found = []
        for column in self._columns:
            needs = column.metric.card.needs
            inputs = together if "mates" in needs else alone
            mask = self._masks.get((case.case_id, seed)) if column.reads_given_masks else None
            inputs = inputs if mask is None else digest([inputs, mask.sha256])
            old = scores.get((case.case_id, seed, str(column.signature)))
            if old is not None and old.inputs == inputs and not old.state.retried:
                continue
            wanted = (("targets", targets), ("target_masks", masks), ("mates", mates))
            lost = (what for name, what in wanted if name in needs)
            known = unmade or next((what for what in lost if isinstance(what, Outcome)), None)
            item = known or item_of(case, seed, sample, (targets, masks, mates), self._run.media_folder)
            if mask is not None and isinstance(item, Item):
                item = replace(item, sample_mask=mask)
            found.append(self._one(column, case, seed, inputs, item))
        return found

    def _mates(self, case: Case, seed: int, samples: Mapping[tuple[str, int], Sample]) -> tuple[Mate, ...] | Outcome:
        def standing(case_id: str, seed: int) -> Sample | None:
            sample = samples.get((case_id, seed)) if (case_id, seed) not in self._absent else None
            return sample if sample is not None and sample.state == "made" else None

        return self._sets.mates(case, seed, standing)

    @staticmethod
    def _one(column: Column, case: Case, seed: int, inputs: str, item: Item | Outcome) -> _Work:
        if not column.applies(case):
            item = Outcome(
                State.NOT_APPLICABLE, reason=f"the protocol limits {column.choice.metric} to {column.choice.where}"
            )
        elif case.medium not in (reads := column.metric.card.reads(column.bound.name)):
            item = Outcome(
                State.NOT_APPLICABLE, reason=f"it reads {' and '.join(reads)}, and the case is {case.medium}"
            )
        if isinstance(item, Outcome):
            return _Work(column, case, seed, inputs, None, (), item)
        try:
            requests = checked_requests(column.metric.requests(item, column.bound))
        except Exception as error:  # a plugin's code: see `_measured`
            return _Work(column, case, seed, inputs, item, (), _why_none(error))
        return _Work(column, case, seed, inputs, item, requests, None)

    def _scored(self, work: Sequence[_Work]) -> list[Score]:
        view = self._service.features(request for w in work for request in w.requests)
        work = [_followed(one, view) for one in work]
        for one in work:
            for some in batches((request for request in one.requests if request not in view), CHUNK):
                view |= self._service.features(some)
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


def _why_none(error: Exception) -> Outcome:
    return Outcome(error.state, reason=error.reason) if isinstance(error, Unscorable) else broken(error)


def _followed(one: _Work, view: FeatureView) -> _Work:
    """With what the metric needs besides, now that the features are there that it asked for first."""
    if one.item is None or one.outcome is not None or _lacking(one, view) is not None:
        return one
    found = [array for r in one.requests if not isinstance(array := view[r], Missing)]
    try:
        further = checked_requests(one.column.metric.further(one.item, one.column.bound, found))
    except Exception as error:  # a plugin's code: see `_measured`
        return replace(one, outcome=_why_none(error))
    return replace(one, requests=(*one.requests, *further))


def _lacking(one: _Work, view: FeatureView) -> Outcome | None:
    for request in one.requests:
        if isinstance(feature := view[request], Missing):
            state = feature.state
            other = feature.picture is not None and one.item is not None and feature.picture not in one.item.frames
            if state is State.DECODE_ERROR and one.item is not None and other:
                of_mate = feature.picture in {mate.sample for mate in one.item.mates}
                state = State.MATE_MISSING if of_mate else State.REFERENCE_ERROR
            return Outcome(state, reason=feature.reason)
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
