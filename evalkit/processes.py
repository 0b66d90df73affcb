"""How many processes `accelerate launch` started, and which one this is."""

from __future__ import annotations

import os


def launched() -> tuple[int, int]:
    """This process's number and how many there are; (0, 1) where evalkit was started alone."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    return (int(os.environ.get("RANK", "0")), count) if count > 1 else (0, 1)
