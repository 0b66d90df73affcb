from __future__ import annotations

import inspect

import pytest

from evalkit import errors
from evalkit.errors import (
    Collector,
    DataError,
    EvalkitError,
    MediaError,
    PluginError,
    ProblemsError,
    UsageError,
    UsageProblemsError,
)


def test_one_tree_with_two_exit_codes() -> None:
    raised = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)]
    kinds = [kind for kind in raised if issubclass(kind, EvalkitError)]
    assert kinds == raised
    assert len(kinds) >= 9
    assert {kind.__name__ for kind in kinds if kind.exit_code == 2} == {"UsageError", "UsageProblemsError"}
    assert {kind.exit_code for kind in kinds} == {1, 2}


def test_problems_are_listed_under_their_heading() -> None:
    error = ProblemsError("the folder does not fit", ["no a", "no b"])
    assert str(error) == "the folder does not fit (2 problems):\n  - no a\n  - no b"
    assert error.problems == ("no a", "no b")
    assert error.heading == "the folder does not fit"


def test_one_problem_is_not_plural() -> None:
    assert str(ProblemsError("it does not fit", ["no a"])) == "it does not fit (1 problem):\n  - no a"


def test_many_problems_are_counted_and_not_all_shown() -> None:
    error = ProblemsError("bad", [f"p{i}" for i in range(23)])
    lines = str(error).splitlines()
    assert lines[0] == "bad (23 problems):"
    assert lines[1] == "  - p0"
    assert lines[-2:] == ["  - p19", "  ... and 3 more"]
    assert len(error.problems) == 23
    assert "more" not in str(ProblemsError("bad", [f"p{i}" for i in range(20)]))


def test_media_error_carries_its_reason() -> None:
    error = MediaError("cannot decode 'x.png'", reason="truncated")
    assert isinstance(error, DataError)
    assert (str(error), error.reason) == ("cannot decode 'x.png'", "truncated")


def test_a_collector_gathers_and_raises_all() -> None:
    found = Collector()
    for text in ("a", "b"):
        with found:
            raise UsageError(text)
    with pytest.raises(UsageProblemsError, match=r"^heading \(2 problems\):\n  - a\n  - b$") as raised:
        found.raise_usage("heading")
    assert raised.value.exit_code == 2
    assert isinstance(raised.value, UsageError)


def test_a_collector_raises_one_problem_as_it_is() -> None:
    found = Collector()
    with found:
        raise PluginError("wanted x, found y")
    with pytest.raises(EvalkitError, match="^wanted x, found y$"):
        found.raise_usage("heading")


def test_a_collector_with_nothing_raises_nothing() -> None:
    found = Collector()
    with found:
        pass
    found.raise_usage("heading")
    assert found.errors == []


def test_a_collector_lets_other_exceptions_through() -> None:
    with pytest.raises(KeyError), Collector():
        raise KeyError("a bug")
