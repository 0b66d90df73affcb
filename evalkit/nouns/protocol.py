"""Protocol: a benchmark's named list of metrics, with variants and aggregation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from evalkit.errors import UsageError
from evalkit.nouns.base import Name, Noun, ProtocolName

if TYPE_CHECKING:
    from evalkit.nouns.case import Case

Profile = Literal["paper", "sandbox"]
Aggregation = Literal["micro", "macro"]


class MetricChoice(Noun):
    """One metric of a protocol: which variant, aggregated how.

    Example:
        >>> str(MetricChoice.parse("clip_i@dreambooth:macro"))
        'clip_i@dreambooth:macro'
    """

    metric: Name
    variant: Name
    aggregation: Aggregation = "micro"
    where: dict[Literal["category", "tag"], tuple[str, ...]] = {}
    """Limits the cases: `{"category": ["animal", "human"]}`; others are `not_applicable`."""
    label: Name | None = None
    """What its column is called, for protocols with one metric in several columns; None for the metric's own name."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """`metric@variant` or `metric@variant:aggregation`. Raises UsageError."""
        name, _, aggregation = text.partition(":")
        metric, at, variant = name.partition("@")
        if not (metric and at and variant) or (aggregation and aggregation not in ("micro", "macro")):
            raise UsageError(f"wanted METRIC@VARIANT or METRIC@VARIANT:micro|macro, found {text!r}")
        return cls.read({"metric": metric, "variant": variant, "aggregation": aggregation or "micro"}, where=repr(text))

    def applies(self, case: Case) -> bool:
        """False where `where` leaves this case out."""
        if not self.where:
            return True
        facets = {"category": {case.category}, "tag": set(case.tags)}
        return all(not facets[key].isdisjoint(wanted) for key, wanted in self.where.items())

    @property
    def column(self) -> str:
        """`metric@variant`, the name under which scores are stored."""
        return f"{self.metric}@{self.variant}"

    def __str__(self) -> str:
        return f"{self.column}:{self.aggregation}"


class Protocol(Noun):
    """How a benchmark is run and scored by one convention."""

    name: ProtocolName
    title: str
    source: str
    """Where the convention is stated: paper, or repository with file and commit."""
    seeds: int = Field(ge=1)
    """Images a prompt."""
    metrics: tuple[MetricChoice, ...] = Field(min_length=1)
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _no_column_twice(self) -> Self:
        columns = [(str(choice), choice.where) for choice in self.metrics]
        labels = [choice.label for choice in self.metrics if choice.label is not None]
        twice = {name for name, where in columns if columns.count((name, where)) > 1}
        twice |= {label for label in labels if labels.count(label) > 1}
        if twice:
            raise ValueError(f"each metric once, found twice: {', '.join(sorted(twice))}")
        return self
