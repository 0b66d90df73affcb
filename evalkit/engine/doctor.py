"""What this machine can run."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from pathlib import Path
from typing import Literal

from evalkit.engine.setting import Request, prepare
from evalkit.errors import UsageError
from evalkit.features.backbones import backbones
from evalkit.features.profiles import MINIMUM_CUDA_GIB
from evalkit.features.weights import how_to_get, weights_at_hand
from evalkit.methods.base import Context
from evalkit.methods.command import CommandMethod
from evalkit.methods.external.setup import set_up
from evalkit.methods.find import Finding, find_method, method_report
from evalkit.nouns import Noun
from evalkit.paths import cache_root

_DISK_GIB = 10
EMBEDDED = ("clip", "dino", "lpips", "dreamsim", "mtg", "segmenter")


class Check(Noun):
    """One fact about the machine; `mend` is what to do about it, None where it is well."""

    name: str
    found: str
    mend: str | None = None


class WeightsState(Noun):
    """One backbone's weights."""

    model: str
    state: Literal["at hand", "missing"]
    size: str
    licence: str
    commercial: bool | None
    gated: bool
    mend: str | None = None


class Report(Noun):
    """Everything `evalkit doctor` tells."""

    machine: tuple[Check, ...]
    weights: tuple[WeightsState, ...]
    paper: Literal["yes", "in part", "slowly", "no"]
    paper_why: str
    sandbox_runs: bool
    sandbox_why: str


def examine() -> Report:
    """Looks at devices, memory, disk, decoders and weights. Downloads nothing."""
    weights = tuple(_weights(model) for model in backbones())
    cuda = _cuda()
    paper, why = _paper(weights, cuda)
    lacking = [name for name in EMBEDDED if weights_at_hand(f"sandbox:{name}") is None]
    return Report(
        machine=(_python(), _cpu(), _memory(), cuda, _disk(), _pictures(), _video()),
        weights=weights,
        paper=paper,
        paper_why=why,
        sandbox_runs=not lacking,
        sandbox_why="embedded models and world, no network needed"
        if not lacking
        else f"embedded weights missing: {', '.join(lacking)}",
    )


def examine_method(name: str, request: Request, *, setup: bool = False) -> list[Finding]:
    """What the method is, would run on the benchmark's first case, and lacks; with `setup` its external code is set up first.

    Raises UsageError for a method, benchmark or profile that does not exist, or one without external code to set up;
    DataError, MethodError.
    """
    method = find_method(name)
    if setup:
        if not isinstance(method, CommandMethod):
            raise UsageError(
                f"wanted a method with external code to set up, found {name!r}, which has none; leave out --setup"
            )
        set_up(method.recipe, method.folder)
    setting = prepare(request, method=name)
    with tempfile.TemporaryDirectory() as scratch:
        return method_report(method, Context(setting.benchmark, setting.profile.profile, Path(scratch)))


def _paper(weights: tuple[WeightsState, ...], cuda: Check) -> tuple[Literal["yes", "in part", "slowly", "no"], str]:
    there = [w for w in weights if w.state == "at hand"]
    told = f"{len(there)} of {len(weights)} backbones at hand"
    if not there:
        return "no", told
    if cuda.mend is not None:
        return "slowly", f"{told}, no CUDA device: `--profile paper` runs them on the CPU"
    return ("yes" if len(there) == len(weights) else "in part"), told


def _weights(model: str) -> WeightsState:
    known = backbones()[model]
    at_hand = weights_at_hand(model) is not None
    return WeightsState(
        model=model,
        state="at hand" if at_hand else "missing",
        size="unknown" if known.download_mb is None else f"{known.download_mb} MB",
        licence=known.licence,
        commercial=known.commercial,
        gated=known.gated,
        mend=None if at_hand else how_to_get(model),
    )


def _python() -> Check:
    return Check(name="python", found=f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def _cpu() -> Check:
    return Check(name="cpu", found=f"{os.cpu_count()} cores")


def _memory() -> Check:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (ValueError, OSError, AttributeError):
        return Check(name="memory", found="unknown")
    return Check(name="memory", found=f"{total:.0f} GiB", mend="4 GiB or more are wanted" if total < 4 else None)


def _cuda() -> Check:
    if not shutil.which("nvidia-smi"):
        return Check(
            name="cuda", found="none", mend="--profile sandbox needs none; --profile paper runs slowly without"
        )
    import torch

    if not torch.cuda.is_available():
        return Check(
            name="cuda",
            found="a driver, but none that torch can use",
            mend=f"install a driver for CUDA {torch.version.cuda}",
        )
    device = torch.cuda.get_device_properties(0)
    memory = device.total_memory / 2**30
    small = f"{MINIMUM_CUDA_GIB:.0f} GiB or more are wanted" if memory < MINIMUM_CUDA_GIB else None
    return Check(name="cuda", found=f"{device.name}, {memory:.0f} GiB", mend=small)


def _disk() -> Check:
    root = cache_root()
    there = next(p for p in (root, *root.parents) if p.exists())
    free = shutil.disk_usage(there).free / 2**30
    mend = (
        f"`evalkit cache prune --limit 1G`, or set EVALKIT_CACHE to a larger disk than {there}"
        if free < _DISK_GIB
        else None
    )
    return Check(name="cache", found=f"{root}, {free:.0f} GiB free", mend=mend)


def _pictures() -> Check:
    from PIL import features

    lacking = [codec for codec in ("jpg", "zlib", "webp", "libtiff") if not features.check(codec)]
    return Check(name="pictures", found="JPEG, PNG, WebP, TIFF" if not lacking else f"without {', '.join(lacking)}",
                 mend="install Pillow from a wheel: pip install --force-reinstall pillow" if lacking else None)  # fmt: skip


def _video() -> Check:
    try:
        import av
    except (ImportError, OSError) as error:
        return Check(name="video", found=f"no PyAV ({error})", mend="pip install av")
    return Check(name="video", found=f"PyAV {av.__version__}")
