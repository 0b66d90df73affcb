"""Variance components: how much of a score's variation is the subject's, the prompt's, the seed's, the sample's, the judge's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from evalkit.errors import DataError, UsageError
from evalkit.nouns import Noun
from evalkit.stats.pairing import ROUNDING
from evalkit.stats.sheet import RERUN, codes, read_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from evalkit.stats.sheet import Codes, Floats

Part = Literal["subject", "prompt", "interaction", "seed", "residual", "judge"]
PARTS: tuple[Part, ...] = get_args(Part)
SINGULAR = 1e-9


class Components(Noun):
    """Variances, in the square of the metric's unit. None where the data cannot tell the part, or the design has none."""

    design: Literal["nested", "crossed"]
    subject: float
    prompt: float | None
    """Within subjects where nested; common to all subjects where crossed."""
    interaction: float | None
    """Subject by prompt, where crossed."""
    seed: float | None
    """Common to all samples of one seed."""
    residual: float | None
    """Between samples of one subject and prompt."""
    judge: float | None
    """Between judge reruns on one sample."""
    truncated: tuple[Part, ...]
    """Parts whose estimate was negative and is given as 0: the data hold no more of them than chance brings."""
    merged: dict[Part, Part]
    """Parts that the data cannot tell from another, which holds both: with one seed the residual is in the prompt's."""
    n_subjects: int
    n_values: int
    n_missing: int

    def of(self, part: Part) -> float:
        """The variance of a part, 0 where there is none of its own."""
        found: float | None = getattr(self, part)
        return found or 0.0


def variance_components(frame: pd.DataFrame, *, design: Literal["nested", "crossed"] = "nested") -> Components:
    """The variance of scores, or of differences, split by where it comes from.

    frame: columns subject, prompt, seed, value (NaN is left out) and judge_run where the judge was asked again; for the
    split of a difference put a - b as value. Model: nested, value = mean + subject + prompt in subject + seed + sample
    (+ judge); crossed, value = mean + subject + prompt + subject by prompt + seed + sample (+ judge); all random and
    independent. Estimates solve the expectations of the factors' sums of squares, which is analysis of variance where
    the data are balanced and stays unbiased where they are not.

    A part that no group repeats cannot be told from the next (`merged`), and a negative estimate is 0 (`truncated`).

    Raises: UsageError for another design; DataError for fewer than two subjects with values, values that do not vary,
    and data too sparse to part the components; what `evalkit.stats.sheet.read_rows` raises.
    Source: Searle, Casella and McCulloch, Variance Components (1992), sections 5.3 and 5.4 (Henderson's method 1).
    """
    if design not in ("nested", "crossed"):
        raise UsageError(f"wanted the design 'nested' or 'crossed', found {design!r}")
    levels, value, missing = _read(frame)
    subjects = int(levels["subject"].max()) + 1
    if subjects < 2:
        raise DataError("wanted values of two subjects or more, found one; subjects cannot be told from the mean")
    scale = float(np.abs(value - value.mean()).max())
    if scale <= ROUNDING * float(np.abs(value).max()):
        raise DataError(f"wanted values that vary, found {value[0]:.6g} everywhere; there is no variance to split")
    factors, merged = _factors(levels, design)
    variances = _solved(factors, (value - value.mean()) / scale)
    truncated = tuple(part for part in PARTS if variances.get(part, 0.0) < 0)
    told = {part: max(variance, 0.0) * scale**2 for part, variance in variances.items()}
    return Components(
        design=design,
        subject=told["subject"],
        prompt=told.get("prompt"),
        interaction=told.get("interaction"),
        seed=told.get("seed"),
        residual=told.get("residual"),
        judge=told.get("judge"),
        truncated=truncated,
        merged=merged,
        n_subjects=subjects,
        n_values=len(value),
        n_missing=missing,
    )


def _read(frame: pd.DataFrame) -> tuple[dict[str, Codes], Floats, int]:
    """Codes by key column (0, 1, ... over rows with a value), the values, and how many are missing."""
    rows = read_rows(frame, name="the frame")
    present = ~np.isnan(rows.value)
    if not present.any():
        raise DataError(f"wanted values, found {len(present)} rows without one; score the run first")
    levels = {column: _dense(codes(labels)[present]) for column, labels in rows.columns.items()}
    return levels, rows.value[present], int((~present).sum())


def _dense(labelled: Codes) -> Codes:
    return np.unique(labelled, return_inverse=True)[1].astype(np.intp)


def _crossing(*factors: Codes) -> Codes:
    """The codes of the combinations that occur."""
    return np.unique(np.stack(factors), axis=1, return_inverse=True)[1].ravel().astype(np.intp)


def _factors(levels: Mapping[str, Codes], design: str) -> tuple[dict[Part, Codes], dict[Part, Part]]:
    """The groups of each part that the data can tell, outermost first, and what the others are merged with.

    A part whose groups are those of the part before (one seed a prompt, one prompt a subject) is merged with it: each
    refines the one before, except `seed`, which stands across.
    """
    subject, prompt, seed = levels["subject"], levels["prompt"], levels["seed"]
    cell = _crossing(subject, prompt)
    sample = _crossing(cell, seed)
    nest: list[tuple[Part, Codes]] = [("subject", subject)]
    across: dict[Part, Codes] = {}
    if design == "nested":
        nest.append(("prompt", cell))
    else:
        nest.append(("interaction", cell))
        across["prompt"] = prompt
    nest.append(("residual", sample))
    if RERUN in levels:
        nest.append(("judge", np.arange(len(subject), dtype=np.intp)))
    if 0 < seed.max() < sample.max():
        across["seed"] = seed
    factors: dict[Part, Codes] = {}
    merged: dict[Part, Part] = {}
    last: Part = "subject"
    for part, groups in nest:
        if factors and groups.max() == factors[last].max():
            merged[part] = last
        else:
            factors[part], last = groups, part
    return factors | across, merged


def _solved(factors: Mapping[Part, Codes], y: Floats) -> dict[Part, float]:
    """Variances that give the sums of squares their expectation.

    T(g), the sum over groups of (sum of y)^2 / n, expects n mean^2 + sum over parts f of variance(f) x k(g, f), where
    k(g, f) is the sum over groups g of (sum over levels f of n(g, f)^2) / n(g). The mean's own T takes the mean away.
    """
    parts = list(factors)
    whole = np.zeros(len(y), dtype=np.intp)
    rows = [[_expected(factors[g], factors[f]) - _expected(whole, factors[f]) for f in parts] for g in parts]
    squares = [_squares(factors[g], y) - _squares(whole, y) for g in parts]
    matrix = np.array(rows)
    if np.linalg.matrix_rank(matrix, tol=SINGULAR * float(np.abs(matrix).max())) < len(parts):
        raise DataError(
            f"wanted data that part {', '.join(parts)}, found too few repeats among {len(y)} values; add seeds or prompts"
        )
    return dict(zip(parts, np.linalg.solve(matrix, np.array(squares)).tolist(), strict=True))


def _squares(groups: Codes, y: Floats) -> float:
    return float(np.sum(np.bincount(groups, y) ** 2 / np.bincount(groups)))


def _expected(groups: Codes, levels: Codes) -> float:
    """k(groups, levels)."""
    _, first, counts = np.unique(np.stack([groups, levels]), axis=1, return_index=True, return_counts=True)
    return float(np.sum(counts.astype(np.float64) ** 2 / np.bincount(groups)[groups[first]]))
