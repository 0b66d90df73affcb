"""A metric's declaration: `metrics/<name>/card.yaml`, typed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from evalkit.content import read_yaml
from evalkit.errors import UsageError
from evalkit.features.spec import ExtractorSpec
from evalkit.metrics.validity import Validity
from evalkit.nouns import Medium, Name, Noun
from evalkit.registry import unknown

SIGNATURE_KEYS = frozenset(
    {"metric", "variant", "backbone", "weights", "pre", "text", "dtype", "features", "scale", "where", "v", "agg"}
)


class VariantCard(Noun):
    """One way of computing the metric, by name."""

    kind: Literal["paper", "official", "corrected", "own"]
    """What the text says, what the authors' code does, what it should be, or something else of our own, named as such."""
    meaning: str
    source: str
    """Paper section, or repository, file and commit."""
    extractor: ExtractorSpec
    beside: dict[Name, ExtractorSpec] = {}
    """Further backbones, by what the metric calls them."""
    media: tuple[Medium, ...] | None = None
    """The metric's where None."""
    scale: float = Field(default=1.0, gt=0)
    """Published values are the formula's times this."""
    params: dict[str, Any] = {}
    reward_family: Name | None = None
    """The metric's where None."""
    tolerance: float = Field(gt=0)
    """Largest difference from the source's own code on the same weights and pictures."""

    @field_validator("params")
    @classmethod
    def _leaves_the_signature_s_own_keys(cls, value: dict[str, Any]) -> dict[str, Any]:
        taken = sorted(SIGNATURE_KEYS & set(value))
        if taken:
            raise ValueError(
                f"the signature has parts of these names already: {', '.join(taken)}; rename the parameters"
            )
        return value


class MetricCard(Noun):
    """A measure stated apart from its computation."""

    name: Name
    title: str
    meaning: str
    formula: str
    unit: str
    range: tuple[float | None, float | None]
    """Of the formula, before a variant's scale; null where it has no lower or no upper bound."""
    direction: Literal["higher", "lower"]
    """Which way is better."""
    identical: float | None
    """The value when sample and target are the same picture, None where that has none."""
    needs: tuple[Literal["sample", "targets", "prompt", "target_masks", "sample_mask", "mates"], ...]
    media: tuple[Medium, ...]
    undefined: str
    """When there is no value, and the state that says so."""
    reward_family: Name
    """A method rewarded with this family is in-domain on this metric."""
    version: int = Field(ge=1)
    """Raised whenever a number can change."""
    sources: tuple[str, ...]
    notes: tuple[str, ...] = ()
    validity: Validity | None = None
    """What the metric should respond to and what it should ignore, None where nothing is said."""
    default_variant: Name
    variants: dict[Name, VariantCard] = Field(min_length=1)

    @model_validator(mode="after")
    def _default_is_a_variant(self) -> Self:
        if self.default_variant not in self.variants:
            raise ValueError(f"default_variant {self.default_variant!r} is none of {sorted(self.variants)}")
        if self.validity is not None and (self.validity.variant or self.default_variant) not in self.variants:
            raise ValueError(f"validity.variant {self.validity.variant!r} is none of {sorted(self.variants)}")
        return self

    def variant(self, name: str | None) -> VariantCard:
        """The variant of that name, the default one for None. Raises UsageError with the nearest names."""
        wanted = name or self.default_variant
        if wanted not in self.variants:
            listing = f"evalkit describe metric {self.name}"
            raise UsageError(unknown(f"variant of {self.name}", wanted, list(self.variants), listing))
        return self.variants[wanted]

    def reads(self, variant: str) -> tuple[Medium, ...]:
        """Of which media the samples are that this variant scores."""
        return self.variant(variant).media or self.media

    def family(self, variant: str) -> str:
        """What a method must not have been rewarded with for this variant to be out of its domain."""
        return self.variant(variant).reward_family or self.reward_family


def read_card(path: Path) -> MetricCard:
    """The card in a YAML file. Raises DataError naming file and key."""
    return MetricCard.read(read_yaml(path), where=str(path))
