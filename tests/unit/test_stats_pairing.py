"""Pairing, and every frame that must not yield a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from evalkit.errors import DataError, EvalkitError, UsageError
from evalkit.stats import compare, paired
from evalkit.stats.sheet import Sheet, keyed, sheet
from tests.unit.stats_samples import frame, scores

if TYPE_CHECKING:
    from collections.abc import Callable

A, B = scores(6, 2, 2, seed=1), scores(6, 2, 2, seed=2)


def test_rows_stand_side_by_side_in_the_order_of_their_keys() -> None:
    found = paired(A.sample(frac=1, random_state=0), B.sample(frac=1, random_state=1))
    assert list(found.columns) == ["subject", "prompt", "seed", "value_a", "value_b"]
    pd.testing.assert_frame_equal(found[["subject", "prompt", "seed"]], A[["subject", "prompt", "seed"]])
    assert found["value_a"].tolist() == A["value"].tolist()
    assert found["value_b"].tolist() == B["value"].tolist()


def test_groups_and_weights_travel_along() -> None:
    a, b = (f.assign(stratum="x", cluster=f["subject"], weight=2.0) for f in (A, B))
    found = paired(a, b)
    assert found["stratum"].unique().tolist() == ["x"]
    assert found["cluster"].tolist() == found["subject"].tolist()
    assert found["weight"].tolist() == [2.0] * len(found)


@pytest.mark.parametrize("part", [False, True])
def test_columns_over_one_set_of_keys_are_as_sheets_of_their_own(part: bool) -> None:
    told = A.assign(stratum="x", weight=np.linspace(1, 2, len(A))).sample(frac=1, random_state=3).reset_index(drop=True)
    rows = np.arange(len(told)) % 3 > 0 if part else np.ones(len(told), dtype=bool)
    keys = keyed(told.drop(columns=["value", "weight"]), name="a")
    found = keys.sheet(told["value"].to_numpy(), told["weight"].to_numpy(), rows=rows, name="a")
    wanted = sheet(told[rows], name="a")
    assert isinstance(found, Sheet)
    assert (found.keys, found.groups) == (wanted.keys, wanted.groups)
    np.testing.assert_array_equal(found.value, wanted.value)
    np.testing.assert_array_equal(found.weight, wanted.weight)
    assert sheet(found, name="a") is found


def test_columns_of_other_rows_may_share_a_key() -> None:
    both = pd.concat([A, A], ignore_index=True)
    keys, first = keyed(both, name="a"), np.arange(len(both)) < len(A)
    for rows in (first, ~first):
        assert keys.sheet(both["value"].to_numpy(), rows=rows, name="a").keys == sheet(A, name="a").keys
    with pytest.raises(DataError, match="found 24 more than once"):
        keys.sheet(both["value"].to_numpy(), name="a")


def test_columns_refuse_what_no_score_can_be_and_no_rows() -> None:
    keys, value = keyed(A, name="a"), A["value"].to_numpy().copy()
    with pytest.raises(DataError, match="found no rows"):
        keys.sheet(value, rows=np.zeros(len(A), dtype=bool), name="a")
    with pytest.raises(DataError, match="positive weights"):
        keys.sheet(value, np.zeros(len(A)), name="a")
    value[3] = np.inf
    with pytest.raises(DataError, match="finite values"):
        keys.sheet(value, name="a")


def test_judge_runs_are_averaged_within_their_sample() -> None:
    values = np.arange(2 * 1 * 2 * 3, dtype=float).reshape(2, 1, 2, 3)
    values[0, 0, 0, 1] = np.nan
    values[1, 0, 1, :] = np.nan
    a = frame(values)
    found = paired(a, a)
    np.testing.assert_array_equal(found["value_a"], [1.0, 4.0, 7.0, np.nan])


def test_a_judge_run_more_does_not_weigh_more() -> None:
    values = np.arange(24.0).reshape(4, 1, 2, 3) ** 2
    a = frame(values)
    thinned = a[~((a["subject"] == "s001") & (a["seed"] == 0) & (a["judge_run"] > 0))]
    found = paired(thinned, thinned)
    assert found["value_a"].tolist()[2:4] == [values[1, 0, 0, 0], values[1, 0, 1].mean()]


def test_labels_of_any_kind_are_ordered() -> None:
    subjects: list[Any] = [(i % 3, "x") if i % 2 else i for i in range(len(A))]
    mixed = A.assign(subject=subjects, prompt=range(len(A)))
    shuffled = mixed.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(paired(mixed, mixed), paired(shuffled, mixed))


def dropped(f: pd.DataFrame) -> pd.DataFrame:
    return f[f["subject"] != "s002"]


def renamed(f: pd.DataFrame) -> pd.DataFrame:
    return f.assign(subject=f["subject"].replace({"s000": "t0", "s001": "t1"}))


def with_value(value: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda f: f.assign(value=f["value"].where(f.index != 5, value))


BAD: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], type[EvalkitError], str]] = {
    "rows that are not there": (
        dropped,
        UsageError,
        "wanted the same (subject, prompt, seed) in a and b, found 4 only in b (first: ('s002', 'p00', 0), "
        "('s002', 'p00', 1), ('s002', 'p01', 0)), 20 in both; score both on the same cases and seeds, with an empty "
        "value where one is missing",
    ),
    "other subjects": (
        renamed,
        UsageError,
        "found 8 only in a (first: ('t0', 'p00', 0), ('t0', 'p00', 1), ('t0', 'p01', 0)) and 8 only in b (first: "
        "('s000', 'p00', 0)",
    ),
    "a key twice": (
        lambda f: pd.concat([f, f.iloc[[3, 4]]]),
        DataError,
        "wanted each (subject, prompt, seed) once, found 2 more than once in a, the first ('s000', 'p01', 1); score each "
        "sample once",
    ),
    "infinity": (
        with_value(-np.inf),
        DataError,
        "wanted finite values (up to 1e+100), found -inf in a at ('s001', 'p00', 1); mend the score",
    ),
    "a number too large to square": (with_value(1e200), DataError, "found 1e+200 in a at ('s001', 'p00', 1)"),
    "no rows": (lambda f: f.iloc[:0], DataError, "wanted scores in a, found no rows; score the run first"),
    "no column": (
        lambda f: f.drop(columns=["seed", "value"]),
        UsageError,
        "wanted columns subject, prompt, seed, value in a, found no seed, value; give a tidy frame",
    ),
    "no numbers": (
        lambda f: f.assign(value="high"),
        UsageError,
        "wanted numbers in the column 'value' of a, found others",
    ),
    "an empty key": (
        lambda f: f.assign(subject=f["subject"].where(f.index != 5)),
        DataError,
        "wanted a subject in every row of a, found none in 1 rows; fill it in",
    ),
    "a weight of 0": (
        lambda f: f.assign(weight=0.0),
        DataError,
        "wanted positive weights, found another in a; leave the row's value empty instead",
    ),
    "other weights": (
        lambda f: f.assign(weight=3.0),
        UsageError,
        "wanted one weight for each key, found 24 that differ, the first at ('s000', 'p00', 0): 3.0 in a and 1.0 in b",
    ),
    "strata on one side": (
        lambda f: f.assign(stratum="x"),
        UsageError,
        "wanted the same of stratum and cluster in a and b, found ['stratum'] in a and [] in b",
    ),
    "all missing": (
        lambda f: f.assign(value=np.nan),
        DataError,
        "wanted values on both sides, found no key with both (24 of 24 missing in a, 0 in b); score the runs first",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_frames_yield_no_number(name: str) -> None:
    spoil, kind, message = BAD[name]
    with pytest.raises(kind) as error:
        compare(spoil(A), B)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", [name for name in BAD if name != "all missing"])
def test_pairing_itself_refuses_them(name: str) -> None:
    spoil, kind, _ = BAD[name]
    with pytest.raises(kind):
        paired(spoil(A), B)


def test_differing_strata_are_named() -> None:
    with pytest.raises(UsageError, match="wanted one stratum for each key, found 4 that differ, the first at"):
        paired(A.assign(stratum="x"), B.assign(stratum=np.where(B["subject"] == "s003", "y", "x")))


def test_one_subject_says_nothing_about_others() -> None:
    one = A["subject"] == "s000"
    with pytest.raises(DataError, match="wanted two subjects or more, found values of 's000' alone"):
        compare(A[one], B[one])
    with pytest.raises(DataError, match="wanted two subjects or more"):
        compare(A.assign(value=A["value"].where(one)), B)


def test_scores_that_never_vary_yield_no_number() -> None:
    with pytest.raises(DataError, match="wanted scores that vary, found 0.5 everywhere in a and 0.25 everywhere in b"):
        compare(A.assign(value=0.5), B.assign(value=0.25))
