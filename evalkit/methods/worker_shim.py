"""Serves evalkit's worker protocol around one function, under any Python from 3.7 on: `worker_shim.py MODULE:FUNCTION`.

FUNCTION takes a request, a dict as docs/recipes.md lists it, saves a picture below `request["output"]` and returns the
picture's path. One line of JSON a request on stdin, one a response on stdout; whatever the function itself prints goes
to stderr. MODULE is looked for in the working folder first. Only the standard library is used.
"""

import importlib
import json
import os
import sys
import traceback


def answer(function, line):  # type: ignore[no-untyped-def]
    """The response to one line."""
    try:
        asked = json.loads(line)
        if asked.get("op") != "generate":
            return {"ok": False, "error": "wanted the op 'generate', found %r" % (asked.get("op"),)}  # noqa: UP031
        return {"ok": True, "file": os.fspath(function(asked["request"]))}
    except Exception as error:
        traceback.print_exc()
        return {"ok": False, "error": "%s: %s" % (type(error).__name__, error)}  # noqa: UP031


def main():  # type: ignore[no-untyped-def]
    """Answers until stdin ends."""
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    responses = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    sys.path[0] = os.getcwd()
    module, _, name = sys.argv[1].partition(":")
    function = getattr(importlib.import_module(module), name)
    for line in requests:
        responses.write(json.dumps(answer(function, line)) + "\n")
        responses.flush()


if __name__ == "__main__":
    main()
