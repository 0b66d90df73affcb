"""Which files of a folder are a model's weights, their sha256, and their safe reading."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import WeightsError
from evalkit.features.backbones import ALTERNATIVE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

    Entry = tuple[int, int, str]

SHARDS = "model.safetensors.index.json"
TORCH_SHARDS = "pytorch_model.bin.index.json"
ANY_MODEL = (
    ALTERNATIVE.join(
        (
            "model.safetensors",
            SHARDS,
            "open_clip_model.safetensors",
            "open_clip_pytorch_model.safetensors",
            "open_clip_pytorch_model.bin",
            "pytorch_model.bin",
            TORCH_SHARDS,
        )
    ),
)
"""File names that weights go by in a folder of a model that `backbones.yaml` does not know."""
_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
_seen: dict[str, Entry] = {}


def chosen(wanted: Sequence[str], exists: Callable[[str], bool]) -> tuple[list[str], list[str]]:
    """For each line of `wanted` (alternatives by preference) the name that exists, and the lines of which none does."""
    found: list[str] = []
    lacking: list[str] = []
    for line in wanted:
        match = next((name for name in line.split(ALTERNATIVE) if exists(name)), None)
        (found if match is not None else lacking).append(match if match is not None else line)
    return found, lacking


def weight_files(
    folder: Path, wanted: Sequence[str] = ANY_MODEL, *, any_name: bool = False
) -> tuple[tuple[Path, ...], list[str]]:
    """The weight files of `folder` and what it lacks.

    With `any_name` the one weight file that a folder holds is taken whatever its name, where one file is wanted.
    """
    found, lacking = chosen(wanted, lambda name: (folder / name).is_file())
    if lacking and any_name and len(wanted) == 1 and folder.is_dir():
        alone = [path.name for path in folder.iterdir() if path.suffix in _SUFFIXES]
        found, lacking = (alone, []) if len(alone) == 1 else (found, lacking)
    for index in (name for name in (SHARDS, TORCH_SHARDS) if name in found):
        shards = read_json(folder / index).get("weight_map", {})
        found, lacking = chosen(sorted(set(shards.values())), lambda name: (folder / name).is_file())
    return tuple(folder / name for name in found), lacking


def sha256_of(files: Sequence[Path]) -> str:
    """sha256 of one file's bytes; of several, that of their names and digests. Remembered by (path, size, mtime)."""
    digests = [_file_sha256(path) for path in files]
    if len(digests) == 1:
        return digests[0]
    told = "\n".join(f"{path.name} {digest}" for path, digest in zip(files, digests, strict=True))
    return hashlib.sha256(told.encode()).hexdigest()


def read_state(files: Sequence[Path]) -> dict[str, torch.Tensor]:
    """Tensors by name from safetensors, or from torch files that hold nothing but tensors (`weights_only`).

    A `state_dict` inside and a `module.` before every name are taken off. Raises WeightsError naming the file.
    """
    state: dict[str, torch.Tensor] = {}
    for path in files:
        loaded = _load(path)
        inner = loaded.get("state_dict", loaded)
        if not inner or not all(hasattr(value, "shape") for value in inner.values()):
            raise WeightsError(f"{path}: wanted a state dict of tensors, found the keys {sorted(map(str, inner))[:4]}")
        state |= inner
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return state


def other_model(where: Path, wanted: str, found: str) -> WeightsError:
    """The error for files that are not the weights of the model that was asked for."""
    return WeightsError(f"{where}: wanted {wanted}, found {found}; these are another model's weights")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object beside the weights; empty where there is no such file. Raises WeightsError where it is damaged."""
    if not path.is_file():
        return {}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WeightsError(f"{path}: wanted JSON, found text that is none ({error}); get the file again") from None
    if not isinstance(data, dict):
        raise WeightsError(f"{path}: wanted a JSON object, found {type(data).__name__}; get the file again")
    return data


def _load(path: Path) -> dict[str, Any]:
    import torch
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise whatever the unpickler stumbled on
        told = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        raise WeightsError(
            f"{path}: wanted safetensors, or a torch file that loads with weights_only=True, found {told:.120}; "
            "get the file again or convert it to safetensors"
        ) from error
    if not isinstance(loaded, dict):
        raise WeightsError(f"{path}: wanted a state dict of tensors, found {type(loaded).__name__}")
    return loaded


def _file_sha256(path: Path) -> str:
    real, stat = str(path.resolve()), path.stat()
    known = _seen.get(real) or _stored().get(real)
    if known is not None and tuple(known[:2]) == (stat.st_size, stat.st_mtime_ns):
        _seen[real] = known
        return known[2]
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    _seen[real] = (stat.st_size, stat.st_mtime_ns, digest)
    _store(real)
    return digest


def _store_path() -> Path:
    from evalkit.paths import cache_root

    return cache_root() / "weights-sha256.json"


def _stored() -> dict[str, Entry]:
    """What earlier processes hashed; empty where the file is absent or damaged, since it can be made again."""
    try:
        data = json.loads(_store_path().read_text(encoding="utf-8"))
        return {path: (int(size), int(mtime), str(digest)) for path, (size, mtime, digest) in data.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _store(real: str) -> None:
    """Adds one entry by rename. Of two processes that write at once one entry may be lost, which costs one hashing."""
    path, entries = _store_path(), {**_stored(), real: _seen[real]}
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".part-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(entries, file)
        Path(temporary).replace(path)
