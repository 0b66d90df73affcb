"""sDINO: how well each patch of a sample is found again on its subject, by DINOv2's patch features.

The mean, over the sample's patches, of the best cosine with a patch of the target inside the subject's mask. It
follows parts wherever they went, so it is a measure of identity that pose and place do not disturb.

Source: DivRL (arXiv 2606.23950), equation 10 and appendix B; there is no public code of it. Variants differ by where the
sample's mask comes from; the text takes Grounded-Segment-Anything's and says that results stay the same without one.
Deviation: the text names neither the patches' resolution nor the resizing: pictures are squashed to the model's square,
so that each patch covers the same share of the picture as of its mask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.content import content
from evalkit.errors import UsageError
from evalkit.metrics.base import Bound, Outcome
from evalkit.metrics.masks import mask_cells, refuse_soft
from evalkit.metrics.patches import PatchMeasure, no_cell
from evalkit.nouns import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from evalkit.metrics.patches import Array, Mask

CHUNK_FLOATS = 2**25


def sdino(gen: Tensor, ref: Tensor, mask_gen: Tensor | None = None, mask_ref: Tensor | None = None) -> Tensor:
    """Mean over each sample's patches of the highest cosine with a patch of its reference.

    gen: [B, N, C] and ref: [B, M, C] patch features, normalised here; mask_gen: [B, N] and mask_ref: [B, M] bool, every
    patch where None. Returns [B] float64 in [-1, 1]; 1 where every patch is found again; not symmetric. NaN where a mask
    is empty or a patch that counts is zero.

    Raises: UsageError for shapes that do not fit, no patches (N or M of 0), or masks that are not bool.

    Example:
        >>> import torch
        >>> gen, ref = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]]), torch.tensor([[[3.0, 0.0], [0.0, 1.0]]])
        >>> sdino(gen, ref, mask_ref=torch.tensor([[True, False]])).tolist()
        [0.5]
    """
    import torch

    mask_gen = torch.ones(gen.shape[:2], dtype=torch.bool, device=gen.device) if mask_gen is None else mask_gen
    mask_ref = torch.ones(ref.shape[:2], dtype=torch.bool, device=ref.device) if mask_ref is None else mask_ref
    _check(gen, ref, mask_gen, mask_ref)
    rows = max(1, CHUNK_FLOATS // max(1, gen.shape[1] * ref.shape[1]))
    values = [
        _best_mean(*(tensor[i : i + rows] for tensor in (gen, ref, mask_gen, mask_ref)))
        for i in range(0, len(gen), rows)
    ]
    return torch.cat(values) if values else torch.zeros(0, dtype=torch.float64)


def _check(gen: Tensor, ref: Tensor, mask_gen: Tensor, mask_ref: Tensor) -> None:
    fits = gen.ndim == ref.ndim == 3 and len(gen) == len(ref) and gen.shape[-1] == ref.shape[-1]
    fits = fits and 0 not in gen.shape[1:] + ref.shape[1:]
    if not fits or mask_gen.shape != gen.shape[:2] or mask_ref.shape != ref.shape[:2]:
        shapes = [list(tensor.shape) for tensor in (gen, ref, mask_gen, mask_ref)]
        raise UsageError(
            f"wanted patches [B, N, C] and [B, M, C] with masks [B, N] and [B, M], N, M and C at least 1, found {shapes}"
        )
    refuse_soft(mask_gen, mask_ref)


def _best_mean(gen: Tensor, ref: Tensor, mask_gen: Tensor, mask_ref: Tensor) -> Tensor:
    import torch

    x, y = (tensor.double() / torch.linalg.vector_norm(tensor.double(), dim=-1, keepdim=True) for tensor in (gen, ref))
    y = torch.where(mask_ref[..., None], y, 0.0)
    cosines = (x @ y.transpose(1, 2)).clamp(-1, 1).masked_fill(~mask_ref[:, None], -torch.inf)
    best = torch.where(mask_gen, cosines.amax(-1), 0.0)
    mean = best.sum(-1) / mask_gen.sum(-1)
    return mean.masked_fill(~mask_ref.any(-1), torch.nan)


class StructuralDino(PatchMeasure):
    """sDINO as a plugin."""

    def pair(
        self, gen: Sequence[Array], ref: Sequence[Array], mask: Mask, bound: Bound, *, shown: Mask | None
    ) -> Outcome:
        """The sample's patches, all of them or those of the subject, on the target's masked ones."""
        import torch

        (sample,), (target,) = gen, ref
        inside = mask_cells(mask, target.shape[:2])
        own = None if shown is None else mask_cells(shown, sample.shape[:2])
        if not inside.any():
            return no_cell(target.shape[:2])
        if own is not None and not own.any():
            return no_cell(sample.shape[:2], State.NO_SUBJECT)
        x, y = (torch.tensor(array).flatten(0, 1)[None] for array in (sample, target))
        of_gen = None if own is None else torch.from_numpy(own).reshape(1, -1)
        return Outcome.scored(sdino(x, y, of_gen, torch.from_numpy(inside).reshape(1, -1)).item())


SDINO = StructuralDino(content("metrics", "sdino", "card.yaml"), outputs=("patches",))
