"""What keeps a recipe from running here, besides its own setup: the benchmark, the device, weights that are gated."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from evalkit.methods.external.request import lacking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evalkit.methods.recipe import Recipe
    from evalkit.nouns import Case

_QUICK = 20.0
"""Seconds that a question to the driver may take."""


def unfit(recipe: Recipe, cases: Sequence[Case]) -> list[str]:
    """Whether each case has what the recipe asks for; one line where some have not."""
    without = [(case.case_id, reason) for case in cases if (reason := lacking(case, recipe)) is not None]
    if not without:
        return []
    first, reason = without[0]
    return [f"{recipe.name} cannot make {len(without)} of {len(cases)} cases, first {first}: {reason}"]


def device_problem(recipe: Recipe) -> list[str]:
    """Whether there is a CUDA device with the memory that the recipe needs."""
    if not recipe.cuda_gib or (found := cuda_gib()) >= recipe.cuda_gib:
        return []
    told = f"one with {found:.1f} GiB" if found else "none"
    return [
        f"{recipe.name} wants a CUDA device with {recipe.cuda_gib:g} GiB or more, found {told}; run on such a machine"
    ]


def cuda_gib() -> float:
    """Memory of the largest CUDA device that CUDA_VISIBLE_DEVICES leaves, in GiB; 0 where there is none."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if shutil.which("nvidia-smi") is None or (visible is not None and visible.strip() in ("", "-1")):
        return 0.0
    command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    command += ["-i", visible] if visible is not None else []
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=_QUICK, check=True).stdout
        return max((float(line) / 1024 for line in told.split()), default=0.0)
    except (OSError, subprocess.SubprocessError, ValueError):
        return 0.0


def weights_problem(recipe: Recipe) -> list[str]:
    """Which gated weights are not in the hub's cache; others the program may fetch by itself."""
    if not recipe.gated:
        return []
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    told = []
    for hub in recipe.weights:
        try:
            snapshot_download(hub, local_files_only=True)
        except LocalEntryNotFoundError:
            told.append(
                f"wanted the weights of {hub!r}, which are gated, found none in the hub's cache; accept their terms on "
                f"the hub, log in with `hf auth login`, then `hf download {hub}`"
            )
    return told
