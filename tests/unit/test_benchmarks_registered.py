"""What holds of every registered benchmark: a spec, a data card, protocols of metrics that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from evalkit.benchmarks.base import Benchmark
from evalkit.benchmarks.spec import read_spec
from evalkit.content import content
from evalkit.metrics.card import read_card
from evalkit.nouns import MetricChoice
from evalkit.registry import BENCHMARKS, load, names

HEADINGS = (
    "Origin", "Licence", "People in it", "Size and splits", "Layout", "How to get it", "Protocols", "Known problems",
)  # fmt: skip
CHOICES = sorted(
    (name, protocol.name, choice)
    for name in names(BENCHMARKS)
    for protocol in load(BENCHMARKS, name).spec.protocols
    for choice in map(str, protocol.metrics)
)


@pytest.mark.parametrize("name", names(BENCHMARKS))
def test_keeps_the_contract(name: str) -> None:
    benchmark = load(BENCHMARKS, name)
    assert isinstance(benchmark, Benchmark)
    assert benchmark.spec is read_spec(name)
    assert benchmark.spec.name == name


@pytest.mark.parametrize("name", names(BENCHMARKS))
def test_spec_agrees_with_itself(name: str) -> None:
    spec = read_spec(name)
    assert spec.protocol(None).name == spec.default_protocol
    assert {protocol.name for protocol in spec.protocols} == set(spec.expected.cases)
    assert len({protocol.name for protocol in spec.protocols}) == len(spec.protocols)


@pytest.mark.parametrize("name", names(BENCHMARKS))
def test_has_a_data_card_on_each_matter(name: str) -> None:
    spec = read_spec(name)
    text = content(*spec.data_card.split("/")).read_text(encoding="utf-8")
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == list(HEADINGS)
    assert spec.title in text.splitlines()[0]
    for protocol in spec.protocols:
        assert f"`{protocol.name}`" in text.partition("## Protocols")[2]


def test_the_embedded_world_has_a_data_card_too() -> None:
    text = content("data_cards", "embedded_world.md").read_text(encoding="utf-8")
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == list(HEADINGS)


@pytest.mark.parametrize("card", sorted(content("data_cards").glob("*.md")), ids=lambda path: path.stem)
def test_a_data_card_speaks_of_consent_splits_and_size(card: Path) -> None:
    parts = dict(part.split("\n", 1) for part in card.read_text(encoding="utf-8").split("\n## ")[1:])
    assert all(text.strip() for text in parts.values())
    assert "consent" in parts["People in it"] or "agreed" in parts["People in it"]
    assert re.search(r"\btest(ing)?\b|\bsplit", parts["Size and splits"])
    assert re.search(r"\d|twenty", parts["Size and splits"])


@pytest.mark.parametrize(("benchmark", "protocol", "text"), CHOICES)
def test_metrics_of_protocols_exist(benchmark: str, protocol: str, text: str) -> None:
    choice = MetricChoice.parse(text)
    card = read_card(content("metrics", choice.metric, "card.yaml"))
    assert choice.variant in card.variants, f"{benchmark}/{protocol}"
