"""The first half of a run: samples for every case and seed that has none."""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from evalkit.engine.made import problem, size_of
from evalkit.engine.standing import fault
from evalkit.errors import EvalkitError, MethodError
from evalkit.files import atomic_write_bytes, atomic_write_text
from evalkit.media import Held, encode_mp4, encode_png, held_by, pixel_sha256, plain_answer, text_sha256
from evalkit.methods.base import Job, Made, rng_seed
from evalkit.nouns import Sample
from evalkit.progress import progress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from evalkit.methods.base import Context, Method
    from evalkit.nouns import Case
    from evalkit.runs.folder import RunFolder

FLUSH = 32
"""Samples between two appends to the store: what a kill can cost."""
FLUSH_BYTES = 256 * 2**20
"""Samples in memory between two appends: a clip is as large as hundreds of pictures."""
WRITERS = 2
"""Threads that encode and write; encoding a PNG costs more than many methods take to make the picture."""
REMEMBERED = 4
"""Encoded pictures kept in memory, in case the next one is the same."""


def generate(
    method: Method,
    context: Context,
    run: RunFolder,
    expected: Sequence[tuple[Case, int]],
    case_sha256: Mapping[str, str],
) -> int:
    """Makes every missing sample and returns how many were made or failed now.

    A sample is missing where the store has none for (case, seed), where it failed, or where its file is gone.
    """
    there = run.samples.latest()
    jobs = [
        Job(case, seed, rng_seed(method.info.name, case.case_id, seed))
        for case, seed in expected
        if not _stands(there.get((case.case_id, seed)), run)
    ]
    waiting = {(job.case.case_id, job.seed): job for job in jobs}
    title = f"generate {method.info.name}"
    store = _Writer(method, run, case_sha256)
    with (
        progress(title, len(expected), done=len(expected) - len(jobs), unit="samples") as advance,
        ThreadPoolExecutor(WRITERS, thread_name_prefix="evalkit-write") as pool,
    ):
        pending: list[Made] = []

        def flush() -> None:
            batch, pending[:] = list(pending), []
            if batch:
                run.samples.append(list(pool.map(store, batch)))
                advance(len(batch))

        try:
            for made in method.make(jobs, context) if jobs else ():
                pending.append(_answer(made, waiting))
                if len(pending) == FLUSH or sum(map(size_of, pending)) > FLUSH_BYTES:
                    flush()
        except EvalkitError:
            raise
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
            raise MethodError(
                f"{method.info.name} failed ({told}); what it made before is kept, run again to go on"
            ) from error
        finally:
            flush()
    return len(jobs)


def _stands(sample: Sample | None, run: RunFolder) -> bool:
    return sample is not None and sample.state == "made" and fault(sample, run.media_folder) is None


def _answer(made: object, waiting: dict[tuple[str, int], Job]) -> Made:
    """What the method yields, its job taken off those that wait. Raises TypeError or ValueError where it is no answer."""
    if not isinstance(made, Made):
        raise TypeError(f"wanted a Made for each job, found {type(made).__name__}")
    case_id, seed = made.job.case.case_id, made.job.seed
    if waiting.pop((case_id, seed), None) != made.job:
        raise ValueError(f"wanted one Made for each job it was given, found another for {case_id!r}, seed {seed}")
    return made


class _Writer:
    """Writes a method's samples into the run. Equal pictures in a row (a control's copies) are encoded once."""

    def __init__(self, method: Method, run: RunFolder, case_sha256: Mapping[str, str]) -> None:
        self._info, self._run, self._case_sha256 = method.info, run, case_sha256
        self._encoded: OrderedDict[str, bytes] = OrderedDict()

    def __call__(self, made: Made) -> Sample:
        job = made.job
        sample = partial(
            Sample,
            case_id=job.case.case_id,
            seed=job.seed,
            case_sha256=self._case_sha256[job.case.case_id],
            method=self._info.name,
            method_version=self._info.version,
            rng_seed=job.rng_seed,
        )
        if (why := problem(made)) is not None:
            return sample(state="failed", reason=why)
        path, held = self._written(made)
        stat = path.stat()
        return sample(
            state="made",
            path=path.relative_to(self._run.media_folder).as_posix(),
            file_size=stat.st_size,
            file_mtime_ns=stat.st_mtime_ns,
            true_picture=made.true_picture,
            **held._asdict(),
        )

    def _written(self, made: Made) -> tuple[Path, Held]:
        """The sample's file, written whole, and what it holds; of a clip as the file is decoded."""
        case_id, seed = made.job.case.case_id, made.job.seed
        if made.clip is not None:
            path = self._run.media_path(case_id, seed, ".mp4")
            assert made.fps is not None
            atomic_write_bytes(path, encode_mp4(made.clip, made.fps))
            return path, held_by(path, "video")
        if made.text is not None:
            path, answer = self._run.media_path(case_id, seed, ".txt"), plain_answer(made.text)
            atomic_write_text(path, answer)
            return path, Held(text_sha256(answer))
        assert made.pixels is not None
        sha256, path = pixel_sha256(made.pixels), self._run.media_path(case_id, seed, ".png")
        atomic_write_bytes(path, self._png(sha256, made.pixels))
        height, width = made.pixels.shape[:2]
        return path, Held(sha256, width, height)

    def _png(self, sha256: str, pixels: NDArray[np.uint8]) -> bytes:
        if (known := self._encoded.get(sha256)) is not None:
            return known
        data = self._encoded[sha256] = encode_png(pixels)
        while len(self._encoded) > REMEMBERED:
            self._encoded.popitem(last=False)
        return data
