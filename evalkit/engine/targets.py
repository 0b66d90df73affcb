"""The reference pictures of a run's cases: decoded once, known by their pixels."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from evalkit.errors import MediaError
from evalkit.features.spec import ImageContent
from evalkit.metrics.base import Outcome
from evalkit.nouns import State
from evalkit.progress import progress

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from evalkit.features.pictures import Pictures
    from evalkit.media.known import KnownPixels
    from evalkit.nouns import Case


class Targets:
    """What each case's sample is measured against. A picture that cannot be decoded is a state of its cases' scores."""

    def __init__(
        self, cases: Iterable[Case], root: Path, pictures: Pictures, known: KnownPixels, *, threads: int = 2
    ) -> None:
        named = {r for case in cases for r in (*case.references, *case.targets)}
        paths = sorted({path for r in named for path in (r.path, r.mask) if path is not None})

        def content(path: str) -> ImageContent | Outcome:
            try:
                file = root / path
                return ImageContent(known.sha256(file, decode=lambda file: pictures.decode(file).sha256), file)
            except MediaError as error:
                return Outcome(State.REFERENCE_ERROR, reason=str(error))

        with ThreadPoolExecutor(threads) as pool, progress("references", len(paths), unit="pictures") as advance:
            self._contents: dict[str, ImageContent | Outcome] = {}
            for path, found in zip(paths, pool.map(content, paths), strict=True):
                self._contents[path] = found
                advance()
        known.save()
        self._pixels = {p: c.sha256 if isinstance(c, ImageContent) else None for p, c in self._contents.items()}

    def of(self, case: Case) -> tuple[ImageContent, ...] | Outcome:
        """The case's targets, or the outcome of its scores where one cannot be decoded."""
        contents = [self._contents[target.path] for target in case.targets]
        for content in contents:
            if isinstance(content, Outcome):
                return content
        return tuple(content for content in contents if isinstance(content, ImageContent))

    def masks(self, case: Case) -> tuple[Path | None, ...] | Outcome:
        """The mask of each of the case's targets, or the outcome of scores that need masks where one cannot be decoded."""
        contents = [self._contents[target.mask] if target.mask else None for target in case.targets]
        for content in contents:
            if isinstance(content, Outcome):
                return content
        return tuple(content.path if isinstance(content, ImageContent) else None for content in contents)

    def identity(self, case: Case) -> list[list[str | None]]:
        """Pixels, mask, subject and label of each target: what a score of the case depends on beside the sample."""
        pixels = self.pixels()
        return [[pixels[t.path], pixels[t.mask] if t.mask else None, t.subject, t.label] for t in case.targets]

    def pixels(self) -> dict[str, str | None]:
        """sha256 of the pixels of each picture that the cases name, by path; None for one that cannot be decoded."""
        return self._pixels
