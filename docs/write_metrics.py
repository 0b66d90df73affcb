"""Writes docs/metrics.md from the cards, the validity reports beside them and the measured seconds; a test holds it there.

python docs/write_metrics.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.features.backbones import backbones
from evalkit.features.weights import NO_WEIGHTS, SERVED
from evalkit.metrics.validity import BATTERIES
from evalkit.registry import METRICS, entries, load
from evalkit.sandbox.validity.batteries import GRADES, UNITS
from evalkit.sandbox.validity.report import Curve, Report, read_stored, told

if TYPE_CHECKING:
    from evalkit.metrics.base import Metric

TARGET = Path(__file__).with_name("metrics.md")
SECONDS = Path(__file__).resolve().parents[1] / "perf" / "metric_seconds.json"
HEAD = """# Metrics

Written by `python docs/write_metrics.py` from `metrics/*/card.yaml` and `metrics/*/validity.json`. The test named holds a
variant to what stands under `against`: where that is public code, to its computation, run or written out again, on the same
weights and inputs within the tolerance; where it is a paper's text, to the formula written out again. `tests/golden/README.md`
says which numbers are of the authors' own code. What a judge replies cannot be held: tests hold what it is asked and how its
replies are read. Where `text_alignment` and `cqs_har` ask VQAScore's model, `vqascore` holds its answers. The licence is that
of the published weights, which evalkit does not carry.
"""
TESTS = {
    "golden/test_metric_variants.py": (
        "aesthetic", "clip_i", "clip_t", "cqs_har@clip_sandbox", "dino_i", "dreamsim", "dreamsim_pairwise", "hps", "image_reward",
        "lpips", "text_alignment@clip_joint", "text_alignment@clip_own",
    ),
    "golden/test_video_variants.py": (
        "aesthetic@opens2v_video", "clip_i@consis_gcpo", "clip_t@consis_gcpo", "dino_i@consis_gcpo", "temporal_consistency",
    ),
    "golden/test_masked_variants.py": (
        "consistency_ratio", "dino_nssm", "diversity_over_consistency", "mtg_nssm", "sdino", "si_iou", "vsm",
    ),
    "golden/test_face_variants.py": ("facesim",),
    "golden/test_vlm_official.py": ("gme_score", "q_align", "vqascore"),
    "golden/test_extractors_yolo_world.py": ("nexus_score",),
    "golden/test_opens2v_numbers.py": ("opens2v_total",),
    "golden/test_reference_numbers.py": ("char_bleu",),
    "unit/test_answers.py": ("choice", "dense_segment_score", "gpt_score", "recognition"),
    "unit/test_facesim.py": ("facesim@frames", "facesim@opens2v_video", "facesim@opens2v_arc", "facesim@opens2v_cur"),
    "unit/test_insightface.py": ("facesim@arc", "facesim@cur"),
    "unit/test_judged_metrics.py": ("concept_preservation", "prompt_following"),
    "unit/test_metrics_registered.py": ("text_alignment",),
    "unit/test_motion.py": ("motion_amplitude",),
    "unit/test_set_metrics.py": ("cqs_har",),
    "unit/test_smoothness.py": ("motion_smoothness",),
    "unit/test_vlm_metrics.py": ("natural_score",),
}  # fmt: skip
"""The test that holds each metric, and variants that have another."""
VALIDITY = """## Validity

`evalkit validate METRIC` shows a metric pictures of the embedded world that are changed in known, graded ways, or clips, or
sets of pictures, whichever it reads, and holds it to what its card says it should respond to and what it should ignore, which
was written from what the metric means.
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
        told = (
            f"`{card.name}`",
            f"`{name}`",
            _cell(variant.source),
            f"`tests/{test_of(card.name, name)}`",
            f"{variant.tolerance:g}",
        )
        cost = f"{seconds[card.name]:g}" if name == card.default_variant and card.name in seconds else "-"
        rows.append(_row((*told, validity, cost, licence)))
    return rows


def test_of(metric: str, variant: str) -> str:
    """The test that holds a variant, below `tests/`. Raises: LookupError for one that no test is named of."""
    tests = {name: test for test, names in TESTS.items() for name in names}
    for name in (f"{metric}@{variant}", metric):
        if name in tests:
            return tests[name]
    raise LookupError(f"wanted the test that holds {metric}@{variant} in TESTS, found none; name it there")


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
    parts: list[str] = []
    for battery, changes in BATTERIES.items():
        grades, units = GRADES[battery], UNITS[battery]
        rows = [
            _row((change, ", ".join(f"{grade:g}" for grade in grades[change]), units[change])) for change in changes
        ]
        parts += [*_table((f"change of {battery}", "grades, none first", "what")), *rows, ""]
    return parts[:-1]


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
