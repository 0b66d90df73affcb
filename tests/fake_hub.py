"""A hub of datasets on this machine, in the place of the hub client's functions that evalkit calls."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import LocalEntryNotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Call(NamedTuple):
    """What the client was asked for."""

    dataset: str
    patterns: tuple[str, ...]
    dry_run: bool
    local: bool


class Listed(NamedTuple):
    """One file of a dry run."""

    filename: str
    commit_hash: str
    file_size: int
    will_download: bool


class FakeHub:
    """Datasets that `publish` puts on it; `after` files into a download the connection is lost."""

    def __init__(self, cache: Path) -> None:
        self.calls: list[Call] = []
        self.brought: list[str] = []
        """Files that a download transferred, those that were in the cache left out."""
        self.after: int | None = None
        self._cache = cache
        self._datasets: dict[str, Mapping[str, bytes]] = {}

    def publish(self, dataset: str, files: Mapping[str, bytes]) -> None:
        """Makes a dataset of these files, by their paths."""
        self._datasets[dataset] = files

    def snapshot(self, dataset: str) -> Path:
        """Where the client keeps what it brought."""
        return self._cache / dataset.replace("/", "--") / COMMIT

    def snapshot_download(
        self, dataset: str, *, repo_type: str, allow_patterns: Sequence[str], revision: str | None = None,
        dry_run: bool = False, local_files_only: bool = False,
    ) -> Any:  # fmt: skip
        """As the client's: the folder of the snapshot, or what is to bring."""
        assert repo_type == "dataset"
        assert revision in (None, COMMIT)
        self.calls.append(Call(dataset, tuple(allow_patterns), dry_run, local_files_only))
        place = self.snapshot(dataset)
        if local_files_only:
            if not place.is_dir():
                raise LocalEntryNotFoundError("Cannot find an appropriate cached snapshot folder")
            return str(place)
        files = {n: d for n, d in self._datasets[dataset].items() if any(fnmatchcase(n, p) for p in allow_patterns)}
        todo = [name for name in files if not (place / name).exists()]
        if dry_run:
            return [Listed(name, COMMIT, len(data), name in todo) for name, data in files.items()]
        for number, name in enumerate(todo):
            if number == self.after:
                raise ConnectionError("the connection was lost")
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(files[name])
            self.brought.append(name)
        return str(place)


class _Session:
    def head(self, _url: str, timeout: float) -> None:
        """Answers."""


def install(monkeypatch: pytest.MonkeyPatch, cache: Path) -> FakeHub:
    """Puts a fake hub, which can be reached, in the place of the real one."""
    fake = FakeHub(cache)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "get_session", _Session)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fake.snapshot_download)
    return fake


def files_in(folder: Path) -> dict[str, bytes]:
    """A folder's files, to publish them."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
