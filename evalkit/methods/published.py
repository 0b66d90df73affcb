"""Published pipelines and models: where their weights are on this machine, what is missing, and where they run."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.errors import WeightsError


@dataclass(frozen=True)
class Published:
    """A pipeline in diffusers' layout on the hub, and what it needs."""

    hub: str
    terms: str
    """Its size and licence, for the message that its weights are missing."""
    resident_gib: float
    """CUDA memory for the whole of it at once."""
    offloaded_gib: float
    """CUDA memory for its largest model, with the others waiting in main memory."""

    def folder(self) -> Path | None:
        """Where it is, whole: under EVALKIT_WEIGHTS, else in the hub's cache; never fetched."""
        root = os.environ.get("EVALKIT_WEIGHTS")
        if root and self.whole(folder := Path(root).expanduser() / self._name):
            return folder
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError

        try:
            cached = Path(snapshot_download(self.hub, local_files_only=True))
        except LocalEntryNotFoundError:
            return None
        return cached if self.whole(cached) else None

    def whole(self, folder: Path) -> bool:
        """Whether everything is in a folder."""
        return complete(folder)

    def need(self) -> Path:
        """Its folder. Raises WeightsError where there is none."""
        found = self.folder()
        if found is None:
            raise WeightsError(self._missing())
        return found

    def problems(self) -> list[str]:
        """A line each for weights and for a device that are not there."""
        told = [] if self.folder() is not None else [self._missing()]
        found = cuda_gib()
        if found < self.offloaded_gib:
            have = f"one with {found:.1f} GiB" if found else "none"
            more = (
                f" ({self.resident_gib:.0f} to keep all of it there)" if self.resident_gib > self.offloaded_gib else ""
            )
            told.append(
                f"{self.hub} wants a CUDA device with {self.offloaded_gib:.0f} GiB or more{more}, found {have}; run on such a "
                "machine, or use --profile sandbox"
            )
        return told

    def placed(self, pipeline: Any) -> Any:
        """The pipeline on CUDA, whole or model by model, as memory allows; it shows no bars."""
        pipeline.set_progress_bar_config(disable=True)
        if cuda_gib() < self.resident_gib:
            pipeline.enable_model_cpu_offload()
        else:
            pipeline.to("cuda")
        return pipeline

    @property
    def _name(self) -> str:
        return self.hub.replace("/", "--")

    def _missing(self) -> str:
        root = os.environ.get("EVALKIT_WEIGHTS")
        place = f"EVALKIT_WEIGHTS ({Path(root).expanduser() / self._name})" if root else "EVALKIT_WEIGHTS (not set)"
        return (
            f"wanted the weights of {self.hub!r} ({self.terms}), found none complete in {place}, the hub cache; get them with "
            f"`hf download {self.hub}`, or put the files into $EVALKIT_WEIGHTS/{self._name}"
        )


class PublishedModel(Published):
    """A single model in transformers' layout, with its processor."""

    def whole(self, folder: Path) -> bool:
        """Whether a folder holds the configuration, a tokenizer and all weights."""
        return all((folder / name).is_file() for name in ("config.json", "tokenizer.json")) and _whole(folder)


def from_folder(kind: Any, folder: Path, *, dtype: Any, **options: Any) -> Any:
    """A diffusers model or pipeline from local files alone, without the warning of releases that spell `torch_dtype` otherwise."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch_dtype` is deprecated", FutureWarning)
        return kind.from_pretrained(str(folder), torch_dtype=dtype, local_files_only=True, **options)


def complete(folder: Path) -> bool:
    """Whether `folder` holds every part that its model_index.json names, the models with all their weights."""
    try:
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    parts = [name for name, kind in index.items() if isinstance(kind, list) and kind[0] is not None]
    models = [name for name in parts if name == "vae" or name.startswith(("transformer", "text_encoder"))]
    return bool(models) and all(
        (folder / name).is_dir() and (name not in models or _whole(folder / name)) for name in parts
    )


def _whole(model: Path) -> bool:
    """Whether a model's folder has weights, and of those in several files every one that an index names."""
    try:
        indices = [json.loads(path.read_text(encoding="utf-8")) for path in model.glob("*.safetensors.index.json")]
        named = {file for index in indices for file in index["weight_map"].values()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return False
    return any(model.glob("*.safetensors")) and all((model / file).is_file() for file in named)


def cuda_gib() -> float:
    """Memory of the CUDA device in GiB, 0 where there is none."""
    if not shutil.which("nvidia-smi"):
        return 0.0
    import torch

    return float(torch.cuda.get_device_properties(0).total_memory / 2**30) if torch.cuda.is_available() else 0.0
