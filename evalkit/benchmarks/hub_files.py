"""A benchmark that is files of a hub dataset as they lie there: fetched at one commit, whole or not at all.

They come into the hub client's own cache, where what an interrupted call left is gone on from, and are copied from there
into a folder that appears when everything is in it.
"""

from __future__ import annotations

import shutil
import tempfile
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.benchmarks.hub import ANSWER_WITHIN_S, cannot_fetch
from evalkit.benchmarks.layout import entries, listed
from evalkit.errors import DataError
from evalkit.files import write_error
from evalkit.progress import warn

if TYPE_CHECKING:
    from collections.abc import Sequence

ORIGIN_FILE = ".evalkit-origin"
"""Says in one line, `DATASET@COMMIT`, what the folder beside it was fetched from."""
EVERYTHING = ("**",)


def fetch_files(dataset: str, folder: Path, *, wanted: Sequence[str] = EVERYTHING, get: str) -> None:
    """Brings the files of a hub dataset that fit `wanted`, patterns such as `Images/**`, into `folder`, as they are there.

    Offline (`HF_HUB_OFFLINE`, `hub_offline`) what is in the hub client's cache is taken. `folder` must not exist or be
    empty. Raises: DataError in one line, ending in `get` (how to get the data), when the hub cannot be reached, lacks
    them or was not read to the end, and for a `folder` in use; RunError where they cannot be written.
    """
    if entries(folder):
        found = listed(entry.name for entry in entries(folder))
        raise DataError(f"wanted an empty folder at {str(folder)!r}, found {found}; empty it or choose another")
    try:
        snapshot = _downloaded(dataset, list(wanted))
    except Exception as error:  # as in `fetch_archive`
        raise cannot_fetch(dataset, listed(wanted), error, get) from error
    names = [path.relative_to(snapshot).as_posix() for path in sorted(snapshot.rglob("*")) if path.is_file()]
    taken = [name for name in names if any(fnmatchcase(name, pattern) for pattern in wanted)]
    lacking = [pattern for pattern in wanted if not any(fnmatchcase(name, pattern) for name in taken)]
    if lacking:
        raise DataError(f"wanted {listed(lacking)} in the hub dataset {dataset!r}, found none; {get}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetching-") as temporary:
            staged = Path(temporary) / "data"
            for name in taken:
                (staged / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(snapshot / name, staged / name)
            (staged / ORIGIN_FILE).write_text(f"{dataset}@{snapshot.name}\n", encoding="utf-8")
            staged.replace(folder)
    except OSError as error:
        raise write_error(folder, error) from error


def _downloaded(dataset: str, wanted: list[str]) -> Path:
    """The folder of the dataset's newest commit in the hub client's cache, with the wanted files in it."""
    from huggingface_hub import constants, get_session, snapshot_download

    if constants.HF_HUB_OFFLINE:
        return Path(snapshot_download(dataset, repo_type="dataset", allow_patterns=wanted, local_files_only=True))
    # The client tries for long when there is no network; one request tells the same at once.
    get_session().head(constants.ENDPOINT, timeout=ANSWER_WITHIN_S)
    listing = snapshot_download(dataset, repo_type="dataset", allow_patterns=wanted, dry_run=True)
    if not listing:
        raise DataError("the hub lists no such file")
    todo = [file for file in listing if file.will_download]
    size = sum(file.file_size or 0 for file in todo)
    commit = listing[0].commit_hash
    warn(
        f"{len(listing)} files of {dataset} at {commit[:12]}; {len(listing) - len(todo)} are here, "
        f"{len(todo)} to fetch, {size / 1e6:.1f} MB"
    )
    return Path(snapshot_download(dataset, repo_type="dataset", revision=commit, allow_patterns=wanted))
