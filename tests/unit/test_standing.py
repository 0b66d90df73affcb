"""Samples of a run whose files changed after they were made."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from evalkit.engine.generate import generate
from evalkit.engine.standing import fallen, report
from evalkit.methods.base import Context
from evalkit.nouns import State
from tests.fakes import FakeMethod, World, world, write_picture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, seeds=2, samples=False) as tiny:
        digests = {case_id: case.sha256 for case_id, case in tiny.run.cases.items()}
        generate(FakeMethod(), Context(tiny.benchmark, "sandbox", tmp_path), tiny.run, tiny.expected, digests)
        yield tiny


def file(tiny: World, case_id: str = "s0.p0", seed: int = 0) -> Path:
    return tiny.run.media_path(case_id, seed, ".png")


def test_samples_as_made_stand(made: World) -> None:
    assert fallen(made.run, made.expected) == {}
    assert report({}, mend="do") == []


def test_a_file_that_was_only_touched_stands(made: World) -> None:
    os.utime(file(made), (1, 1))
    assert fallen(made.run, made.expected) == {}


def test_a_file_that_is_gone_is_a_sample_that_is_missing(made: World) -> None:
    file(made).unlink()
    ((pair, outcome),) = fallen(made.run, made.expected).items()
    assert pair == ("s0.p0", 0)
    assert outcome.state is State.SAMPLE_MISSING
    assert outcome.reason == f"its file is gone: {file(made)}"


def test_a_file_of_another_picture_is_not_the_methods(made: World) -> None:
    write_picture(file(made), 77)
    found = fallen(made.run, made.expected)
    assert found["s0.p0", 0].state is State.SAMPLE_MISSING
    (told,) = report(found, mend="make it again")
    assert told == (
        f"1 sample is not as made, first: s0.p0 seed 0, its file holds something else than was made: {file(made)}; "
        "make it again"
    )


def test_a_file_cut_short_cannot_be_decoded(made: World) -> None:
    file(made).write_bytes(file(made).read_bytes()[:40])
    file(made, "s1.p0", 1).unlink()
    found = fallen(made.run, made.expected)
    assert [outcome.state for outcome in found.values()] == [State.DECODE_ERROR, State.SAMPLE_MISSING]
    assert report(found, mend="m")[0].startswith("2 samples are not as made, first: s0.p0 seed 0, ")
