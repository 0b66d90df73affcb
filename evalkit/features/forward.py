"""What goes through a backbone in one forward pass, whatever kind of content is asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evalkit.features.spec import ImageContent, PairContent, PromptedContent, TextContent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from evalkit.features.extractor import Extractor
    from evalkit.features.spec import Content

    Array = NDArray[np.float32]
    Row = tuple[Array | str, ...]
    """What one content is to a model: prepared pictures, then the text, as far as it has them."""


def pictures_of(content: Content) -> tuple[ImageContent, ...]:
    """The pictures of a content, in the order in which a model takes them."""
    if isinstance(content, ImageContent):
        return (content,)
    if isinstance(content, PairContent):
        return content.first, content.second
    return (content.image,) if isinstance(content, PromptedContent) else ()


def text_of(content: Content) -> str | None:
    """The text of a content, None where it has none."""
    return content.text if isinstance(content, TextContent | PromptedContent) else None


def padded_forward(extractor: Extractor, rows: Sequence[Row]) -> dict[str, Array]:
    """One forward pass at the extractor's fixed number of rows; the last row is repeated to fill it."""
    padded = [*rows, *[rows[-1]] * (extractor.forward_batch - len(rows))]
    texts = [part for row in padded for part in row if isinstance(part, str)]
    stacks = [
        np.stack(column) for column in zip(*([p for p in row if not isinstance(p, str)] for row in padded), strict=True)
    ]
    if not stacks:
        return extractor.encode_texts(texts)
    if texts:
        return extractor.encode_prompted(stacks[0], texts)
    return extractor.encode_images(stacks[0]) if len(stacks) == 1 else extractor.encode_pairs(stacks[0], stacks[1])
