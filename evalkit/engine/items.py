"""From a stored sample and what is beside it to the item that metrics see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.engine.shown import shown
from evalkit.metrics.base import Item, Mate, Outcome
from evalkit.nouns import State

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.features.spec import ImageContent
    from evalkit.nouns import Case, Sample


def identity_of(sample: Sample) -> tuple[str | bool | float | None, ...]:
    """What scores depend on of a sample: a clip's rate too, which its hash leaves out."""
    rate = () if sample.frames is None else (sample.fps,)
    return (sample.pixels_sha256, sample.true_picture, *rate)


def why_none(sample: Sample | None) -> Outcome | None:
    """The outcome of the scores of a sample that was not made, None where it was."""
    if sample is None:
        return Outcome(State.SAMPLE_MISSING, reason="no sample for this case and seed")
    if sample.state == "failed":
        return Outcome(State.SAMPLE_FAILED, reason=sample.reason)
    return Outcome(State.DECODE_ERROR, reason=sample.reason) if sample.state == "unreadable" else None


def item_of(
    case: Case,
    seed: int,
    sample: Sample | None,
    beside: tuple[tuple[ImageContent, ...] | Outcome, tuple[Path | None, ...] | Outcome, tuple[Mate, ...] | Outcome],
    media: Path,
) -> Item | Outcome:
    """The item of a sample that was made; `beside` are its targets, their masks and its mates, as far as they are there."""
    assert sample is not None
    if isinstance(found := shown(sample, media), Outcome):
        return found
    own = {found.sample.sha256, *sample.frame_sha256}
    targets = () if isinstance(beside[0], Outcome) else beside[0]
    masks = (None,) * len(targets) if isinstance(beside[1], Outcome) else beside[1]
    kept = [
        (target, mask, told)
        for target, mask, told in zip(targets, masks, case.targets, strict=False)
        if not sample.true_picture or target.sha256 not in own
    ]
    targets, masks, told = zip(*kept, strict=True) if kept else ((), (), ())
    mates = () if isinstance(beside[2], Outcome) else beside[2]
    return Item(
        case,
        seed,
        found.sample,
        targets,
        masks,
        tuple(reference.subject for reference in told),
        mates,
        clip=found.clip,
        answer=found.answer,
        target_labels=tuple(reference.label for reference in told),
    )
