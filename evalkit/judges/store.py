"""Replies on disk, one file each, so that none is paid for twice.

A reply is written, whole and synced, before anything reads it: a process killed at any point has every reply that it
paid for, but for those still on their way. The store is no cache that is pruned: what is in it cost money.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from evalkit.errors import DataError, EvalkitError
from evalkit.files import atomic_write_text
from evalkit.judges.talk import Reply
from evalkit.nouns import Noun
from evalkit.progress import warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_SUFFIX = ".json"


class StoredReply(Noun):
    """A reply with what it is a reply to."""

    judge: str
    """Model and server, or the local model's name."""
    prompt: str
    """The rubrics' name and hash."""
    about: dict[str, Any]
    """Rubric, texts and picture hashes, temperature, run, try and seed."""
    reply: Reply


class ReplyStore:
    """Replies by key (hexadecimal) below `root`. Safe under threads: equal keys are asked one after the other."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._guard = threading.Lock()

    def reply(self, key: str, ask: Callable[[], StoredReply]) -> Reply:
        """The reply of that key, asked for only where it is not stored. Raises what `ask` raises, RunError on a full disk."""
        with self._guard:
            lock = self._locks[key]
        with lock:
            path = self.root / key[:2] / f"{key}{_SUFFIX}"
            if (stored := _read(path)) is None:
                stored = ask()
                atomic_write_text(path, stored.to_json() + "\n")
        return stored.reply

    def replies(self) -> Iterator[StoredReply]:
        """Every reply that can be read, in the order of the keys."""
        for path in sorted(self.root.glob(f"??/*{_SUFFIX}")):
            if (stored := _read(path)) is not None:
                yield stored


def _read(path: Path) -> StoredReply | None:
    """The reply, None where there is none or the file is damaged, which is said: it will be paid for again."""
    try:
        data = path.read_text(encoding="utf-8")
        return StoredReply.read(data, where=str(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise EvalkitError(f"the judge's reply {path} cannot be read: {error}; mend its rights") from error
    except (DataError, UnicodeDecodeError):
        warn(f"the judge's reply {path} is damaged and counts as not given")
        return None
