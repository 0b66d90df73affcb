"""The published backbones: family, licence, size and files, as `metrics/backbones.yaml` states them."""

from __future__ import annotations

from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from evalkit.content import content, read_yaml
from evalkit.errors import DataError
from evalkit.nouns.base import Name, Noun

if TYPE_CHECKING:
    from collections.abc import Mapping

ALTERNATIVE = " | "


class Backbone(Noun):
    """One published model."""

    family: Name
    source: Literal["hub", "torchvision", "dreamsim", "facenet", "own"]
    """`own`: nobody serves it in the form that is read; the note says how it is made."""
    hub: str | None = None
    """The name under which `source` serves it, where that is not the id."""
    licence: str = Field(min_length=1)
    commercial: bool | None
    """Whether the licence of the weights allows commercial use; None where no licence says so."""
    gated: bool = False
    download_mb: int | None = Field(gt=0)
    """None where nobody says how large it is."""
    files: tuple[str, ...] = Field(min_length=1)
    """Needed files relative to the model's folder; ` | ` separates alternatives, the preferred first."""
    parts: tuple[str, ...] = ()
    """Models of this file that it stands on: their files come after its own."""
    note: str | None = None

    @property
    def size(self) -> str:
        """How much there is to download."""
        return "size unknown" if self.download_mb is None else f"about {self.download_mb} MB"

    @property
    def terms(self) -> str:
        """Size and licence in one phrase, as errors and `doctor` print them."""
        use = {True: "", False: ", non-commercial use only", None: ", commercial use unclear"}[self.commercial]
        gate = ", gated: accept its terms on the hub and log in first" if self.gated else ""
        return f"{self.size}, licence {self.licence}{use}{gate}"


@cache
def backbones() -> Mapping[str, Backbone]:
    """Model id to its facts, in the file's order. Raises DataError naming what does not fit."""
    path = content("metrics", "backbones.yaml")
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise DataError(f"{path}: wanted a mapping of model ids, found {type(data).__name__}")
    return MappingProxyType({model: Backbone.read(facts, where=f"{path}: {model}") for model, facts in data.items()})
