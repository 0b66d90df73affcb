"""Where evalkit keeps what it can make again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root() -> Path:
    """`$EVALKIT_CACHE`, else the user's cache folder: features, drawn worlds, fetched data, hashes of known files."""
    import platformdirs

    return Path(os.environ.get("EVALKIT_CACHE") or platformdirs.user_cache_dir("evalkit"))
