"""Rank sets and tie groups of methods whose order is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from evalkit.errors import DataError, UsageError
from evalkit.stats import adjust, compare, pairwise, ranks
from evalkit.stats.ranking import tie_groups
from tests.unit.stats_samples import scores


def methods(**shifts: float) -> dict[str, pd.DataFrame]:
    """Methods on the same subjects, whose effects they share, with these means."""
    shared = scores(40, 4, 2, seed=0)
    own = {name: scores(40, 4, 2, seed=i + 1)["value"] for i, name in enumerate(shifts)}
    return {name: shared.assign(value=shared["value"] + 0.1 * own[name] + shift) for name, shift in shifts.items()}


def test_methods_far_apart_have_one_rank_each() -> None:
    found = ranks(methods(c=0.0, a=2.0, b=1.0))
    assert [(e.name, e.rank, e.lowest, e.highest) for e in found.entries] == [
        ("a", 1, 1, 1),
        ("b", 2, 2, 2),
        ("c", 3, 3, 3),
    ]
    assert found.groups == (("a",), ("b",), ("c",))
    assert found.level == 0.95


def test_methods_alike_share_all_ranks_between_them() -> None:
    found = {e.name: e for e in ranks(methods(top=2.0, x=0.0, y=0.0, z=0.0, last=-2.0)).entries}
    assert {(found[name].lowest, found[name].highest) for name in "xyz"} == {(2, 4)}
    assert (found["top"].highest, found["last"].lowest) == (1, 5)
    assert all(e.lowest <= e.rank <= e.highest for e in found.values())


def test_lower_may_be_better() -> None:
    up, down = ranks(methods(a=2.0, b=1.0, c=0.0)), ranks(methods(a=2.0, b=1.0, c=0.0), higher_is_better=False)
    assert [e.name for e in down.entries] == [e.name for e in reversed(up.entries)]
    assert [e.rank for e in down.entries] == [1, 2, 3]


def test_one_method_twice_ties() -> None:
    one = scores(10, seed=1)
    found = ranks({"copy": one.copy(), "one": one})
    assert [(e.rank, e.lowest, e.highest) for e in found.entries] == [(1, 1, 2), (1, 1, 2)]
    assert found.groups == (("copy", "one"),)


def test_a_mean_is_over_subjects() -> None:
    made = methods(a=1.0, b=0.0)
    found = ranks(made).entries[0]
    assert found.mean == pytest.approx(made["a"].groupby("subject")["value"].mean().mean())


@pytest.mark.parametrize(
    ("apart", "wanted"),
    [
        (set(), ("abcd",)),
        ({("a", "d")}, ("abc", "bcd")),
        ({("a", "c"), ("a", "d"), ("b", "d")}, ("ab", "bc", "cd")),
        ({("a", "b"), ("a", "c"), ("a", "d")}, ("a", "bcd")),
        ({("b", "c")}, ("abd", "acd")),
    ],
)
def test_tie_groups_are_the_largest_sets_without_a_pair_told_apart(
    apart: set[tuple[str, str]], wanted: tuple[str]
) -> None:
    assert tie_groups("abcd", apart) == tuple(tuple(group) for group in wanted)


def test_the_matrix_holds_every_comparison() -> None:
    made = methods(a=1.0, b=0.0, c=0.02)
    found = pairwise(made)
    assert found.names == ("a", "b", "c")
    for i, x in enumerate(found.names):
        for j, y in enumerate(found.names):
            if i != j:
                alone = compare(made[x], made[y])
                assert found.difference[i, j] == pytest.approx(alone.difference)
                assert found.p_values[i, j] == alone.p_value
    upper = np.triu_indices(3, 1)
    assert found.adjusted[upper].tolist() == adjust(found.p_values[upper]).tolist()
    np.testing.assert_array_equal(found.adjusted, found.adjusted.T)
    assert np.isnan(np.diag(found.p_values)).all()


def test_what_cannot_be_compared_is_told_and_not_counted() -> None:
    made = methods(a=1.0, b=0.0)
    found = pairwise({**made, "short": made["a"].iloc[1:]})
    assert set(found.refused) == {("a", "short"), ("b", "short")}
    assert found.adjusted[0, 1] == found.p_values[0, 1]
    assert np.isnan(found.adjusted[0, 2])


def test_errors_name_the_methods() -> None:
    made = methods(a=1.0, b=0.0)
    with pytest.raises(UsageError, match=r"'a' \(a\) against 'b' \(b\): wanted the same \(subject, prompt, seed\)"):
        ranks({"a": made["a"], "b": made["b"].iloc[1:]})
    with pytest.raises(DataError, match="found inf in 'b' at"):
        ranks({"a": made["a"], "b": made["b"].assign(value=np.inf)})


@pytest.mark.parametrize("few", [{}, {"a": scores(5)}])
def test_one_method_has_no_rank(few: dict[str, pd.DataFrame]) -> None:
    with pytest.raises(UsageError, match=f"wanted two methods or more to rank, found {len(few)}"):
        ranks(few)
    with pytest.raises(UsageError, match="wanted two methods or more to compare"):
        pairwise(few)


def test_a_level_is_a_probability() -> None:
    with pytest.raises(UsageError, match="wanted a level between 0 and 1, found 95"):
        ranks(methods(a=1.0, b=0.0), level=95)
