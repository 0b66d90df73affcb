"""A subject's mask: read once or found in a sample, brought to a backbone's cells, and why there is no score without one."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.errors import DataError, MediaError, UsageError
from evalkit.features.given_mask import FAMILY as GIVEN
from evalkit.features.spec import FeatureRequest, PromptedContent
from evalkit.metrics.base import Item, Unscorable
from evalkit.nouns import State

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from evalkit.features.spec import ExtractorSpec

    Mask = NDArray[np.bool_]

SEGMENTER = "segmenter"
"""What cards call the backbone, beside the main one, that finds the subject in the sample."""

KEPT = 64
"""Masks in memory: those of a chunk of work and of the one that is made ready beside it."""
HALF = 0.5


def decode_mask(path: Path) -> Mask:
    """The mask in a file, bool [H, W], read-only, kept in memory while the file stays as it is.

    Raises: MediaError, DataError, as `evalkit.media.decode_mask`.
    """
    from evalkit import media

    try:
        stat = path.stat()
    except OSError:
        return media.decode_mask(path)
    return _decoded(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=KEPT)
def _decoded(path: Path, _size: int, _mtime_ns: int) -> Mask:
    from evalkit import media  # numpy and Pillow, which listing the metrics does not need

    mask = media.decode_mask(path)
    mask.setflags(write=False)
    return mask


def target_masks(item: Item) -> list[Mask]:
    """The mask of every target of an item, in order.

    Raises Unscorable: `reference_missing`, `mask_missing`, `reference_error` for a file that is no mask, `empty_mask` for
    a mask without a pixel.
    """
    masks = []
    for path in item.need_masks():
        try:
            mask = decode_mask(path)
        except (MediaError, DataError) as error:
            raise Unscorable(State.REFERENCE_ERROR, str(error)) from error
        if not mask.any():
            raise Unscorable(State.EMPTY_MASK, f"{item.case.case_id}: no pixel of {path.name} is in the mask")
        masks.append(mask)
    return masks


def sample_mask_requests(item: Item, segmenter: ExtractorSpec) -> list[FeatureRequest]:
    """The mask of each target's subject in the sample, in the targets' order; of a mask that the user gave, the same for all.

    A segmenter is asked for the target's class word. Raises Unscorable (`mask_missing`) where a given mask is wanted and
    there is none.
    """
    if segmenter.family != GIVEN:
        return [FeatureRequest(segmenter, PromptedContent(item.sample, word), "mask") for word in _words(item)]
    if item.sample_mask is None:
        reason = (
            f"{item.case.case_id}: no mask of its sample {item.sample.path.name}; give a folder with --sample-masks"
        )
        raise Unscorable(State.MASK_MISSING, reason)
    return [FeatureRequest(segmenter, item.sample_mask, "mask") for _ in item.targets]


def _words(item: Item) -> list[str]:
    """What each target's subject is, in a word."""
    labels = item.target_labels or tuple(target.label for target in item.case.targets)
    return [label for label, _ in zip(labels, item.targets, strict=True)]


def refuse_soft(*masks: Tensor) -> None:
    """Raises UsageError for masks that are not bool: it would be a guess from which value on they are the subject."""
    if kinds := {str(mask.dtype).removeprefix("torch.") for mask in masks if str(mask.dtype) != "torch.bool"}:
        raise UsageError(f"wanted bool masks, found {', '.join(sorted(kinds))}; make them true on the subject")


def mask_cells(mask: Mask, grid: tuple[int, int]) -> Mask:
    """A mask [H, W] at `grid` (rows, columns): true where the mask covers more than half of a cell.

    Resized bilinearly with antialiasing, on 8-bit values as a picture would be.

    Example:
        >>> import numpy as np
        >>> mask_cells(np.array([[1, 1, 0, 0]] * 4, bool), (2, 2)).tolist()
        [[True, False], [True, False]]
    """
    import torch
    from torch.nn.functional import interpolate

    levels = torch.from_numpy(mask.astype("uint8") * 255)[None, None]
    cells: Mask = (interpolate(levels, grid, mode="bilinear", antialias=True)[0, 0] / 255 > HALF).numpy()
    return cells
