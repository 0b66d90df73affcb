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
    thing = _thing(kind, name)
    card = _card(kind, thing) | (_validity(thing) if kind == "metric" else {})
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
    for table in ("facts", "sha256"):
        card.pop(table, None)
    return {key: value for key, value in card.items() if value not in (None, [], {})}


def _validity(metric: Any) -> dict[str, Any]:
    """What the battery found, where a report lies beside the card: changes by verdict."""
    from evalkit.sandbox.validity.report import VERDICTS, read_stored

    report = read_stored(metric.card_path)
    if report is None:
        return {}
    changes = {verdict: ", ".join(report.named(verdict)) for verdict in VERDICTS}
    ran = f"{report.variant}, {report.subjects} subjects of the embedded world; `evalkit validate {report.metric}`"
    return {"validity_result": {"ran": ran} | {verdict: told for verdict, told in changes.items() if told}}
