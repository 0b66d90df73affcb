"""Comparisons, one or many at once: with the same resamples for all, so that a family's claims can be read together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

import numpy as np

from evalkit.errors import EvalkitError, UsageError
from evalkit.stats.correction import adjust, max_t
from evalkit.stats.design import design_of
from evalkit.stats.inference import infer_joint
from evalkit.stats.joint import check_comparable, join
from evalkit.stats.pairing import pair
from evalkit.stats.resampling import check_draws
from evalkit.stats.result import Comparison
from evalkit.stats.sheet import sheet

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from evalkit.stats.design import Design
    from evalkit.stats.inference import Inference
    from evalkit.stats.joint import Joint
    from evalkit.stats.pairing import Pairs
    from evalkit.stats.sheet import Sheet

    Range = tuple[float, float]

K = TypeVar("K")


@dataclass(frozen=True)
class Family(Generic[K]):
    """Comparisons made together."""

    comparisons: dict[K, Comparison]
    refused: dict[K, EvalkitError]
    """Pairs that cannot be compared, and why."""
    step_down: dict[K, float]
    """p-values adjusted by max-t over all comparisons."""

    def adjusted(self, method: Literal["holm", "bh", "max-t"]) -> dict[K, float]:
        """p-values adjusted over all comparisons. Raises UsageError for another method."""
        if method == "max-t":
            return dict(self.step_down)
        p = adjust([comparison.p_value for comparison in self.comparisons.values()], method)
        return dict(zip(self.comparisons, p.tolist(), strict=True))


def compare(
    a: pd.DataFrame,
    b: pd.DataFrame,
    *,
    design: str | Design = "nested",
    metric: str | None = None,
    value_range: Range | None = None,
    level: float = 0.95,
    n_resamples: int = 9999,
    seed: int = 0,
) -> Comparison:
    """How run a differs from run b on one metric.

    a, b: tidy frames with columns subject, prompt, seed, value (NaN for missing) and, as the design needs them, stratum
    and cluster, besides weight and judge_run (`evalkit.stats.sheet`); the same keys in both, in any order. design:
    `nested`, `crossed`, `stratified`, `clusters` or a `Design`. metric: a name to carry along. value_range: least and
    largest possible value, for worst-case bounds on what is missing. level: of the interval.

    The difference is the mean over subjects of each subject's mean over its complete pairs, whatever the design.
    Scores that are the same on every key give the difference 0, the interval [0, 0] and p = 1. A difference that is the
    same for every subject gives itself as interval (`no spread`) and the sign-flip's p.

    Raises: UsageError for keys, groups or weights that differ and a design that does not fit; DataError for missing,
    infinite, doubled or constant scores, and for one subject.
    Source: Dror et al., The Hitchhiker's Guide to Testing Statistical Significance in Natural Language Processing (ACL
    2018) for paired permutation; `resampling`, `crossed` and `signflip` name theirs.
    """
    ranges = None if value_range is None else {0: value_range}
    labels = None if metric is None else {0: metric}
    family = compare_all(
        {0: (a, b)}, design=design, metrics=labels, value_ranges=ranges, level=level, n_resamples=n_resamples, seed=seed
    )
    if family.refused:
        raise family.refused[0]
    return family.comparisons[0]


def compare_all(
    pairs: Mapping[K, tuple[pd.DataFrame | Sheet, pd.DataFrame | Sheet]],
    *,
    design: str | Design = "nested",
    metrics: Mapping[K, str] | None = None,
    value_ranges: Mapping[K, Range] | None = None,
    level: float = 0.95,
    n_resamples: int = 9999,
    seed: int = 0,
) -> Family[K]:
    """`compare` for every pair, with the same resamples for all.

    pairs: any label to (a, b), as frames or as `evalkit.stats.sheet.sheet` made them. metrics, value_ranges: by the same
    labels, where there are any. A pair that cannot be compared is in `refused` and keeps none of the others from it. Where
    all pairs have the same subjects, each result is that of `compare` to the bit; else the subjects of all are drawn
    together.

    Raises: UsageError for an argument that does not fit; DataError where pairs disagree on a subject's group.
    """
    used = design_of(design)
    check_draws(n_resamples, seed)
    if not 0 < level < 1:
        raise UsageError(f"wanted a level between 0 and 1, found {level!r}; 0.95 is the default")
    unknown = [label for labels in (metrics, value_ranges) for label in labels or () if label not in pairs]
    if unknown:
        raise UsageError(f"wanted metrics and value ranges of the pairs given, found others: {unknown!r:.80}")
    sheets: dict[tuple[int, str], Sheet] = {}
    accepted: dict[K, Pairs] = {}
    refused: dict[K, EvalkitError] = {}
    for label, (a, b) in pairs.items():
        try:
            found = pair(_sheet(sheets, a, "a"), _sheet(sheets, b, "b"))
            check_comparable(found, used)
            _check_range(found, (value_ranges or {}).get(label))
        except EvalkitError as error:
            refused[label] = error
        else:
            accepted[label] = found
    if not accepted:
        return Family({}, refused, {})
    joint = join(list(accepted.values()), used)
    inference = infer_joint(joint, n_resamples=n_resamples, seed=seed)
    common = {"design": used.name, "level": level, "n_resamples": n_resamples, "seed": seed}
    rows = _inferred(inference, level)
    comparisons = {
        label: Comparison.model_validate(
            common
            | {"metric": (metrics or {}).get(label)}
            | rows[k]
            | _described(joint, k, (value_ranges or {}).get(label))
        )
        for k, label in enumerate(accepted)
    }
    adjusted = max_t(inference.observed, inference.null).tolist()
    return Family(comparisons, refused, dict(zip(accepted, adjusted, strict=True)))


def _sheet(known: dict[tuple[int, str], Sheet], frame: pd.DataFrame | Sheet, name: str) -> Sheet:
    """The frame's sheet, made once however many pairs it is in."""
    key = id(frame), name
    if key not in known:
        known[key] = sheet(frame, name=name)
    return known[key]


def _check_range(pairs: Pairs, value_range: Range | None) -> None:
    if value_range is None:
        return
    low, high = value_range
    values = np.concatenate([pairs.a, pairs.b])
    values = values[~np.isnan(values)]
    if not (math.isfinite(low) and math.isfinite(high) and low <= values.min() and values.max() <= high):
        raise UsageError(
            f"wanted a finite range that holds every value, found {value_range!r} for values from {values.min():.6g} to "
            f"{values.max():.6g}; take the range from the metric's card, in the unit of the values"
        )


def _inferred(inference: Inference, level: float) -> list[dict[str, object]]:
    low, high, intervals = inference.bounds((1 - level) / 2)
    return [
        {
            "difference": float(inference.resamples.estimate[k]),
            "ci_low": float(low[k]),
            "ci_high": float(high[k]),
            "p_value": float(inference.p_values[k]),
            "smallest_p": float(inference.smallest_p[k]),
            "test": inference.tests[k],
            "interval": intervals[k],
        }
        for k in range(len(low))
    ]


def _described(joint: Joint, k: int, value_range: Range | None) -> dict[str, object]:
    """Means, sizes, effects and bounds: what needs no resampling."""
    pairs, placed = joint.pairs[k], joint.placed[k]
    means = placed.subject_means(pairs.difference)
    means = means[~np.isnan(means)]
    spread = float(np.std(means, ddof=1))
    worst: dict[str, object] = {"worst_low": None, "worst_high": None}
    if value_range is not None:
        low, high = value_range
        worst = {
            name: placed.mean(np.where(np.isnan(pairs.a), of_a, pairs.a) - np.where(np.isnan(pairs.b), of_b, pairs.b))
            for name, of_a, of_b in (("worst_low", low, high), ("worst_high", high, low))
        }
    counts = joint.counts[k]
    return worst | {
        "n_subjects": len(means),
        "n_units": int((counts.reshape(len(counts), -1).sum(1) > 0).sum()),
        "n_pairs": int(pairs.complete.sum()),
        "n_missing": int((~pairs.complete).sum()),
        "coverage_a": float(np.mean(~np.isnan(pairs.a))),
        "coverage_b": float(np.mean(~np.isnan(pairs.b))),
        "mean_a": placed.mean(np.where(pairs.complete, pairs.a, np.nan)),
        "mean_b": placed.mean(np.where(pairs.complete, pairs.b, np.nan)),
        "effect_size": float(np.mean(means)) / spread if spread > pairs.rounding else None,
        "win_probability": float(np.mean((means > 0) + 0.5 * (means == 0))),
    }
