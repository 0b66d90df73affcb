"""OpenS2V-Eval's total: seven measures of a subject's video, each brought to [0, 1], weighted and summed.

Source: franciszzj/OpenS2V-Nexus (ef17513), `eval/merge_result.py` for v1.1 and `eval/v1.0_backup/merge_result.py` for
v1.0, read and not copied. Deviation: a component that no video has is refused; there it counts as 0 before the mapping,
so that a missing aesthetic score becomes -1.33.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

from evalkit.content import content
from evalkit.errors import UsageError
from evalkit.metrics.derived import DerivedMetric

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from evalkit.metrics.base import Bound

Version = Literal["v1.0", "v1.1"]
Domain = Literal["open", "single", "human"]


class Scale(NamedTuple):
    """How a component's raw values become fractions."""

    low: float
    high: float
    floor: bool = False
    """Whether values below `low` are raised to it; `high` is always the ceiling."""
    magnitude: bool = False
    """Whether the sign is dropped first."""


SCALES = {
    "aesthetic": Scale(4, 7, floor=True),
    "motion_smoothness": Scale(0, 1, magnitude=True),
    "motion_amplitude": Scale(0, 1, magnitude=True),
    "facesim": Scale(0, 1),
    "gme": Scale(0, 1),
    "nexus": Scale(0, 0.05),
    "natural": Scale(1, 5, floor=True),
}
_WITH_OBJECTS = {
    "v1.0": {"aesthetic": 0.12, "motion_amplitude": 0.12, "facesim": 0.20, "gme": 0.12, "nexus": 0.20, "natural": 0.24},
    "v1.1": {
        "aesthetic": 0.16,
        "motion_smoothness": 0.06,
        "motion_amplitude": 0.02,
        "facesim": 0.20,
        "gme": 0.12,
        "nexus": 0.20,
        "natural": 0.24,
    },
}
_HUMAN = {
    "v1.0": {"aesthetic": 0.15, "motion_amplitude": 0.15, "facesim": 0.25, "gme": 0.15, "natural": 0.30},
    "v1.1": {
        "aesthetic": 0.18,
        "motion_smoothness": 0.09,
        "motion_amplitude": 0.03,
        "facesim": 0.25,
        "gme": 0.15,
        "natural": 0.30,
    },
}
WEIGHTS = {"open": _WITH_OBJECTS, "single": _WITH_OBJECTS, "human": _HUMAN}
"""By domain, then version: each component's weight; they sum to 1."""


COLUMNS = {
    "aesthetic": "aesthetic@opens2v_video",
    "motion_smoothness": "motion_smoothness@opens2v",
    "motion_amplitude": "motion_amplitude@official",
    "facesim": "facesim@opens2v_cur",
    "gme": "gme_score@opens2v_video",
    "natural": "natural_score@opens2v",
}
NEXUS = {"v1.0": "nexus_score@v1_0", "v1.1": "nexus_score@v1_1"}
"""The columns that the components are, as the authors compute them; one of them by release."""


def total(components: Mapping[str, float | None], *, version: Version = "v1.1", domain: Domain = "open") -> float:
    """The total of one method on one domain, a fraction: in [0, 1] for components in their ranges.

    components: the raw mean over videos of each measure, by the names of `SCALES`: `aesthetic` (LAION score),
    `motion_smoothness`, `motion_amplitude` (pixels a frame), `facesim`, `gme`, `nexus` (cosines), `natural` (1 to 5).
    `video_mean` makes such a mean. What the version and domain do not weigh may be left out.

    Raises: UsageError for an unknown version, domain or component, or a missing one (absent, None or not finite).

    Example:
        >>> best = {"aesthetic": 7.0, "motion_smoothness": 1.0, "motion_amplitude": 1.0, "facesim": 1.0, "gme": 1.0}
        >>> round(total({**best, "nexus": 0.05, "natural": 3.0}), 6)
        0.88
    """
    weights = component_weights(version=version, domain=domain)
    for name in components:
        _scale(name)
    values = {name: value for name, value in components.items() if value is not None and math.isfinite(value)}
    if missing := [name for name in weights if name not in values]:
        raise UsageError(
            f"wanted every component of OpenS2V {version} {domain} for its total, found no value of "
            f"{', '.join(missing)}; score what is missing first, it does not count as 0"
        )
    return math.fsum(weight * mapped(name, values[name]) for name, weight in weights.items())


def component_weights(*, version: Version = "v1.1", domain: Domain = "open") -> dict[str, float]:
    """The weight of each component that counts.

    Raises: UsageError for an unknown version or domain.
    """
    if domain not in WEIGHTS:
        raise UsageError(f"wanted an OpenS2V domain ({', '.join(WEIGHTS)}), found {domain!r}")
    if version not in WEIGHTS[domain]:
        raise UsageError(f"wanted an OpenS2V version ({', '.join(WEIGHTS[domain])}), found {version!r}")
    return dict(WEIGHTS[domain][version])


def mapped(component: str, value: float) -> float:
    """One raw value of a component as a fraction, clipped as in the source: 1 at the scale's high end, 0 at its low end.

    Negative `facesim`, `gme` and `nexus` stay negative, as there. NaN stays NaN.

    Raises: UsageError for an unknown component.

    Example:
        >>> [mapped("aesthetic", value) for value in (3.0, 5.5, 8.0)]
        [0.0, 0.5, 1.0]
    """
    scale = _scale(component)
    return (_clipped(scale, value) - scale.low) / (scale.high - scale.low)


def unmapped(component: str, fraction: float) -> float:
    """The raw value that `mapped` makes this fraction of: from a published table's percentage / 100 back to `total`.

    Raises: UsageError for an unknown component.

    Example:
        >>> unmapped("natural", 0.75)
        4.0
    """
    scale = _scale(component)
    return scale.low + fraction * (scale.high - scale.low)


def video_mean(component: str, values: Iterable[float | None]) -> float | None:
    """The raw mean of a component over videos, each clipped as in the source; None where no video has a value.

    None and what is not finite are videos without a value. As in the source, a `nexus` of exactly 0 is left out too, so a
    method that fails altogether on a video does not lose by it.

    Raises: UsageError for an unknown component.

    Example:
        >>> video_mean("nexus", [0.02, 0.0, None, 0.09])
        0.035
    """
    scale = _scale(component)
    present = [value for value in values if value is not None and math.isfinite(value)]
    kept = [_clipped(scale, value) for value in present if component != "nexus" or value != 0]
    return math.fsum(kept) / len(kept) if kept else None


def _scale(component: str) -> Scale:
    if component not in SCALES:
        raise UsageError(f"wanted an OpenS2V component ({', '.join(SCALES)}), found {component!r}")
    return SCALES[component]


def _clipped(scale: Scale, value: float) -> float:
    size = abs(value) if scale.magnitude else value
    if math.isnan(size):
        return size
    return min(max(size, scale.low) if scale.floor else size, scale.high)


class OpenS2VTotal(DerivedMetric):
    """The total as a plugin. Variant parameters `release` and `domain`, as `version` and `domain` of `total`."""

    def components(self, bound: Bound) -> dict[str, str]:
        """The columns of the components that release and domain weigh."""
        release = bound.card.params["release"]
        columns = COLUMNS | {"nexus": NEXUS[release]}
        return {name: columns[name] for name in component_weights(version=release, domain=bound.card.params["domain"])}

    def derive(self, values: Mapping[str, Sequence[float]], bound: Bound) -> float:
        """The total of the components' means over videos; NaN where a mean is none, as of nexus scores that are all 0."""
        means = {name: video_mean(name, found) for name, found in values.items()}
        if any(mean is None for mean in means.values()):
            return float("nan")
        return total(means, version=bound.card.params["release"], domain=bound.card.params["domain"])


OPENS2V_TOTAL = OpenS2VTotal(content("metrics", "opens2v_total", "card.yaml"))
