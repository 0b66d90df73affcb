"""Where a backbone's weights are on this machine, and what to do when they are nowhere."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from evalkit.errors import WeightsError
from evalkit.features.backbones import ALTERNATIVE, Backbone, backbones
from evalkit.features.weight_files import ANY_MODEL, SHARDS, TORCH_SHARDS, chosen, sha256_of, weight_files
from evalkit.progress import warn

if TYPE_CHECKING:
    from collections.abc import Iterator

Origin = Literal["none", "sandbox", "folder", "EVALKIT_WEIGHTS", "hub cache", "torch cache"]
SANDBOX = "sandbox:"
NO_WEIGHTS = "none"
"""The model of a family that has nothing to load."""
SERVED = "served:"
"""Before the name of a model that a server runs: nothing of it is on this machine."""
_SANDBOX_FOLDER = Path(__file__).resolve().parent.parent / "sandbox" / "weights"
_COMPOSED = {"dreamsim": ("dino", "clip"), "mtg": ("dino", "mtg")}
"""Sandbox backbones that are made of others' weights."""
_SHARD_NAMES = {SHARDS: "model-*.safetensors", TORCH_SHARDS: "pytorch_model-*.bin"}
_SMALL = ("*.json", "merges.txt", "vocab.txt", "tokenizer.model")
"""Small files that are fetched with the weights."""
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class WeightsSource:
    """A folder that holds a model's weights."""

    folder: Path
    origin: Origin
    model: str
    """As asked for: hub id, folder or `sandbox:NAME`."""
    revision: str | None
    """The commit that the files are of, None where nothing says so."""
    files: tuple[Path, ...]
    """The weight files themselves, in the order in which they are read."""

    @cached_property
    def sha256(self) -> str:
        """sha256 of the weight file, of several the digest of their digests. Reads the files once per machine."""
        return sha256_of(self.files)

    @property
    def label(self) -> str:
        """The model's name as printed in signatures: a local folder goes by its name alone."""
        return f"local/{self.folder.name}" if self.origin == "folder" else self.model


def find_weights(model: str, *, revision: str | None = None, fetch: bool = False) -> WeightsSource:
    """The weights of `model`: embedded, in that folder, under EVALKIT_WEIGHTS, in a cache; downloaded only if `fetch`.

    Raises WeightsError in one line: what was wanted, size and licence, where it was looked for, the mending command.
    """
    if model == NO_WEIGHTS or model.startswith(SERVED):
        return WeightsSource(Path(), "none", model, None, ())
    looked: list[str] = []
    for source in _places(model, revision, looked):
        _check_revision(source, revision)
        return _whole(source, fetch=fetch)
    known = backbones().get(model)
    if fetch and known is not None:
        warn(f"fetching {model}: {known.terms}")
    if fetch and known is not None and known.source == "torchvision":
        _fetch_torchvision(model, known)
    elif fetch and not model.startswith(SANDBOX) and (known is None or known.source == "hub"):
        _fetch_hub(model, known, revision)
    else:
        raise WeightsError(_missing(model, known, looked))
    for part in _parts(model):
        find_weights(part, fetch=fetch)
    return find_weights(model, revision=revision)


def _whole(source: WeightsSource, *, fetch: bool) -> WeightsSource:
    """With the files of the models that it stands on after its own."""
    below = [file for part in _parts(source.model) for file in find_weights(part, fetch=fetch).files]
    return replace(source, files=(*source.files, *below)) if below else source


def _parts(model: str) -> tuple[str, ...]:
    known = backbones().get(model)
    return () if known is None else known.parts


def can_fetch(model: str) -> bool:
    """Whether `find_weights(model, fetch=True)` would try to download: some packages bring their weights themselves."""
    known = backbones().get(model)
    own = not model.startswith(SANDBOX) and (known is None or known.source in ("hub", "torchvision"))
    return own and all(can_fetch(part) for part in _parts(model))


def how_to_get(model: str) -> str:
    """What brings the weights of `model` to this machine, as errors say it."""
    return _mend(model, backbones().get(model))


def weights_at_hand(model: str) -> WeightsSource | None:
    """The weights of `model` if they are on this machine; nothing is downloaded or hashed."""
    if model == NO_WEIGHTS or model.startswith(SERVED):
        return find_weights(model)
    lacking = [part for part in _parts(model) if weights_at_hand(part) is None]
    return None if lacking else next(_places(model, None, []), None)


def _places(model: str, revision: str | None, looked: list[str]) -> Iterator[WeightsSource]:
    known = backbones().get(model)
    wanted = known.files if known is not None else ANY_MODEL
    for origin, folder, found_revision in _folders(model, known, revision, looked):
        if model.startswith(SANDBOX):
            yield from _sandbox(model, folder, looked)
            continue
        files, lacking = weight_files(folder, wanted, any_name=origin in ("folder", "EVALKIT_WEIGHTS"))
        if lacking:
            looked.append(f"{folder} (lacks {', '.join(lacking)})")
        else:
            yield WeightsSource(folder, origin, model, found_revision, files)


def _folders(
    model: str, known: Backbone | None, revision: str | None, looked: list[str]
) -> Iterator[tuple[Origin, Path, str | None]]:
    if model.startswith(SANDBOX):
        yield "sandbox", _SANDBOX_FOLDER, None
        return
    own = Path(model).expanduser()
    if own.is_dir():
        yield "folder", own.resolve(), _downloaded_revision(own)
    root = os.environ.get("EVALKIT_WEIGHTS")
    if root:
        folder = Path(root).expanduser() / model.replace("/", "--")
        if folder.is_dir():
            yield "EVALKIT_WEIGHTS", folder.resolve(), _downloaded_revision(folder)
        else:
            looked.append(f"EVALKIT_WEIGHTS ({folder})")
    else:
        looked.append("EVALKIT_WEIGHTS (not set)")
    if known is not None and known.source in ("torchvision", "facenet"):
        yield "torch cache", _torch_cache(), None
    elif (known is None or known.source == "hub") and (cached := _hub_cache(known, model, revision, looked)):
        yield "hub cache", cached, cached.name if _COMMIT.fullmatch(cached.name) else None


def _sandbox(model: str, root: Path, looked: list[str]) -> Iterator[WeightsSource]:
    name = model.removeprefix(SANDBOX)
    parts = [root / part for part in _COMPOSED.get(name, (name,))]
    files: list[Path] = []
    for part in parts:
        found, lacking = (
            weight_files(part) if re.fullmatch(r"[a-z0-9_]+", part.name) and part.is_dir() else ((), ["it"])
        )
        if lacking:
            looked.append(str(part))
            return
        files += found
    yield WeightsSource(root if name in _COMPOSED else parts[0], "sandbox", model, None, tuple(files))


def _torch_cache() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("TORCH_HOME") or Path(cache) / "torch").expanduser() / "hub" / "checkpoints"


def _hub_cache(known: Backbone | None, model: str, revision: str | None, looked: list[str]) -> Path | None:
    hub = _hub_id(model, known)
    if not _HUB_ID.fullmatch(hub):
        return None
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        looked.append(f"the hub cache ({hub}{'' if revision is None else '@' + revision})")
        return None


def _hub_id(model: str, known: Backbone | None) -> str:
    return known.hub if known is not None and known.hub is not None else model


def _downloaded_revision(folder: Path) -> str | None:
    """The commit that `hf download --local-dir` noted beside the files."""
    notes = sorted((folder / ".cache" / "huggingface" / "download").glob("*.metadata"))
    commits = {note.read_text(encoding="utf-8").split("\n", 1)[0].strip() for note in notes}
    commit = commits.pop() if len(commits) == 1 else ""
    return commit if _COMMIT.fullmatch(commit) else None


def _check_revision(source: WeightsSource, wanted: str | None) -> None:
    if wanted is None or not _COMMIT.fullmatch(wanted) or source.revision in (None, wanted):
        return
    raise WeightsError(
        f"wanted {source.model!r} at revision {wanted}, found revision {source.revision} in {source.folder}; "
        f"`hf download {source.model} --revision {wanted} --local-dir {source.folder}` gets the wanted one"
    )


def _missing(model: str, known: Backbone | None, looked: list[str]) -> str:
    where = ", ".join(looked) or "any folder, EVALKIT_WEIGHTS or cache"
    if model.startswith(SANDBOX):
        return f"wanted the embedded weights {model!r}, found none in {where}; install evalkit again"
    terms = f" ({known.terms})" if known is not None else ""
    return f"wanted the weights of {model!r}{terms}, found none in {where}; {_mend(model, known)}"


def _mend(model: str, known: Backbone | None) -> str:
    folder = f"$EVALKIT_WEIGHTS/{model.replace('/', '--')}"
    elsewhere = f"or put the files into {folder}"
    if known is not None and known.source == "own":
        return f"make {', '.join(known.files)} ({known.note}) and put it into {folder}"
    if known is not None and known.source == "dreamsim":
        kind = model.partition("/")[2]
        call = f"dreamsim(dreamsim_type='{kind}', device='cpu', cache_dir='DIR/{model.replace('/', '--')}')"
        return f'get them with `python -c "from dreamsim import dreamsim; {call}"` and set EVALKIT_WEIGHTS=DIR'
    if known is not None and known.source == "facenet":
        call = f"from facenet_pytorch import InceptionResnetV1 as N; N(pretrained='{model.partition('/')[2]}')"
        return f'get them with `python -c "{call}"`, {elsewhere}'
    if known is not None and known.source == "torchvision":
        builder = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet1_1"}[model.partition("/")[2]]
        call = f"import torchvision; torchvision.models.{builder}(weights='IMAGENET1K_V1')"
        return f'get them with `python -c "{call}"`, {elsewhere}'
    hub = _hub_id(model, known)
    if not _HUB_ID.fullmatch(hub):
        return f"it is neither a folder, nor ORG/NAME on the hub, nor sandbox:NAME; known are {', '.join(backbones())}"
    exact = known is not None and not any(ALTERNATIVE in line for line in known.files)
    names = " ".join(["", *known.files]) if known is not None and exact else ""
    return f"get them with `hf download {hub}{names}`, {elsewhere}"


def _fetch_hub(model: str, known: Backbone | None, revision: str | None) -> None:
    """Downloads the preferred weight files and the small ones beside them into the hub cache."""
    from huggingface_hub import HfApi, snapshot_download

    hub = _hub_id(model, known)
    try:
        names = [file.rfilename for file in HfApi().model_info(hub, revision=revision).siblings or []]
        files, lacking = chosen(known.files if known is not None else ANY_MODEL, names.__contains__)
        shards = [name for index, name in _SHARD_NAMES.items() if index in files]
        if not lacking:
            snapshot_download(hub, revision=revision, allow_patterns=[*files, *shards, *_SMALL])
    except Exception as error:  # the client also raises its transport's errors, whose types change between versions
        told = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise WeightsError(
            f"wanted to download {model!r} from the hub, found {told:.200}; {_mend(model, known)}"
        ) from error
    if lacking:
        raise WeightsError(
            f"wanted weights in {hub!r} on the hub, found no {', '.join(lacking)} there; choose another model"
        )


def _fetch_torchvision(model: str, known: Backbone) -> None:
    """Downloads a trunk to torch's own cache, checked against the hash in its name."""
    from torch.hub import load_state_dict_from_url
    from torchvision.models import get_weight

    try:
        load_state_dict_from_url(
            get_weight(known.hub).url, check_hash=True, weights_only=True, model_dir=str(_torch_cache())
        )
    except Exception as error:  # urllib raises errors of many types
        raise WeightsError(
            f"wanted to download {model!r}, found {type(error).__name__}: {error}; {_mend(model, known)}"
        ) from error
