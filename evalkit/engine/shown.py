"""What a sample that was made shows or says, as metrics see it, and how much of it is held at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evalkit.errors import MediaError
from evalkit.features.spec import ClipContent, ImageContent
from evalkit.media import medium_of, read_answer, text_sha256
from evalkit.metrics.base import Outcome
from evalkit.nouns import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from evalkit.nouns import Case, Sample

    Pair = tuple[Case, int]

CHUNK_BYTES, CHUNK_FRAMES = 160 * 2**20, 128
"""Of clips scored together, beside the number of samples: a chunk and the next one are in memory at a time, as pixels
and as what backbones take."""


class Shown(NamedTuple):
    """A sample's content, for an `Item`."""

    sample: ImageContent
    clip: ClipContent | None = None
    answer: str | None = None


def shown(sample: Sample, media: Path) -> Shown | Outcome:
    """The content of a sample that was made, or the outcome of its scores where an answer cannot be read as it was."""
    path = media / str(sample.path)
    content = ImageContent(str(sample.pixels_sha256), path)
    medium = medium_of(sample)
    if medium == "text":
        try:
            answer = read_answer(path)
        except MediaError as error:
            return Outcome(State.DECODE_ERROR, reason=str(error))
        if text_sha256(answer) != sample.pixels_sha256:
            return Outcome(State.DECODE_ERROR, reason=f"{path} changed while it was being scored; run again")
        return Shown(content, answer=answer)
    if medium == "image":
        return Shown(content)
    frames = tuple(ImageContent(sha256, path, index) for index, sha256 in enumerate(sample.frame_sha256))
    return Shown(content, clip=ClipContent(content.sha256, path, frames, sample.fps))


def chunks(pairs: Sequence[Pair], most: int, made: Callable[[Pair], Sample | None]) -> Iterator[list[Pair]]:
    """`pairs` in order, at most `most` together, and of clips so few that they fit in memory, at least one."""
    chunk: list[Pair] = []
    frames = held = 0
    for pair in pairs:
        count, size = _weight(made(pair))
        if chunk and (len(chunk) == most or frames + count > CHUNK_FRAMES or held + size > CHUNK_BYTES):
            yield chunk
            chunk, frames, held = [], 0, 0
        chunk.append(pair)
        frames, held = frames + count, held + size
    if chunk:
        yield chunk


def is_heavy(pairs: Sequence[Pair], made: Callable[[Pair], Sample | None]) -> bool:
    """Whether a chunk is more than may be in memory beside another: a single long clip."""
    weights = [_weight(made(pair)) for pair in pairs]
    return sum(count for count, _ in weights) > CHUNK_FRAMES or sum(size for _, size in weights) > CHUNK_BYTES


def _weight(sample: Sample | None) -> tuple[int, int]:
    """Frames and bytes of a clip's pixels; nothing for other samples, whose number alone is bounded."""
    if sample is None or sample.frames is None:
        return 0, 0
    return sample.frames, 3 * sample.frames * (sample.height or 0) * (sample.width or 0)
