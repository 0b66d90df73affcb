from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from evalkit.benchmarks import hub
from evalkit.benchmarks.hub import HubArchive, fetch_archive, unpack
from evalkit.errors import DataError

TOPS = ("images", "captions")


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def pin(path: Path) -> HubArchive:
    return HubArchive(file="data.zip", revision="c0ffee", sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    members = {
        "data/images/a/00.jpg": b"picture",
        "data/captions/a/00.txt": b"text",
        "data/preview.py": b"code",
        "data/more/images/x.jpg": b"too deep",
        "__MACOSX/images/00.jpg": b"fork",
    }
    return archive(tmp_path / "data.zip", members)


@pytest.fixture
def asked(data: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A hub that has `data` and tells what it was asked."""
    calls: list[Any] = []

    class Session:
        def head(self, url: str, **_: Any) -> None:
            calls.append(("head", url))

    def download(*names: str, **keywords: str) -> str:
        calls.append((*names, keywords))
        return str(data)

    monkeypatch.setattr(huggingface_hub, "get_session", Session)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return calls


def test_fetch_asks_for_the_pinned_file(data: Path, asked: list[Any]) -> None:
    assert fetch_archive("owner/set", pin(data), get="get it") == data
    wanted = ("owner/set", "data.zip", {"repo_type": "dataset", "revision": "c0ffee"})
    assert asked == [("head", huggingface_hub.constants.ENDPOINT), wanted]


def test_fetch_takes_what_is_cached(data: Path, asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_, **__: str(data))
    assert fetch_archive("owner/set", pin(data), get="get it") == data
    assert asked == []


@pytest.mark.usefixtures("asked")
def test_fetch_of_another_file(data: Path) -> None:
    other = HubArchive(file="data.zip", revision="c0ffee", sha256="f" * 64)
    with pytest.raises(DataError) as caught:
        fetch_archive("owner/set", other, get="get it")
    assert str(caught.value) == (
        f"wanted 'data.zip' of 'owner/set' with sha256 ffffffffffff..., found {pin(data).sha256[:12]}... in "
        f"{str(data)!r}; delete that file and get it"
    )


def test_fetch_offline_is_one_line_at_once(data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError) as caught:
        fetch_archive("owner/set", pin(data), get="get it")
    told = str(caught.value)
    assert told.startswith(
        "cannot fetch 'data.zip' of the hub dataset 'owner/set' (Cannot reach https://huggingface.co: offline"
    )
    assert told.endswith("; get it")
    assert "\n" not in told


def test_unpack_takes_the_wanted_folders_alone(data: Path, tmp_path: Path) -> None:
    unpack(data, tmp_path / "out", tops=TOPS)
    assert files_in(tmp_path / "out") == {"images/a/00.jpg": b"picture", "captions/a/00.txt": b"text"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.zip", "out"]


def test_unpack_from_the_top(tmp_path: Path) -> None:
    path = archive(tmp_path / "flat.zip", {"images/": b"", "images/0.jpg": b"1", "captions/0.txt": b"2"})
    (tmp_path / "out").mkdir()
    unpack(path, tmp_path / "out", tops=TOPS)
    assert files_in(tmp_path / "out") == {"images/0.jpg": b"1", "captions/0.txt": b"2"}


def test_unpack_into_a_folder_in_use(data: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "mine").mkdir(parents=True)
    with pytest.raises(
        DataError, match=r"^wanted an empty folder at '.*out', found 'mine'; empty it or choose another$"
    ):
        unpack(data, tmp_path / "out", tops=TOPS)


@pytest.mark.parametrize(
    ("members", "told"),
    [
        (
            {"data/images/0.jpg": b"1"},
            r"wanted the folders 'images', 'captions' in '.*', found no 'captions'; fetch it again",
        ),
        ({"images/../../x": b"1", "captions/0.txt": b"2"}, r"found 'images/\.\./\.\./x', which climbs out of it"),
    ],
)
def test_unpack_refuses(members: dict[str, bytes], told: str, tmp_path: Path) -> None:
    path = archive(tmp_path / "bad.zip", members)
    with pytest.raises(DataError, match=told):
        unpack(path, tmp_path / "new" / "out", tops=TOPS)
    assert list((tmp_path / "new").iterdir()) == []


def test_unpack_refuses_a_bomb(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_MAX_BYTES", 10)
    with pytest.raises(DataError, match=r"wanted at most 10 bytes in '.*data.zip', found 11; fetch it again"):
        unpack(data, tmp_path / "out", tops=TOPS)


def test_unpack_of_a_damaged_archive(data: Path, tmp_path: Path) -> None:
    data.write_bytes(data.read_bytes()[:-30])
    with pytest.raises(
        DataError, match=r"wanted a sound ZIP file, found '.*data.zip' damaged \(File is not a zip file\)"
    ):
        unpack(data, tmp_path / "out", tops=TOPS)
    assert not (tmp_path / "out").exists()
