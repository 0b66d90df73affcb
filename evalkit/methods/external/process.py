"""Other people's programs: started without a shell, logged, cut at their time limit with all that they started."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from evalkit.errors import MethodError
from evalkit.files import write_error

if TYPE_CHECKING:
    from collections.abc import Iterator

GRACE = 5.0
"""Seconds between asking a program to end and ending it."""
_LINE = 200
"""Characters of a log's last line that a message shows."""
_TAIL = 8192
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Program(NamedTuple):
    """What to start, where, and with which variables."""

    arguments: tuple[str, ...]
    cwd: Path
    environment: dict[str, str]
    kill: tuple[str, ...] = ()
    """A command that ends it, where it does not run in a process group of ours."""


class Ended(NamedTuple):
    """How a program ended: its exit code, or None where it was cut at its limit."""

    code: int | None
    limit: str
    log: Path
    last_line: str

    def told(self) -> str:
        """One line: exit code or limit, the log and its last line."""
        said = f"{self.log} ends with {self.last_line!r}" if self.last_line else f"it wrote nothing to {self.log}"
        return f"{how_it_ended(self.code, self.limit)}; {said}"


def how_it_ended(code: int | None, limit: str) -> str:
    """`exit code 1`, `killed by SIGKILL` or `cut after 2 s (seconds.item)`."""
    if code is None:
        return f"cut after {limit}"
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def run(program: Program, log: Path, *, seconds: float, key: str) -> Ended:
    """Runs it to its end or its limit, stdout and stderr in `log`; `key` names the limit in messages.

    Raises MethodError where it cannot be started.
    """
    with started(program, log) as process:
        try:
            code: int | None = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
    return Ended(code, f"{seconds:g} s ({key})", log, last_line(log, program))


@contextlib.contextmanager
def started(program: Program, log: Path, *, talk: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """The process in a group of its own; the whole group is gone afterwards, whatever happens.

    Its stdout and stderr go to `log` after a line with the command; with `talk`, stdin and stdout are pipes instead.
    Raises MethodError where it cannot be started, RunError where the log cannot be written.
    """
    with _opened(log, program) as file:
        try:
            process = subprocess.Popen(
                program.arguments, cwd=program.cwd, env=program.environment, stderr=file, start_new_session=True,
                stdin=subprocess.PIPE if talk else subprocess.DEVNULL, stdout=subprocess.PIPE if talk else file,
            )  # fmt: skip
        except (OSError, ValueError) as error:  # ValueError: a NUL or half a character in an argument
            raise MethodError(f"cannot start {program.arguments[0]!r}: {_why(error)}") from error
        try:
            yield process
        finally:
            end(process, program)


def end(process: subprocess.Popen[bytes], program: Program) -> None:
    """Ends the process and all that it started: asks first, and after GRACE seconds no more. Reaps it."""
    if process.poll() is None:
        if program.kill:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(program.kill, stdin=subprocess.DEVNULL, capture_output=True, timeout=GRACE, check=False)
        _signal(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # PermissionError: how macOS says that all are gone
        os.killpg(process.pid, number)


def find_program(program: Program, key: str) -> None:
    """Raises MethodError where there is no such program as `key` names."""
    name = program.arguments[0]
    there = (
        (program.cwd / name).is_file() if os.sep in name else shutil.which(name, path=program.environment.get("PATH"))
    )
    if not there:
        raise MethodError(f"wanted the program {name!r} of {key}, found none; install it, or mend the recipe")


def last_line(log: Path, program: Program) -> str:
    """The last line that is not empty, without colours; of a progress bar its last state. Empty where there is none."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(len(_header(program)), size - _TAIL))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [_COLOUR.sub("", line).strip() for line in re.split(r"[\r\n]+", text)]
    return next((line for line in reversed(lines) if line), "")[:_LINE]


def _header(program: Program) -> bytes:
    return f"$ {shlex.join(program.arguments)}\n".encode(errors="replace")


@contextlib.contextmanager
def _opened(log: Path, program: Program) -> Iterator[IO[bytes]]:
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        file = log.open("wb", buffering=0)
        file.write(_header(program))
    except OSError as error:
        raise write_error(log, error) from error
    with file:
        yield file


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"an argument cannot be passed on ({error})"
