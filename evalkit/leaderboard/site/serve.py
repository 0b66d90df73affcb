"""A local preview of a site: plain files on this machine's own address."""

from __future__ import annotations

import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from evalkit.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

HOST = "127.0.0.1"


class _Quiet(SimpleHTTPRequestHandler):
    """Answers without a word, and tells browsers to guess no types."""

    def log_message(self, *_told: Any) -> None:
        """Nothing: each page asks for dozens of files."""

    def end_headers(self) -> None:
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        super().end_headers()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that leaves before a file is whole is no error."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def server(site: Path, port: int) -> ThreadingHTTPServer:
    """A server of the files in `site`, bound and not yet serving.

    Raises UsageError where there is no site, or the port is taken.
    """
    if not (site / "index.html").is_file():
        raise UsageError(
            f"wanted the folder of a site, found no index.html in {str(site)!r}; `evalkit leaderboard build` makes one"
        )
    try:
        return _Server((HOST, port), partial(_Quiet, directory=str(site)))
    except OSError as error:
        raise UsageError(f"cannot serve on port {port}: {error.strerror}; give another --port, or 0 for any") from error
