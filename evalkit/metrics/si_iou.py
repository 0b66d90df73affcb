"""Scale-invariant IoU: how alike two subjects' outlines are, wherever they stand and however large they are.

Both masks are cropped to their subject's box, the generated crop is resized to the reference's, and the two are
compared by intersection over union. Low means another pose or shape; a moved or enlarged copy is 1.

Source: DivRL (arXiv 2606.23950), section A.2 of its appendix; there is no public code of it. Deviations: the text does
not say how the crop is resized; here each pixel of the reference's crop takes the nearest of the generated one's by
pixel centres, the later of two equally near, without keeping the aspect. Nor does it say what makes the samples' masks;
its sDINO takes Grounded-Segment-Anything.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from evalkit.content import content
from evalkit.errors import UsageError
from evalkit.metrics.base import Metric, Outcome
from evalkit.metrics.masks import HALF, sample_mask_requests, target_masks
from evalkit.metrics.patches import no_subject

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from evalkit.features.spec import FeatureRequest
    from evalkit.metrics.base import Bound, Item


def si_iou(mask_gen: Tensor, mask_ref: Tensor) -> Tensor:
    """Scale-invariant IoU of each pair of masks.

    mask_gen: [B, H, W] and mask_ref: [B, h, w] bool, true on the subject, all of its parts as one. Returns [B] float64
    in [0, 1]; 1 where the masks differ by place alone; not symmetric. NaN where a mask is empty.

    Raises: UsageError for shapes that do not fit, or masks that are not bool.

    Example:
        >>> import torch
        >>> corner, whole = torch.eye(2, dtype=torch.bool)[None], torch.ones(1, 4, 4, dtype=torch.bool)
        >>> si_iou(corner, whole).item()
        0.5
    """
    import torch

    fits = mask_gen.ndim == mask_ref.ndim == 3 and len(mask_gen) == len(mask_ref)
    fits = fits and 0 not in mask_gen.shape[1:] + mask_ref.shape[1:]
    if not fits or mask_gen.dtype != torch.bool or mask_ref.dtype != torch.bool:
        found = " and ".join(f"{mask.dtype} {list(mask.shape)}" for mask in (mask_gen, mask_ref))
        raise UsageError(f"wanted bool masks [B, H, W] and [B, h, w], found {found}; make them true on the subject")
    filled = mask_gen.flatten(1).any(1) & mask_ref.flatten(1).any(1)
    row, in_rows = _resized(mask_gen.any(2), mask_ref.any(2))
    column, in_columns = _resized(mask_gen.any(1), mask_ref.any(1))
    pair = torch.arange(len(mask_gen), device=mask_gen.device)[:, None, None]
    resized = mask_gen[pair, row[:, :, None], column[:, None, :]] & in_rows[:, :, None] & in_columns[:, None, :]
    shared, either = (resized & mask_ref).sum((1, 2)), (resized | mask_ref).sum((1, 2))
    return (shared.double() / either).masked_fill(~filled, torch.nan)


def _resized(gen: Tensor, ref: Tensor) -> tuple[Tensor, Tensor]:
    """Along one axis, of masks [B, N] and [B, n] seen from the side: which place of `gen` each place of `ref` takes [B, n],
    and whether it is inside `ref`'s box [B, n]."""
    import torch

    (start, length), (ref_start, ref_length) = _extent(gen), _extent(ref)
    offset = torch.arange(ref.shape[1], device=ref.device) - ref_start
    place = start + (2 * offset + 1) * length // (2 * ref_length)
    return place.clamp(0, gen.shape[1] - 1), (offset >= 0) & (offset < ref_length)


def _extent(line: Tensor) -> tuple[Tensor, Tensor]:
    """First true place and length up to the last one, both [B, 1]; the whole line where none is true."""
    import torch

    places = torch.arange(line.shape[1], device=line.device).expand_as(line)
    first = places.masked_fill(~line, line.shape[1]).amin(1, keepdim=True)
    last = places.masked_fill(~line, -1).amax(1, keepdim=True)
    none = last < 0
    return first.masked_fill(none, 0), (last - first + 1).masked_fill(none, line.shape[1])


class ScaleInvariantIou(Metric):
    """Scale-invariant IoU as a plugin; the variant's backbone is what makes the sample's mask."""

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        """The sample's mask for each target. Raises Unscorable where a target has no usable mask."""
        target_masks(item)
        return sample_mask_requests(item, bound.extractor)

    def score(
        self, items: Sequence[Item], bound: Bound, features: Sequence[Sequence[NDArray[np.float32]]]
    ) -> list[Outcome]:
        """The mean over targets, weighted by their number."""
        return [self._one(item, bound, row) for item, row in zip(items, features, strict=True)]

    def _one(self, item: Item, bound: Bound, row: Sequence[NDArray[np.float32]]) -> Outcome:
        import torch

        shown = [torch.tensor(mask > HALF)[None] for mask in row]
        if not all(mask.any() for mask in shown):
            return no_subject(item)
        pairs = zip(shown, target_masks(item), strict=True)
        values = [si_iou(own, torch.tensor(target)[None]).item() for own, target in pairs]
        return Outcome.scored(bound.card.scale * math.fsum(values) / len(values), weight=len(values))


SI_IOU = ScaleInvariantIou(content("metrics", "si_iou", "card.yaml"))
