"""Rewards: what a trained sample is told it was worth. They are evalkit's metrics, read by the same backbones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from evalkit.errors import UsageError
from evalkit.features.cache import FeatureCache
from evalkit.features.loading import describe_extractor, load_extractor
from evalkit.features.pictures import Pictures
from evalkit.features.service import FeatureService, Missing
from evalkit.features.spec import ImageContent
from evalkit.media import pixel_sha256
from evalkit.metrics.base import Bound, Item, Metric, Unscorable
from evalkit.nouns import MetricChoice, State
from evalkit.registry import METRICS, load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from evalkit.features.extractor import Extractor
    from evalkit.features.spec import ExtractorSpec, FeatureRequest
    from evalkit.nouns import Case, Profile

Item_contra = TypeVar("Item_contra", contravariant=True)


class Rewards(NamedTuple):
    """The rewards of a batch of B samples."""

    total: Tensor
    """[B] float32, what is learnt from; NaN where there is none, and the sample is left out."""
    parts: Mapping[str, Tensor]
    """[B] each, for the curves: what the total is made of."""


class Reward(Protocol[Item_contra]):
    """Scores pictures."""

    def __call__(self, items: Sequence[Item_contra], pictures: Sequence[NDArray[np.uint8]]) -> Rewards:
        """Rewards of the pictures, one for each item."""
        ...


@dataclass(frozen=True)
class Subject:
    """What a picture is rewarded against: a case and the pictures that its targets name, decoded and hashed."""

    case: Case
    targets: tuple[ImageContent, ...]
    masks: tuple[Path | None, ...]


class MetricScores:
    """Metrics as functions of pictures in memory, through the extractors that score runs. Close it after use.

    `choices` are written `metric@variant`. Backbones are those of the profile. Raises WeightsError where one is missing,
    UsageError for a metric of no single pictures: a reward that cannot be computed must stop a training before it starts.
    """

    def __init__(self, choices: Sequence[str], profile: Profile, *, device: str) -> None:
        self._metrics: dict[str, tuple[Metric, Bound]] = {}
        for text in choices:
            choice = MetricChoice.parse(text)
            metric: Metric = load(METRICS, choice.metric)
            card = metric.card.variant(choice.variant)
            asks_again = type(metric).further is not Metric.further
            if asks_again or "mates" in metric.card.needs or "image" not in metric.card.reads(choice.variant):
                raise UsageError(f"wanted metrics of single pictures as rewards, found {text}; choose another")
            self._metrics[text] = metric, Bound.of(choice.variant, card, profile)
        self._fingerprints = {
            spec: describe_extractor(spec).digest for _, bound in self._metrics.values() for spec in bound.extractors
        }
        self._device, self.pictures = device, Pictures()
        self._service = FeatureService(
            FeatureCache(None), self.pictures, fingerprint=self._fingerprint, load=self._load, threads=1
        )

    @property
    def identity(self) -> list[str]:
        """What the scores are computed by, for checkpoints: metric, version and backbone of each."""
        return [
            f"{name} {metric.card.version} {' '.join(self._fingerprints[spec] for spec in bound.extractors)}"
            for name, (metric, bound) in self._metrics.items()
        ]

    def close(self) -> None:
        """Stops the loader threads."""
        self._service.close()

    def subject(self, case: Case, root: Path) -> Subject:
        """The case with its targets below `root` decoded. Raises MediaError."""
        contents = tuple(
            ImageContent(self.pictures.decode(root / target.path).sha256, root / target.path) for target in case.targets
        )
        return Subject(case, contents, tuple(root / t.mask if t.mask else None for t in case.targets))

    def __call__(
        self, subjects: Sequence[Subject], pictures: Sequence[NDArray[np.uint8]]
    ) -> dict[str, tuple[Tensor, list[State]]]:
        """Values [B] of every metric, NaN where there is none, and the state of each."""
        import torch

        if len(subjects) != len(pictures):
            raise UsageError(f"wanted a picture for each of {len(subjects)} subjects, found {len(pictures)}")
        items = [self._item(subject, picture) for subject, picture in zip(subjects, pictures, strict=True)]
        asked: dict[str, list[list[FeatureRequest] | State]] = {
            name: [_requests(metric, bound, item) for item in items] for name, (metric, bound) in self._metrics.items()
        }
        found = self._service.features(
            request
            for each in asked.values()
            for requests in each
            if not isinstance(requests, State)
            for request in requests
        )
        told = {}
        for name, (metric, bound) in self._metrics.items():
            values, states = torch.full((len(items),), float("nan")), [State.UNDEFINED] * len(items)
            for index, (item, requests) in enumerate(zip(items, asked[name], strict=True)):
                if isinstance(requests, State):
                    states[index] = requests
                    continue
                features = [found[request] for request in requests]
                lacking = next((f for f in features if isinstance(f, Missing)), None)
                if lacking is not None:
                    states[index] = lacking.state
                    continue
                (outcome,) = metric.score([item], bound, [[f for f in features if not isinstance(f, Missing)]])
                states[index] = outcome.state
                if outcome.value is not None:
                    values[index] = outcome.value
            told[name] = values, states
        return told

    def _item(self, subject: Subject, picture: NDArray[np.uint8]) -> Item:
        sha256 = pixel_sha256(picture)
        self.pictures.keep(sha256, picture)
        content = ImageContent(sha256, Path("in memory"))
        return Item(subject.case, 0, content, subject.targets, subject.masks)

    def _fingerprint(self, spec: ExtractorSpec) -> str:
        return self._fingerprints.get(spec) or describe_extractor(spec).digest

    def _load(self, spec: ExtractorSpec) -> Extractor:
        return load_extractor(spec, device=self._device)


def _requests(metric: Metric, bound: Bound, item: Item) -> list[FeatureRequest] | State:
    try:
        return metric.requests(item, bound)
    except Unscorable as why:
        return why.state
