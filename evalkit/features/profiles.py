"""Which backbone a spec means in which profile, and which profile this machine can run."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evalkit.features.spec import ExtractorSpec
    from evalkit.nouns import Profile

ProfileChoice = Literal["auto", "paper", "sandbox"]
_EMBEDDED = {name: name for name in ("clip", "dino", "dreamsim", "lpips", "mtg")}
_OTHER_FAMILY = {"open_clip": "clip", "grounded_sam": "segmenter"}
_EMBEDDED |= _OTHER_FAMILY
_OTHER_PREPROCESS = {"lpips": "lpips_96", "grounded_sam": "dino_squash"}
MINIMUM_CUDA_GIB = 6.0
"""What the backbones of the image metrics need at their forward batch, with room for the pictures."""
_CUDA_GIB = {"mtg": 12.0, "qwen_vqa": 20.0, "gme": 20.0, "q_align": 20.0, "clip_t5": 28.0}
"""Families that need more: 3.6 GiB of weights and, measured on a CPU, 1.4 GiB a picture for `mtg`; the others' weights of
7 to 11 thousand million numbers in half precision, with room for a picture."""


class Resolved(NamedTuple):
    """A profile and why it was taken."""

    profile: Profile
    why: str


def resolve_spec(spec: ExtractorSpec, profile: Profile) -> ExtractorSpec:
    """The backbone that a metric's spec means in a profile.

    In the sandbox each family has one embedded model; preprocessing keeps its name and scales to that model's input,
    but for LPIPS, which has no input size of its own and is taken at the size of the world's pictures, and for
    Grounded SAM, in whose place a small segmenter stands that reads no text. A family without an embedded counterpart
    keeps its model, and is computed where that model is at hand.
    """
    if profile == "paper" or spec.family not in _EMBEDDED:
        return spec
    embedded = _EMBEDDED[spec.family]
    changed = {
        "family": _OTHER_FAMILY.get(spec.family, spec.family),
        "model": f"sandbox:{embedded}",
        "preprocess": _OTHER_PREPROCESS.get(spec.family, spec.preprocess),
        "text": None if spec.family == "grounded_sam" else spec.text,
        "revision": None,
    }
    return spec.model_copy(update=changed)


def choose_profile(choice: ProfileChoice, specs: Iterable[ExtractorSpec], *, fetch: bool = False) -> Resolved:
    """`auto`: paper where CUDA with enough memory is there and all weights are at hand or may be fetched, else sandbox."""
    if choice != "auto":
        return Resolved(choice, "asked for")
    if not shutil.which("nvidia-smi"):
        return Resolved("sandbox", "no CUDA device on this machine")
    import torch

    if not torch.cuda.is_available():
        return Resolved("sandbox", "an NVIDIA driver is there, but torch finds no CUDA device")
    asked = list(specs)
    memory = torch.cuda.get_device_properties(0).total_memory / 2**30
    wanted = max([MINIMUM_CUDA_GIB, *(_CUDA_GIB.get(spec.family, 0.0) for spec in asked)])
    if memory < wanted:
        return Resolved("sandbox", f"the CUDA device has {memory:.1f} GiB, wanted {wanted:.0f} or more")
    from evalkit.features.weights import can_fetch, weights_at_hand

    lacking = sorted({spec.model for spec in asked if weights_at_hand(spec.model) is None})
    stuck = [model for model in lacking if not (fetch and can_fetch(model))]
    if stuck:
        how = "`evalkit doctor` says how to get them" if fetch else "--fetch downloads what can be downloaded"
        return Resolved("sandbox", f"weights not on this machine: {', '.join(stuck)}; {how}")
    return Resolved("paper", f"CUDA with {memory:.0f} GiB and all weights {'to be fetched' if lacking else 'at hand'}")
