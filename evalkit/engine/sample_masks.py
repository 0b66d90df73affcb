"""Somebody's folder of masks of samples: which mask is of which sample, and that it can be one."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from evalkit import media
from evalkit.errors import DataError, MediaError, ProblemsError
from evalkit.features.spec import ImageContent
from evalkit.media import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evalkit.benchmarks.binding import Pair
    from evalkit.features.pictures import Pictures
    from evalkit.nouns import Sample


class SampleMasks(NamedTuple):
    """The masks of a run's samples."""

    contents: dict[Pair, ImageContent]
    told: tuple[str, ...] = ()
    """What is missing and what is left over, a line each."""


def read_sample_masks(
    folder: Path,
    samples: Mapping[Pair, Sample],
    wanted: Sequence[Pair],
    *,
    names: Mapping[Pair, Path] | None,
    pictures: Pictures,
) -> SampleMasks:
    """The mask of each wanted sample: the picture in `folder` that goes by the sample's name, whatever its suffix.

    `names` are the samples' own, relative to their folder: a link's is its own, not that of the file it leads to. None
    where the store has them so.

    Raises: DataError where there is no such folder or nothing in it is a sample's; ProblemsError, naming all files at
    once, for two masks of one sample, one that cannot be decoded, has another size than its sample, holds class labels
    or is a cut-out.
    """
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise DataError(f"wanted a folder for --sample-masks, found {found} at {str(folder)!r}; check the path")
    made = [pair for pair in wanted if pair in samples and samples[pair].state == "made"]
    named = {pair: Path(str(samples[pair].path)) for pair in made} if names is None else names
    stems = {pair: named[pair].with_suffix("").as_posix() for pair in made}
    there: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES["image"] and path.is_file()
    ):
        there[path.relative_to(folder).with_suffix("").as_posix()].append(path)
    bound = {pair: there[stem] for pair, stem in stems.items() if stem in there}
    if not bound:
        example = next(iter(stems.values()), None)
        raise DataError(
            f"wanted masks named as their samples, such as {example}.png, found none in {str(folder)!r}; rename them"
        )
    contents, problems = {}, []
    for pair, paths in bound.items():
        try:
            contents[pair] = _content(paths, samples[pair], folder, pictures)
        except (DataError, MediaError) as error:
            problems.append(str(error))
    if problems:
        raise ProblemsError(f"the masks in {folder} do not fit the samples", problems)
    lacking = [stem for pair, stem in stems.items() if pair not in bound]
    over = sorted(set(there) - set(stems.values()))
    told = [f"{len(lacking)} samples have no mask, first: {', '.join(lacking[:3])}"] if lacking else []
    told += [f"{len(over)} masks are of no sample asked for, first: {', '.join(over[:3])}"] if over else []
    return SampleMasks(contents, tuple(told))


def _content(paths: Sequence[Path], sample: Sample, folder: Path, pictures: Pictures) -> ImageContent:
    """Raises: DataError, MediaError."""
    path = paths[0]
    if len(paths) > 1:
        names = ", ".join(p.relative_to(folder).as_posix() for p in paths)
        raise DataError(f"{len(paths)} masks of one sample: {names}; leave one")
    size = None if sample.height is None or sample.width is None else (sample.height, sample.width)
    media.decode_mask(path, size=size)
    decoded = pictures.decode(path)
    if "alpha_on_white" in decoded.notes:
        raise DataError(
            f"wanted white on black in the mask {str(path)!r}, found a cut-out with transparency; draw it so"
        )
    return ImageContent(decoded.sha256, path)
