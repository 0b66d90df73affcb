"""Serves evalkit's worker protocol around one function, under any Python from 3.7 on: `worker_shim.py MODULE:FUNCTION`.

FUNCTION takes a request, a dict as docs/recipes.md lists it, saves a picture below `request["output"]` and returns the
picture's path. One line of JSON a request on stdin, one a response on stdout; whatever the function itself prints goes
to stderr. MODULE is looked for in the working folder first. Only the standard library is used.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any


def answer(function: Any, line: str) -> dict[str, Any]:
    """The response to one line."""
    try:
        asked = json.loads(line)
        if asked["op"] != "generate":
            return {"ok": False, "error": f"wanted the op 'generate', found {asked['op']!r}"}
        return {"ok": True, "file": os.fspath(function(asked["request"]))}
    except Exception as error:
        traceback.print_exc()
        return {"ok": False, "error": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Answers until stdin ends."""
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    responses = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    ours = str(Path(__file__).resolve().parent)  # modules there are evalkit's, and could hide others of their names
    sys.path[:] = [str(Path.cwd()), *(folder for folder in sys.path if folder != ours)]
    module, _, name = sys.argv[1].partition(":")
    function = getattr(importlib.import_module(module), name)
    for line in requests:
        responses.write(json.dumps(answer(function, line)) + "\n")
        responses.flush()


if __name__ == "__main__":
    main()
