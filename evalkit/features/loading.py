"""From a spec to its backbone, through the family's entry point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from evalkit import registry
from evalkit.errors import PluginError
from evalkit.features.weights import find_weights

if TYPE_CHECKING:
    from evalkit.features.base import Fingerprint
    from evalkit.features.extractor import Extractor
    from evalkit.features.spec import ExtractorSpec
    from evalkit.features.weights import WeightsSource


class Family(Protocol):
    """What an entry point in `evalkit.extractors` names: a module with these two functions."""

    def describe(self, spec: ExtractorSpec, weights: WeightsSource) -> Fingerprint:
        """What `load` would give features of. Must not load the model, and need not import its libraries."""
        ...

    def load(self, spec: ExtractorSpec, weights: WeightsSource, *, device: str) -> Extractor:
        """The loaded backbone, whose `fingerprint` is `describe`'s digest."""
        ...


def describe_extractor(spec: ExtractorSpec, *, fetch: bool = False) -> Fingerprint:
    """The fingerprint and signature parts of a backbone without loading it.

    Raises WeightsError where its weights are not at hand, UsageError where the spec does not fit the family.
    """
    family, weights = _family(spec.family), find_weights(spec.model, revision=spec.revision, fetch=fetch)
    with registry.blamed(f"the backbone family {spec.family!r}, describing {spec.model!r},"):
        return family.describe(spec, weights)


def load_extractor(spec: ExtractorSpec, *, device: str, fetch: bool = False) -> Extractor:
    """The backbone on `device` (`cpu`, `cuda:1`). Raises like `describe_extractor`; downloads only if `fetch`."""
    family = _family(spec.family)
    return family.load(spec, find_weights(spec.model, revision=spec.revision, fetch=fetch), device=device)


def _family(name: str) -> Family:
    family = registry.load(registry.EXTRACTORS, name)
    for function in ("load", "describe"):
        if not callable(getattr(family, function, None)):
            raise PluginError(
                f"the extractor family {name!r} needs the function {function!r} in {family!r}, found none; "
                "mend or uninstall that plugin"
            )
    return cast("Family", family)
