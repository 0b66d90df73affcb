"""The columns of a run: each metric of the protocol with its variant, backbone and signature."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from evalkit.engine.derived import with_components
from evalkit.errors import Collector, UsageError, WeightsError
from evalkit.features.given_mask import FAMILY as GIVEN
from evalkit.metrics.base import Bound, Metric
from evalkit.nouns import MetricChoice, Signature
from evalkit.registry import METRICS, load

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from evalkit.engine.backbones import Backbones
    from evalkit.features.spec import ExtractorSpec
    from evalkit.nouns import Case, Profile


@dataclass(frozen=True)
class Column:
    """One metric as this run computes it."""

    label: str
    """Name in tables: the metric's own for its first variant in the protocol, `metric@variant` for further ones."""
    choice: MetricChoice
    metric: Metric
    bound: Bound
    signature: Signature
    """Everything but the aggregation; what scores are stored under."""
    lacking: str | None
    """Why the backbone cannot be had, None where its weights are at hand."""

    @property
    def full_signature(self) -> Signature:
        """With the aggregation: what is printed beside the aggregated number."""
        return self.signature.with_part("agg", self.choice.aggregation)

    @property
    def reads_given_masks(self) -> bool:
        """Whether it is computed with masks of the samples that the user gives."""
        return any(spec.family == GIVEN for spec in self.bound.extractors)

    def applies(self, case: Case) -> bool:
        """False where the protocol leaves this case out of this metric."""
        return self.choice.applies(case)


def choices(protocol: Sequence[MetricChoice], extra: Iterable[str]) -> tuple[MetricChoice, ...]:
    """The protocol's metrics and those asked for by name (`metric` or `metric@variant[:aggregation]`).

    Raises UsageError with every name that does not exist.
    """
    found, problems = list(protocol), Collector()
    for text in extra:
        with problems:
            choice = _choice(text)
            found += [choice] if choice not in found else []
    problems.raise_usage("--metric")
    return tuple(found)


def _choice(text: str) -> MetricChoice:
    name, _, aggregation = text.partition(":")
    metric, _, variant = name.partition("@")
    card = load(METRICS, metric).card
    card.variant(variant or None)
    return MetricChoice.parse(f"{metric}@{variant or card.default_variant}:{aggregation or 'micro'}")


def check_media(chosen: Iterable[MetricChoice], cases: Iterable[Case], bench: str) -> None:
    """Raises UsageError naming the metrics that read samples of no medium that the benchmark has."""
    has = {case.medium for case in cases}
    blind = {
        str(c.column): reads for c in chosen if has.isdisjoint(reads := load(METRICS, c.metric).card.reads(c.variant))
    }
    if blind:
        told = ", ".join(f"{name} ({' and '.join(reads)})" for name, reads in blind.items())
        raise UsageError(
            f"wanted metrics that read the medium of {bench} ({' and '.join(sorted(has))}), found {told}; `evalkit describe "
            "metric NAME` lists what each variant reads"
        )


def variant_specs(chosen: Iterable[MetricChoice]) -> list[ExtractorSpec]:
    """The published backbones that these metrics name. Raises UsageError for names that do not exist."""
    cards = [load(METRICS, choice.metric).card.variant(choice.variant) for choice in chosen]
    return list(dict.fromkeys(spec for card in cards for spec in (card.extractor, *card.beside.values())))


def columns(chosen: Sequence[MetricChoice], profile: Profile, backbones: Backbones) -> list[Column]:
    """The columns in protocol order, each bound to its backbone in this profile."""
    first: Counter[str] = Counter()
    found = []
    for choice in chosen:
        metric: Metric = load(METRICS, choice.metric)
        card = metric.card.variant(choice.variant)
        bound = Bound.of(choice.variant, card, profile)
        label = choice.label or choice.metric
        if choice.label is None:
            if first[choice.metric]:
                label = choice.column if choice.aggregation == "micro" else str(choice)
            first[choice.metric] += 1
        parts, lacking = _parts(bound, backbones)
        signature = Signature.of(
            metric=choice.metric,
            variant=choice.variant,
            **parts,
            scale=f"{card.scale:g}",
            **{key: str(value).lower() for key, value in sorted(card.params.items())},
            **({"where": _told(choice.where)} if choice.where else {}),
            v=str(metric.card.version),
        )
        found.append(Column(label, choice, metric, bound, signature, lacking))
    return _distinct(with_components(found))


def _parts(bound: Bound, backbones: Backbones) -> tuple[dict[str, str], str | None]:
    """What the signature says of a variant's backbones, and why one cannot be had, None where all can."""
    parts: dict[str, str] = {}
    lacking = None
    for name, spec in {"": bound.extractor, **{f"{name}_": spec for name, spec in bound.beside.items()}}.items():
        try:
            described = backbones.describe(spec)
            found = dict(described.parts) | {"features": described.digest[:12]}
        except WeightsError as error:
            found, lacking = {"backbone": spec.model, "weights": "missing"}, lacking or str(error)
        parts |= {f"{name}{key}": value for key, value in found.items()}
    return parts, lacking


def _told(where: Mapping[Any, Sequence[str]]) -> str:
    return json.dumps({key: sorted(values) for key, values in sorted(where.items())}, separators=(",", ":"))


def _distinct(found: list[Column]) -> list[Column]:
    """Columns of one metric and variant carry their aggregation, and the cases they are limited to, in the label."""
    labels = Counter(column.label for column in found)
    return [c if labels[c.label] == 1 else replace(c, label=f"{c.choice}{_limited(c.choice)}") for c in found]


def _limited(choice: MetricChoice) -> str:
    return f"[{_told(choice.where)}]" if choice.where else ""
