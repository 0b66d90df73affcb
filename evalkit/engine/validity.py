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
from evalkit.media.kinds import held_by
from evalkit.media.known import KnownPixels
from evalkit.metrics.derived import DerivedMetric
from evalkit.metrics.text_alignment import IDENTITY_PROMPT, OWN_PROMPT
from evalkit.metrics.validity import BATTERIES, Battery, Change, Validity
from evalkit.nouns import Case, Reference, Sample
from evalkit.paths import cache_root
from evalkit.registry import METRICS, load
from evalkit.runs.cases import RunCase
from evalkit.runs.folder import RunFolder
from evalkit.runs.provenance import versions
from evalkit.runs.record import RunIdentity, RunRequest
from evalkit.sandbox.validity.batteries import GRADES
from evalkit.sandbox.validity.changes import BATTERY_VERSION, SEED
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
DEFAULT: Mapping[Battery, Change] = {"pictures": "prompt", "clips": "noise", "sets": "strangers"}
"""The reference of a card without expectations; of a metric of single pictures with targets it is another subject."""

Asked = tuple[Case, Shot]


class _Shots(NamedTuple):
    """Every shot of a battery with its case; several of a set."""

    battery: Battery
    shown: tuple[Shown, ...]
    cases: dict[tuple[str, Change | None, int], list[Asked]]

    @property
    def every(self) -> list[Asked]:
        """All of them."""
        return [asked for those in self.cases.values() for asked in those]


def validate(names: Sequence[str], *, subjects: int = SUBJECTS, default_variants: bool = False) -> tuple[Report, ...]:
    """Runs metrics (`metric` or `metric@variant`) through the battery, each backbone once for all of them.

    A name without a variant is that of the card's expectations, or else the default one. `default_variants`: refuse others,
    whose reports are not kept.

    Raises: UsageError for metrics and variants that do not exist, are named twice or read neither pictures nor clips, and for
    no subject; WeightsError for a metric whose backbone has no embedded counterpart and no weights here.
    """
    if subjects < 1:
        raise UsageError(f"wanted at least 1 subject, found {subjects}")
    chosen = choices((), [_named(name) for name in names])
    if len(chosen) != len(names):
        raise UsageError(f"wanted each metric once, found {', '.join(names)}")
    if default_variants:
        _only_defaults(chosen)
    by_battery = {choice.column: battery_of(load(METRICS, choice.metric).card, choice.variant) for choice in chosen}
    backbones = Backbones(device="cpu")
    bound = columns(chosen, "sandbox", backbones)
    if lacking := [column for column in bound if column.lacking is not None]:
        raise WeightsError(f"{lacking[0].choice.column} cannot be validated here: {lacking[0].lacking}")
    found: dict[str, Report] = {}
    for battery in BATTERIES:
        those = [column for column in bound if by_battery[column.choice.column] == battery]
        if those:
            root = cache_root() / "world" / gallery_name(battery)
            shots = _shots(open_gallery(root, subjects, battery), battery)
            scores = _scored(those, shots, root, backbones)
            found |= {column.choice.column: _report(column, shots, scores) for column in those}
    return tuple(found[choice.column] for choice in chosen)


def keep(reports: Sequence[Report]) -> list[Path]:
    """Stores each report beside its metric's card; returns the files. Raises RunError where one cannot be written."""
    return [write_stored(load(METRICS, report.metric).card_path, report) for report in reports]


def battery_of(card: MetricCard, variant: str) -> Battery:
    """What a variant is shown: single pictures where it reads them, or the sets of which it needs the other pictures; else clips.

    The card's expectations go before. Raises: UsageError where it reads neither.
    """
    if isinstance(load(METRICS, card.name), DerivedMetric):
        raise UsageError(
            f"wanted a metric of samples, found {card.name}, which is made of other metrics' means; leave it out"
        )
    reads = card.reads(variant)
    if card.validity is not None and ("video" if card.validity.battery == "clips" else "image") in reads:
        return card.validity.battery
    if "image" in reads:
        return "sets" if "mates" in card.needs else "pictures"
    if "video" in reads:
        return "clips"
    raise UsageError(
        f"wanted a metric of pictures or clips, found {card.name}@{variant}, which reads {' and '.join(reads)}; leave it out"
    )


def reported_variant(card: MetricCard) -> str:
    """The variant whose report lies beside the card."""
    return (card.validity and card.validity.variant) or card.default_variant


def _named(name: str) -> str:
    """With the variant that is run where none is named."""
    return name if "@" in name else f"{name}@{reported_variant(load(METRICS, name).card)}"


def _only_defaults(chosen: Sequence[MetricChoice]) -> None:
    for choice in chosen:
        kept = reported_variant(load(METRICS, choice.metric).card)
        if choice.variant != kept:
            raise UsageError(
                f"wanted the variant of {choice.metric} whose report is kept, {kept!r}, found {choice.variant!r}; leave "
                "out --write"
            )


def expectations(card: MetricCard, variant: str | None = None) -> Validity:
    """The card's expectations; for a variant of which it has none, all open but the effect that others are told as shares of."""
    battery = battery_of(card, variant or reported_variant(card))
    if card.validity is not None and card.validity.battery == battery:
        return card.validity
    compared = battery == "pictures" and "targets" in card.needs
    reference: Change = "wrong_subject" if compared else DEFAULT[battery]
    departs = "falls" if card.direction == "higher" else "rises"
    told = {"battery": battery, "reference": reference, "departs": departs, "changes": {reference: "responds"}}
    return Validity.model_validate(told)


def _shots(shown: Sequence[Shown], battery: Battery) -> _Shots:
    cases: dict[tuple[str, Change | None, int], list[Asked]] = {}
    for one in shown:
        target = Reference(path=f"{one.name}/{REFERENCE}", subject=one.name, label=one.word, mask=f"{one.name}/{MASK}")
        compared = (target,) if battery == "pictures" else ()
        for shot in one.shots:
            name = f"{one.name}-{shot.change or 'reference'}-{shot.grade}"
            shared, word, own = shot.prompt.partition(one.word)
            case = Case(
                case_id=f"{name}-{shot.place}" if battery == "sets" else name, prompt=shot.prompt,
                subjects=(one.name,), references=compared, targets=compared, category=one.category,
                prompt_index=shot.place, set_id=name if battery == "sets" else None,
                texts={IDENTITY_PROMPT: shared + word, OWN_PROMPT: own.strip()} if battery == "sets" else {},
                medium="video" if battery == "clips" else "image",
            )  # fmt: skip
            cases.setdefault((one.name, shot.change, shot.grade), []).append((case, shot))
    return _Shots(battery, tuple(shown), cases)


def _scored(
    bound: Sequence[Column], shots: _Shots, root: Path, backbones: Backbones
) -> Mapping[tuple[str, int, str], Score]:
    """The scores of a run whose method shows the battery's pictures or clips; its folder is gone afterwards."""
    pictures, cases = Pictures(), [case for case, _ in shots.every]
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
                [_sample(case, shot, root, run_cases[case.case_id].sha256) for case, shot in shots.every]
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
    path = (root / shot.picture).resolve()
    held = {"pixels_sha256": shot.sha256} if shot.sha256 else held_by(path, "video")._asdict()
    return Sample(
        case_id=case.case_id, seed=0, state="made", path=str(path), case_sha256=case_sha256, method=NAME,
        method_version=str(BATTERY_VERSION), **held,
    )  # fmt: skip


def _report(column: Column, shots: _Shots, scores: Mapping[tuple[str, int, str], Score]) -> Report:
    values = {change: _values(column, shots, change, scores) for change in BATTERIES[shots.battery]}
    validity = expectations(column.metric.card, column.choice.variant)
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
    """The metric's values [subjects, grades], of a set the mean over its pictures, NaN where one has none."""

    def value(name: str, grade: int) -> float:
        asked = shots.cases[name, change if grade else None, grade]
        found = [scores[case.case_id, 0, str(column.signature)].value for case, _ in asked]
        return float(np.mean([np.nan if one is None else one for one in found]))

    grades = range(len(GRADES[shots.battery][change]))
    return np.array([[value(one.name, grade) for grade in grades] for one in shots.shown], np.float64)
