"""A submission's samples: decoded, every one of them, and scored once more in a copy."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.engine.run import score_run
from evalkit.errors import MediaError
from evalkit.files import atomic_write_text
from evalkit.leaderboard.site.submitted import ROUNDING, Found, difference
from evalkit.media import SUFFIXES, Held, held_by
from evalkit.progress import progress
from evalkit.runs.location import RECORD_NAME

if TYPE_CHECKING:
    from evalkit.engine.columns import Column
    from evalkit.engine.result import Result
    from evalkit.leaderboard.site.submitted import Submitted
    from evalkit.nouns import Medium, Sample

COMPARED = tuple(name for name in Held._fields if name != "notes")
"""What a file must hold as its sample's row says."""


def samples(held: Submitted) -> Found:
    """The samples are there and are what was scored: each is decoded, whatever is said of its file."""
    known = held.samples
    made = [pair for pair in held.expected if (s := known.get((pair[0].case_id, pair[1]))) and s.state == "made"]
    keys = {(case.case_id, seed) for case, seed in made}
    signatures = {str(column.signature) for column in held.stored}
    wanted = {(case.case_id, seed) for case, seed in held.expected}
    unmade = [
        f"{case_id} seed {seed}"
        for (case_id, seed, signature), score in held.scores.items()
        if score.value is not None and signature in signatures and (case_id, seed) in wanted - keys
    ]
    if unmade:
        return Found("fail", f"{len(unmade)} scores are of samples that were not made, first: {unmade[0]}")
    of = {case.case_id: case.sha256 for case in held.scored.run.requested}
    stale = [case.case_id for case, seed in made if known[case.case_id, seed].case_sha256 != of[case.case_id]]
    if stale:
        return Found(
            "fail", f"{len(stale)} samples were made for another prompt or other references, first: {stale[0]}"
        )
    if not held.scored.run.media_folder.is_dir():
        return Found("skip", "no samples were submitted")
    gone = []
    with progress("decode samples", len(made), unit="samples") as advance:
        for case, seed in made:
            fault = _fault(known[case.case_id, seed], held.scored.run.media_folder, case.medium)
            gone += [] if fault is None else [f"{case.case_id} seed {seed}, {fault}"]
            advance()
    if gone:
        return Found("fail", f"{len(gone)} samples are not what was scored, first: {gone[0]}")
    rest = len(held.expected) - len(made)
    return Found("pass", f"{len(made)} samples are what was scored{f', {rest} were not made' if rest else ''}")


def _fault(sample: Sample, folder: Path, medium: Medium) -> str | None:
    """Why a file is not what its sample's row says, None where it is."""
    path = folder / str(sample.path)
    if path.suffix.lower() not in SUFFIXES[medium]:
        return f"wanted a file of the medium {medium}, found {path.name!a:.80}"
    try:
        found = held_by(path, medium)
    except MediaError as error:
        return str(error)
    other = [name for name in COMPARED if getattr(found, name) != getattr(sample, name)]
    return f"its file holds something else than was made ({other[0]} differs)" if other else None


def scored_again(held: Submitted, stands: Found) -> Found:
    """Scores the samples anew in a copy and compares every number; `stands` is what became of the samples' own check."""
    if held.setting is None:
        return Found("skip", held.why_no_setting)
    if not held.scored.run.media_folder.is_dir():
        return Found("skip", "no samples were submitted")
    if stands.outcome == "fail":
        return Found("skip", "the samples are not what was scored")
    with tempfile.TemporaryDirectory(prefix="evalkit-verify-") as folder:
        copy = Path(folder) / "run"
        copy.mkdir()
        for part in ("samples", "store"):
            carry(held.path / part, copy / part)
        shutil.rmtree(copy / "store" / "scores", ignore_errors=True)
        record = held.scored.run.record.model_copy(update={"data_folder": None, "sample_masks": None})
        atomic_write_text(copy / RECORD_NAME, record.text())
        return _compared(held, score_run(copy, (), data=held.data))


def _compared(held: Submitted, again: Result) -> Found:
    told = held.scored.result.scores
    if list(told) != list(again.scores):
        return Found("fail", f"wanted the columns {', '.join(again.scores)}, found {', '.join(told)!a:.200}")
    left = {column.label: why for column in held.columns if (why := _why_not(held, column, again))}
    wrong = []
    for column in held.columns:
        if column.label in left:
            continue
        room = max(column.bound.card.tolerance, ROUNDING) * column.bound.card.scale
        if (other := difference(told[column.label], again.scores[column.label], room)) is not None:
            wrong.append(f"{column.label} says {other} again")
    if wrong:
        return Found("fail", f"{len(wrong)} numbers do not come again: {'; '.join(wrong[:3])}")
    apart = "; ".join(f"not {label}, {why}" for label, why in left.items())
    if len(left) == len(told):
        return Found("skip", f"no number can be compared: {apart:.300}")
    come = f"{len(told) - len(left)} numbers come again from the samples"
    return Found("warn", f"{come}; {apart:.300}") if left else Found("pass", come)


def _why_not(held: Submitted, column: Column, again: Result) -> str | None:
    """Why a number that was computed here says nothing of the one submitted, None where it does."""
    if column.lacking is not None:
        return "its weights are not here"
    if column.reads_given_masks:
        return "masks of samples are not submitted"
    mine, theirs = (scores[column.label].signature for scores in (again.scores, held.scored.result.scores))
    return None if mine == theirs else "it was computed otherwise"


def carry(source: Path, to: Path, *, only: str | None = None) -> None:
    """Copies a file, or the files of a folder (those called `only`), contents alone; nothing where nothing is."""
    if source.is_file():
        shutil.copyfile(source, to)
    for file in sorted(source.rglob(only or "*")) if source.is_dir() else []:
        if file.is_file():
            place = to / file.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)
