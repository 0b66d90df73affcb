"""`evalkit describe`: the card of a metric, a benchmark or a method."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from evalkit.cli.options import AsJson
from evalkit.errors import UsageError
from evalkit.registry import BENCHMARKS, METHODS, METRICS, load, unknown

KINDS = {"metric": METRICS, "benchmark": BENCHMARKS, "method": METHODS}


def describe(
    kind: Annotated[str, typer.Argument(metavar="metric|benchmark|method", help="What kind of thing.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name; `evalkit list` shows them.")],
    as_json: AsJson = False,
) -> int:
    """Print the card: what it is, where it comes from, its variants or protocols, what it needs."""
    import json

    if kind not in KINDS:
        raise UsageError(unknown("kind of thing", kind, list(KINDS), "evalkit describe --help"))
    card = _card(kind, _thing(kind, name))
    if as_json:
        print(json.dumps(card, allow_nan=False))
        return 0
    import yaml

    print(yaml.safe_dump(card, sort_keys=False, allow_unicode=True, width=110).rstrip())
    return 0


def _thing(kind: str, name: str) -> Any:
    if kind == "method":
        from evalkit.methods.find import find_method

        return find_method(name)
    return load(KINDS[kind], name)


def _card(kind: str, thing: Any) -> dict[str, Any]:
    noun = {"metric": lambda: thing.card, "benchmark": lambda: thing.spec, "method": lambda: thing.info}[kind]()
    card: dict[str, Any] = noun.model_dump(mode="json", exclude_defaults=False)
    card.pop("facts", None)
    return {key: value for key, value in card.items() if value not in (None, [], {})}
