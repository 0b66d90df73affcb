"""`evalkit list`: what is installed."""

from __future__ import annotations

from typing import Annotated

import typer

from evalkit.errors import EvalkitError, PluginError, UsageError
from evalkit.registry import BENCHMARKS, EXTRACTORS, METHODS, METRICS, load, names, unknown

KINDS = {"metrics": METRICS, "benchmarks": BENCHMARKS, "methods": METHODS, "backbones": EXTRACTORS}


def list_(
    kind: Annotated[str, typer.Argument(metavar="metrics|benchmarks|methods|backbones", help="What to list.")],
) -> int:
    """List the metrics, benchmarks, methods or backbone families that are installed, with what each is."""
    from evalkit.cli.output import print_table

    if kind not in KINDS:
        raise UsageError(unknown("kind of thing", kind, list(KINDS), "evalkit list --help"))
    rows, broken = [], []
    for name in names(KINDS[kind]):
        try:
            rows.append((name, *_told(kind, load(KINDS[kind], name))))
        except EvalkitError as error:
            broken.append(str(error))
    headers = {
        "metrics": ("measures", "variants"),
        "benchmarks": ("holds", "protocols"),
        "methods": ("kind", "is"),
        "backbones": ("is", ""),
    }
    print_table((kind.removesuffix("s"), *headers[kind]), rows)
    if broken:
        raise PluginError("\n".join(broken))
    return 0


def _told(kind: str, thing: object) -> tuple[str, str]:
    from evalkit.benchmarks.base import Benchmark
    from evalkit.methods.base import Method
    from evalkit.metrics.base import Metric

    if kind == "metrics" and isinstance(thing, Metric):
        card = thing.card
        better = "higher" if card.direction == "higher" else "lower"
        return f"{card.title} ({card.unit}, {better} is better)", ", ".join(card.variants)
    if kind == "benchmarks" and isinstance(thing, Benchmark):
        spec = thing.spec
        return spec.title, ", ".join(p.name + " (default)" * (p.name == spec.default_protocol) for p in spec.protocols)
    if kind == "backbones":
        return (thing.__doc__ or "").strip().split("\n")[0], ""
    if kind == "methods" and isinstance(thing, Method):
        return thing.info.kind, thing.info.title
    raise PluginError(
        f"wanted a {kind.removesuffix('s')} behind the entry point, found {type(thing).__name__}; mend the plugin"
    )
