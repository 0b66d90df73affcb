from __future__ import annotations

import errno
import hashlib
import os
import sys
from pathlib import Path

import pytest

from evalkit.errors import DataError, RunError
from evalkit.files import atomic_write_bytes, atomic_write_text, inside, sha256_file, write_error

posix = pytest.mark.skipif(sys.platform == "win32", reason="permissions and links of a POSIX system")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_bytes_are_written_with_their_folders_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.bin"
    atomic_write_bytes(path, b"one")
    atomic_write_bytes(path, b"two\r\n\0")
    assert path.read_bytes() == b"two\r\n\0"
    assert names(path.parent) == ["file.bin"]


def test_a_name_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    atomic_write_bytes(path, b"1")
    assert path.read_bytes() == b"1"


@posix
def test_permissions_follow_the_umask_and_not_a_private_temporary_file(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        atomic_write_bytes(tmp_path / "file", b"1")
    finally:
        os.umask(old)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_text_is_utf8_with_its_own_line_ends(tmp_path: Path) -> None:
    atomic_write_text(tmp_path / "t.txt", "naïve 猫\r\nb\n")
    assert (tmp_path / "t.txt").read_bytes() == "naïve 猫\r\nb\n".encode()


def test_a_lone_surrogate_is_named_and_nothing_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"wanted text that UTF-8 can hold, found '\\ud800' at character 2; repair"):
        atomic_write_text(tmp_path / "t.txt", "ab\ud800c")
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.ENOSPC, "the disk (or the quota) is full; free some space and run the same command again"),
        (errno.EDQUOT, "the disk (or the quota) is full; free some space and run the same command again"),
        (errno.EROFS, "the file system is read-only; choose a folder that can be written"),
        (errno.EACCES, "permission is denied; make the folder writable or choose another"),
        (errno.EPERM, "permission is denied; make the folder writable or choose another"),
        (errno.EIO, f"{os.strerror(errno.EIO)}; check the path and its folder"),
    ],
)
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_failures_are_one_line_and_leave_the_old_file_alone(
    number: int, told: str, step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os if step == "fsync" else Path, step, fail)
    with pytest.raises(RunError) as caught:
        atomic_write_bytes(path, b"new")
    assert str(caught.value) == f"cannot write {str(path)!r}: {told}"
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_an_interrupt_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        atomic_write_bytes(tmp_path / "file", b"new")
    assert names(tmp_path) == []


def test_the_data_is_synced_before_it_takes_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    sync, replace = os.fsync, Path.replace

    def noted_sync(number: int) -> None:
        order.append("fsync")
        sync(number)

    def noted_replace(path: Path, to: Path) -> Path:
        order.append("replace")
        return replace(path, to)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    atomic_write_bytes(tmp_path / "file", b"new")
    assert order == ["fsync", "replace"]


def test_a_file_among_the_parents_and_a_folder_in_the_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file" / "x", tmp_path / "file" / "deeper" / "x"):
        with pytest.raises(RunError, match="one of its parents is a file, not a folder; move that file away"):
            atomic_write_bytes(path, b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(RunError, match="a folder is there already; move it away or choose another name"):
        atomic_write_bytes(tmp_path / "folder", b"")
    assert names(tmp_path) == ["file", "folder"]


@posix
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="nothing is read-only to the superuser")
def test_a_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(RunError, match="permission is denied; make the folder writable"):
            atomic_write_bytes(tmp_path / "file", b"")
    finally:
        tmp_path.chmod(0o700)


def test_write_error_without_a_number_still_says_what_happened() -> None:
    assert str(write_error(Path("f"), OSError("odd"))) == "cannot write 'f': odd; check the path and its folder"


def test_sha256_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 3_000_000)
    assert sha256_file(tmp_path / "f") == hashlib.sha256(b"x" * 3_000_000).hexdigest()
    with pytest.raises(DataError, match=r"cannot read '.*missing' to hash it: No such file or directory; check"):
        sha256_file(tmp_path / "missing")
    with pytest.raises(DataError, match="to hash it: Is a directory"):
        sha256_file(tmp_path)


@pytest.mark.parametrize(
    ("relative", "parts"),
    [
        ("a.png", ["a.png"]),
        ("sub/a.png", ["sub", "a.png"]),
        ("sub\\a.png", ["sub", "a.png"]),
        ("./sub//a.png", ["sub", "a.png"]),
        ("sub/../a.png", ["a.png"]),
        ("..a/b..", ["..a", "b.."]),
        ("with space/猫.png", ["with space", "猫.png"]),
    ],
)
def test_paths_inside_are_resolved(relative: str, parts: list[str], tmp_path: Path) -> None:
    assert inside(tmp_path, relative) == tmp_path.resolve().joinpath(*parts)


@pytest.mark.parametrize(
    ("relative", "why"),
    [
        ("../a", "climbs out of it"),
        ("..\\a", "climbs out of it"),
        ("sub/../../a", "climbs out of it"),
        ("sub\\..\\../a", "climbs out of it"),
        ("/etc/passwd", "is absolute"),
        ("\\etc\\passwd", "is absolute"),
        ("C:\\a.png", "is absolute"),
        ("c:a.png", "is absolute"),
        ("\\\\server\\share\\a", "is absolute"),
        ("//server/share/a", "is absolute"),
        ("a\0b", "holds a NUL character"),
        ("", "names the folder itself"),
        (".", "names the folder itself"),
        ("sub/..", "names the folder itself"),
    ],
)
def test_paths_that_are_not_inside_are_refused(relative: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        inside(tmp_path, relative)
    wanted = f"wanted a path inside {str(tmp_path)!r}, found {relative!r}, which {why}; write paths relative to that"
    assert str(caught.value).startswith(wanted)


def test_a_path_that_leaves_and_comes_back_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="climbs out of it"):
        inside(tmp_path, f"../{tmp_path.name}/a.png")


@posix
def test_links_may_not_leave_the_folder(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "sub").mkdir(parents=True)
    outside.mkdir()
    (root / "out").symlink_to(outside)
    (root / "near").symlink_to("sub")
    (root / "loop").symlink_to("loop")
    with pytest.raises(DataError, match=r"found 'out/a\.png', which a symbolic link leads to '.*outside/a\.png'"):
        inside(root, "out/a.png")
    assert inside(root, "near/a.png") == root.resolve() / "sub" / "a.png"
    (tmp_path / "alias").symlink_to("root")
    assert inside(tmp_path / "alias", "a.png") == root.resolve() / "a.png"
    # Python 3.13 stops resolving at a loop; reading it then fails like any missing file.
    if sys.version_info < (3, 13):
        with pytest.raises(DataError, match="which cannot be resolved"):
            inside(root, "loop/a.png")


def test_a_name_that_no_file_system_holds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"which cannot be resolved \(\[Errno \d+\] File name too long"):
        inside(tmp_path, "a" * 300)
