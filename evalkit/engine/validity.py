"""`evalkit validate`: metrics on the validity battery, scored as any run is: the same columns, features and scorer."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from evalkit.engine.backbones import Backbones
from evalkit.engine.columns import choices, columns
from evalkit.engine.score import Scorer
from evalkit.engine.targets import Targets
from evalkit.errors import UsageError, WeightsError
from evalkit.features.cache import DEFAULT_LIMIT_BYTES, FeatureCache, prune
from evalkit.features.pictures import Pictures
from evalkit.features.service import FeatureService
from evalkit.media.known import KnownPixels
from evalkit.metrics.validity import CHANGES, Change, Validity
from evalkit.nouns import Case, Reference, Sample
from evalkit.paths import cache_root
from evalkit.registry import METRICS, load
from evalkit.runs.cases import RunCase
from evalkit.runs.folder import RunFolder
from evalkit.runs.provenance import versions
from evalkit.runs.record import RunIdentity, RunRequest
from evalkit.sandbox.validity.changes import BATTERY_VERSION, GRADES, SEED
from evalkit.sandbox.validity.gallery import MASK, REFERENCE, Shot, Shown, gallery_name, open_gallery
from evalkit.sandbox.validity.report import Report, write_stored
from evalkit.sandbox.validity.verdict import assess, rounded
from evalkit.sandbox.world import WORLD_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from evalkit.engine.columns import Column
    from evalkit.metrics.card import MetricCard
    from evalkit.nouns import MetricChoice, Score

SUBJECTS = 40
FIRST = 2
"""Subjects whose own values a report keeps."""
NAME = "validity"


class _Shots(NamedTuple):
    """Every shot of the battery with its case."""

    shown: tuple[Shown, ...]
    cases: dict[tuple[str, Change | None, int], tuple[Case, Shot]]


def validate(names: Sequence[str], *, subjects: int = SUBJECTS, default_variants: bool = False) -> tuple[Report, ...]:
    """Runs metrics (`metric` or `metric@variant`) through the battery, each backbone once for all of them.

    `default_variants`: refuse others, whose reports are not kept.

    Raises: UsageError for metrics and variants that do not exist, are named twice or read no single pictures, and for no
    subject; WeightsError
    for a metric whose backbone has no embedded counterpart and no weights here.
    """
    if subjects < 1:
        raise UsageError(f"wanted at least 1 subject, found {subjects}")
    chosen = choices((), names)
    if len(chosen) != len(names):
        raise UsageError(f"wanted each metric once, found {', '.join(names)}")
    if default_variants:
        _only_defaults(chosen)
    _of_single_pictures(chosen)
    backbones = Backbones(device="cpu")
    bound = columns(chosen, "sandbox", backbones)
    if lacking := [column for column in bound if column.lacking is not None]:
        raise WeightsError(f"{lacking[0].choice.column} cannot be validated here: {lacking[0].lacking}")
    root = cache_root() / "world" / gallery_name()
    shots = _shots(open_gallery(root, subjects))
    scores = _scored(bound, shots, root, backbones)
    return tuple(_report(column, shots, scores) for column in bound)


def keep(reports: Sequence[Report]) -> list[Path]:
    """Stores each report beside its metric's card; returns the files. Raises RunError where one cannot be written."""
    return [write_stored(load(METRICS, report.metric).card_path, report) for report in reports]


def _of_single_pictures(chosen: Sequence[MetricChoice]) -> None:
    for choice in chosen:
        card = load(METRICS, choice.metric).card
        reads = card.reads(choice.variant)
        if "image" not in reads or "mates" in card.needs:
            found = "sets of pictures" if "image" in reads else " and ".join(reads)
            raise UsageError(
                f"wanted a metric of single pictures, found {choice.column}, which reads {found}; leave it out"
            )


def _only_defaults(chosen: Sequence[MetricChoice]) -> None:
    for choice in chosen:
        default = load(METRICS, choice.metric).card.default_variant
        if choice.variant != default:
            raise UsageError(
                f"wanted the default variant of {choice.metric} to keep, {default!r}, found {choice.variant!r}; leave "
                "out --write"
            )


def expectations(card: MetricCard) -> Validity:
    """The card's expectations; for a card without, all open but the effect that others are told as shares of."""
    if card.validity is not None:
        return card.validity
    reference: Change = "wrong_subject" if "targets" in card.needs else "prompt"
    departs = "falls" if card.direction == "higher" else "rises"
    return Validity.model_validate({"reference": reference, "departs": departs, "changes": {reference: "responds"}})


def _shots(shown: Sequence[Shown]) -> _Shots:
    cases = {}
    for one in shown:
        target = Reference(path=f"{one.name}/{REFERENCE}", subject=one.name, label=one.word, mask=f"{one.name}/{MASK}")
        for shot in one.shots:
            case = Case(
                case_id=f"{one.name}-{shot.change or 'reference'}-{shot.grade}", prompt=shot.prompt,
                subjects=(one.name,), references=(target,), targets=(target,), category=one.category, prompt_index=0,
            )  # fmt: skip
            cases[one.name, shot.change, shot.grade] = case, shot
    return _Shots(tuple(shown), cases)


def _scored(
    bound: Sequence[Column], shots: _Shots, root: Path, backbones: Backbones
) -> Mapping[tuple[str, int, str], Score]:
    """The scores of a run whose method shows the battery's pictures; its folder is gone afterwards."""
    pictures, cases = Pictures(), [case for case, _ in shots.cases.values()]
    targets = Targets(cases, root, pictures, KnownPixels(cache_root() / "pixels"))
    pixels = targets.pixels()
    run_cases = {case.case_id: RunCase.of(case, pixels) for case in cases}
    identity = RunIdentity(
        method=NAME, method_version=str(BATTERY_VERSION), benchmark=NAME, world=WORLD_VERSION, profile="sandbox"
    )
    request = RunRequest(protocol=NAME, metrics=tuple(column.choice for column in bound), seeds=(0,))
    cache = FeatureCache(cache_root() / "features")
    service = FeatureService(cache, pictures, fingerprint=backbones.fingerprint, load=backbones.load)
    with tempfile.TemporaryDirectory(prefix="evalkit-validity-") as temporary:
        folder = Path(temporary) / "run"
        with RunFolder.open(folder, identity=identity, request=request, cases=list(run_cases.values())) as run:
            run.samples.append(
                [_sample(case, shot, root, run_cases[case.case_id].sha256) for case, shot in shots.cases.values()]
            )
            try:
                Scorer(run, bound, targets, service).score([(case, 0) for case in cases])
            finally:
                service.close()
            found = run.scores.latest()
    if service.extracted and cache.root is not None:
        prune(cache.root, limit_bytes=DEFAULT_LIMIT_BYTES)
    return found


def _sample(case: Case, shot: Shot, root: Path, case_sha256: str) -> Sample:
    return Sample(
        case_id=case.case_id, seed=0, state="made", path=str((root / shot.picture).resolve()),
        pixels_sha256=shot.sha256, case_sha256=case_sha256, method=NAME, method_version=str(BATTERY_VERSION),
    )  # fmt: skip


def _report(column: Column, shots: _Shots, scores: Mapping[tuple[str, int, str], Score]) -> Report:
    values = {change: _values(column, shots, change, scores) for change in CHANGES}
    validity = expectations(column.metric.card)
    found = versions() | {"world": WORLD_VERSION, "battery": str(BATTERY_VERSION)}
    assessed = assess(values, validity)
    first = {
        change: tuple(
            tuple(rounded(value) if np.isfinite(value) else None for value in row) for row in rows[:FIRST].tolist()
        )
        for change, rows in values.items()
    }
    return Report(
        metric=column.choice.metric, variant=column.choice.variant, signature=str(column.signature),
        subjects=len(shots.shown), seed=SEED, versions=found, reference=validity.reference,
        departs=validity.departs, reference_effect=assessed.reference_effect, curves=assessed.curves,
        first_subjects=first,
    )  # fmt: skip


def _values(
    column: Column, shots: _Shots, change: Change, scores: Mapping[tuple[str, int, str], Score]
) -> NDArray[np.float64]:
    """The metric's values [subjects, grades], NaN where it has none."""

    def value(name: str, grade: int) -> float:
        case, _ = shots.cases[name, change if grade else None, grade]
        found = scores[case.case_id, 0, str(column.signature)].value
        return float("nan") if found is None else found

    grades = range(len(GRADES[change]))
    return np.array([[value(one.name, grade) for grade in grades] for one in shots.shown], np.float64)
