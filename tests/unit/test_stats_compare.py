"""Comparisons against scipy and formulas written another way; what is missing; what does not vary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from evalkit.errors import DataError, EvalkitError, UsageError
from evalkit.stats import Comparison, Design, compare, compare_all
from tests.unit.stats_samples import frame, scores

if TYPE_CHECKING:
    from numpy.typing import NDArray


def subject_means(f: pd.DataFrame) -> NDArray[np.float64]:
    means: NDArray[np.float64] = f.groupby("subject")["value"].mean().to_numpy(dtype=np.float64)
    return means


def mean_difference(x: Any, y: Any, axis: int) -> Any:
    return np.mean(x, axis=axis) - np.mean(y, axis=axis)


def grouped(f: pd.DataFrame, column: str, groups: int) -> pd.DataFrame:
    return f.assign(**{column: [f"g{int(s[1:]) % groups}" for s in f["subject"]]})


@pytest.mark.parametrize("subjects", [2, 5, 11])
def test_the_exact_sign_flip_is_scipys(subjects: int) -> None:
    a, b = scores(subjects, shift=0.5, seed=1), scores(subjects, seed=2)
    found = compare(a, b)
    theirs = stats.permutation_test(
        (subject_means(a), subject_means(b)), mean_difference, permutation_type="samples", n_resamples=2**12, axis=0
    )
    assert found.p_value == pytest.approx(theirs.pvalue, abs=1e-12)
    assert found.test == "exact sign-flip"
    assert found.smallest_p == 2 / 2**subjects
    assert found.difference == pytest.approx(theirs.statistic, abs=1e-12)


def test_the_monte_carlo_sign_flip_is_scipys_but_for_chance() -> None:
    a, b = scores(40, shift=0.4, seed=1), scores(40, seed=2)
    found = compare(a, b)
    theirs = stats.permutation_test(
        (subject_means(a), subject_means(b)), mean_difference, permutation_type="samples", n_resamples=9999, axis=0,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    assert found.test == "Monte Carlo sign-flip"
    assert found.p_value == pytest.approx(theirs.pvalue, abs=0.02)
    assert found.smallest_p == 1e-4
    t = stats.ttest_rel(subject_means(a), subject_means(b))
    assert found.p_value == pytest.approx(t.pvalue, abs=0.02)


def test_flips_that_never_reach_the_difference_leave_the_one() -> None:
    assert compare(scores(60, shift=9.0, seed=1), scores(60, seed=2), n_resamples=999).p_value == 1 / 1000


def test_five_subjects_cannot_show_a_twentieth() -> None:
    assert compare(scores(5, shift=50.0, seed=1), scores(5, seed=2)).p_value == 0.0625


def test_the_interval_is_students_where_it_should_be() -> None:
    a, b = scores(200, shift=0.2, seed=3), scores(200, seed=4)
    found = compare(a, b)
    theirs = stats.ttest_rel(subject_means(a), subject_means(b)).confidence_interval()
    assert found.ci_low == pytest.approx(theirs.low, abs=0.03 * (theirs.high - theirs.low))
    assert found.ci_high == pytest.approx(theirs.high, abs=0.03 * (theirs.high - theirs.low))
    d = subject_means(a) - subject_means(b)
    bca = stats.bootstrap((d,), np.mean, rng=np.random.default_rng(0)).confidence_interval
    assert found.ci_low == pytest.approx(bca.low, abs=0.05 * (bca.high - bca.low))
    assert found.ci_high == pytest.approx(bca.high, abs=0.05 * (bca.high - bca.low))


def test_effects_by_hand() -> None:
    a = frame([[1.0, 3.0], [2.0, 2.0], [5.0, 1.0], [0.0, 0.0]])
    b = frame([[1.0, 1.0], [2.0, 2.0], [1.0, 1.0], [1.0, 2.0]])
    found = compare(a, b)
    d = np.array([1.0, 0.0, 2.0, -1.5])
    assert found.difference == pytest.approx(d.mean())
    assert (found.mean_a, found.mean_b) == (1.75, 1.375)
    assert found.effect_size == pytest.approx(d.mean() / d.std(ddof=1))
    assert found.win_probability == (2 + 0.5) / 4
    assert (found.n_subjects, found.n_units, found.n_pairs, found.n_missing) == (4, 4, 8, 0)
    assert (found.coverage_a, found.coverage_b) == (1.0, 1.0)
    assert (found.worst_low, found.worst_high) == (None, None)


def test_subjects_count_alike_however_many_prompts_they_have() -> None:
    a = scores(3, 3, 1, seed=1)
    a, b = a.drop(index=[1, 2]), scores(3, 3, 1, seed=2).drop(index=[1, 2])
    assert compare(a, b).difference == pytest.approx((subject_means(a) - subject_means(b)).mean())


def test_weights_count_within_a_subject() -> None:
    weights = np.array([1.0, 3.0, 1.0, 1.0, 2.0, 2.0])
    a = frame([[1.0, 5.0], [0.0, 2.0], [3.0, 4.0]]).assign(weight=weights)
    b = frame([[0.0, 0.0], [0.0, 0.0], [0.0, 1.0]]).assign(weight=weights)
    assert compare(a, b).difference == pytest.approx((16 / 4 + 1 + 3) / 3)


def missing_some(f: pd.DataFrame, where: list[int]) -> pd.DataFrame:
    return f.assign(value=f["value"].where(~f.index.isin(where)))


def test_missing_values_are_left_out_of_both_and_counted() -> None:
    a, b = scores(10, 2, 1, seed=1), scores(10, 2, 1, seed=2)
    found = compare(missing_some(a, [0, 4, 5]), missing_some(b, [0, 7]))
    kept = ~a.index.isin([0, 4, 5, 7])
    assert (found.n_pairs, found.n_missing, found.n_subjects, found.n_units) == (16, 4, 9, 9)
    assert (found.coverage_a, found.coverage_b) == (17 / 20, 18 / 20)
    assert found.mean_a == pytest.approx(subject_means(a[kept]).mean())
    assert found.difference == pytest.approx((subject_means(a[kept]) - subject_means(b[kept])).mean())
    assert found.p_value == pytest.approx(compare(a[kept], b[kept]).p_value)


def test_worst_case_bounds_fill_the_range_in() -> None:
    a, b = (f.assign(value=stats.norm.cdf(f["value"])) for f in (scores(10, 2, 1, seed=1), scores(10, 2, 1, seed=2)))
    spoilt_a, spoilt_b = missing_some(a, [0, 4, 5]), missing_some(b, [0, 7])
    found = compare(spoilt_a, spoilt_b, value_range=(0, 1))
    low = compare(spoilt_a.fillna({"value": 0.0}), spoilt_b.fillna({"value": 1.0})).difference
    high = compare(spoilt_a.fillna({"value": 1.0}), spoilt_b.fillna({"value": 0.0})).difference
    assert found.worst_low == pytest.approx(low)
    assert found.worst_high == pytest.approx(high)
    assert low < found.difference < high
    whole = compare(a, b, value_range=(0, 1))
    assert whole.worst_low == whole.worst_high == pytest.approx(whole.difference)


@pytest.mark.parametrize("wrong", [(0, 0.1), (0.9, 1), (-np.inf, np.inf), (5, -5), (np.nan, 1)])
def test_a_range_that_does_not_hold_the_values_is_refused(wrong: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="wanted a finite range that holds every value, found"):
        compare(scores(5, seed=1), scores(5, seed=2), value_range=wrong)


@pytest.mark.parametrize("design", ["nested", "crossed", "stratified", "clusters"])
def test_equal_runs_differ_by_nothing(design: str) -> None:
    a = grouped(grouped(scores(12), "stratum", 3), "cluster", 6)
    found = compare(a, a.copy(), design=design)
    assert (found.difference, found.ci_low, found.ci_high, found.p_value) == (0.0, 0.0, 0.0, 1.0)
    assert (found.effect_size, found.win_probability) == (None, 0.5)
    assert (found.interval, found.test) == ("no spread", "exact sign-flip")


@pytest.mark.parametrize("design", ["nested", "crossed", "stratified", "clusters"])
def test_the_same_difference_everywhere_is_its_own_interval(design: str) -> None:
    a = grouped(grouped(scores(12), "stratum", 3), "cluster", 6)
    found = compare(a, a.assign(value=a["value"] - 0.1), design=design)
    assert found.ci_low == found.difference == found.ci_high == pytest.approx(0.1)
    assert found.p_value == 2 / 2**found.n_units
    assert (found.effect_size, found.win_probability, found.interval) == (None, 1.0, "no spread")


def test_few_units_or_few_differences_fall_back_on_students_t() -> None:
    a, b = scores(3, seed=1), scores(3, seed=2)
    found = compare(a, b)
    theirs = stats.ttest_rel(subject_means(a), subject_means(b)).confidence_interval()
    assert found.interval == "Student t"
    assert [found.ci_low, found.ci_high] == pytest.approx([theirs.low, theirs.high])
    one = scores(30, seed=1)
    changed = one.assign(value=one["value"] + (one["subject"] == "s004"))
    rare = compare(changed, one)
    assert rare.interval == "Student t"
    assert rare.p_value == 1.0
    assert rare.ci_low < 0 < rare.ci_high


def test_clusters_are_what_is_flipped_and_drawn() -> None:
    a, b = (grouped(scores(24, shift=s, seed=i), "cluster", 8) for s, i in ((0.3, 1), (0, 2)))
    found = compare(a, b, design="clusters")
    whole = compare(
        a.assign(subject=a["cluster"], prompt=a["subject"] + a["prompt"]),
        b.assign(subject=b["cluster"], prompt=b["subject"] + b["prompt"]),
    )
    assert (found.n_subjects, found.n_units) == (24, 8)
    assert found.p_value == whole.p_value
    assert [found.ci_low, found.ci_high] == pytest.approx([whole.ci_low, whole.ci_high])


def test_strata_take_their_differences_out_of_the_error() -> None:
    a, b = scores(40, seed=1), scores(40, seed=2)
    push = np.where(a["subject"].str[-1].astype(int) % 2 == 0, 3.0, -3.0)
    a, b = grouped(a.assign(value=a["value"] + push), "stratum", 2), grouped(b, "stratum", 2)
    nested, stratified = compare(a, b), compare(a, b, design="stratified")
    assert stratified.difference == pytest.approx(nested.difference)
    assert stratified.ci_high - stratified.ci_low < 0.5 * (nested.ci_high - nested.ci_low)
    assert stratified.test == stratified.interval == "studentised bootstrap"
    assert (stratified.p_value < 0.05) == (not stratified.ci_low <= 0 <= stratified.ci_high)


def test_crossed_prompts_widen_the_interval() -> None:
    a, b = scores(30, 10, 1, sd_prompt=1, seed=1), scores(30, 10, 1, seed=2)
    nested, crossed = compare(a, b), compare(a, b, design="crossed")
    assert crossed.difference == pytest.approx(nested.difference)
    assert crossed.ci_high - crossed.ci_low > 1.5 * (nested.ci_high - nested.ci_low)
    assert crossed.test == crossed.interval == "two-way studentised bootstrap"


def test_designs_can_be_put_together() -> None:
    a, b = (grouped(grouped(scores(24, seed=i), "cluster", 12), "stratum", 3) for i in (1, 2))
    found = compare(a, b, design=Design(strata=True, clusters=True))
    assert (found.design, found.n_units) == ("stratified clusters", 12)
    assert compare(a, b, design=Design(prompts="crossed", clusters=True)).design == "crossed clusters"


BAD: dict[str, tuple[dict[str, Any], type[EvalkitError], str]] = {
    "unknown design": ({"design": "nestd"}, UsageError, "wanted a design, found 'nestd', which is none; did you mean 'nested'?"),
    "no column": ({"design": "clusters"}, UsageError, "wanted a column 'cluster' for the design 'clusters', found none"),
    "strata and crossed": (
        {"design": Design(prompts="crossed", strata=True)},
        UsageError,
        "wanted crossed prompts or strata, found both in one design",
    ),
    "few resamples": ({"n_resamples": 50}, UsageError, "wanted 99 resamples or more, found 50; 9999 is the default"),
    "seed": ({"seed": -1}, UsageError, "wanted a seed of 0 or more, found -1"),
    "level": ({"level": 95}, UsageError, "wanted a level between 0 and 1, found 95; 0.95 is the default"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_arguments_that_do_not_fit_are_refused(name: str) -> None:
    arguments, kind, message = BAD[name]
    with pytest.raises(kind) as error:
        compare(scores(5, seed=1), scores(5, seed=2), **arguments)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("groups", "design", "message"),
    [
        ({"cluster": 1}, "clusters", "wanted two clusters or more, found all subjects in 'g0'"),
        (
            {"stratum": 5},
            "stratified",
            "wanted two units or more in each stratum, found one in 'g1', 'g2', 'g3', 'g4'; compare on more",
        ),
        (
            {"stratum": 3, "cluster": 2},
            Design(strata=True, clusters=True),
            "wanted each cluster in one stratum, found 'g0' in 'g0' and 'g2'; take coarser strata",
        ),
    ],
)
def test_groups_too_few_or_torn_are_refused(groups: dict[str, int], design: str | Design, message: str) -> None:
    a, b = scores(6, seed=1), scores(6, seed=2)
    for column, n in groups.items():
        a, b = grouped(a, column, n), grouped(b, column, n)
    with pytest.raises((UsageError, DataError)) as error:
        compare(a, b, design=design)
    assert message in str(error.value)


def test_a_subject_in_two_clusters_is_refused() -> None:
    a, b = (f.assign(cluster=f["prompt"]) for f in (scores(6, seed=1), scores(6, seed=2)))
    with pytest.raises(DataError, match="wanted one cluster for each subject, found 'p00' and 'p01' for 's000'"):
        compare(a, b, design="clusters")


@pytest.mark.parametrize("prompts", [1, 4])
def test_crossed_prompts_must_be_shared(prompts: int) -> None:
    a, b = (f.assign(prompt=f["subject"] + f["prompt"]) if prompts > 1 else f
            for f in (scores(6, prompts, seed=1), scores(6, prompts, seed=2)))  # fmt: skip
    with pytest.raises(UsageError, match="take the design 'nested'"):
        compare(a, b, design="crossed")


def test_the_same_seed_gives_the_same_bits_and_another_others() -> None:
    a, b = scores(30, seed=1), scores(30, seed=2)
    for design in ("nested", "crossed"):
        first = compare(a, b, design=design, seed=5)
        assert (
            compare(a.sample(frac=1, random_state=1), b.sample(frac=1, random_state=2), design=design, seed=5) == first
        )
        other = compare(a, b, design=design, seed=6)
        assert (other.ci_low, other.ci_high) != (first.ci_low, first.ci_high)


def test_a_comparison_has_a_json_form() -> None:
    found = compare(scores(6, seed=1), scores(6, seed=2), metric="clip_i@plain")
    assert found.metric == "clip_i@plain"
    assert Comparison.read(found.to_json(), where="here") == found


def family(methods: int = 4) -> dict[str, pd.DataFrame]:
    return {f"m{i}": scores(25, shift=0.3 * i, seed=i) for i in range(methods)}


@pytest.mark.parametrize("design", ["nested", "crossed"])
def test_together_is_as_alone_to_the_bit(design: str) -> None:
    methods = family()
    pairs = {(x, y): (methods[x], methods[y]) for x in methods for y in methods if x < y}
    found = compare_all(pairs, design=design, n_resamples=999, metrics=dict.fromkeys(pairs, "dino_i"))
    for label, (a, b) in pairs.items():
        assert found.comparisons[label] == compare(a, b, design=design, n_resamples=999, metric="dino_i")


def test_adjusted_values_go_up_and_keep_their_labels() -> None:
    methods = family()
    pairs = {y: (methods["m0"], methods[y]) for y in ("m1", "m2", "m3")}
    found = compare_all(pairs)
    raw = np.array([c.p_value for c in found.comparisons.values()])
    methods_told: list[Literal["holm", "bh", "max-t"]] = ["holm", "bh", "max-t"]
    for method in methods_told:
        adjusted = found.adjusted(method)
        assert list(adjusted) == list(pairs)
        assert (np.array(list(adjusted.values())) >= raw - 2e-3).all()
    assert found.adjusted("holm")["m3"] == pytest.approx(3 * raw.min())
    with pytest.raises(UsageError, match="wanted the method 'holm' or 'bh', found 'hommel'"):
        found.adjusted("hommel")  # type: ignore[arg-type]


def test_what_cannot_be_compared_keeps_nothing_else_from_it() -> None:
    methods = family()
    flat = methods["m0"].assign(value=1.0)
    found = compare_all(
        {"good": (methods["m0"], methods["m1"]), "flat": (flat, flat), "keys": (methods["m0"].iloc[1:], flat)}
    )
    assert list(found.comparisons) == list(found.step_down) == ["good"]
    assert isinstance(found.refused["flat"], DataError)
    assert "only in b (first: ('s000', 'p00', 0))" in str(found.refused["keys"])
    assert compare_all({"flat": (flat, flat)}).comparisons == {}


def test_a_range_of_no_pair_is_refused() -> None:
    a, b = scores(6, seed=1), scores(6, seed=2)
    with pytest.raises(UsageError, match=r"wanted metrics and value ranges of the pairs given, found others: \['y'\]"):
        compare_all({"x": (a, b)}, value_ranges={"y": (-9, 9)})


def test_series_on_other_subjects_share_the_draws_of_all() -> None:
    a, b = scores(30, seed=1), scores(30, seed=2)
    half = a["subject"] < "s015"
    found = compare_all({"all": (a, b), "half": (a[half], b[half])})
    alone = compare(a[half], b[half])
    assert found.comparisons["all"] == compare(a, b)
    assert found.comparisons["half"].p_value == alone.p_value
    assert found.comparisons["half"].n_units == 15
    assert found.comparisons["half"].difference == pytest.approx(alone.difference)
    width = alone.ci_high - alone.ci_low
    assert found.comparisons["half"].ci_low == pytest.approx(alone.ci_low, abs=0.2 * width)
