"""How often a server may be asked: so many requests a minute, and not at all while it says so."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class RateLimit:
    """Lets requests of all threads through evenly spaced, `per_minute` of them (None: at once)."""

    def __init__(
        self,
        per_minute: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._spacing = 60 / per_minute if per_minute is not None else 0.0
        self._clock, self._sleep = clock, sleep
        self._free_at = clock()
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Returns when the next request may be sent."""
        with self._lock:
            now = self._clock()
            mine = max(now, self._free_at)
            self._free_at = mine + self._spacing
        if mine > now:
            self._sleep(mine - now)

    def hold(self, seconds: float) -> None:
        """No further request for so long, whoever asks."""
        with self._lock:
            self._free_at = max(self._free_at, self._clock() + seconds)
