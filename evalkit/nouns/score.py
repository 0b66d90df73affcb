"""Score and State: a value, or why there is none."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from evalkit.nouns.base import FileSafeId, Noun


class State(StrEnum):
    """Why a score has a value or has none. A missing value is never a number."""

    meaning: str
    whole: bool
    """False where the run is not whole: something is missing that could have been there."""
    retried: bool
    """True where resuming tries again, because the cause may have gone."""

    def __new__(cls, value: str, meaning: str, whole: bool, retried: bool) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning, member.whole, member.retried = meaning, whole, retried
        return member

    @classmethod
    def of(cls, value: str) -> Self:
        """The state of that name. Raises ValueError where there is none."""
        try:
            return cls[value.upper()]
        except KeyError:
            raise ValueError(f"wanted a state ({', '.join(cls)}), found {value!r}") from None

    SCORED = "scored", "the value was computed", True, False
    NOT_APPLICABLE = "not_applicable", "the metric says nothing about this case", True, False
    UNDEFINED = "undefined", "the formula has no value on this input (for example a zero-norm embedding)", True, False
    NO_FACE = "no_face", "no face was found where the metric needs one", True, False
    EMPTY_MASK = "empty_mask", "the subject's mask has no pixel", True, False
    NO_SUBJECT = "no_subject", "no pixel of the sample is the subject's", True, False
    NO_SURVIVORS = "no_survivors", "no correspondence passed the threshold", True, False
    INCONSISTENT = "inconsistent", "the sample does not keep the subject, and only kept ones count", True, False
    TEXT_TOO_LONG = "text_too_long", "the text does not fit the encoder and the variant does not truncate", True, False
    SAMPLE_MISSING = "sample_missing", "the method made no sample for this case and seed", False, True
    SAMPLE_FAILED = "sample_failed", "the method failed on this case; the sample's reason says how", False, True
    DECODE_ERROR = "decode_error", "the sample's file cannot be decoded", False, True
    REFERENCE_MISSING = "reference_missing", "the case has no reference of the kind the metric needs", True, False
    MASK_MISSING = "mask_missing", "there is no mask of the subject, which the metric needs", True, False
    COMPONENT_MISSING = "component_missing", "a column that the number is made of has no value here", False, True
    MATE_MISSING = "mate_missing", "another picture of the case's set is missing or cannot be read", False, True
    REFERENCE_ERROR = "reference_error", "a reference's file cannot be decoded", False, True
    WEIGHTS_MISSING = "weights_missing", "a backbone's weights are not on this machine", False, True
    JUDGE_UNPARSED = "judge_unparsed", "the judge's reply could not be read", False, True
    EXTRACTOR_ERROR = "extractor_error", "a backbone failed on this input; the reason holds the error", False, True
    METRIC_ERROR = "metric_error", "the metric's own code failed; the reason holds the error", False, True


class Score(Noun):
    """(case, seed, signature) -> value and state."""

    case_id: FileSafeId
    seed: int = Field(ge=0)
    metric: str
    """The metric as asked for: `clip_i@dreambench_pp`."""
    signature: str
    """The per-sample signature (everything but the aggregation)."""
    inputs: str
    """Digest of the pixels and texts that went in: a changed sample is a new score."""
    state: State
    value: float | None = None
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """How many equally counted values (for example sample-reference pairs) `value` is the mean of."""
    reason: str | None = None

    @property
    def key(self) -> tuple[str, int, str]:
        """(case_id, seed, signature)."""
        return self.case_id, self.seed, self.signature

    @model_validator(mode="after")
    def _value_goes_with_scored(self) -> Self:
        if (self.state is State.SCORED) != (self.value is not None):
            raise ValueError(f"state {self.state.value!r} does not go with value {self.value!r}")
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"a value must be finite, found {self.value!r}; use state 'undefined'")
        return self
