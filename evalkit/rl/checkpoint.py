"""Checkpoints of a training: whole or not there, the newest found again, and never one of another configuration.

A checkpoint is a folder `checkpoint-000012`: `adapter.safetensors` (what learns), `ema.safetensors` (its average),
`optimizer.pt` (read with weights_only=True) and `state.json` (epoch, updates, configuration and its hash, curves). It
appears by rename, after its files are on the disk.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import RunError
from evalkit.files import write_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

KEPT = 2
"""Newest checkpoints that stay; older ones are removed."""
_NAME = re.compile(r"checkpoint-(\d{6})")
_UNFINISHED = ".checkpoint-"


@dataclass(frozen=True)
class Checkpoint:
    """A training after `epoch` epochs."""

    epoch: int
    updates: int
    """Optimiser steps so far."""
    adapter: Mapping[str, Tensor]
    ema: Mapping[str, Tensor]
    optimizer: dict[str, Any]
    curves: list[dict[str, Any]]
    """One row an epoch."""


def write_checkpoint(folder: Path, checkpoint: Checkpoint, config: Mapping[str, Any], config_hash: str) -> Path:
    """Writes it into `folder` and removes all but the newest. Raises RunError where it cannot be written."""
    import torch
    from safetensors.torch import save_file

    target = folder / f"checkpoint-{checkpoint.epoch:06d}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(left, ignore_errors=True)
        staged = Path(tempfile.mkdtemp(dir=folder, prefix=_UNFINISHED))
        for name, tensors in (("adapter", checkpoint.adapter), ("ema", checkpoint.ema)):
            save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, staged / f"{name}.safetensors")
        torch.save(checkpoint.optimizer, staged / "optimizer.pt")
        state = {"epoch": checkpoint.epoch, "updates": checkpoint.updates, "config_hash": config_hash,
                 "config": dict(config), "curves": checkpoint.curves}  # fmt: skip
        (staged / "state.json").write_text(json.dumps(state, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        for file in staged.iterdir():
            _sync(file)
        if target.exists():
            shutil.rmtree(target)
        staged.rename(target)
        for old in _all(folder)[:-KEPT]:
            shutil.rmtree(old)
    except OSError as error:
        raise write_error(target, error) from error
    return target


def newest_checkpoint(folder: Path, config: Mapping[str, Any], config_hash: str) -> Checkpoint | None:
    """The newest checkpoint in `folder`, None where there is none.

    Raises RunError where it is of another configuration, naming the first key that differs, or damaged.
    """
    import torch
    from safetensors.torch import load_file

    found = _all(folder)
    if not found:
        return None
    newest = found[-1]
    try:
        state = json.loads((newest / "state.json").read_text(encoding="utf-8"))
        if state["config_hash"] != config_hash:
            raise RunError(_other(newest, state["config"], config))
        return Checkpoint(
            epoch=int(state["epoch"]),
            updates=int(state["updates"]),
            adapter=load_file(newest / "adapter.safetensors"),
            ema=load_file(newest / "ema.safetensors"),
            optimizer=torch.load(newest / "optimizer.pt", weights_only=True, map_location="cpu"),
            curves=list(state["curves"]),
        )
    except RunError:
        raise
    except Exception as error:  # safetensors and torch raise errors of many types for a damaged file
        raise RunError(
            f"{newest} is damaged ({type(error).__name__}: {error!s:.100}); remove it to go on from the one before"
        ) from error


def _other(newest: Path, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    for key in dict.fromkeys([*wanted, *there]):
        if there.get(key) != wanted.get(key):
            return (
                f"{newest} is of another training: wanted {key} {wanted.get(key)!r}, found {there.get(key)!r}; "
                "use the same settings to go on, or another --out to train anew"
            )
    return f"{newest} is of another version of the trainer; use another --out to train anew"


def _all(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("checkpoint-*") if _NAME.fullmatch(path.name)) if folder.is_dir() else []


def _sync(file: Path) -> None:
    with file.open("rb") as handle:
        os.fsync(handle.fileno())
