"""Variance components against mean squares by hand, known variances and statsmodels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from evalkit.errors import DataError, UsageError
from evalkit.stats import Components, variance_components
from tests.unit.stats_samples import frame

RNG = np.random.default_rng(11)


def drawn(
    shape: tuple[int, ...], *, subject: float = 0, prompt: float = 0, interaction: float = 0, seed: float = 0,
    residual: float = 0, judge: float = 0, crossed: bool = False, rng: np.random.Generator = RNG,
) -> pd.DataFrame:  # fmt: skip
    """Values [subjects, prompts, seeds(, judge runs)] with effects of these variances."""
    n, m, r, *j = shape
    parts = [
        (subject, (n, 1, 1)), (prompt, (1 if crossed else n, m, 1)), (interaction, (n, m, 1)), (seed, (1, 1, r)),
        (residual, (n, m, r)),
    ]  # fmt: skip
    values = sum(v**0.5 * rng.standard_normal(size) for v, size in parts)
    assert isinstance(values, np.ndarray)
    if j:
        values = values[..., None] + judge**0.5 * rng.standard_normal((n, m, r, *j))
    return frame(5 + values)


def parts(found: Components) -> list[float]:
    return [
        v
        for v in (found.subject, found.prompt, found.interaction, found.seed, found.residual, found.judge)
        if v is not None
    ]


def test_nested_components_are_those_of_the_mean_squares() -> None:
    n, m, r, j = 8, 5, 3, 2
    made = drawn((n, m, r, j), subject=4, prompt=2, seed=1, residual=1, judge=0.5)
    y = made["value"].to_numpy().reshape(n, m, r, j)
    subject, cell, seed, sample = y.mean((1, 2, 3)), y.mean((2, 3)), y.mean((0, 1, 3)), y.mean(3)
    of_judge = ((y - sample[..., None]) ** 2).sum() / (n * m * r * (j - 1))
    left = sample - cell[..., None] - seed + y.mean()
    of_sample = j * (left**2).sum() / ((n * m - 1) * (r - 1))
    of_cell = r * j * ((cell - subject[:, None]) ** 2).sum() / (n * (m - 1))
    of_subject = m * r * j * ((subject - y.mean()) ** 2).sum() / (n - 1)
    of_seed = n * m * j * ((seed - y.mean()) ** 2).sum() / (r - 1)
    found = variance_components(made)
    assert found.judge == pytest.approx(of_judge)
    assert found.residual == pytest.approx((of_sample - of_judge) / j)
    assert found.prompt == pytest.approx((of_cell - of_sample) / (r * j))
    assert found.subject == pytest.approx((of_subject - of_cell) / (m * r * j))
    assert found.seed == pytest.approx((of_seed - of_sample) / (n * m * j))
    assert (found.interaction, found.truncated, found.merged) == (None, (), {})
    assert (found.n_subjects, found.n_values, found.n_missing) == (n, n * m * r * j, 0)


def test_crossed_components_are_those_of_the_mean_squares() -> None:
    n, m = 9, 6
    made = drawn((n, m, 1), subject=4, prompt=2, interaction=1, crossed=True)
    y = made["value"].to_numpy().reshape(n, m)
    rows, columns = y.mean(1), y.mean(0)
    left = ((y - rows[:, None] - columns + y.mean()) ** 2).sum() / ((n - 1) * (m - 1))
    found = variance_components(made, design="crossed")
    assert found.interaction == pytest.approx(left)
    assert found.subject == pytest.approx((m * rows.var(ddof=1) - left) / m)
    assert found.prompt == pytest.approx((n * columns.var(ddof=1) - left) / n)
    assert found.merged == {"residual": "interaction"}
    assert (found.seed, found.residual, found.judge) == (None, None, None)


@pytest.mark.parametrize("crossed", [False, True])
def test_estimates_are_unbiased_where_a_third_is_missing(crossed: bool) -> None:
    rng = np.random.default_rng(5)
    truth = {"subject": 1.0, "prompt": 0.5, "residual": 2.0} | ({"interaction": 0.7} if crossed else {})
    found = []
    for _ in range(60):
        made = drawn((20, 6, 3), crossed=crossed, rng=rng, **truth)
        holes = rng.random(len(made)) < 1 / 3
        found.append(
            variance_components(made.assign(value=made["value"].mask(holes)), design="crossed" if crossed else "nested")
        )
    assert all(40 < one.n_missing < 200 for one in found)
    for part, variance in truth.items():
        estimates = np.array([getattr(one, part) for one in found])
        assert abs(estimates.mean() - variance) < 4 * estimates.std() / np.sqrt(60), part


def test_a_negative_estimate_is_0_and_said() -> None:
    values = np.tile([[1.0, -1.0], [-1.0, 1.0]], (5, 1))
    found = variance_components(frame(values[:, :, None] + 0.01 * RNG.standard_normal((10, 2, 2))))
    assert found.subject == 0
    assert "subject" in found.truncated


def test_what_one_seed_cannot_tell_is_merged() -> None:
    made = drawn((10, 4, 2), subject=1, prompt=1, residual=1)
    one = variance_components(made[made["seed"] == 0])
    assert one.merged == {"residual": "prompt"}
    assert (one.residual, one.seed) == (None, None)
    alone = variance_components(made[made["prompt"] == "p00"])
    assert alone.merged == {"prompt": "subject"}
    assert alone.residual is not None
    assert variance_components(made[(made["prompt"] == "p00") & (made["seed"] == 0)]).merged == {
        "prompt": "subject",
        "residual": "subject",
    }


def test_seeds_of_each_sample_alone_are_no_factor() -> None:
    made = drawn((6, 3, 2), subject=1, residual=1)
    assert variance_components(made.assign(seed=range(len(made)))).seed is None


@pytest.mark.parametrize("factor", [1e-30, 1.0, 1e30])
def test_components_scale_with_the_square_and_do_not_shift(factor: float) -> None:
    made = drawn((6, 3, 2), subject=1, prompt=1, residual=1)
    base = variance_components(made)
    moved = variance_components(made.assign(value=factor * (made["value"] + 3)))
    assert parts(moved) == pytest.approx([factor**2 * v for v in parts(base)], rel=1e-9)


def test_the_order_of_rows_changes_no_bit() -> None:
    made = drawn((6, 3, 2), subject=1, prompt=1, residual=1)
    assert variance_components(made.sample(frac=1, random_state=1)) == variance_components(made)


BAD: dict[str, tuple[Any, Any, str]] = {
    "one subject": (lambda f: f[f["subject"] == "s000"], "nested", "wanted values of two subjects or more, found one"),
    "constant": (lambda f: f.assign(value=0.3), "nested", "wanted values that vary, found 0.3 everywhere"),
    "missing": (lambda f: f.assign(value=np.nan), "nested", "wanted values, found 24 rows without one"),
    "twice": (lambda f: pd.concat([f, f]), "nested", "wanted each (subject, prompt, seed) once, found 24 more than once"),
    "infinite": (lambda f: f.assign(value=np.inf), "nested", "wanted finite values"),
    "prompts not shared": (
        lambda f: f.assign(prompt=f["subject"] + f["prompt"]),
        "crossed",
        "wanted data that part subject, interaction, residual, prompt, seed, found too few repeats among 24 values",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_data_that_tell_nothing_are_refused(name: str) -> None:
    spoil, design, message = BAD[name]
    with pytest.raises(DataError) as error:
        variance_components(spoil(drawn((4, 3, 2), subject=1, residual=1)), design=design)
    assert message in str(error.value)


def test_another_design_is_refused() -> None:
    with pytest.raises(UsageError, match="wanted the design 'nested' or 'crossed', found 'stratified'"):
        variance_components(drawn((4, 3, 2), residual=1), design="stratified")  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore")
def test_balanced_components_are_statsmodels_reml() -> None:
    """In balanced data with positive components, restricted maximum likelihood and analysis of variance are one."""
    models = pytest.importorskip("statsmodels.regression.mixed_linear_model", reason="statsmodels is not installed")
    made = drawn((15, 4, 3), subject=2, prompt=1, residual=1)
    # The seeds' common part is taken out of both.
    made["value"] -= made.groupby("seed")["value"].transform("mean")
    cells = {"prompt": "0 + C(prompt)"}
    fit = models.MixedLM.from_formula("value ~ 1", made, groups="subject", re_formula="1", vc_formula=cells).fit(
        reml=True
    )
    found = variance_components(made.assign(seed=range(len(made))))
    assert [found.subject, found.prompt, found.residual] == pytest.approx(
        [float(fit.cov_re.iloc[0, 0]), float(fit.vcomp[0]), float(fit.scale)], rel=0.01
    )
