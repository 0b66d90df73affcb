"""A local OpenAI-compatible server that does what each test tells it to, in a thread."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GOOD = "Score: 3"


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; `promised` is the length it announces, `pause_s` passes before each byte where it drips."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    promised: int | None = None
    hang_s: float = 0.0
    pause_s: float = 0.0


def completion(text: str | None, *, tokens: tuple[int, int] | None = (100, 7), model: str = "judge-1") -> Answer:
    """A chat completion that says `text`."""
    told: dict[str, Any] = {"model": model, "choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
    if tokens is not None:
        told["usage"] = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]}
    return Answer(body=json.dumps(told).encode())


@dataclass
class FakeServer:
    """Answers by `script`, one after the other, and then by `always`."""

    url: str
    script: list[Answer] = field(default_factory=list)
    always: Callable[[dict[str, Any]], Answer] = lambda _body: completion(GOOD)
    asked: list[dict[str, Any]] = field(default_factory=list)
    """The bodies of all requests."""
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def answer(self, body: dict[str, Any], headers: dict[str, str], path: str, lock: threading.Lock) -> Answer:
        """The answer to one request, which is kept."""
        with lock:
            self.asked.append(body)
            self.headers.append(headers)
            self.paths.append(path)
            return self.script.pop(0) if self.script else self.always(body)


@contextmanager
def fake_server(*script: Answer) -> Iterator[FakeServer]:
    """A server on this machine's own interface, gone when the block ends."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = told.answer(body, dict(self.headers), self.path, lock)
            told.ended.wait(answer.hang_s)
            try:
                self._send(answer)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def _send(self, answer: Answer) -> None:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body) if answer.promised is None else answer.promised))
            self.end_headers()
            if answer.pause_s:
                for byte in answer.body:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(answer.pause_s)
            else:
                self.wfile.write(answer.body)
            self.close_connection = answer.promised is not None

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    told = FakeServer(f"http://127.0.0.1:{server.server_port}/v1", list(script))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield told
    finally:
        told.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
