"""How cases hang together: what is drawn anew when one asks whether a difference would be seen again."""

from __future__ import annotations

from typing import Literal

from evalkit.errors import UsageError
from evalkit.nouns import Noun
from evalkit.registry import unknown


class Design(Noun):
    """What a benchmark declares for its statistics.

    nested: each subject has prompts of its own, or prompts of one subject are not independent; subjects are drawn.
    crossed: all subjects share prompts, and the claim is about new subjects and new prompts; both are drawn.
    stratified: strata (categories) are fixed, subjects are drawn within them.
    clusters: subjects that share references are one unit; clusters are drawn.
    """

    prompts: Literal["nested", "crossed"] = "nested"
    strata: bool = False
    clusters: bool = False

    @property
    def name(self) -> str:
        """`nested`, `crossed`, `stratified`, `clusters`, or `stratified clusters` and `crossed clusters`."""
        parts = ["crossed"] * (self.prompts == "crossed") + ["stratified"] * self.strata + ["clusters"] * self.clusters
        return " ".join(parts) or "nested"

    @property
    def flips(self) -> bool:
        """True where the test flips the units' signs: the units alone are random, and all have one mean."""
        return self.prompts == "nested" and not self.strata


_DESIGNS = (Design(), Design(prompts="crossed"), Design(strata=True), Design(clusters=True))
NAMED = {design.name: design for design in _DESIGNS}


def design_of(design: str | Design) -> Design:
    """The design of that name, or the one given.

    Raises: UsageError for an unknown name, and for strata together with crossed prompts: a prompt's effect would then
    be shared between strata that are weighted apart, for which there is no test of known size here.

    Example:
        >>> design_of("stratified").strata
        True
    """
    if isinstance(design, str):
        if design not in NAMED:
            raise UsageError(unknown("design", design, list(NAMED), "help(evalkit.stats.Design)"))
        return NAMED[design]
    if design.prompts == "crossed" and design.strata:
        raise UsageError(
            "wanted crossed prompts or strata, found both in one design; take 'crossed' where the claim is about new "
            "prompts, else 'stratified'"
        )
    return design
