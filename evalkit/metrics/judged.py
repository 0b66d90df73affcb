"""Concept preservation and prompt following: a vision-language judge's scores of a sample by DreamBench++'s criteria.

The judge is shown target and sample, or prompt and sample, under a rubric, and gives a whole number from 0 to 4; the
value is the mean over its runs, divided by 4.

Source: DreamBench++ (Peng et al., ICLR 2025); yuangpeng/dreambench_plus at df0b960, `eval_concept_preservation.py`,
`eval_prompt_following.py` and `benchmarking.py`. Deviations: seeds derive from the question, its run and its try, where
the scripts draw them; the mean of a column is over all runs of all samples, where the script takes each run's mean over
its own samples and then the mean of those, which is the same unless runs lack different samples, and is not rounded; the
rubrics are our own wording unless the user brings the official ones.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from evalkit.content import content
from evalkit.errors import UsageError
from evalkit.features.spec import FeatureRequest, ImageContent, QuestionContent
from evalkit.metrics.base import Bound, Item, Metric, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

STYLE = "style"
"""The category whose cases are rated by their style; the others by their subject."""
_RUNS = "runs "


class Rated(NamedTuple):
    """What a judge's runs say of one sample."""

    value: float
    """Mean over the scores there are, divided by the full score; NaN without any."""
    weight: float
    """In questions: each counts as the share of its runs that could be read."""


class Spread(NamedTuple):
    """A judge's agreement with itself over whole runs."""

    means: tuple[float, ...]
    """Each run's mean over the samples that it could be read for; NaN for a run without any."""
    sd: float
    """Of the runs' means, with n - 1; NaN for fewer than two."""


def rated(scores: ArrayLike, *, full_score: float) -> Rated:
    """A sample's value from a judge's scores [questions, runs], NaN where a run could not be read.

    Returns 0 for the lowest and 1 for the full score in each run; more where a judge goes beyond its range.
    Raises: UsageError for another shape.

    Example:
        >>> rated([[4, 2, float("nan")]], full_score=4).value
        0.75
    """
    import numpy as np

    table = np.asarray(scores, np.float64)
    if table.ndim != 2 or 0 in table.shape:
        raise UsageError(f"wanted scores [questions, runs], found {list(table.shape)}")
    there = ~np.isnan(table)
    count = int(there.sum())
    value = float(table[there].sum() / count / full_score) if count else math.nan
    return Rated(value, count / table.shape[1])


def spread(scores: ArrayLike, *, full_score: float) -> Spread:
    """How far a judge's runs differ: the mean of each run over all samples, and the standard deviation of these.

    scores: [samples, runs], NaN where a run could not be read. Raises: UsageError for another shape.

    Example:
        >>> spread([[4, 2], [2, 2]], full_score=4).means
        (0.75, 0.5)
    """
    import numpy as np

    table = np.asarray(scores, np.float64)
    if table.ndim != 2:
        raise UsageError(f"wanted scores [samples, runs], found {list(table.shape)}")
    columns = [column[~np.isnan(column)] for column in table.T]
    means = [float(column.mean()) / full_score if len(column) else math.nan for column in columns]
    return Spread(tuple(means), float(np.std(means, ddof=1)) if len(means) > 1 else math.nan)


def runs_told(scores: ArrayLike) -> str:
    """A judge's scores [questions, runs] as a score's reason keeps them: `runs 3 2 -`, questions parted by `;`."""
    import numpy as np

    table = np.asarray(scores, np.float64)
    rows = (" ".join("-" if math.isnan(score) else f"{score:g}" for score in row) for row in table)
    return _RUNS + "; ".join(rows)


def runs_read(reason: str) -> list[list[float]]:
    """The inverse of `runs_told`. Raises: UsageError for any other text.

    Example:
        >>> runs_read("runs 3 2 -")
        [[3.0, 2.0, nan]]
    """
    try:
        if not reason.startswith(_RUNS):
            raise ValueError
        rows = reason.removeprefix(_RUNS).split("; ")
        return [[math.nan if word == "-" else float(word) for word in row.split()] for row in rows]
    except ValueError:
        raise UsageError(f"wanted a judge's runs like 'runs 3 2 -', found {reason!r:.80}") from None


class Judged(Metric):
    """A metric that a judge's scores are. Parameters: `runs`, `tries`, `temperature`, `full_score`, `check_range`."""

    def question(self, bound: Bound, rubric: str, shown: tuple[ImageContent | str, ...]) -> FeatureRequest:
        """One question under a rubric, asked as the variant says."""
        params = bound.card.params
        check = bool(params["check_range"])
        asked = QuestionContent(
            rubric,
            shown,
            runs=int(params["runs"]),
            tries=int(params["tries"]),
            temperature=float(params["temperature"]),
            bounds=(0, int(params["full_score"])) if check else None,
            need_all=check,
        )
        return FeatureRequest(bound.extractor, asked, "scores")

    def score(
        self, items: Sequence[Item], bound: Bound, features: Sequence[Sequence[NDArray[np.float32]]]
    ) -> list[Outcome]:
        """The mean over questions and runs; the reason keeps what each run gave."""
        full = float(bound.card.params["full_score"])
        found = []
        for scores in features:
            value, weight = rated(scores, full_score=full)
            outcome = Outcome.scored(bound.card.scale * value, weight=weight or 1.0)
            found.append(outcome if outcome.value is None else outcome._replace(reason=runs_told(scores)))
        return found


class ConceptPreservation(Judged):
    """Concept preservation as a plugin: one question a target, the target first."""

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        """Target and sample, under the rubric of styles for a case of that category, of subjects for any other."""
        item.need_targets()
        rubric = STYLE if item.case.category == STYLE else "subject"
        return [self.question(bound, rubric, (target, item.sample)) for target in item.targets]


class PromptFollowing(Judged):
    """Prompt following as a plugin."""

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        """The prompt to score against and the sample."""
        return [self.question(bound, "text", (item.scored_prompt, item.sample))]


CONCEPT_PRESERVATION = ConceptPreservation(content("metrics", "concept_preservation", "card.yaml"))
PROMPT_FOLLOWING = PromptFollowing(content("metrics", "prompt_following", "card.yaml"))
