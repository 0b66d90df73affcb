"""The family of metrics that compare words with words: no backbone, so nothing to load and no feature.

Its cards say `model: none` and `preprocess: as_written`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from evalkit.errors import UsageError
from evalkit.features.base import Fingerprint, read_no_text
from evalkit.features.weights import NO_WEIGHTS
from evalkit.nouns.base import digest

if TYPE_CHECKING:
    from evalkit.features.spec import ExtractorSpec
    from evalkit.features.weights import WeightsSource

FAMILY = "words"
PREPROCESS = "as_written"


def describe(spec: ExtractorSpec, weights: WeightsSource) -> Fingerprint:
    """That there is nothing but the metric's own code. Raises UsageError for a model or another preprocessing."""
    read_no_text(spec)
    if (weights.label, spec.preprocess) != (NO_WEIGHTS, PREPROCESS):
        raise UsageError(
            f"wanted the model {NO_WEIGHTS!r} and the preprocessing {PREPROCESS!r} for {FAMILY!r}, found {spec.model!r} "
            f"and {spec.preprocess!r}"
        )
    return Fingerprint(digest([FAMILY]), (("backbone", NO_WEIGHTS), ("weights", NO_WEIGHTS)))


def load(spec: ExtractorSpec, weights: WeightsSource, *, device: str) -> NoReturn:  # noqa: ARG001 - the contract's
    """Raises UsageError: there are no features of words to ask for."""
    raise UsageError(
        f"wanted no feature of {FAMILY!r}, which has no backbone; compare the words in the metric's `score`"
    )
