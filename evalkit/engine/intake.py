"""Somebody's folder of samples, read: what each file shows, and which cannot be read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from evalkit.benchmarks.binding import Intake, Pair, find_samples
from evalkit.errors import MediaError
from evalkit.media import held_by
from evalkit.nouns import Sample
from evalkit.progress import progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from evalkit.features.pictures import Pictures

__all__ = ["Intake", "find_samples", "read_samples"]


def read_samples(
    intake: Intake,
    *,
    method: str,
    case_sha256: Mapping[str, str],
    known: Mapping[Pair, Sample],
    pictures: Pictures,
    threads: int = 2,
) -> Iterator[Sample]:
    """A Sample for each file that is new or changed since `known`; one that cannot be decoded is `unreadable`."""

    def read(pair: Pair) -> Sample | None:
        path = intake.files[pair].resolve()
        stat = path.stat()
        old = known.get(pair)
        if old is not None and (old.path, old.file_size, old.file_mtime_ns) == (
            str(path),
            stat.st_size,
            stat.st_mtime_ns,
        ):
            return None
        sample = partial(
            Sample,
            case_id=pair[0],
            seed=pair[1],
            path=str(path),
            file_size=stat.st_size,
            file_mtime_ns=stat.st_mtime_ns,
            case_sha256=case_sha256[pair[0]],
            method=method,
            method_version="-",
        )
        try:
            held = held_by(path, intake.media[pair], picture=pictures.decode, video=pictures.decode_video)
        except MediaError as error:
            return sample(state="unreadable", reason=str(error))
        return sample(state="made", **held._asdict())

    with ThreadPoolExecutor(threads) as pool, progress("read samples", len(intake.files), unit="files") as advance:
        for sample in pool.map(read, intake.files):
            advance()
            if sample is not None:
                yield sample
