from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.engine.setting import Request, _limited, prepare
from evalkit.errors import DataError
from evalkit.nouns import Case

if TYPE_CHECKING:
    from pathlib import Path


@cache
def cases() -> tuple[Case, ...]:
    """30 subjects with 25 prompts each, as DreamBench has them."""
    told = {"prompt": "p", "references": (), "targets": (), "category": "c"}
    return tuple(
        Case.read(told | {"case_id": f"s{s}.p{p}", "subjects": (f"s{s}",), "prompt_index": p}, where="test")
        for s in range(30)
        for p in range(25)
    )


def ids(some: tuple[Case, ...]) -> list[str]:
    return [case.case_id for case in some]


@given(st.integers(1, 750), st.integers(1, 760), st.integers(1, 760))
def test_a_larger_limit_contains_a_smaller_one(count: int, one: int, other: int) -> None:
    whole, (small, large) = cases()[:count], sorted((one, other))
    few, many = (_limited(whole, limit) for limit in (small, large))
    assert len(few) == min(small, count)
    assert set(ids(few)) <= set(ids(many))
    assert [name for name in ids(whole) if name in set(ids(many))] == ids(many)


def test_no_limit_is_every_case() -> None:
    whole = cases()[:6]
    assert _limited(whole, None) == _limited(whole, 6) == _limited(whole, 99) == whole


@pytest.mark.parametrize("limit", [6, 10, 30])
def test_a_limit_spreads_over_the_subjects(limit: int) -> None:
    found = _limited(cases(), limit)
    assert len({case.subjects for case in found}) >= 0.8 * limit
    assert len({case.prompt_index for case in found}) >= min(limit, 25) / 2


def test_a_lone_mistake_keeps_its_own_kind(tmp_path: Path) -> None:
    """Data that is missing is no misuse of the command: exit code 1, not 2."""
    with pytest.raises(DataError, match="^wanted a data folder for --data, found nothing at ") as raised:
        prepare(Request(bench="dreambench_pp", data=tmp_path / "no"))
    assert raised.value.exit_code == 1
