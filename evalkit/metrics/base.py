"""The contract of a metric: a card, the features it asks for, and what it makes of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from evalkit.features.profiles import resolve_spec
from evalkit.metrics.card import MetricCard, VariantCard, read_card
from evalkit.nouns import State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from evalkit.features.spec import ClipContent, ExtractorSpec, FeatureRequest, ImageContent
    from evalkit.nouns import Case, Profile


class Outcome(NamedTuple):
    """What a metric says of one sample: a value, or the state that says why there is none."""

    state: State
    value: float | None = None
    weight: float = 1.0
    """How many equally counted values `value` is the mean of."""
    reason: str | None = None

    @classmethod
    def scored(cls, value: float, *, weight: float = 1.0) -> Outcome:
        """A value; one that is not finite becomes `undefined`."""
        import math

        if not math.isfinite(value):
            return cls(State.UNDEFINED, reason=f"the formula gave {value}")
        return cls(State.SCORED, float(value), weight)


class Unscorable(Exception):  # noqa: N818 - not an error: the metric's way of saying why an item has no score
    """Raised by `Metric.requests` where it is known without features that an item has no score."""

    def __init__(self, state: State, reason: str) -> None:
        super().__init__(reason)
        self.state, self.reason = state, reason


class Mate(NamedTuple):
    """Another sample of the same set and seed."""

    case: Case
    sample: ImageContent


@dataclass(frozen=True)
class Item:
    """One sample with what it is measured against."""

    case: Case
    seed: int
    sample: ImageContent
    """The picture. Of a clip or an answer it names the file, and has no features: `clip` and `answer` are what it holds."""
    targets: tuple[ImageContent, ...]
    target_masks: tuple[Path | None, ...] = ()
    """The subject's mask in each target, None where the data has none; as many as targets, or empty for none at all."""
    target_subjects: tuple[str, ...] = ()
    """Whom or what each target shows; as many as targets, or empty where all show one subject."""

    mates: tuple[Mate, ...] = ()
    """The other samples of the case's set and of the same seed, in the order of the cases; all of them, or the engine
    does not ask a metric that needs them."""
    sample_mask: ImageContent | None = None
    """The picture of the subjects' mask in the sample as the user gave it, None where none was given."""

    clip: ClipContent | None = None
    """The video, where the sample is one."""
    answer: str | None = None
    """The text, where the sample is one."""
    target_labels: tuple[str, ...] = ()
    """The class word of each target, `Woman`; as many as targets, or empty where nothing asks."""

    @property
    def frames(self) -> tuple[ImageContent, ...]:
        """What is to be seen: the picture, or every frame of the clip in order; nothing of an answer."""
        if self.clip is not None:
            return self.clip.frames
        return (self.sample,) if self.answer is None else ()

    @property
    def scored_prompt(self) -> str:
        """What text metrics score against: the case's text of that name where it has one, else its prompt."""
        return self.case.texts.get("scored_prompt", self.case.prompt)

    def need_mates(self) -> None:
        """Raises Unscorable where there is nothing to compare the sample with.

        `not_applicable` for a case that is of no set, `undefined` for the only one of its set.
        """
        if self.case.set_id is None:
            raise Unscorable(State.NOT_APPLICABLE, f"{self.case.case_id} is of no set")
        if not self.mates:
            raise Unscorable(State.UNDEFINED, f"{self.case.case_id} is the only one of its set {self.case.set_id}")

    def need_targets(self) -> None:
        """Raises Unscorable (`reference_missing`) where the case has no target picture."""
        if not self.targets:
            raise Unscorable(State.REFERENCE_MISSING, f"{self.case.case_id} has no target picture")

    def need_masks(self) -> tuple[Path, ...]:
        """The mask of every target. Raises Unscorable: `reference_missing` without target, `mask_missing` without mask."""
        self.need_targets()
        masks = self.target_masks or (None,) * len(self.targets)
        for target, mask in zip(self.targets, masks, strict=True):
            if mask is None:
                reason = f"{self.case.case_id}: no mask of the subject in its target {target.path.name}"
                raise Unscorable(State.MASK_MISSING, reason)
        return tuple(mask for mask in masks if mask is not None)


@dataclass(frozen=True)
class Bound:
    """A variant with its backbones resolved for the run's profile."""

    name: str
    card: VariantCard
    extractor: ExtractorSpec
    beside: Mapping[str, ExtractorSpec] = field(default_factory=dict)
    """The card's further backbones, by name."""

    @classmethod
    def of(cls, name: str, card: VariantCard, profile: Profile) -> Bound:
        """The variant as a profile computes it."""
        beside = {key: resolve_spec(spec, profile) for key, spec in card.beside.items()}
        return cls(name, card, resolve_spec(card.extractor, profile), beside)

    @property
    def extractors(self) -> tuple[ExtractorSpec, ...]:
        """Every backbone, the main one first."""
        return (self.extractor, *self.beside.values())


class Metric(ABC):
    """What an entry point of `evalkit.metrics` holds an instance of.

    The engine calls `requests` for each item, gets the features, asks `further` what is needed besides, and calls `score`
    with the items whose features are all there; the others get the state of the feature that is missing.
    """

    def __init__(self, card: Path) -> None:
        self.card_path = card

    @cached_property
    def card(self) -> MetricCard:
        """The declaration. Raises DataError where the file does not validate."""
        return read_card(self.card_path)

    @abstractmethod
    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        """The features that scoring this item needs. Raises Unscorable where it has no score whatever they are."""

    def further(self, item: Item, bound: Bound, features: Sequence[NDArray[np.float32]]) -> list[FeatureRequest]:
        """What is needed besides and is known from `features`, which answer `requests(item)`, alone: of what a detector found.

        Nothing where a metric does not say otherwise. Raises Unscorable like `requests`.
        """
        return []

    @abstractmethod
    def score(
        self, items: Sequence[Item], bound: Bound, features: Sequence[Sequence[NDArray[np.float32]]]
    ) -> list[Outcome]:
        """One outcome an item, in order. `features[i]` answers `requests(items[i])`, in its order, then `further`.

        An outcome must not depend on what else is in `items`.
        """
