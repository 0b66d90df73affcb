"""What a run says of its samples beside their scores."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from evalkit.engine.remarks import remarks
from evalkit.nouns import Case, Reference, Sample


def case(number: int, shown: int) -> Case:
    pictures = tuple(Reference(path=f"{k}.png", subject=f"s{k}", label="dog") for k in range(shown))
    return Case(
        case_id=f"c{number}", prompt="a dog", subjects=tuple(p.subject for p in pictures), references=pictures,
        targets=pictures, category="animal", prompt_index=0,
    )  # fmt: skip


def said(method: str, cases: list[Case], samples: dict[tuple[str, int], Sample] | None = None) -> tuple[str, ...]:
    setting: Any = SimpleNamespace(expected=[(one, seed) for one in cases for seed in (0, 1)])
    record = SimpleNamespace(identity=SimpleNamespace(method=method))
    run: Any = SimpleNamespace(record=record, samples=SimpleNamespace(latest=lambda: samples or {}))
    return remarks(setting, run)


def test_references_that_a_method_never_looks_at_are_counted_by_case() -> None:
    (line,) = said("flux_kontext", [case(0, 1), case(1, 2), case(2, 3)])
    assert line.startswith("2 of 3 cases show up to 3 references, and flux_kontext looks at 1: ")


@pytest.mark.parametrize("method", ["flux_kontext", "wan_vace", "noise", "somebody_s"])
def test_nothing_is_said_where_a_method_looks_at_all(method: str) -> None:
    assert said(method, [case(0, 1)]) == ()
    if method != "flux_kontext":
        assert said(method, [case(1, 3)]) == ()


def test_failed_samples_are_counted_with_the_first_reason() -> None:
    samples = {
        ("c0", seed): Sample(
            case_id="c0",
            seed=seed,
            state="failed",
            reason=f"why {seed}",
            case_sha256="x",
            method="m",
            method_version="1",
        )
        for seed in (0, 1)
    }
    assert said("noise", [case(0, 1), case(1, 1)], samples) == ("2 samples failed, first: why 0",)
