"""summary.json and scores.csv: the same bytes for the same content, whatever way the run took to it."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

from evalkit.errors import UsageError
from evalkit.nouns import Score

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def summary_text(summary: Mapping[str, Any]) -> str:
    """JSON with sorted keys, two spaces of indent and a final line end.

    Raises: UsageError for a value that JSON cannot hold, NaN and infinities among them: missing is a state.
    """
    try:
        text = json.dumps(summary, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"wanted a summary of finite JSON values, found another: {error}") from error
    return text + "\n"


def scores_text(scores: Sequence[Score]) -> str:
    """CSV with a heading, sorted by case, seed, metric and signature; no value is an empty cell.

    Numbers are the shortest that read back exactly.

    Raises: UsageError for two scores of one (case, seed, signature): which counts is the store's to say.
    """
    ordered = sorted(scores, key=lambda score: (score.case_id, score.seed, score.metric, score.signature))
    _refuse_doubles(ordered)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(Score.model_fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(score.model_dump(mode="json") for score in ordered)
    return text.getvalue()


def _refuse_doubles(scores: Sequence[Score]) -> None:
    seen = set()
    for score in scores:
        if score.key in seen:
            raise UsageError(f"wanted one score for each (case, seed, signature), found two for {score.key!r}")
        seen.add(score.key)
