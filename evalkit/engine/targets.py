"""The reference pictures of a run's cases: decoded once, known by their pixels."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from evalkit.errors import MediaError
from evalkit.features.spec import ImageContent
from evalkit.metrics.base import Outcome
from evalkit.nouns import State

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

        with ThreadPoolExecutor(threads) as pool:
            self._contents = dict(zip(paths, pool.map(content, paths), strict=True))
        known.save()

    def of(self, case: Case) -> tuple[ImageContent, ...] | Outcome:
        """The case's targets, or the outcome of its scores where one cannot be decoded."""
        contents = [self._contents[target.path] for target in case.targets]
        for content in contents:
            if isinstance(content, Outcome):
                return content
        return tuple(content for content in contents if isinstance(content, ImageContent))

    def pixels(self) -> dict[str, str | None]:
        """sha256 of the pixels of each picture that the cases name, by path; None for one that cannot be decoded."""
        return {path: c.sha256 if isinstance(c, ImageContent) else None for path, c in self._contents.items()}
