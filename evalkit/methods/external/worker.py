"""A program that stays and is asked for one sample after the other, a line of JSON each way.

Asked `{"op": "generate", "request": {...}}` on stdin, it answers `{"ok": true, "file": PATH}` or
`{"ok": false, "error": TEXT}` on stdout; its stdout holds nothing else. It ends when its stdin does.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from evalkit.errors import DataError, MediaError
from evalkit.files import inside
from evalkit.media import decode_image
from evalkit.methods.base import Job, Made
from evalkit.methods.external.process import GRACE, Ended, Program, end, last_line, started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from evalkit.methods.external.request import Request

_LONGEST = 2**20
"""Bytes of one answer."""


class Answer(NamedTuple):
    """A file, or why there is none."""

    file: str | None
    reason: str = ""
    lost: bool = False
    """The worker cannot be asked again."""
    died: bool = False
    """It ended by itself: another one may do better."""


class Worker:
    """One process; close it. `item` and `start` are seconds: for an answer, and besides for the first one.

    Raises MethodError where it cannot be started.
    """

    def __init__(self, program: Program, log: Path, *, item: float, start: float) -> None:
        self._program, self._log, self._item, self._start = program, log, item, start
        self._stack = contextlib.ExitStack()
        self._process = self._stack.enter_context(started(program, log, talk=True))

    def ask(self, request: Request) -> Answer:
        """The answer to one request. A worker that gives none in time is ended, with all that it started."""
        seconds, self._start = self._item + self._start, 0.0
        cut = threading.Event()

        def stop() -> None:
            cut.set()
            end(self._process, self._program)

        timer = threading.Timer(seconds, stop)
        timer.start()
        try:
            line = self._exchange({"op": "generate", "request": request})
        finally:
            timer.cancel()
            timer.join()
        if cut.is_set():
            return Answer(None, f"no answer: {self._told(None, f'{seconds:g} s (seconds.item)')}", lost=True)
        return self._died() if not line else _read(line)

    def close(self) -> None:
        """Lets it end by itself for a while, then ends it."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE)
        self._stack.close()

    def _exchange(self, message: Request) -> bytes:
        if self._process.stdin is None or self._process.stdout is None:
            return b""
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:  # it is gone, or has closed its stdin
            return b""
        return self._process.stdout.readline(_LONGEST)

    def _died(self) -> Answer:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE)
        told = self._told(self._process.poll(), f"{GRACE:g} s without stdout")
        return Answer(None, f"the worker ended instead of answering: {told}", lost=True, died=True)

    def _told(self, code: int | None, limit: str) -> str:
        return Ended(code, limit, self._log, last_line(self._log, self._program)).told()


def _read(line: bytes) -> Answer:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if isinstance(found, dict) and found.get("ok") is True and isinstance(found.get("file"), str):
        return Answer(found["file"])
    if isinstance(found, dict) and found.get("ok") is False and isinstance(found.get("error"), str):
        return Answer(None, f"the worker says: {found['error']}")
    text = line.decode(errors="replace").strip()
    told = 'wanted {"ok": true, "file": PATH} or {"ok": false, "error": TEXT} from the worker, found '
    return Answer(None, f"{told}{text[:200]!r}; what else it prints belongs on stderr", lost=True)


def serve(jobs: Sequence[Job], start: Callable[[], Worker], request_of: Callable[[Job], Request]) -> Iterator[Made]:
    """One Made a job. A worker that dies is started once more for the same job.

    Where it dies twice before it ever answered, nothing further is asked of it.
    """
    worker: Worker | None = None
    answered = False
    try:
        for number, job in enumerate(jobs):
            answer = Answer(None)
            for _ in range(2):
                worker = worker if worker is not None else start()
                request = request_of(job)
                answer = worker.ask(request)
                if answer.lost:
                    worker.close()
                    worker = None
                if not answer.died:
                    break
            yield _made(job, answer, Path(request["output"]))
            answered = answered or not answer.died
            if not answered:
                yield from (Made(later, None, f"not asked for: {answer.reason}") for later in jobs[number + 1 :])
                return
    finally:
        if worker is not None:
            worker.close()


def _made(job: Job, answer: Answer, output: Path) -> Made:
    """The sample in the file that a worker names, which must be in the job's own folder; that is removed then."""
    if answer.file is None:
        return Made(job, None, answer.reason)
    try:
        named = Path(answer.file)
        path = inside(output, str(named.relative_to(output) if named.is_absolute() else named))
        pixels = decode_image(path).pixels
    except ValueError:
        return Made(job, None, f"wanted a file in {output} from the worker, found {answer.file!r}")
    except (DataError, MediaError) as error:
        return Made(job, None, str(error))
    shutil.rmtree(output, ignore_errors=True)
    return Made(job, pixels)
