"""What DreamBench's spec states as facts: the class table, and the choices that UNO's lists make."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from evalkit.nouns import Noun

Kind = Literal["live", "object"]
PairKind = Literal["object_object", "live_live", "live_object"]


class PairPhrasing(Noun):
    """How two subjects are put into one prompt; templates over {before}, {after}, {first}, {second}."""

    together: str
    beside: str
    beside_from: dict[PairKind, int]
    """Prompts from this position on are phrased `beside`, those before it `together`."""


class DreamBenchFacts(Noun):
    """The `facts` of the spec."""

    classes: dict[str, str]
    """Subject to class word, in the order of the benchmark."""
    live: frozenset[str]
    photographs: dict[str, int]
    """Photographs of each subject; they are numbered from 00."""
    chosen: dict[str, str]
    """The number of the one photograph that UNO's lists show of each subject."""
    pairs: tuple[tuple[str, str], ...]
    phrasing: PairPhrasing

    @model_validator(mode="after")
    def _of_the_same_subjects(self) -> Self:
        known = set(self.classes)
        strangers = (known ^ set(self.photographs)) | (known ^ set(self.chosen)) | (self.live - known)
        strangers |= {subject for pair in self.pairs for subject in pair} - known
        if strangers:
            raise ValueError(f"every fact is about the subjects of 'classes', which differs for {sorted(strangers)}")
        beyond = [s for s in self.classes if self.chosen[s] not in self.numbers(s)]
        if beyond:
            raise ValueError(f"'chosen' names a photograph that does not exist for {beyond}")
        return self

    def kind(self, subject: str) -> Kind:
        """Which prompt list the subject has."""
        return "live" if subject in self.live else "object"

    def pair_kind(self, first: str, second: str) -> PairKind:
        """The category of a pair; of a mixed pair the live subject comes first."""
        kinds = self.kind(first), self.kind(second)
        if kinds == ("object", "object"):
            return "object_object"
        return "live_live" if kinds == ("live", "live") else "live_object"

    def numbers(self, subject: str) -> tuple[str, ...]:
        """The names of a subject's photographs without suffix: `00`, `01`, ..."""
        return tuple(f"{index:02d}" for index in range(self.photographs[subject]))
