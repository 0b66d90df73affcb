"""Cosine similarity of embeddings, and the metrics that are a mean of it over a case's targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.features.spec import FeatureRequest
from evalkit.metrics.base import Bound, Item, Metric, Outcome, Unscorable
from evalkit.metrics.frames import seen
from evalkit.nouns import State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from evalkit.features.spec import ImageContent


def cosine(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Cosine similarity along the last axis, in float64.

    a, b: [..., D], broadcast against each other. Returns [...] in [-1, 1]; 1 for parallel vectors, NaN where either
    vector is zero.

    Example:
        >>> cosine([[3.0, 4.0], [1.0, 0.0]], [4.0, 3.0]).tolist()
        [0.96, 0.8]
    """
    import numpy as np

    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    norms = np.sqrt((x * x).sum(-1)) * np.sqrt((y * y).sum(-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        value = (x * y).sum(-1) / norms
    return np.asarray(np.clip(value, -1.0, 1.0))


def mean_target_cosine(sample: ArrayLike, targets: ArrayLike) -> NDArray[np.float64]:
    """Mean cosine between a sample's embedding and each of its targets'.

    sample: [..., D]; targets: [..., R, D]. Returns [...] in [-1, 1]; 1 for a copy of every target, NaN where an
    embedding is zero or there is no target.

    Example:
        >>> mean_target_cosine([1.0, 0.0], [[1.0, 0.0], [0.0, 1.0]]).item()
        0.5
    """
    import numpy as np

    pairs = cosine(np.asarray(sample)[..., None, :], targets)
    return pairs.mean(-1) if pairs.shape[-1] else np.full(pairs.shape[:-1], np.nan)


def targets_of(item: Item, bound: Bound) -> tuple[ImageContent, ...]:
    """All targets, or with the variant parameter `subject` those of the case's first (0), second (1) subject alone.

    Raises Unscorable: `reference_missing` where there are none, `not_applicable` for a case of fewer subjects.
    """
    number = bound.card.params.get("subject")
    if number is not None and number >= len(item.case.subjects):
        reason = f"{item.case.case_id} is of {len(item.case.subjects)}, no subject {number + 1}"
        raise Unscorable(State.NOT_APPLICABLE, reason)
    item.need_targets()
    if number is None or not item.target_subjects:
        return item.targets
    wanted = item.case.subjects[number]
    kept = tuple(t for t, subject in zip(item.targets, item.target_subjects, strict=True) if subject == wanted)
    if not kept:
        raise Unscorable(State.REFERENCE_MISSING, f"{item.case.case_id} has no target picture of {wanted}")
    return kept


class TargetMeasure(Metric):
    """A measure of the sample's embedding against all of its targets': CLIP-I, DINO-I, DreamSim.

    `output` names the extractor's output; `measure` takes [..., D] and [..., R, D] to [...]. Variant parameters: `subject`
    limits it to the targets of one of the case's subjects; with `counts: samples` a sample weighs 1 in a mean over samples,
    where it else weighs as many pairs as it has targets.
    """

    def __init__(
        self,
        card: Path,
        *,
        output: str,
        measure: Callable[[ArrayLike, ArrayLike], NDArray[np.float64]] = mean_target_cosine,
    ) -> None:
        super().__init__(card)
        self.output, self.measure = output, measure

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        """The embeddings of the sample, or of the frames that the variant looks at, and of every target."""
        targets = targets_of(item, bound)
        return [FeatureRequest(bound.extractor, picture, self.output) for picture in (*seen(item, bound), *targets)]

    def score(
        self, items: Sequence[Item], bound: Bound, features: Sequence[Sequence[NDArray[np.float32]]]
    ) -> list[Outcome]:
        """The mean over frames and targets, weighted by the targets' number, so that every (sample, target) pair counts
        once, whatever number of frames a clip has; by 1 where the variant counts samples."""
        return [self._one(item, bound, row) for item, row in zip(items, features, strict=True)]

    def _one(self, item: Item, bound: Bound, row: Sequence[NDArray[np.float32]]) -> Outcome:
        import numpy as np

        count = len(targets_of(item, bound))
        shots, targets = np.split(np.stack(row), [len(row) - count])
        value = self.measure(shots, targets[None]).mean() if len(shots) > 1 else self.measure(shots[0], targets)
        weight = 1 if bound.card.params.get("counts") == "samples" else count
        return Outcome.scored(bound.card.scale * value.item(), weight=weight)
