"""One writer at a time, and no lock that outlives its holder."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from evalkit.errors import RunError
from evalkit.runs.lock import LOCK_NAME, run_lock
from tests.unit.run_rows import read_only_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOLD = """
import sys, time
from pathlib import Path
from evalkit.runs.lock import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@contextlib.contextmanager
def _holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", _HOLD, str(folder)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        try:
            yield child
        finally:
            child.kill()


def test_another_process_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    with _holder(tmp_path) as child:
        told = rf"^{tmp_path} is being written by process {child.pid} on host \S+ since \S+\+00:00; wait for it or stop it$"
        with pytest.raises(RunError, match=told), run_lock(tmp_path):
            pass


def test_kill_9_releases_the_lock(tmp_path: Path) -> None:
    with _holder(tmp_path) as child:
        child.send_signal(signal.SIGKILL)
        child.wait()
        with run_lock(tmp_path):
            assert str(os.getpid()) in (tmp_path / LOCK_NAME).read_text()


def test_the_same_process_cannot_hold_it_twice(tmp_path: Path) -> None:
    with (
        run_lock(tmp_path),
        pytest.raises(RunError, match=f"is being written by process {os.getpid()} on"),
        run_lock(tmp_path),
    ):
        pass


def test_it_can_be_held_again_after_an_error(tmp_path: Path) -> None:
    with contextlib.suppress(KeyError), run_lock(tmp_path / "new" / "run"):
        raise KeyError
    with run_lock(tmp_path / "new" / "run"):
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forked workers are POSIX's")
def test_a_forked_worker_that_lives_on_does_not_keep_it(tmp_path: Path) -> None:
    with run_lock(tmp_path):
        worker = subprocess.Popen(
            ["sleep", "60"], pass_fds=[_handle_of(tmp_path / LOCK_NAME)]
        )  # holds a copy of the open lock, as a forked worker does
    try:
        with run_lock(tmp_path):
            pass
    finally:
        worker.kill()
        worker.wait()


def _handle_of(path: Path) -> int:
    listing = Path("/proc/self/fd")
    if not listing.is_dir():
        pytest.skip("open files are told by /proc on Linux alone")
    return next(int(entry.name) for entry in listing.iterdir() if entry.resolve() == path)


def test_a_holder_that_has_not_signed_yet_is_another_process(tmp_path: Path) -> None:
    with run_lock(tmp_path):
        (tmp_path / LOCK_NAME).write_text("")
        with pytest.raises(RunError, match="is being written by another process; wait"), run_lock(tmp_path):
            pass


def test_a_folder_that_cannot_be_written_is_told() -> None:
    with (
        read_only_folder() as folder,
        pytest.raises(RunError, match=r"^cannot write '.*/\.lock': permission is denied"),
        run_lock(folder),
    ):
        pass


def test_a_file_system_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")

    def refuse(_handle: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(RunError, match=r"^cannot lock .*: No locks available; put the run folder"), run_lock(tmp_path):
        pass


def test_windows_locks_a_byte_behind_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, int]] = []
    windows = types.SimpleNamespace(
        LK_NBLCK="lock",
        LK_UNLCK="unlock",
        locking=lambda handle, mode, _n: calls.append((mode, os.lseek(handle, 0, 1))),
    )
    monkeypatch.setitem(sys.modules, "msvcrt", windows)
    monkeypatch.setattr(sys, "platform", "win32")
    with run_lock(tmp_path):
        size = (tmp_path / LOCK_NAME).stat().st_size
    assert [mode for mode, _ in calls] == ["lock", "unlock"]
    assert calls[0][1] == calls[1][1] > size
