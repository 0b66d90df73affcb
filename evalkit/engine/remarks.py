"""What is to be said of a run's samples beside their scores, a line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.registry import METHODS, entries, load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evalkit.engine.setting import Setting
    from evalkit.runs.folder import RunFolder


def remarks(setting: Setting, run: RunFolder) -> tuple[str, ...]:
    """The samples that the method failed to make, and the references that it never looks at."""
    return (*_failed(setting, run), *_unseen(setting, run.record.identity.method))


def _failed(setting: Setting, run: RunFolder) -> Iterator[str]:
    there = run.samples.latest()
    why = [
        str(sample.reason)
        for case, seed in setting.expected
        if (sample := there.get((case.case_id, seed))) is not None and sample.state == "failed"
    ]
    if why:
        yield f"{len(why)} samples failed, first: {why[0]}"


def _unseen(setting: Setting, method: str) -> Iterator[str]:
    most = load(METHODS, method).info.max_references if method in entries(METHODS) else None
    cases = {case.case_id: len(case.references) for case, _ in setting.expected}
    more = [count for count in cases.values() if most and count > most]
    if more:
        yield (
            f"{len(more)} of {len(cases)} cases show up to {max(more)} references, and {method} looks at {most}: the others have "
            "no part in its samples"
        )
