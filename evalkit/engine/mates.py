"""Sets of cases: which samples stand beside one, and what its scores get where one of them does not stand."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from evalkit.features.spec import ImageContent
from evalkit.metrics.base import Mate, Outcome
from evalkit.nouns import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from evalkit.nouns import Case, Sample

    Standing = Callable[[str, int], Sample | None]


class Sets:
    """The (set, seed) groups of what a run is to hold, in the order of its cases."""

    def __init__(self, expected: Iterable[tuple[Case, int]], media: Path) -> None:
        self._media = media
        self._members: dict[tuple[str, int], list[Case]] = defaultdict(list)
        for case, seed in expected:
            if case.set_id is not None:
                self._members[case.set_id, seed].append(case)

    def mates(self, case: Case, seed: int, standing: Standing) -> tuple[Mate, ...] | Outcome:
        """The other samples of the case's set, or `mate_missing` where one does not stand: a set is never made smaller.

        `standing(case_id, seed)` gives a sample that was made, None where there is none.
        """
        if case.set_id is None:
            return ()
        others = [other for other in self._members[case.set_id, seed] if other.case_id != case.case_id]
        found = {other.case_id: standing(other.case_id, seed) for other in others}
        if lacking := [case_id for case_id, sample in found.items() if sample is None]:
            return Outcome(
                State.MATE_MISSING,
                reason=f"{len(lacking)} of the {len(others)} other pictures of {case.set_id} are not there, first {lacking[0]}",
            )
        return tuple(
            Mate(other, ImageContent(str(sample.pixels_sha256), self._media / str(sample.path)))
            for other in others
            if (sample := found[other.case_id]) is not None
        )
