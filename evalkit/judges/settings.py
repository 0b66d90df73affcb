"""Which judge is asked and how, from the environment; the key stays in memory and is shown nowhere."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from evalkit.errors import UsageError

LOCAL = "local:"
DEFAULT_WORKERS = 8
DEFAULT_TIMEOUT_S = 120.0


class Key:
    """An API key: it goes into one header and has no readable form."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def __repr__(self) -> str:
        return "Key(hidden)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and self._secret == other._secret

    def __hash__(self) -> int:
        return hash(self._secret)

    def __reduce__(self) -> str:
        raise TypeError("a key is not stored")

    @property
    def header(self) -> dict[str, str]:
        """The header that shows it to the server."""
        return {"Authorization": f"Bearer {self._secret}"}

    def redacted(self, text: str) -> str:
        """The text without the key: servers repeat it in their errors."""
        return text.replace(self._secret, "<key>")


@dataclass(frozen=True)
class JudgeSettings:
    """What the environment says of the judge."""

    url: str | None
    """An OpenAI-compatible server's address up to its version, e.g. `http://localhost:8000/v1`."""
    model: str | None
    """Instead of the model that the variant names; `local:` with a folder or hub id for one that runs here."""
    key: Key | None
    rate: float | None
    """Requests a minute."""
    workers: int
    timeout_s: float
    """For one reply, first to last byte."""
    prompts: Path | None
    """A folder with the official rubrics."""


def read_settings() -> JudgeSettings:
    """The settings in the environment. Raises UsageError naming the variable that does not fit, never a key."""
    prompts = os.environ.get("EVALKIT_JUDGE_PROMPTS")
    return JudgeSettings(
        url=_url(os.environ.get("EVALKIT_JUDGE_URL")),
        model=os.environ.get("EVALKIT_JUDGE_MODEL") or None,
        key=_key(os.environ.get("EVALKIT_JUDGE_KEY")),
        rate=_positive("EVALKIT_JUDGE_RATE", os.environ.get("EVALKIT_JUDGE_RATE")),
        workers=_workers(os.environ.get("EVALKIT_JUDGE_WORKERS")),
        timeout_s=_positive("EVALKIT_JUDGE_TIMEOUT", os.environ.get("EVALKIT_JUDGE_TIMEOUT")) or DEFAULT_TIMEOUT_S,
        prompts=Path(prompts).expanduser() if prompts else None,
    )


def host(url: str) -> str:
    """The server as signatures name it: `localhost:8000`.

    Example:
        >>> host("http://LocalHost:8000/v1")
        'localhost:8000'
    """
    return urlsplit(url).netloc.lower()


def _url(text: str | None) -> str | None:
    if not text:
        return None
    parts = urlsplit(text)
    if "@" in parts.netloc:
        raise UsageError(
            "wanted EVALKIT_JUDGE_URL without a user or password in it, found one; a key goes into EVALKIT_JUDGE_KEY"
        )
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        shown = text.partition("?")[0]
        raise UsageError(f"wanted EVALKIT_JUDGE_URL like 'https://host/v1', without '?' and '#', found {shown!r}")
    return text.rstrip("/")


def _key(text: str | None) -> Key | None:
    if not text or not text.strip():
        return None
    if not re.fullmatch(r"[!-~]+", text.strip()):
        raise UsageError(
            "wanted EVALKIT_JUDGE_KEY of printable ASCII without spaces, found other characters in it; set it again"
        )
    return Key(text.strip())


def _positive(name: str, text: str | None) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (value > 0 and math.isfinite(value)):
        raise UsageError(f"wanted a number above 0 in {name}, found {text!r}")
    return value


def _workers(text: str | None) -> int:
    if not text:
        return DEFAULT_WORKERS
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"wanted a whole number of at least 1 in EVALKIT_JUDGE_WORKERS, found {text!r}")
    return int(text)
