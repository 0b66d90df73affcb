"""A benchmark that is one ZIP file of a hub dataset: fetched at a pinned commit, verified, unpacked whole or not at all.

Such a file is read with the hub client and not with `datasets`, which looks for one modality in an archive: of pictures
with text files beside them it makes a dataset of one, or fails.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from evalkit.benchmarks.layout import entries, listed
from evalkit.errors import DataError
from evalkit.files import inside, sha256_file, write_error
from evalkit.nouns import Noun

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MAX_BYTES = 2 * 2**30
ANSWER_WITHIN_S = 5.0
_TOLD = 240


class HubArchive(Noun):
    """One file of a hub dataset, for good: its commit and its sha256."""

    file: str
    revision: str
    sha256: str


def fetch_archive(dataset: str, archive: HubArchive, *, get: str) -> Path:
    """The archive's path in the hub's cache; what is there already is not asked for again. Honours `HF_HUB_OFFLINE`.

    Raises: DataError in one line, ending in `get` (how to get the data), when the hub cannot be reached or lacks the
    file, or when the file is not the pinned one.
    """
    try:
        path = _download(dataset, archive)
    # The hub client raises errors of its own, of its HTTP library and of the system; all mean that there is no file.
    except Exception as error:
        raise cannot_fetch(dataset, repr(archive.file), error, get) from error
    found = sha256_file(path)
    if found != archive.sha256:
        raise DataError(
            f"wanted {archive.file!r} of {dataset!r} with sha256 {archive.sha256[:12]}..., found {found[:12]}... in "
            f"{str(path)!r}; delete that file and {get}"
        )
    return path


def _download(dataset: str, archive: HubArchive) -> Path:
    from huggingface_hub import constants, get_session, hf_hub_download, try_to_load_from_cache

    name, commit = archive.file, archive.revision
    cached = try_to_load_from_cache(dataset, name, repo_type="dataset", revision=commit)
    if isinstance(cached, str):
        return Path(cached)
    # hf_hub_download tries six times over 24 s when there is no network; one request tells the same at once.
    get_session().head(constants.ENDPOINT, timeout=ANSWER_WITHIN_S)
    return Path(hf_hub_download(dataset, name, repo_type="dataset", revision=commit))


def cannot_fetch(dataset: str, what: str, error: Exception, get: str) -> DataError:
    """The one line for whatever keeps the hub client from bringing `what`; a gate says where it is opened."""
    if type(error).__name__ == "GatedRepoError":
        return DataError(
            f"cannot fetch {what} of the hub dataset {dataset!r}, which the hub gives to those alone who accept its "
            f"terms: do so at https://huggingface.co/datasets/{dataset}, `hf auth login`, and run the same again"
        )
    why = " ".join(str(error).split()) or type(error).__name__
    if type(error).__name__ == "LocalEntryNotFoundError":
        why = "offline, and nothing of it is in the hub client's cache on this machine"
    return DataError(f"cannot fetch {what} of the hub dataset {dataset!r} ({why:.{_TOLD}}); {get}")


@contextmanager
def hub_offline(wanted: bool) -> Iterator[None]:
    """Where `wanted`, keeps the hub client off the network meanwhile, as `HF_HUB_OFFLINE=1` does for good."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or wanted
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def unpack(path: Path, folder: Path, *, tops: Sequence[str]) -> None:
    """Unpack the folders `tops` of a ZIP file into `folder`; they may lie at its top or one folder down.

    Nothing else is unpacked. `folder` must not exist or be empty, and appears when everything is there.
    Raises: DataError for a damaged archive, one that lacks one of `tops` or holds a name that climbs out, and for a
    `folder` in use; RunError for a full disk.
    """
    if entries(folder):
        found = listed(entry.name for entry in entries(folder))
        raise DataError(f"wanted an empty folder at {str(folder)!r}, found {found}; empty it or choose another")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unpacking-") as temporary:
            staged = Path(temporary) / "data"
            with zipfile.ZipFile(path) as file:
                _unpack_members(file, staged, tops, str(path))
            staged.replace(folder)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(f"wanted a sound ZIP file, found {str(path)!r} damaged ({error}); fetch it again") from error
    except OSError as error:
        raise write_error(folder, error) from error


def _unpack_members(file: zipfile.ZipFile, staged: Path, tops: Sequence[str], name: str) -> None:
    wanted = list(_wanted(file, tops))
    lacking = [top for top in tops if top not in {target.parts[0] for _, target in wanted}]
    if lacking:
        raise DataError(f"wanted the folders {listed(tops)} in {name!r}, found no {listed(lacking)}; fetch it again")
    size = sum(member.file_size for member, _ in wanted)
    if size > _MAX_BYTES:
        raise DataError(f"wanted at most {_MAX_BYTES} bytes in {name!r}, found {size}; fetch it again")
    for member, target in wanted:
        path = inside(staged, str(target))
        path.parent.mkdir(parents=True, exist_ok=True)
        with file.open(member) as source, path.open("wb") as sink:
            shutil.copyfileobj(source, sink)


def _wanted(file: zipfile.ZipFile, tops: Sequence[str]) -> Iterator[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """Each file below one of `tops`, with its path from there on; folders need no member of their own."""
    for member in file.infolist():
        parts = PurePosixPath(member.filename).parts
        depth = next((depth for depth, part in enumerate(parts[:2]) if part in tops), None)
        if depth is not None and parts[0] != "__MACOSX" and not member.is_dir():
            yield member, PurePosixPath(*parts[depth:])
