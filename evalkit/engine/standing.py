"""Whether the samples of a run are still what was made: a file that somebody changed is not the method's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.errors import MediaError
from evalkit.media import held_by, medium_of
from evalkit.metrics.base import Outcome
from evalkit.nouns import State
from evalkit.progress import progress

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from evalkit.nouns import Case, Sample
    from evalkit.runs.folder import RunFolder

Fallen = dict[tuple[str, int], Outcome]
"""(case, seed) pairs whose sample does not stand, with the outcome that their scores get."""


def fault(sample: Sample, folder: Path) -> Outcome | None:
    """What became of a sample that was made, None where its file is as it was; one of another time is decoded to see.

    `folder` is what the sample's path is relative to.
    """
    path = folder / str(sample.path)
    try:
        stat = path.stat()
    except OSError:
        return Outcome(State.SAMPLE_MISSING, reason=f"its file is gone: {path}")
    if (stat.st_size, stat.st_mtime_ns) == (sample.file_size, sample.file_mtime_ns):
        return None
    try:
        changed = held_by(path, medium_of(sample)).pixels_sha256 != sample.pixels_sha256
    except MediaError as error:
        return Outcome(State.DECODE_ERROR, reason=str(error))
    return (
        Outcome(State.SAMPLE_MISSING, reason=f"its file holds something else than was made: {path}")
        if changed
        else None
    )


def fallen(run: RunFolder, expected: Iterable[tuple[Case, int]]) -> Fallen:
    """Every sample of the run that was made and no longer stands."""
    there = run.samples.latest()
    made = [s for case, seed in expected if (s := there.get((case.case_id, seed))) and s.state == "made"]
    found: Fallen = {}
    with progress("check samples", len(made), unit="samples") as advance:
        for sample in made:
            if (outcome := fault(sample, run.media_folder)) is not None:
                found[sample.key] = outcome
            advance()
    return found


def report(found: Fallen, *, mend: str) -> list[str]:
    """One line on the samples that do not stand, none where all do."""
    if not found:
        return []
    (case_id, seed), outcome = next(iter(found.items()))
    plural = "s are" if len(found) > 1 else " is"
    return [f"{len(found)} sample{plural} not as made, first: {case_id} seed {seed}, {outcome.reason}; {mend}"]
