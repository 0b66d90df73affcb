"""Writes docs/metrics.md from the cards, the validity reports beside them and the measured seconds; a test holds it there.

python docs/write_metrics.py
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.features.backbones import backbones
from evalkit.features.weights import NO_WEIGHTS, SERVED
from evalkit.metrics.validity import CHANGES
from evalkit.registry import METRICS, entries, load
from evalkit.sandbox.validity.changes import GRADES, UNITS
from evalkit.sandbox.validity.report import Curve, Report, read_stored, told

if TYPE_CHECKING:
    from evalkit.metrics.base import Metric

TARGET = Path(__file__).with_name("metrics.md")
SECONDS = Path(__file__).resolve().parents[1] / "perf" / "metric_seconds.json"
HEAD = """# Metrics

Written by `python docs/write_metrics.py` from `metrics/*/card.yaml` and `metrics/*/validity.json`. Each variant of every
metric reproduces its source's computation on the same weights and pictures within the tolerance; the test named holds it
there. The licence is that of the published weights, which evalkit does not carry.
"""
VALIDITY = """## Validity

`evalkit validate METRIC` shows a metric pictures of the embedded world that are changed in known, graded ways, and holds
it to what its card says it should respond to and what it should ignore, which was written from what the metric means.
Backbones are the embedded ones: the table says how a measure behaves on features that know this world, and nothing of the
published backbones.

An effect is the mean change of a subject's value from the unchanged picture, as a share of the reference effect (the
strongest grade of the change that the card names, for identity another subject), positive where the value departs, with
its 95 % interval over subjects. `responds`: the strongest grade moves at least .1, surely more than 0, and the means keep
the order of the grades (rank correlation of .8 or more). `ignores s`: no grade's interval reaches beyond s. `leaves_out`:
at the strongest grade at most a quarter of the subjects still has a value. A change for which fewer than half of the
subjects have a value is not met.
"""
MARKS = {"met": "yes", "not met": "**no**", "open": ""}
SHORT = {"responds": "responds", "leaves_out": "left out", "open": "-"}


def text() -> str:
    """The whole page."""
    found = {
        name: load(METRICS, name)
        for name, entry in sorted(entries(METRICS).items())
        if entry.dist is not None and entry.dist.name == "evalkit"
    }
    reports = {name: read_stored(metric.card_path) for name, metric in found.items()}
    cost = json.loads(SECONDS.read_text(encoding="utf-8"))
    header = ("metric", "variant", "against", "test", "tolerance", "validity", "s / 1,000", "licence of weights")
    parts = [HEAD, _cost(cost), *_table(header)]
    for name, metric in found.items():
        parts += _variants(metric, reports[name], cost["seconds_per_1000"])
    parts += ["", VALIDITY, *_changes(), ""]
    parts += _verdicts({name: report for name, report in reports.items() if report is not None})
    return "\n".join(parts) + "\n"


def _table(header: tuple[str, ...]) -> list[str]:
    return [_row(header), _row(("---",) * len(header))]


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _cost(told: dict[str, Any]) -> str:
    return (
        f"`s / 1,000` is CPU seconds for 1,000 pictures, measured by `perf/metric_seconds.py` on {told['date']} with the embedded "
        f"models ({told['machine']}, {told['threads']} thread, torch {told['torch']}; {told['note']}): decoding, backbones and the "
        "measure itself, nothing cached and nothing shared with other metrics. It compares metrics; published backbones cost "
        "far more.\n"
    )


def _variants(metric: Metric, report: Report | None, seconds: dict[str, float]) -> list[str]:
    card, rows = metric.card, []
    for name, variant in card.variants.items():
        validity = _count(report) if report is not None and report.variant == name else "-"
        models = dict.fromkeys(spec.model for spec in (variant.extractor, *variant.beside.values()))
        licence = "; ".join(map(_licence, models))
        told = (f"`{card.name}`", f"`{name}`", _cell(variant.source), _test(metric), f"{variant.tolerance:g}")
        cost = f"{seconds[card.name]:g}" if name == card.default_variant and card.name in seconds else "-"
        rows.append(_row((*told, validity, cost, licence)))
    return rows


def _test(metric: Metric) -> str:
    """The golden test that names the metric most often, or else the unit test that does."""
    name = re.compile(rf"[\"@/]{metric.card.name}[\"@]|metrics[./]{metric.card.name}\b")
    root = Path(__file__).resolve().parents[1] / "tests"
    for folder in ("golden", "unit"):
        counts = {
            path: len(name.findall(path.read_text(encoding="utf-8"))) for path in (root / folder).glob("test_*.py")
        }
        best = min(counts, key=lambda path: (-counts[path], path.name))
        if counts[best]:
            return f"`tests/{folder}/{best.name}`"
    raise LookupError(f"wanted a test that names {metric.card.name}, found none; write one")


def _licence(model: str) -> str:
    if model.startswith(SERVED):
        return "none: a served model"
    if model == NO_WEIGHTS:
        return "none: no weights"
    weights = backbones()[model]
    use = {True: "", False: " (not commercial)", None: " (commercial use unclear)"}
    return weights.licence + use[weights.commercial]


def _cell(words: str) -> str:
    return words.replace("|", "\\|")


def _count(report: Report) -> str:
    met, missed = len(report.named("met")), len(report.named("not met"))
    return f"{met} of {met + missed} met"


def _changes() -> list[str]:
    rows = [_row((change, ", ".join(f"{grade:g}" for grade in GRADES[change]), UNITS[change])) for change in CHANGES]
    return [*_table(("change", "grades, none first", "what")), *rows]


def _verdicts(reports: dict[str, Report]) -> list[str]:
    parts = []
    for name, report in reports.items():
        parts += [
            f"### `{name}`", "",
            f"Variant `{report.variant}`, {report.subjects} subjects, seed {report.seed}; {_reference(report)}.", "",
            *_table(("change", "expected", "met", "effect", "rank", "scored", "mean, none to strongest")),
            *(_curve(curve, report.subjects) for curve in report.curves), "",
        ]  # fmt: skip
        missed = [f"- {curve.change}: {curve.why}" for curve in report.curves if curve.verdict == "not met"]
        parts += ["Not met:", "", *missed, ""] if missed else []
    return parts[:-1]


def _reference(report: Report) -> str:
    found = report.reference_effect
    size = "without a value" if found is None else f"{found.value:.4g} ({found.low:.4g} to {found.high:.4g})"
    return f"reference effect ({report.reference}, {report.departs}) {size}"


def _curve(curve: Curve, subjects: int) -> str:
    effect = curve.effect
    share = "-" if effect is None else f"{effect.value:.2f} ({effect.low:.2f} to {effect.high:.2f})"
    rank = "-" if curve.monotonic is None else f"{curve.monotonic:.2f}"
    means = " ".join("-" if mean is None else f"{mean:.4g}" for mean in curve.mean)
    expected = SHORT.get(told(curve.expected), told(curve.expected))
    return _row((curve.change, expected, MARKS[curve.verdict], share, rank, f"{curve.scored[-1]}/{subjects}", means))


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
